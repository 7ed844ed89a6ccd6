/**
 * One look at a sweep: from its trials to what is to be done, as plain data. Nothing is kept in mind but what the trials and the status say: an operator
 * that is started again, or another one, comes to the same plan.
 *
 * One trial is started at a time, and the next one when its pods are there: so a quota that is used up holds back one trial, and not all.
 */
import { SegfleetError } from '../../trainer/errors.ts';
import { isLive } from '../../trainer/search/history.ts';
import type { Decision } from '../../trainer/search/strategy.ts';
import { bestOf, trialRecord } from '../../trainer/sweep/record.ts';
import type { TrialRecord } from '../../trainer/sweep/sweepFolder.ts';
import { conditionOf, isTrue, type Said, type Statements } from '../conditions.ts';
import type { AnyObject, Sweep, TrainingJob } from '../objects.ts';
import { isOver } from '../outcome.ts';
import type { Plan, Settings } from '../plan.ts';
import { stated } from '../statement.ts';
import { noChanges } from '../steer.ts';
import { type SweepConditionType, type SweepStatus, sweepConditionTypes } from '../sweepStatus.ts';
import { timestamp } from '../timestamp.ts';
import { countsOf, notChosen, outcomeOf, standingFields } from './account.ts';
import { planOf } from './events.ts';
import { deadlineInMs, limitReached } from './limits.ts';
import { checkTrials, type Search, searchOf } from './search.ts';
import { steered, stopped, trialJob } from './trialJob.ts';
import { holds, isWaiting, readTrials, stoppedBySweep, stopTrial, type Trials, troubleOf, untold } from './trials.ts';

export interface ObservedSweep {
  readonly sweep: Sweep;
  /** Those that it owns. */
  readonly jobs: readonly TrainingJob[];
  /** What the API server said when it last refused to make one. */
  readonly rejected?: { readonly name: string; readonly message: string };
}

export interface SweepContext {
  readonly now: Date;
  readonly settings: Settings;
}

type SweepPlan = Plan<SweepStatus>;

/** GPU hours pass without anything happening. */
const lookAgainMs = 60_000;
const longestRefusal = 1000;

export function reconcileSweep(observed: ObservedSweep, context: SweepContext): SweepPlan {
  const { sweep, jobs } = observed;
  const before = sweep.status ?? {};
  if (sweep.metadata.deletionTimestamp !== undefined) return { ...noChanges, status: before, events: [] };
  if (hasEnded(before)) return { ...noChanges, apply: stopsOf(jobs, 'the sweep has ended'), status: before, events: [] };
  try {
    const search = searchOf(sweep);
    if (!isAccepted(sweep)) checkTrials(search, context.settings);
    return carryOn(observed, search, context);
  } catch (error) {
    if (!(error instanceof SegfleetError && error.code === 'usage')) throw error;
    return refuse(observed, error.message, context);
  }
}

/** One that was refused may be changed, or an operator have more to offer. */
const hasEnded = (status: SweepStatus) =>
  isTrue(status, 'Complete') || (isTrue(status, 'Failed') && conditionOf(status, 'Failed')?.reason !== 'Refused');

function isAccepted({ metadata: { generation }, status = {} }: Sweep): boolean {
  return isTrue(status, 'Accepted') && conditionOf(status, 'Accepted')?.observedGeneration === generation;
}

const say = (sweep: Sweep, said: Statements<SweepConditionType>, fields: SweepStatus, now: Date): SweepStatus =>
  stated(sweep, sweep.status ?? {}, said, fields, now, sweepConditionTypes);

/** What runs goes on to its end: an operator with other rules is no reason to throw it away. */
function refuse({ sweep, jobs }: ObservedSweep, message: string, { now }: SweepContext): SweepPlan {
  const before = sweep.status ?? {};
  const refusal: Said = { status: 'False', reason: 'Refused', message: message.slice(0, longestRefusal) };
  if (jobs.some(holds)) return planOf(before, say(sweep, { Accepted: refusal }, {}, now));
  const ended: SweepStatus = { phase: 'Failed', completionTime: before.completionTime ?? timestamp(now) };
  return planOf(before, say(sweep, { Accepted: refusal, Failed: { ...refusal, status: 'True' } }, ended, now));
}

function carryOn(observed: ObservedSweep, search: Search, { now }: SweepContext): SweepPlan {
  const { sweep, jobs, rejected } = observed;
  const before = sweep.status ?? {};
  const { limits, suspend } = search.loaded.spec;
  const trials = readTrials(search, jobs);
  const { state } = trials;
  const limit = limitReached(limits, before, jobs, now);
  // Such a job takes a place only as long as it has pods.
  const isResting = (job: TrainingJob) => stoppedBySweep(job) !== undefined || trials.runOf(job)?.run.state === 'paused';
  const places = jobs.filter(job => !isOver(job) && (!isResting(job) || holds(job)));
  const waiting = places.filter(isWaiting);
  const hasRoom = !suspend && waiting.length === 0 && places.length < limits.parallelTrials;

  const decisions = limit ? [] : search.strategy(state.history(), hasRoom && !trials.missing() ? 1 : 0);
  for (const decision of decisions) {
    if (decision.do === 'stop') stopTrial(trials, decision.trial, decision.reason);
    if (decision.do === 'continue') state.apply({ event: 'continue', trial: decision.trial, until: decision.until });
  }
  if (limit) for (const { number } of live(trials)) stopTrial(trials, number, limit.message);
  const finish = limit?.message ?? decisions.find(decision => decision.do === 'finish')?.reason;
  if (finish !== undefined) for (const { number } of resting(trials)) stopTrial(trials, number, finish);
  const create = hasRoom && !limit ? next(sweep, search, trials, decisions) : [];

  const records = state.trials.map(trialRecord);
  const best = bestOf(records, search.objective);
  const counts = countsOf(records, finish === undefined ? notChosen(search, state.history()) : 0);
  const startTime = before.startTime ?? (create.length > 0 || jobs.length > 0 ? timestamp(now) : undefined);
  const kept: SweepStatus = { startTime, ...standingFields(search, records, counts, best) };
  const accepted: Said = { status: 'True', reason: 'Accepted', message: acceptance(search, counts.total) };
  const news = { failed: newestFailure(records, jobs) };

  const isDone = finish !== undefined && create.length === 0 && live(trials).length === 0;
  const stops = [...untold(trials)].map(({ job, reason }) => stopped(job, reason));
  if (isDone && !jobs.some(holds)) {
    const { phase, said } = outcomeOf({ records, best, limits, limit, finish });
    const over = { ...kept, phase, stage: undefined, completionTime: timestamp(now) };
    const status = say(sweep, { Accepted: accepted, Failed: undefined, ...settled(before), ...said }, over, now);
    return { ...planOf(before, status, news), apply: stops };
  }
  const standing = suspend ? suspending(jobs) : running(before, waiting, rejected);
  const phase = suspend ? (standing.Suspended!.reason as 'Suspending' | 'Suspended') : startTime === undefined ? 'Pending' : 'Running';
  const status = say(sweep, { Accepted: accepted, Failed: undefined, ...standing }, { ...kept, phase, completionTime: undefined }, now);
  const leftMs = deadlineInMs(limits, status, now);
  const lookAgain = [leftMs, limits.maxGpuHours === undefined ? undefined : lookAgainMs].filter(ms => ms !== undefined);
  return {
    ...planOf(before, status, news),
    create,
    apply: [...stops, ...steering(jobs, trials, suspend)],
    ...(lookAgain.length > 0 && { requeueAfterMs: Math.max(0, Math.min(...lookAgain)) }),
  };
}

const live = ({ state }: Trials) => state.history().filter(isLive);
const resting = ({ state }: Trials) => state.history().filter(({ state: is }) => is === 'paused');

/** The next job: that of a replicate which is missing, or the first of the next trial. */
function next(sweep: Sweep, search: Search, trials: Trials, decisions: readonly Decision[]): AnyObject[] {
  const start = decisions.find(decision => decision.do === 'start');
  if (start) {
    const { do: _, ...chosen } = start;
    trials.state.apply({ event: 'start', trial: trials.state.trials.length, ...chosen });
  }
  const missing = trials.missing();
  return missing ? [trialJob(sweep, search, missing.trial, missing.replicate)] : [];
}

/** Of a sweep that is over. */
const stopsOf = (jobs: readonly TrainingJob[], reason: string): AnyObject[] =>
  jobs.filter(job => holds(job) && stoppedBySweep(job) === undefined && !job.metadata.deletionTimestamp).map(job => stopped(job, reason));

/** As far as its trial is to go, a job runs; there it rests, and it rests while the sweep is suspended. */
function steering(jobs: readonly TrainingJob[], trials: Trials, suspend: boolean): AnyObject[] {
  return jobs.flatMap(job => {
    const { trial, run } = trials.runOf(job) ?? {};
    if (trial?.stopped !== undefined || stoppedBySweep(job) !== undefined || job.metadata.deletionTimestamp) return [];
    return steered(job, { until: trial?.until, isAtRest: suspend || run?.state === 'paused' }) ?? [];
  });
}

const acceptance = ({ loaded: { spec } }: Search, total: number): string => {
  const { objective, method, replicates, limits } = spec;
  const each = replicates.count > 1 ? `, each run ${replicates.count} times` : '';
  return `${method}, ${total} trials are known${each}, ${limits.parallelTrials} at a time, ${objective.goal} ${objective.metric}`;
};

type Standing = Partial<Record<SweepConditionType, Said>>;

const nothingWaits: Said = { status: 'False', reason: 'NothingWaits', message: 'no trial waits for room' };

function running(before: SweepStatus, waiting: readonly TrainingJob[], rejected: ObservedSweep['rejected']): Standing {
  const [stuck] = waiting.flatMap(job => ({ job, trouble: troubleOf(job) })).filter(({ trouble }) => trouble !== undefined);
  const why: Said | undefined = stuck
    ? { status: 'True', reason: stuck.trouble!.reason, message: `${stuck.job.metadata.name}: ${stuck.trouble!.message}` }
    : rejected && { status: 'True', reason: 'Rejected', message: `${rejected.name} cannot be made: ${rejected.message}` };
  const resumedNow: Said = { status: 'False', reason: 'Resumed', message: 'the sweep was suspended, and is not any more' };
  return {
    ...(why ? { Waiting: why } : conditionOf(before, 'Waiting') && { Waiting: nothingWaits }),
    ...(conditionOf(before, 'Suspended') && { Suspended: resumedNow }),
  };
}

function suspending(jobs: readonly TrainingJob[]): Standing {
  const numLeft = jobs.filter(holds).length;
  const message =
    numLeft === 0
      ? 'no trial runs; spec.suspend: false lets the sweep go on'
      : `${numLeft} trials write checkpoints, and then release their pods`;
  const said = { reason: numLeft === 0 ? 'Suspended' : 'Suspending', message };
  return { Suspended: { status: numLeft === 0 ? 'True' : 'False', ...said }, Waiting: nothingWaits };
}

/** Conditions of a sweep that is over. */
function settled(before: SweepStatus): Standing {
  const over: Said = { status: 'False', reason: 'SweepEnded', message: 'the sweep is over' };
  return {
    ...(conditionOf(before, 'Waiting') && { Waiting: over }),
    ...(conditionOf(before, 'Suspended') && { Suspended: over }),
  };
}

/** What the job said that failed last. */
function newestFailure(records: readonly TrialRecord[], jobs: readonly TrainingJob[]): string | undefined {
  const ends = new Map(jobs.map(({ metadata: { name }, status }) => [name, status?.completionTime ?? '']));
  const failed = records.flatMap(({ runs }) => runs).filter(({ error }) => error !== undefined);
  return failed.toSorted((a, b) => (ends.get(a.folder) ?? '').localeCompare(ends.get(b.folder) ?? '')).at(-1)?.error?.message;
}
