/**
 * Whether the pods of a job that should run do, in one word (the phase) and in a sentence (the condition PodsReady).
 */
import { conditionOf, type Said } from './conditions.ts';
import { type Fleet, jobCondition, queueOf } from './fleet.ts';
import { isQueued, isSuspended } from './policies/suspend.ts';
import { fromEvents, isSameProblem, type Problem, type Waiting } from './policies/waiting.ts';
import type { ConditionType, JobStatus, Phase } from './status.ts';

export interface Wanted {
  /** Workers that there should be, and with how many of them the run goes on. */
  readonly size: number;
  readonly min: number;
  /** The coordinator needs workers no more. */
  readonly isFinishing: boolean;
}

function phaseOf(fleet: Fleet, { min, isFinishing }: Wanted): Phase {
  const { coordinator, workers } = fleet;
  if (coordinator.ready.length > 0 && (isFinishing || workers.ready.length + numDone(fleet) >= min)) return 'Running';
  return [...coordinator.live, ...workers.live].some(({ spec }) => spec.nodeName !== undefined) ? 'Starting' : 'Pending';
}

/** Workers that have ended well do so only at the end of the run: none of them is missing. */
export function numDone({ workers }: Fleet): number {
  const { job, pods } = workers;
  if (jobCondition(job, 'Complete')) return job?.spec.completions ?? 0;
  return pods.filter(({ status }) => status?.phase === 'Succeeded').length;
}

function podsReady(fleet: Fleet, { size, isFinishing }: Wanted, problem: Problem | undefined): Said {
  const { coordinator, workers } = fleet;
  const isLed = coordinator.ready.length > 0;
  const running = workers.ready.length;
  const done = numDone(fleet);
  const all = isFinishing || running + done >= size;
  if (isLed && all && !problem) {
    const message =
      running === 0 ? 'the coordinator runs, and the workers are done' : `the coordinator and ${running} of ${size} workers run`;
    return { status: 'True', reason: 'PodsReady', message };
  }
  if (problem) return { status: 'False', ...problem };
  const workersRun = `${running} of ${size} workers run`;
  const message = isLed ? `the coordinator and ${workersRun}` : `${workersRun}, and the coordinator does not yet`;
  return { status: 'False', reason: 'PodsStarting', message };
}

/**
 * What is known to be wrong: what was known before, where the only ones that could know better were not asked; and in the words of before, where only
 * those of Kubernetes have changed.
 */
export function steadied({ problem, needsEvents }: Waiting, events: readonly unknown[], before: JobStatus): Problem | undefined {
  const old = conditionOf(before, 'PodsReady');
  const known = old?.status === 'False' ? { reason: old.reason, message: old.message } : undefined;
  if (!problem) return needsEvents && events.length === 0 && known && fromEvents.has(known.reason) ? known : undefined;
  return known && known.reason === problem.reason && isSameProblem(known.message, problem.message) ? known : problem;
}

/** Where a run that is not over stands: its phase, and what the conditions say of its pods. */
export function standingOf(
  fleet: Fleet,
  before: JobStatus,
  { isSuspending, wanted, problem }: { isSuspending: boolean; wanted: Wanted; problem: Problem | undefined },
): { phase: NonNullable<JobStatus['phase']>; said: Partial<Record<ConditionType, Said>> } {
  if (!isSuspending) {
    const said = { PodsReady: podsReady(fleet, wanted, problem) };
    const resumed: Said = { status: 'False', reason: 'Resumed', message: 'the job was suspended, and is not any more' };
    return { phase: phaseOf(fleet, wanted), said: conditionOf(before, 'Suspended') ? { ...said, Suspended: resumed } : said };
  }
  const isDone = isSuspended(fleet);
  const message = isDone
    ? 'no pods run; spec.suspend: false lets the run go on'
    : 'pods end; the coordinator writes a checkpoint before it does';
  const reason = isDone ? 'Suspended' : 'Suspending';
  return {
    phase: reason,
    said: { PodsReady: { status: 'False', reason, message }, Suspended: { status: isDone ? 'True' : 'False', reason, message } },
  };
}

export function queued(fleet: Fleet, queue: string | undefined): Problem | undefined {
  if (!isQueued(fleet, queue) || !fleet.workers.job) return undefined;
  const name = queueOf(fleet.workers.job);
  return { reason: 'Queued', message: `the workers wait for their turn in the queue ${name}: see kubectl get workloads` };
}

export const runEnded: Said = { status: 'False', reason: 'RunEnded', message: 'the run is over, and its pods with it' };
