/**
 * The status of a Sweep.
 */
import { z } from 'zod';
import { condition, count, time } from './status.ts';

/** Partial: it ended, and some trials failed, or a limit ended it. */
export const sweepPhases = ['Pending', 'Running', 'Suspending', 'Suspended', 'Succeeded', 'Partial', 'Failed'] as const;

export type SweepPhase = (typeof sweepPhases)[number];

/** Waiting: a trial that should run cannot, for want of quota, nodes and so on; no other is started before it does. */
export const sweepConditionTypes = ['Accepted', 'Waiting', 'Suspended', 'Complete', 'Failed'] as const;
export type SweepConditionType = (typeof sweepConditionTypes)[number];

export const sweepStatusSchema = z.strictObject({
  observedGeneration: count.optional().describe('The generation of the spec that this status is about.'),
  phase: z
    .enum(sweepPhases)
    .optional()
    .describe('Where the sweep stands, in one word. Partial: it ended, and some trials failed, or a limit ended it.'),
  conditions: z.array(condition).max(16).optional().describe('Where the sweep stands, in detail.'),
  stage: z.string().max(63).optional().describe('The stage under way.'),
  progress: z.string().max(64).optional().describe('Trials that ended, of all that are known.'),
  trials: z
    .strictObject({
      total: count.describe('All that are known.'),
      pending: count.describe('Not started.'),
      running: count.describe('Under way.'),
      succeeded: count.describe('Ended well.'),
      failed: count.describe('Ended badly, for good.'),
      stopped: count.describe('Ended early, as they promised little.'),
      reused: count.describe('Not run again, as their result was there.'),
    })
    .optional()
    .describe('How many trials there are, by where they stand.'),
  best: z
    .strictObject({
      job: z.string().max(63).describe('Its TrainingJob.'),
      value: z.string().max(32).describe('Of the objective; of several replicates, their mean.'),
      parameters: z.record(z.string().max(128), z.unknown()).meta({ maxProperties: 64 }).describe('The choice.'),
    })
    .optional()
    .describe('The best trial so far.'),
  startTime: time.optional().describe('When the first trial was made.'),
  completionTime: time.optional().describe('When the sweep ended.'),
});
export type SweepStatus = z.infer<typeof sweepStatusSchema>;
