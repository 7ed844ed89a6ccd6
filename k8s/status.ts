/**
 * The status of a TrainingJob: one schema for the CRD, the operator that writes it and the command line that shows it.
 */
import { z } from 'zod';
import { reportsSchema } from '../coordinator/objectiveReports.ts';

export const phases = ['Pending', 'Starting', 'Running', 'Suspending', 'Suspended', 'Succeeded', 'Failed'] as const;
export type Phase = (typeof phases)[number];

export const conditionTypes = ['Accepted', 'PodsReady', 'Suspended', 'Complete', 'Failed'] as const;
export type ConditionType = (typeof conditionTypes)[number];

/** Why a pod ended, as far as it decides which budget pays for it. `fatal`: no other pod would do better. */
export const causes = ['fatal', 'error', 'outOfMemory', 'disruption'] as const;
export type Cause = (typeof causes)[number];

export const time = z.string().max(64).meta({ format: 'date-time' });
export const count = z.int().min(0);

export const condition = z.strictObject({
  type: z.string().max(316).describe('What it is about, such as Accepted, Complete or Failed.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it is so.'),
  observedGeneration: count.optional().describe('The generation of the spec that it is about.'),
  lastTransitionTime: time.describe('When status last changed.'),
  reason: z.string().max(1024).describe('One word, for programs.'),
  message: z.string().max(32_768).describe('A sentence that says what to do, where there is something to do.'),
});
export type Condition = z.infer<typeof condition>;

const firstFailure = z.strictObject({
  pod: z.string().max(253).describe('Its name.'),
  component: z.enum(['coordinator', 'worker']).describe('What ran in it.'),
  node: z.string().max(253).optional().describe('Where it ran.'),
  cause: z.enum(causes).describe('Which of the budgets in spec.restarts pays for it; fatal: another pod would do no better.'),
  exitCode: z.int().optional().describe('Of the process, where it had one.'),
  reason: z.string().max(1024).describe('The name of the exit code, or what Kubernetes says: OOMKilled, Evicted and so on.'),
  message: z.string().max(4096).optional().describe('The sentence that the process ended with.'),
  log: z.string().max(8192).optional().describe('Its last log lines.'),
  time: time.describe('When it ended.'),
});
export type FirstFailure = z.infer<typeof firstFailure>;

const seen = z.strictObject({
  pods: z.array(z.string().max(64)).max(64).describe('Their uids.'),
  until: time.optional().describe('Those that ended up to then are not in the list any more.'),
});
export type Seen = z.infer<typeof seen>;

export const statusSchema = z.strictObject({
  observedGeneration: count.optional().describe('The generation of the spec that this status is about.'),
  phase: z.enum(phases).optional().describe('Where the job stands, in one word.'),
  conditions: z.array(condition).max(16).optional().describe('Where the job stands, in detail.'),
  lanes: count.optional().describe('Frozen when the job was accepted: scaling never changes it.'),
  maxWorkers: count.optional().describe('Frozen when the job was accepted: workers.replicas may be raised to it.'),
  workers: count.optional().describe('Worker pods that are ready.'),
  selector: z.string().max(1024).optional().describe('Of the worker pods.'),
  epoch: count.optional().describe('Under way, from 1.'),
  epochs: count.optional().describe('Of the whole run.'),
  step: count.optional().describe('Steps that are done.'),
  steps: count.optional().describe('Of the whole run.'),
  progress: z.string().max(64).optional().describe('Epoch of epochs.'),
  lossName: z.string().max(128).optional().describe('The loss, and in brackets what it wraps.'),
  loss: z.string().max(32).optional().describe('Of the last step.'),
  metric: z.string().max(32).optional().describe('Best validation Jaccard, pooled.'),
  objective: reportsSchema.optional().describe('What the sweep that the job is a trial of looks for, epoch by epoch.'),
  eta: z.string().max(32).optional().describe('Time until the last epoch is done.'),
  checkpointStep: count.optional().describe('Step of the newest checkpoint.'),
  checkpointTime: time.optional().describe('When the newest checkpoint was written.'),
  startTime: time.optional().describe('When pods were first made.'),
  activeSeconds: count.optional().describe('Time in which the job was not suspended, up to activeSince.'),
  activeSince: time.optional().describe('Since when it is not suspended.'),
  completionTime: time.optional().describe('When the run ended, well or not.'),
  weightsDigest: z.string().max(128).optional().describe('SHA-256 of the weights at the end of the run.'),
  exitCode: z.int().optional().describe('Of the run, as `segfleet train` would give it.'),
  restarts: z
    .strictObject({
      errors: count.describe('Paid for by restarts.errors.'),
      outOfMemory: count.describe('Paid for by restarts.outOfMemory.'),
      disruptions: count.describe('Paid for by restarts.disruptions, where that is given.'),
    })
    .optional()
    .describe('Failures so far, by cause; pods that end together for one reason count once.'),
  firstFailure: firstFailure.optional().describe('The first pod that failed.'),
  seen: seen.optional().describe('For the operator: pods that have ended and are not to be counted again.'),
});
export type JobStatus = z.infer<typeof statusSchema>;
