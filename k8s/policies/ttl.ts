/**
 * When a job that has ended is deleted, with its pods and their logs. Checkpoints stay.
 */
import type { JobStatus } from '../status.ts';

/** @returns milliseconds until then, at least 0; undefined: never */
export function expiresInMs({ completionTime }: JobStatus, ttlSeconds: number | undefined, now: Date): number | undefined {
  if (completionTime === undefined || ttlSeconds === undefined) return undefined;
  return Math.max(0, Date.parse(completionTime) + ttlSeconds * 1000 - now.getTime());
}
