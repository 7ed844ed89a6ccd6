/**
 * What a process left when it ended: one JSON object, or where it could not write one the end of its log.
 */
import { z } from 'zod';

const messageSchema = z.union([
  z.object({ error: z.object({ code: z.string(), exitCode: z.int(), message: z.string() }) }),
  z.object({
    result: z.object({
      steps: z.int().min(0).optional(),
      bestEpoch: z.int().optional(),
      jaccard: z.number().optional(),
      weightsDigest: z.string().max(128).optional(),
    }),
  }),
]);

export type RunResult = Extract<z.infer<typeof messageSchema>, { result: unknown }>['result'];

export function lastWords(text: string | undefined): { readonly message?: string; readonly log?: string; readonly result?: RunResult } {
  if (!text?.trim()) return {};
  const parsed = messageSchema.safeParse(json(text));
  if (!parsed.success) return { log: text.trim() };
  return 'error' in parsed.data ? { message: parsed.data.error.message } : { result: parsed.data.result };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
