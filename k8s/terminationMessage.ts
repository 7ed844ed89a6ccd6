/**
 * What a process left when it ended: one JSON object, or where it could not write one the end of its log.
 */
import { z } from 'zod';
import { reportsSchema } from '../coordinator/objectiveReports.ts';

const messageSchema = z.union([
  z.object({
    error: z.object({
      code: z.string(),
      exitCode: z.int(),
      message: z.string(),
      /** Of a coordinator that was stopped: the step of the checkpoint that it ended with. */
      details: z.object({ step: z.int().min(0).optional() }).optional(),
    }),
  }),
  z.object({
    result: z.object({
      steps: z.int().min(0).optional(),
      bestEpoch: z.int().optional(),
      jaccard: z.number().optional(),
      weightsDigest: z.string().max(128).optional(),
      objective: reportsSchema.optional(),
    }),
  }),
]);

export type RunResult = Extract<z.infer<typeof messageSchema>, { result: unknown }>['result'];

export interface LastWords {
  readonly message?: string;
  readonly log?: string;
  readonly result?: RunResult;
  readonly step?: number;
}

export function lastWords(text: string | undefined): LastWords {
  if (!text?.trim()) return {};
  const parsed = messageSchema.safeParse(json(text));
  if (!parsed.success) return { log: text.trim() };
  if ('result' in parsed.data) return { result: parsed.data.result };
  const { message, details } = parsed.data.error;
  return { message, ...(details?.step !== undefined && { step: details.step }) };
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
