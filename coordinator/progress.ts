/**
 * Where a run stands, as its coordinator tells whoever asks (GET /progress).
 */
import { z } from 'zod';

const count = z.int().min(0);

export const runPhases = ['starting', 'waiting', 'training', 'validating', 'finishing', 'done', 'failed'] as const;

export const progressSchema = z.object({
  run: z.string().max(63),
  phase: z.enum(runPhases),
  /** Members of the current generation. */
  workers: count,
  expected: count,
  generation: count,
  epoch: count.optional(),
  epochs: count.optional(),
  /** Steps done, of steps in all epochs. */
  step: count.optional(),
  steps: count.optional(),
  loss: z.object({ name: z.string().max(128), value: z.number().optional() }).optional(),
  metric: z.object({ name: z.string().max(64), value: z.number().optional(), best: z.number().optional() }).optional(),
  etaSeconds: z.number().min(0).optional(),
  imagesPerSecond: z.number().min(0).optional(),
  checkpoint: z.object({ step: count, epoch: count, at: z.string().max(64) }).optional(),
  weightsDigest: z.string().max(128).optional(),
});
export type Progress = z.infer<typeof progressSchema>;
