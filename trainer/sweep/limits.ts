/**
 * The limits of a sweep that its search does not keep by itself: time, and hours of GPUs.
 */
import type { SweepSpec } from '../search/sweepSpec.ts';

export interface Limit {
  readonly of: 'deadline' | 'maxGpuHours';
  readonly message: string;
}

const secondsOf = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Milliseconds until the deadline; below 0: it has passed; undefined: there is none. */
export function deadlineInMs({ deadline }: SweepSpec['limits'], startedAt: string, now: Date): number | undefined {
  const [, number, unit] = /^([\d.]+)([smhd])$/.exec(deadline ?? '') ?? [];
  if (number === undefined) return undefined;
  return Date.parse(startedAt) + Number(number) * secondsOf[unit as 's'] * 1000 - now.getTime();
}

/** @param leftMs until the deadline, where there is one @param gpuHours of all trials so far */
export function limitReached(limits: SweepSpec['limits'], leftMs: number | undefined, gpuHours: number): Limit | undefined {
  if (leftMs !== undefined && leftMs <= 0) return { of: 'deadline', message: `limits.deadline, ${limits.deadline}, has passed` };
  if (limits.maxGpuHours === undefined || gpuHours < limits.maxGpuHours) return undefined;
  return { of: 'maxGpuHours', message: `${gpuHours.toFixed(1)} GPU hours are used up (limits.maxGpuHours: ${limits.maxGpuHours})` };
}
