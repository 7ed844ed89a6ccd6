/**
 * The limits of a sweep that its search does not keep by itself: time, and hours of GPUs.
 */
import type { SweepSpec } from '../../trainer/search/sweepSpec.ts';
import type { TrainingJob } from '../objects.ts';
import type { SweepStatus } from '../sweepStatus.ts';

export interface Limit {
  readonly reason: 'DeadlineExceeded' | 'GpuHoursUsedUp';
  readonly message: string;
}

const secondsOf = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Milliseconds until the deadline; below 0: it has passed; undefined: there is none, or no trial was started yet. */
export function deadlineInMs({ deadline }: SweepSpec['limits'], { startTime }: SweepStatus, now: Date): number | undefined {
  const [, number, unit] = /^([\d.]+)([smhd])$/.exec(deadline ?? '') ?? [];
  if (number === undefined || startTime === undefined) return undefined;
  return Date.parse(startTime) + Number(number) * secondsOf[unit as 's'] * 1000 - now.getTime();
}

/** Of all jobs so far, while they were not suspended. */
export function gpuHoursOf(jobs: readonly TrainingJob[], now: Date): number {
  const hours = jobs.map(({ spec, status = {} }) => {
    const { activeSeconds = 0, activeSince } = status;
    const since = activeSince === undefined ? 0 : Math.max(0, now.getTime() - Date.parse(activeSince)) / 1000;
    return ((activeSeconds + since) / 3600) * (spec.pod?.gpus ?? 0) * (spec.workers?.replicas ?? 1);
  });
  return hours.reduce((sum, one) => sum + one, 0);
}

export function limitReached(limits: SweepSpec['limits'], before: SweepStatus, jobs: readonly TrainingJob[], now: Date): Limit | undefined {
  const leftMs = deadlineInMs(limits, before, now);
  if (leftMs !== undefined && leftMs <= 0)
    return { reason: 'DeadlineExceeded', message: `limits.deadline, ${limits.deadline}, has passed` };
  const hours = gpuHoursOf(jobs, now);
  if (limits.maxGpuHours === undefined || hours < limits.maxGpuHours) return undefined;
  return { reason: 'GpuHoursUsedUp', message: `${hours.toFixed(1)} GPU hours are used up (limits.maxGpuHours: ${limits.maxGpuHours})` };
}
