/**
 * The checkpoint that a coordinator ends with when it is stopped. Nobody can ask it any more, and of a Job that is suspended its pod is deleted at once: so
 * it is read off the pod when the watch shows how that ended, and kept.
 */
import { errorCodes } from '../trainer/errors.ts';
import { terminatedOf } from './fleet.ts';
import { labels } from './names.ts';
import type { Pod } from './objects.ts';
import { lastWords } from './terminationMessage.ts';

export interface LastCheckpoint {
  readonly step: number;
  readonly at: string;
}

export function lastCheckpointOf(pod: Pod): LastCheckpoint | undefined {
  const terminated = terminatedOf(pod);
  if (pod.metadata.labels?.[labels.component] !== 'coordinator' || terminated?.exitCode !== errorCodes.preempted.exitCode) return undefined;
  const { step } = lastWords(terminated.message);
  return step === undefined || terminated.finishedAt === undefined ? undefined : { step, at: terminated.finishedAt };
}
