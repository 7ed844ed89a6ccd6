/**
 * Where a run stands, as the columns of `kubectl get` show it.
 */

import { joined, mostReports, type ToldReports } from '../coordinator/objectiveReports.ts';
import type { Progress } from '../coordinator/progress.ts';
import type { LastCheckpoint } from './lastCheckpoint.ts';
import type { JobStatus } from './status.ts';

export function progressFields({ epoch, epochs, step, steps, loss, metric, etaSeconds, checkpoint }: Progress): JobStatus {
  return {
    ...(epoch !== undefined && { epoch }),
    ...(epochs !== undefined && { epochs }),
    ...(epoch !== undefined && epochs !== undefined && { progress: `${epoch}/${epochs}` }),
    ...(step !== undefined && { step }),
    ...(steps !== undefined && { steps }),
    ...(loss && { lossName: loss.name }),
    ...(loss?.value !== undefined && { loss: shownNumber(loss.value) }),
    ...(metric?.best !== undefined && { metric: shownNumber(metric.best) }),
    eta: etaSeconds === undefined ? undefined : shownTime(etaSeconds),
    ...(checkpoint && { checkpointStep: checkpoint.step, checkpointTime: checkpoint.at }),
  };
}

/** What is known of the objective: a coordinator that was started again, or its last word, may not tell all that was told before. */
export function objectiveFields({ objective: before }: JobStatus, now: ToldReports | undefined): Pick<JobStatus, 'objective'> {
  if (!now || now.reports.length === 0) return {};
  if (before?.metric !== now.metric) return { objective: now };
  return { objective: { metric: now.metric, reports: joined(before.reports, now.reports).slice(-mostReports) } };
}

/** Of a run whose coordinator was stopped: where it stood is where its last checkpoint is. */
export function stoppedFields(before: JobStatus, last: LastCheckpoint | undefined): JobStatus {
  if (!last || (before.step ?? 0) > last.step) return {};
  return { step: last.step, checkpointStep: last.step, checkpointTime: last.at };
}

/** Fields that change all the time while a run goes on. */
export const volatileFields = [
  ...([
    'epoch',
    'epochs',
    'step',
    'steps',
    'progress',
    'lossName',
    'loss',
    'metric',
    'objective',
    'eta',
    'checkpointStep',
    'checkpointTime',
  ] as const),
] satisfies (keyof JobStatus)[];

/** Four places, or four digits where these would say nothing. */
export const shownNumber = (value: number): string => {
  const size = Math.abs(value);
  return size !== 0 && (size < 0.01 || size >= 10_000) ? value.toExponential(3) : value.toFixed(4);
};

/** `45s`, `12m`, `1h20m`, `2d3h`: as exact as an estimate is. */
export function shownTime(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h${minutes % 60 === 0 ? '' : `${minutes % 60}m`}`;
  const rounded = Math.round(minutes / 60);
  return `${Math.floor(rounded / 24)}d${rounded % 24 === 0 ? '' : `${rounded % 24}h`}`;
}
