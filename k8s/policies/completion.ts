/**
 * When a run has ended well, with what result, and what becomes of its pods then. The coordinator alone knows the end: workers are done before it.
 */
import type { Progress } from '../../coordinator/progress.ts';
import { type Fleet, isFinished, jobCondition, terminatedOf } from '../fleet.ts';
import { lastWords, type RunResult } from '../terminationMessage.ts';
import type { Asks } from './suspend.ts';

/** Workers end by themselves in less. */
export const lastMomentsMs = 30_000;

/** Undefined: it has not ended well. */
export function resultOf({ coordinator }: Fleet, progress: Progress | undefined): RunResult | undefined {
  if (!jobCondition(coordinator.job, 'Complete')) return undefined;
  const messages = coordinator.pods.filter(({ status }) => status?.phase === 'Succeeded').map(pod => lastWords(terminatedOf(pod)?.message));
  const result = messages.find(({ result }) => result)?.result;
  return { steps: progress?.step, jaccard: progress?.metric?.best, weightsDigest: progress?.weightsDigest, ...result };
}

/** The coordinator computes the last results, for which it needs nobody. */
export const isFinishing = ({ coordinator }: Fleet, progress: Progress | undefined): boolean =>
  jobCondition(coordinator.job, 'Complete') !== undefined || progress?.phase === 'finishing' || progress?.phase === 'done';

/**
 * A coordinator that was started again after all workers had ended well may need some, to find out that nothing is left to do; so does one that goes on
 * saying that it is not done.
 */
export function isWithoutWorkers(fleet: Fleet, progress: Progress | undefined, now: Date): boolean {
  const { coordinator, workers } = fleet;
  const ended = Date.parse(workers.job?.status?.completionTime ?? '');
  if (!jobCondition(workers.job, 'Complete') || Number.isNaN(ended) || isFinished(coordinator.job)) return false;
  const isNotDone = progress !== undefined && !isFinishing(fleet, progress) && now.getTime() - ended > lastMomentsMs;
  return coordinator.live.some(({ metadata }) => isNotDone || Date.parse(metadata.creationTimestamp ?? '') > ended);
}

/**
 * What is asked of the Jobs of a run that is over: nothing may hold a GPU, and what has ended stays, with its log. One that is ended from outside writes
 * a checkpoint as one that is suspended does.
 *
 * @param sinceMs milliseconds since then
 */
export const released = (hasSucceeded: boolean, sinceMs: number): Asks => ({
  coordinator: 'end',
  workers: hasSucceeded && sinceMs < lastMomentsMs ? 'keep' : 'end',
});
