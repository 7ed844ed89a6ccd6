/**
 * What the trials of a sweep on a cluster have used of its limits.
 */
import type { SweepSpec } from '../../trainer/search/sweepSpec.ts';
import * as sweepLimits from '../../trainer/sweep/limits.ts';
import type { TrainingJob } from '../objects.ts';
import type { SweepStatus } from '../sweepStatus.ts';

export interface Limit {
  readonly reason: 'DeadlineExceeded' | 'GpuHoursUsedUp';
  readonly message: string;
}

const reasons = { deadline: 'DeadlineExceeded', maxGpuHours: 'GpuHoursUsedUp' } as const;

/** Milliseconds until the deadline; below 0: it has passed; undefined: there is none, or no trial was started yet. */
export const deadlineInMs = (limits: SweepSpec['limits'], { startTime }: SweepStatus, now: Date): number | undefined =>
  startTime === undefined ? undefined : sweepLimits.deadlineInMs(limits, startTime, now);

/** Of all jobs so far, while they were not suspended. */
function gpuHoursOf(jobs: readonly TrainingJob[], now: Date): number {
  const hours = jobs.map(({ spec, status = {} }) => {
    const { activeSeconds = 0, activeSince } = status;
    const since = activeSince === undefined ? 0 : Math.max(0, now.getTime() - Date.parse(activeSince)) / 1000;
    return ((activeSeconds + since) / 3600) * (spec.pod?.gpus ?? 0) * (spec.workers?.replicas ?? 1);
  });
  return hours.reduce((sum, one) => sum + one, 0);
}

export function limitReached(limits: SweepSpec['limits'], before: SweepStatus, jobs: readonly TrainingJob[], now: Date): Limit | undefined {
  const limit = sweepLimits.limitReached(limits, deadlineInMs(limits, before, now), gpuHoursOf(jobs, now));
  return limit && { reason: reasons[limit.of], message: limit.message };
}
