/**
 * The TrainingJob of a trial, or of one of its replicates: the job that `sweep run` would run, and on it what the search has to remember of it.
 */
import { jobOf } from '../../trainer/sweep/cells.ts';
import type { SweepTrial } from '../../trainer/sweep/state.ts';
import { annotations, labels } from '../names.ts';
import type { AnyObject, Sweep, TrainingJob } from '../objects.ts';
import { isOver } from '../outcome.ts';
import { ownerReference } from '../resources/owner.ts';
import { refTo } from '../steer.ts';
import type { Search } from './search.ts';

/** @param replicate from 1 @throws usage: that choice makes no job */
export function trialJob(sweep: Sweep, { loaded, frame }: Search, trial: SweepTrial, replicate: number): AnyObject {
  const { number, parameters, group, until } = trial;
  const { given } = jobOf(loaded, parameters, number, replicate, frame);
  return {
    apiVersion: given.apiVersion,
    kind: given.kind,
    metadata: {
      name: given.metadata.name,
      namespace: sweep.metadata.namespace,
      labels: {
        ...given.metadata.labels,
        [labels.sweep]: sweep.metadata.name,
        [labels.trial]: String(number),
        [labels.replicate]: String(replicate),
      },
      annotations: {
        ...given.metadata.annotations,
        [annotations.objective]: loaded.spec.objective.metric,
        [annotations.parameters]: JSON.stringify(parameters),
        ...(group !== undefined && { [annotations.group]: group }),
        ...(until !== undefined && { [annotations.until]: String(until) }),
      },
      ownerReferences: [ownerReference(sweep)],
    },
    spec: given.spec,
  };
}

const changed = (job: TrainingJob, marks: Record<string, string | null>, suspend: boolean): AnyObject => {
  const { apiVersion, kind, metadata } = refTo(job);
  return { apiVersion, kind, metadata: { ...metadata, annotations: marks as Record<string, string> }, spec: { suspend } };
};

/** It ends for good. It is not deleted: what it has shown, and that it was chosen, is written nowhere else. */
export const stopped = (job: TrainingJob, reason: string): AnyObject => changed(job, { [annotations.stopped]: reason }, true);

export interface Goal {
  /** The epoch after which it rests. */
  readonly until: number | undefined;
  readonly isAtRest: boolean;
}

/** What is to be changed of it, if anything. One that somebody else has suspended stays so, and one that is over is only told how far it counts. */
export function steered(job: TrainingJob, { until, isAtRest }: Goal): AnyObject | undefined {
  const marks: Record<string, string | null> = {};
  if (untilOf(job) !== until) marks[annotations.until] = until === undefined ? null : String(until);
  let suspend = job.spec.suspend === true;
  const isOurs = job.metadata.annotations?.[annotations.suspended] !== undefined;
  if (!isOver(job) && (isAtRest ? !suspend : isOurs)) {
    marks[annotations.suspended] = isAtRest ? 'true' : null;
    suspend = isAtRest;
  }
  return Object.keys(marks).length === 0 ? undefined : changed(job, marks, suspend);
}

export function untilOf({ metadata }: TrainingJob): number | undefined {
  const until = Number(metadata.annotations?.[annotations.until] ?? Number.NaN);
  return Number.isInteger(until) && until > 0 ? until : undefined;
}
