/**
 * What the trials of a sweep have shown so far, from their TrainingJobs alone: those are all that is remembered of it.
 */
import type { EpochReport, RunId } from '../../trainer/sweep/journal.ts';
import { type Run, SweepState, type SweepTrial } from '../../trainer/sweep/state.ts';
import { conditionOf } from '../conditions.ts';
import { harmlessReasons } from '../eventDrafts.ts';
import { annotations, labels } from '../names.ts';
import type { TrainingJob } from '../objects.ts';
import { failureOf, isOver } from '../outcome.ts';
import type { Search } from './search.ts';
import { untilOf } from './trialJob.ts';

export interface Trials {
  readonly state: SweepState;
  /** @param replicate from 1 */
  job(trial: number, replicate: number): TrainingJob | undefined;
  runOf(job: TrainingJob): { readonly trial: SweepTrial; readonly run: Run } | undefined;
  /** The first that has no job, of those that are to be run. */
  missing(): { readonly trial: SweepTrial; readonly replicate: number } | undefined;
}

/** No label says more, whoever wrote it. */
const mostTrials = 100_000;

/** Whether it has pods, or may have some soon. */
export const holds = (job: TrainingJob): boolean => !isOver(job) && !isAtRest(job);

function isAtRest({ spec, status, metadata }: TrainingJob): boolean {
  return spec.suspend === true && status?.phase === 'Suspended' && status.observedGeneration === metadata.generation;
}

export const stoppedBySweep = ({ metadata }: TrainingJob): string | undefined => metadata.annotations?.[annotations.stopped];

export const troubleOf = ({ status = {} }: TrainingJob) => {
  const said = conditionOf(status, 'PodsReady');
  return said?.status === 'False' && !harmlessReasons.has(said.reason) ? said : undefined;
};

/** Its pods are not there yet: there may be no room for them. */
export const isWaiting = (job: TrainingJob): boolean =>
  !isOver(job) && !job.spec.suspend && (['Pending', 'Suspended'].includes(job.status?.phase ?? 'Pending') || troubleOf(job) !== undefined);

export function readTrials({ loaded, objective, strategy }: Search, jobs: readonly TrainingJob[]): Trials {
  const { metric } = loaded.spec.objective;
  const { count } = loaded.spec.replicates;
  const state = new SweepState(loaded.spec, objective);
  const byNumber = new Map<number, Map<number, TrainingJob>>();
  for (const job of jobs.toSorted(byAge)) {
    const [number, replicate] = placeOf(job.metadata);
    if (!(Number.isInteger(number) && number >= 0 && number < mostTrials && Number.isInteger(replicate))) continue;
    if (replicate < 1 || replicate > count) continue;
    const runs = byNumber.get(number) ?? new Map<number, TrainingJob>();
    if (!runs.has(replicate)) byNumber.set(number, runs.set(replicate, job));
  }
  const last = Math.max(-1, ...byNumber.keys());
  for (let number = 0; number <= last; number++) {
    const runs = byNumber.get(number);
    const [first] = runs?.values() ?? [];
    if (!runs || !first) {
      // Somebody has deleted its jobs. It is chosen again, as whoever comes after it counts on it.
      const again = strategy(state.history(), 1).find(decision => decision.do === 'start');
      const { do: _, ...choice } = again ?? { do: 'start', parameters: {} };
      state.apply({ event: 'start', trial: number, ...choice });
      if (!again) state.apply({ event: 'stop', trial: number, reason: 'its jobs were deleted' });
      continue;
    }
    const until = furthest([...runs.values()]);
    state.apply({ event: 'start', trial: number, ...choiceOf(first), ...(until !== undefined && { until }) });
    for (const [replicate, job] of runs) show(state, { trial: number, replicate }, job, { metric, until });
  }
  const job = (trial: number, replicate: number) => byNumber.get(trial)?.get(replicate);
  return {
    state,
    job,
    runOf: ({ metadata }) => {
      const [number, replicate] = placeOf(metadata);
      const run = state.trials[number]?.runs[replicate - 1];
      return run && job(number, replicate)?.metadata.uid === metadata.uid ? { trial: state.trials[number], run } : undefined;
    },
    missing: () => {
      for (const trial of state.trials) {
        const run = trial.runs.find(({ replicate, state }) => state === 'waiting' && !job(trial.number, replicate));
        if (run && trial.stopped === undefined) return { trial, replicate: run.replicate };
      }
      return undefined;
    },
  };
}

const placeOf = ({ labels: marks }: TrainingJob['metadata']): number[] =>
  [labels.trial, labels.replicate].map(label => Number(marks?.[label] ?? Number.NaN));

/** Of replicates some may not have been told yet that they go on. */
function furthest(jobs: readonly TrainingJob[]): number | undefined {
  const until = Math.max(...jobs.map(job => untilOf(job) ?? Infinity));
  return until === Infinity ? undefined : until;
}

const byAge = (a: TrainingJob, b: TrainingJob) =>
  (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '') || a.metadata.name.localeCompare(b.metadata.name);

function choiceOf({ metadata }: TrainingJob): Pick<SweepTrial, 'parameters' | 'group'> {
  const { [annotations.parameters]: text = '{}', [annotations.group]: group } = metadata.annotations ?? {};
  return { parameters: parametersIn(text), ...(group !== undefined && { group }) };
}

function parametersIn(text: string): SweepTrial['parameters'] {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as SweepTrial['parameters']) : {};
  } catch {
    return {};
  }
}

interface Shown {
  readonly metric: string;
  /** What comes after that epoch, before the pods are gone, does not count. */
  readonly until: number | undefined;
}

function show(state: SweepState, id: RunId, job: TrainingJob, { metric, until = Infinity }: Shown): void {
  const { status = {}, metadata } = job;
  const all = reportsOf(job, metric);
  const reports = all.filter(({ epoch }) => epoch <= until);
  const hasComeThere = all.some(({ epoch }) => epoch >= until);
  const seconds = status.activeSeconds ?? 0;
  const isBegun = reports.length > 0 || status.phase === 'Running' || status.phase === 'Starting';
  const place = { folder: metadata.name, key: metadata.uid ?? '' };
  if (isBegun || isOver(job)) state.apply({ event: 'run', ...id, status: 'begins', ...place, attempt: 1 });
  for (const report of reports) state.apply({ event: 'report', ...id, ...report });
  const failed = (code: string, message: string) =>
    state.apply({ event: 'run', ...id, status: 'failed', seconds, error: { code, message } });
  const reason = stoppedBySweep(job);
  if (hasComeThere) {
    state.apply({ event: 'run', ...id, status: 'paused', seconds });
    if (reason !== undefined) state.apply({ event: 'stop', trial: id.trial, reason });
  } else if (status.phase === 'Succeeded') {
    if (reports.length > 0) state.apply({ event: 'run', ...id, status: 'succeeded', seconds });
    else failed('invalidData', `${metadata.name} has ended without telling ${metric}; its image may be older than the operator`);
  } else if (status.phase === 'Failed') {
    const { code, message } = failureOf(job);
    failed(code, message);
  } else if (reason !== undefined) {
    state.apply({ event: 'stop', trial: id.trial, reason });
    if (isBegun) state.apply({ event: 'run', ...id, status: 'stopped', seconds });
  }
}

const orNull = (value: number | undefined): number | null => value ?? null;

function reportsOf({ status }: TrainingJob, metric: string): EpochReport[] {
  if (status?.objective?.metric !== metric) return [];
  return status.objective.reports.map(({ epoch, step, value, jaccard }) => ({
    ...{ epoch, step },
    ...{ value: orNull(value), jaccard: orNull(jaccard) },
  }));
}

/** Ends a trial before its time. */
export function stopTrial({ state }: Trials, number: number, reason: string): void {
  state.apply({ event: 'stop', trial: number, reason });
  for (const { replicate, state: is } of state.trials[number].runs) {
    if (is === 'running') state.apply({ event: 'run', trial: number, replicate, status: 'stopped', seconds: 0 });
  }
}

/** Jobs of trials that were ended, which do not know of it yet. */
export function* untold({ state, job }: Trials): Generator<{ readonly job: TrainingJob; readonly reason: string }> {
  for (const { number, stopped: reason, runs } of state.trials) {
    for (const { replicate } of reason === undefined ? [] : runs) {
      const found = job(number, replicate);
      if (found && !isOver(found) && stoppedBySweep(found) === undefined) yield { job: found, reason: reason! };
    }
  }
}
