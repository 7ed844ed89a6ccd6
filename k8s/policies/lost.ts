/**
 * What to do about pods on a node that does not answer. Kubernetes deletes them, but keeps them until the node says that they are gone, and their Job
 * makes no others until then: on a node that never comes back that is for ever. A Job that is made anew has no such pods. Should the old ones still run
 * somewhere, a new coordinator takes the checkpoints over, and nobody listens to the old one any more.
 */
import { type Fleet, stuckAt } from '../fleet.ts';
import type { Pod } from '../objects.ts';

/** The Jobs that are to be made anew: of the workers only where too few of them are left to go on. */
export function lostJobs({ coordinator, workers }: Fleet, { size, min }: { size: number; min: number }): ('coordinator' | 'workers')[] {
  const held = (job: typeof coordinator.job, stuck: readonly Pod[]) =>
    stuck.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === job?.metadata.uid)).length;
  return [
    ...(held(coordinator.job, coordinator.stuck) > 0 ? (['coordinator'] as const) : []),
    ...(held(workers.job, workers.stuck) > size - min ? (['workers'] as const) : []),
  ];
}

/** Milliseconds until the next pod that is to end has not ended in time; undefined: there is none. */
export function nextLossInMs({ coordinator, workers }: Fleet, now: Date): number | undefined {
  const times = [...coordinator.live, ...workers.live].map(stuckAt).filter(Number.isFinite);
  return times.length > 0 ? Math.max(0, Math.min(...times) - now.getTime()) : undefined;
}
