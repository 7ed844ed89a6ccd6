/**
 * Every metric that segfleet tells Prometheus, once: name, meaning, unit, labels and the values that these may take. What is exposed, the reference
 * page, dashboards and alerts are made from it, so that none can name what does not exist.
 *
 * Names begin with `segfleet_`, units are base units, counters end in `_total`. Hyper-parameters are in `segfleet_run_info` alone: join on `run`.
 */
import { errorCodes } from '../errors.ts';
import { metricNames } from '../metrics/counts.ts';
import { deltas } from '../report/curves.ts';

export const metricsPrefix = 'segfleet_';

/** Values that a label may have: all of them, or what they are and how many there can be. */
export type LabelValues = readonly string[] | { readonly of: string; readonly atMost: number };

export interface MetricEntry {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly unit: 'seconds' | 'bytes' | 'ratio' | 'timestamp' | 'count' | 'loss' | 'info';
  readonly help: string;
  readonly labels: Readonly<Record<string, LabelValues>>;
  /** Upper bounds, rising. */
  readonly buckets?: readonly number[];
}

type Unnamed = Omit<MetricEntry, 'name'>;

const one = (of: string): LabelValues => ({ of, atMost: 1 });
const run = { run: one('name of the run') } as const;
const sweep = { sweep: one('name of the sweep') } as const;

/** Workers of a run at most: no message of theirs tells of more. */
export const maxRanks = 256;
const rank: LabelValues = { of: 'rank of a worker, below workers.max', atMost: maxRanks };

/** Where a known value is expected and another one comes. */
export const other = 'other';

/** The last four are ends. */
export const runStates = [
  'starting',
  'waiting',
  'training',
  'validating',
  'finishing',
  'succeeded',
  'paused',
  'stopped',
  'failed',
] as const;
export type RunStateName = (typeof runStates)[number];

export const scoreNames = [...metricNames, 'auc'] as const;
export const phases = ['data', 'compute', 'exchange', 'commit', 'apply', 'validation', 'checkpoint'] as const;
export type Phase = (typeof phases)[number];
/** How a worker was lost. */
export const lostReasons = ['silent', 'left', 'returned', 'failed', 'hung', 'slow', 'unreachable', other] as const;
/** How the process before ended. */
export const restartReasons = ['killed', 'preempted', 'interrupted', 'paused', 'failed', 'finished', other] as const;
export const droppedReasons = ['size', 'parts', 'json', 'version', 'run', 'shape', other] as const;
export const refusedReasons = ['auth', 'protocol', other] as const;
export const s3Operations = ['get', 'put', 'list', 'delete', 'multipart', other] as const;
export const s3Outcomes = ['ok', 'notFound', 'condition', 'refused', 'throttled', 'server', 'network'] as const;
export const cellStates = ['waiting', 'running', 'paused', 'stopped', 'succeeded', 'failed'] as const;
/** Of those, on a cluster: paused ones count as running. */
export const clusterCellStates = cellStates.filter(state => state !== 'paused');

const secondsBuckets = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Of one run, told by the process that leads it: `train`, or `coordinator`. */
export const runMetrics = {
  run_info: {
    type: 'gauge',
    unit: 'info',
    help: 'Always 1; what the run is. Join on run. Sweep and trial are empty where the run is of none.',
    labels: {
      ...run,
      loss: one('loss, such as adaptiveLog(dice)'),
      model: one('network'),
      dataset: one('name of the data set: the last part of data.path'),
      sweep: one('name of the sweep'),
      trial: one('number of the trial'),
    },
  },
  run_state: {
    type: 'gauge',
    unit: 'info',
    help: '1 for the state that the run is in, 0 for the others.',
    labels: { ...run, state: runStates },
  },
  run_failures_total: {
    type: 'counter',
    unit: 'count',
    help: 'Ends of the run that were not asked for, by the code of the error. The process ends with it.',
    labels: { ...run, code: Object.keys(errorCodes) },
  },
  restarts_total: {
    type: 'counter',
    unit: 'count',
    help: 'How often a process went on with the run, by how the one before had ended; over all processes of the run.',
    labels: { ...run, reason: restartReasons },
  },

  // Progress
  epoch: { type: 'gauge', unit: 'count', help: 'Epochs that are done, validation included.', labels: run },
  epochs_planned: { type: 'gauge', unit: 'count', help: 'training.epochs of the job.', labels: run },
  step: { type: 'gauge', unit: 'count', help: 'Steps of the run that are done; falls where they are done again.', labels: run },
  steps_planned: { type: 'gauge', unit: 'count', help: 'Steps in all epochs.', labels: run },
  steps_total: {
    type: 'counter',
    unit: 'count',
    help: 'Steps that this process saw done, those that were done again included.',
    labels: run,
  },
  samples_total: {
    type: 'counter',
    unit: 'count',
    help: 'Training images (or patches) in these steps: its rate is the throughput.',
    labels: run,
  },
  steps_repeated_total: {
    type: 'counter',
    unit: 'count',
    help: 'Steps computed again: a worker was lost in the middle of one, or no checkpoint held them.',
    labels: run,
  },
  last_step_age_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Since the last step was done, or since this process began where there is none; 0 once the run has ended.',
    labels: run,
  },

  // Convergence, by loss through run_info
  loss_value: {
    type: 'gauge',
    unit: 'loss',
    help: 'Value of the loss: of the last step, mean over the last epoch while weights changed, and on the validation images. Units differ between losses.',
    labels: { ...run, split: ['batch', 'training', 'validation'] },
  },
  loss_normalised_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: '(L - best) / (L0 - best) with L the last, L0 the first and best the lowest of the epochs: 1 at first, 0 at the lowest; comparable between losses. Not there while the first epoch is the lowest.',
    labels: { ...run, split: ['training', 'validation'] },
  },
  validation_score_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'Scores on the validation images after the last epoch: counts pooled over all images, or mean over images. The AUC is pooled.',
    labels: { ...run, metric: scoreNames, over: ['pooled', 'images'] },
  },
  best_validation_jaccard_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'Highest pooled validation Jaccard so far.',
    labels: run,
  },
  convergence_epochs: {
    type: 'gauge',
    unit: 'count',
    help: 'First epoch whose pooled validation Jaccard is at most delta below the best so far.',
    labels: { ...run, delta: deltas.map(String) },
  },
  plateau_epochs: {
    type: 'gauge',
    unit: 'count',
    help: 'Epochs since the pooled validation Jaccard was last the best.',
    labels: run,
  },
  gradient_norm: {
    type: 'gauge',
    unit: 'loss',
    help: 'Global norm of the gradient of the last step, before clipping.',
    labels: run,
  },
  learning_rate: { type: 'gauge', unit: 'count', help: 'Of the last step.', labels: run },
  adaptive_log_branch_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'With ALL: share of what its loss was computed on (units and classes of the steps of the epoch that goes on, or of the last one) in each branch.',
    labels: { ...run, branch: ['log', 'linear'] },
  },
  nonfinite_total: {
    type: 'counter',
    unit: 'count',
    help: 'Losses or gradients that were no finite number. Such a step is not applied, and the run ends.',
    labels: run,
  },

  // Where the time goes
  step_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Of a step, from asking for its data to having applied it.',
    labels: run,
    buckets: secondsBuckets,
  },
  phase_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    help: 'Time of the run by what it was spent on. data: waiting for images; compute: forward and backward; exchange: waiting for the sums of other workers; commit: until all agree; apply: the update. In one process the update is part of compute, and there is no exchange. With workers as the worker measured it that told of the step.',
    labels: { ...run, phase: phases },
  },
  elapsed_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Since this process began with the run, until its end.',
    labels: run,
  },
  goodput_ratio: {
    type: 'gauge',
    unit: 'ratio',
    help: 'Share of the elapsed time spent in steps and validations that count: none that were done again, no start, no waiting for workers, no checkpoints.',
    labels: run,
  },

  // Workers
  workers: { type: 'gauge', unit: 'count', help: 'Workers that share the steps; 1 in one process.', labels: run },
  workers_planned: { type: 'gauge', unit: 'count', help: 'workers.replicas of the job, or --workers.', labels: run },
  workers_spare: { type: 'gauge', unit: 'count', help: 'Workers that are there and compute nothing yet.', labels: run },
  generation: {
    type: 'gauge',
    unit: 'count',
    help: 'Rises each time that other workers share the steps.',
    labels: run,
  },
  worker_info: {
    type: 'gauge',
    unit: 'info',
    help: 'Always 1; which worker has a rank: on a cluster the name of its pod. Join on rank.',
    labels: { ...run, rank, worker: one('name of the worker') },
  },
  worker_lateness_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'How long the part of a worker came to the others after the first one: median over them, at the last step.',
    labels: { ...run, rank },
  },
  worker_compute_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Own time of a worker in its last step, data included, without waiting for others.',
    labels: { ...run, rank },
  },
  worker_silence_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Since a worker was heard last.',
    labels: { ...run, rank },
  },
  worker_lanes: { type: 'gauge', unit: 'count', help: 'Lanes that a worker computes.', labels: { ...run, rank } },
  workers_lost_total: {
    type: 'counter',
    unit: 'count',
    help: 'Workers that were lost, by why.',
    labels: { ...run, reason: lostReasons },
  },
  frames_dropped_total: {
    type: 'counter',
    unit: 'count',
    help: 'Messages to the coordinator that were dropped unread, by what was wrong with them.',
    labels: { ...run, reason: droppedReasons },
  },
  connections_refused_total: {
    type: 'counter',
    unit: 'count',
    help: 'Connections to the coordinator that did not get in. auth: whoever it was has not the key of the run.',
    labels: { ...run, reason: refusedReasons },
  },

  // Checkpoints
  checkpoints_total: { type: 'counter', unit: 'count', help: 'Checkpoints that this process wrote.', labels: run },
  checkpoint_step: { type: 'gauge', unit: 'count', help: 'Step that the newest checkpoint holds.', labels: run },
  checkpoint_age_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Since the newest checkpoint was written. Grows until the end of the run.',
    labels: run,
  },
  checkpoint_verified_age_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Since every byte of the newest checkpoint was last read back: when it was written, for one that is not does not count, or when the run was resumed from it.',
    labels: run,
  },
  checkpoint_bytes: { type: 'gauge', unit: 'bytes', help: 'Size of the newest checkpoint.', labels: run },
  checkpoint_failures_total: {
    type: 'counter',
    unit: 'count',
    help: 'Checkpoints that could not be written. The run ends with it; the checkpoint before stands.',
    labels: run,
  },

  // Object storage
  s3_requests_total: {
    type: 'counter',
    unit: 'count',
    help: 'Requests of this process to object storage by outcome, each attempt counted. condition: a conditional write that lost; throttled: 429 and 503; server: other 5xx; network: no answer.',
    labels: { ...run, operation: s3Operations, outcome: s3Outcomes },
  },
  s3_request_duration_seconds: {
    type: 'histogram',
    unit: 'seconds',
    help: 'Until the answer to such a request began.',
    labels: { ...run, operation: s3Operations },
    buckets: secondsBuckets,
  },
} as const satisfies Record<string, Unnamed>;

/** Of a sweep that runs on this machine, told by the process that drives it. */
export const sweepMetrics = {
  sweep_cells: {
    type: 'gauge',
    unit: 'count',
    help: 'Trials of the sweep by state.',
    labels: { ...sweep, state: cellStates },
  },
  sweep_runs: {
    type: 'gauge',
    unit: 'count',
    help: 'Runs of the sweep by state: replicates of a trial are runs of their own.',
    labels: { ...sweep, state: cellStates },
  },
  sweep_seconds_total: {
    type: 'counter',
    unit: 'seconds',
    help: 'Time of runs that have ended or paused.',
    labels: sweep,
  },
  sweep_last_event_age_seconds: {
    type: 'gauge',
    unit: 'seconds',
    help: 'Since its journal last told of something: a trial that was chosen, a run that began, reported an epoch or ended. 0 once the process that drove it has ended.',
    labels: sweep,
  },
} as const satisfies Record<string, Unnamed>;

/** Sweeps on a cluster that have series of their own, at most. */
export const maxSweeps = 100;
const clusterSweep = {
  sweep: { of: 'namespace/name of a Sweep that goes on, or ended within 15 minutes; the ones that began last', atMost: maxSweeps },
} as const;

const kinds: LabelValues = { of: 'a kind that the operator watches', atMost: 12 };

/** Of the operator; their names go on with `operator_`. */
export const operatorEntries = {
  reconcileSeconds: {
    name: 'reconcile_duration_seconds',
    type: 'histogram',
    unit: 'seconds',
    help: 'Time from reading one job out of the caches until its last effect is done.',
    labels: {},
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
  },
  reconcileErrors: {
    name: 'reconcile_errors_total',
    type: 'counter',
    unit: 'count',
    help: 'Reconciles that failed and are tried again, by the code of the error.',
    labels: { code: Object.keys(errorCodes) },
  },
  queueDepth: { name: 'queue_depth', type: 'gauge', unit: 'count', help: 'Jobs that wait for a free hand.', labels: {} },
  queueWorking: { name: 'queue_working', type: 'gauge', unit: 'count', help: 'Jobs that are reconciled at this moment.', labels: {} },
  watchRestarts: {
    name: 'watch_restarts_total',
    type: 'counter',
    unit: 'count',
    help: 'Watches that began anew with a list, by why: ended, resync, expired, silent, unanswered, refused, garbled.',
    labels: { kind: kinds, reason: ['ended', 'resync', 'expired', 'silent', 'unanswered', 'refused', 'garbled'] },
  },
  watchLastEvent: {
    name: 'watch_last_event_timestamp_seconds',
    type: 'gauge',
    unit: 'timestamp',
    help: 'When a watch last heard of the API server, bookmarks included; of several namespaces the one that heard least.',
    labels: { kind: kinds },
  },
  leader: {
    name: 'leader',
    type: 'gauge',
    unit: 'info',
    help: '1 while this process holds the lease and acts, else 0.',
    labels: {},
  },
  apiRequests: { name: 'api_requests_total', type: 'counter', unit: 'count', help: 'Requests to the API server.', labels: {} },
  jobs: {
    name: 'jobs',
    type: 'gauge',
    unit: 'count',
    help: 'TrainingJobs by phase; those without a status count as Pending.',
    labels: { phase: { of: 'phase of a job', atMost: 12 } },
  },
  sweeps: {
    name: 'sweeps',
    type: 'gauge',
    unit: 'count',
    help: 'Sweeps by phase; those without a status count as Pending.',
    labels: { phase: { of: 'phase of a sweep', atMost: 12 } },
  },
  sweepCells: {
    name: 'sweep_cells',
    type: 'gauge',
    unit: 'count',
    help: 'Trials of a Sweep by state. waiting: not started, as far as they are known.',
    labels: { ...clusterSweep, state: clusterCellStates },
  },
  sweepWaiting: {
    name: 'sweep_waiting_seconds',
    type: 'gauge',
    unit: 'seconds',
    help: 'Since a trial of a Sweep that should run cannot (condition Waiting: no quota, no node, ...); 0 while none waits.',
    labels: clusterSweep,
  },
  statusWrites: { name: 'status_writes_total', type: 'counter', unit: 'count', help: 'Statuses written.', labels: {} },
  events: {
    name: 'events_total',
    type: 'counter',
    unit: 'count',
    help: 'Events about jobs, by whether they were recorded.',
    labels: { outcome: { of: 'what became of an event', atMost: 4 } },
  },
  progressPolls: {
    name: 'progress_polls_total',
    type: 'counter',
    unit: 'count',
    help: 'Coordinators asked for progress, by outcome: answered, or why not: unanswered, refused, garbled.',
    labels: { outcome: ['answered', 'unanswered', 'refused', 'garbled'] },
  },
} as const satisfies Record<string, MetricEntry>;

export const operatorPrefix = `${metricsPrefix}operator_`;

export type RunMetricName = keyof typeof runMetrics;
export type SweepMetricName = keyof typeof sweepMetrics;

/** With the names that they are exposed by. */
export const named = (entries: Readonly<Record<string, Unnamed>>): MetricEntry[] =>
  Object.entries(entries).map(([name, entry]) => ({ name: metricsPrefix + name, ...entry }));

/** By who tells them; names as they are exposed. */
export const catalogue: readonly { readonly of: string; readonly about: string; readonly metrics: readonly MetricEntry[] }[] = [
  {
    of: 'Runs',
    about: 'Told by the process that leads a run: `train --metrics-port`, and `coordinator --progress`.',
    metrics: named(runMetrics),
  },
  {
    of: 'Sweeps',
    about: 'Told by the process that drives a sweep: `sweep run --metrics-port`.',
    metrics: named(sweepMetrics),
  },
  {
    of: 'The operator',
    about: 'Told by `operator`, besides what Node tells of itself (`segfleet_operator_nodejs_*`, `segfleet_operator_process_*`).',
    metrics: Object.values<MetricEntry>(operatorEntries).map(entry => ({ ...entry, name: operatorPrefix + entry.name })),
  },
];

/** How many values a label can have. */
export const cardinality = (values: LabelValues): number => ('atMost' in values ? values.atMost : values.length);

/** Series of one run, one sweep or one operator at most. A histogram has one a bucket, and three more. */
export function maxSeries({ labels, buckets }: MetricEntry): number {
  const combinations = Object.values(labels).reduce((product, values) => product * cardinality(values), 1);
  return combinations * (buckets ? buckets.length + 3 : 1);
}
