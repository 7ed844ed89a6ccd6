/**
 * Whether the pods of a job that should run do, in one word (the phase) and in a sentence (the condition PodsReady).
 */
import { conditionOf, type Said } from './conditions.ts';
import type { Fleet } from './fleet.ts';
import { fromEvents, isSameProblem, type Problem, type Waiting } from './policies/waiting.ts';
import type { JobStatus, Phase } from './status.ts';

export interface Wanted {
  /** Workers that there should be, and with how many of them the run goes on. */
  readonly size: number;
  readonly min: number;
  /** The coordinator needs workers no more. */
  readonly isFinishing: boolean;
}

export function phaseOf(fleet: Fleet, { min, isFinishing }: Wanted): Phase {
  const { coordinator, workers } = fleet;
  if (coordinator.ready.length > 0 && (isFinishing || workers.ready.length + numDone(fleet) >= min)) return 'Running';
  return [...coordinator.live, ...workers.live].some(({ spec }) => spec.nodeName !== undefined) ? 'Starting' : 'Pending';
}

/** Workers that have ended well do so only at the end of the run: none of them is missing. */
export const numDone = ({ workers }: Fleet): number => workers.pods.filter(({ status }) => status?.phase === 'Succeeded').length;

export function podsReady(fleet: Fleet, { size, isFinishing }: Wanted, problem: Problem | undefined): Said {
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
