/**
 * Sweeps as the page shows them: from their record and, where it tells more, their journal. Nobody who drives a sweep is disturbed.
 */
import { join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import { textOf } from '../report/arms.ts';
import { recordUpToNow } from '../sweep/read.ts';
import { SweepFolder, type SweepRecord } from '../sweep/sweepFolder.ts';
import type { SweepDetail, SweepSummary } from './api.ts';

/** @throws integrity, notFound: there is a journal, and nothing that can be made of it */
export function readSweepAt(path: string): SweepRecord {
  try {
    return recordUpToNow(new SweepFolder(path));
  } catch (error) {
    if (error instanceof SegfleetError) throw error;
    throw new SegfleetError(
      'integrity',
      `the journal and the record in ${path} do not go together; \`segfleet sweep run\` begins it again`,
      {
        cause: error,
      },
    );
  }
}

export function sweepSummary(id: string, path: string, record: SweepRecord): SweepSummary {
  const { name, status, spec, counts, trials, best, updatedAt } = record;
  const value = best === undefined ? undefined : trials[best]?.value;
  return {
    ...{ id, path, name, status, counts, trials: trials.length },
    metric: spec.objective.metric,
    method: String(spec.method),
    ...(value !== undefined && { best: value }),
    updatedAt: Date.parse(updatedAt) || 0,
  };
}

/** @param isThere whether there is a run of this id */
export function sweepDetail(id: string, path: string, record: SweepRecord, isThere: (run: string) => boolean): SweepDetail {
  const { trials, spec, reason } = record;
  return {
    summary: sweepSummary(id, path, record),
    reason,
    goal: spec.objective.goal,
    parameters: [...new Set(trials.flatMap(({ parameters }) => Object.keys(parameters)))],
    trials: trials.map(({ number, state, value, deviation, n, parameters, runs }) => ({
      ...{ number, state, value, deviation, n },
      epochs: Math.max(0, ...runs.map(({ epochs }) => epochs)),
      parameters: Object.fromEntries(Object.entries(parameters).map(([name, value]) => [name, plain(value)])),
      error: runs.find(({ error }) => error)?.error?.message,
      runs: runs.map(({ folder, reusedFrom }) => join(id, reusedFrom ?? folder)).filter(isThere),
    })),
  };
}

const plain = (value: unknown): string | number | boolean =>
  typeof value === 'number' || typeof value === 'boolean' ? value : textOf(value);
