/**
 * The last log lines of the pod that failed first: asked for once, and kept in the status, since the pod may go.
 */
import { hasEnded } from './fleet.ts';
import type { Observed, Plan } from './plan.ts';
import type { JobStatus } from './status.ts';

/** Characters that a status holds. */
const longestLog = 8192;

export function withLog(first: JobStatus['firstFailure'], { log }: Observed): JobStatus['firstFailure'] {
  return first && first.log === undefined && log?.pod === first.pod ? { ...first, log: log.lines.slice(-longestLog) } : first;
}

/** The log of a pod that is still there, if its container ever ran. */
export function logOf({ firstFailure }: JobStatus, { pods }: Observed): Pick<Plan, 'needsLog'> {
  if (!firstFailure || firstFailure.log !== undefined || firstFailure.exitCode === undefined) return {};
  return pods.some(pod => pod.metadata.name === firstFailure.pod && hasEnded(pod)) ? { needsLog: firstFailure.pod } : {};
}
