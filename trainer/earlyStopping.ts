/**
 * When a run ends before its last epoch, as a pure function of how its validation went: a resumed run decides the same.
 */
import { z } from 'zod';

export const earlyStoppingSchema = z
  .strictObject({
    patience: z.int().min(1).max(100_000).describe('Epochs without a better validation Jaccard after which the run ends.'),
    minDelta: z.number().min(0).lt(1).default(0).describe('What counts as better: more than this above the best so far.'),
  })
  .describe('Ends a run that gets no better. By default none does.');
export type EarlyStoppingSpec = z.infer<typeof earlyStoppingSchema>;

/** @param scores validation Jaccard of the epochs that are done */
export function endsEarly(scores: readonly number[], spec: EarlyStoppingSpec | undefined): boolean {
  if (!spec) return false;
  let best = Number.NEGATIVE_INFINITY;
  let waited = 0;
  for (const score of scores) {
    if (score > best + spec.minDelta) {
      best = score;
      waited = 0;
    } else waited++;
  }
  return waited >= spec.patience;
}
