/**
 * How a job is suspended and goes on: what is asked of its two Jobs.
 *
 * Both at once: workers that are asked to go leave when the checkpoint is written, and by their leaving the coordinator knows that it is not to hand the
 * run over to a successor. A Job that is suspended deletes its pods and makes them again when it is resumed; what it has counted stays. In a queue of Kueue
 * `suspend` of the workers' Job is Kueue's: there the Job itself goes, which gives its place in the queue back, and comes again. Kueue may suspend it too,
 * for other jobs: the coordinator then rests as well, since without workers it does nothing.
 */
import { type Fleet, isFinished, queueOf } from '../fleet.ts';

/** `end`: for good; what has ended and its logs stay. `keep`: as it is. */
export type Ask = 'run' | 'suspend' | 'end' | 'remove' | 'keep';

export interface Asks {
  readonly coordinator: Ask;
  readonly workers: Ask;
}

/** The workers wait for their turn in a queue. */
export function isQueued({ workers }: Fleet, queue: string | undefined): boolean {
  const { job } = workers;
  return job ? queueOf(job) !== undefined && job.spec.suspend === true : queue !== undefined;
}

/** @param queue that of the job, for a Job that is not there yet */
export function running(fleet: Fleet, queue: string | undefined): Asks {
  if (!isQueued(fleet, queue)) return { coordinator: 'run', workers: 'run' };
  // Not yet known whether it must wait.
  if (!fleet.workers.job) return { coordinator: 'keep', workers: 'run' };
  return { coordinator: fleet.workers.live.length > 0 ? 'keep' : 'suspend', workers: 'run' };
}

export const suspending = ({ workers }: Fleet): Asks => ({
  coordinator: 'suspend',
  workers: workers.job && queueOf(workers.job) ? 'remove' : 'suspend',
});

/** Nothing is held any more, and nothing will be. */
export const isSuspended = ({ coordinator, workers }: Fleet): boolean =>
  [coordinator, workers].every(({ job, live }) => live.length === 0 && (!job || job.spec.suspend === true || isFinished(job)));
