/**
 * How long a job was active, and how long it may be. Time in which it is suspended, by its user or by a queue, does not count; the Job controller's own
 * deadline would begin anew at each resume.
 */
import type { JobStatus } from '../status.ts';
import { timestamp } from '../timestamp.ts';

type Activity = Pick<JobStatus, 'activeSeconds' | 'activeSince'>;

export const secondsActive = ({ activeSeconds = 0, activeSince }: Activity, now: Date): number =>
  activeSeconds + (activeSince === undefined ? 0 : Math.max(0, (now.getTime() - Date.parse(activeSince)) / 1000));

/** The same until the job stops or starts being active. */
export function activity(before: Activity, isActive: boolean, now: Date): Activity {
  const { activeSeconds, activeSince } = before;
  if (isActive) return { activeSeconds, activeSince: activeSince ?? timestamp(now) };
  return { activeSeconds: activeSince === undefined ? activeSeconds : Math.round(secondsActive(before, now)), activeSince: undefined };
}

/** @returns milliseconds until the job has been active for too long, at least 0; undefined: that cannot happen as it is */
export function deadlineInMs(active: Activity, deadlineSeconds: number | undefined, now: Date): number | undefined {
  if (deadlineSeconds === undefined || active.activeSince === undefined) return undefined;
  return Math.max(0, (deadlineSeconds - secondsActive(active, now)) * 1000);
}
