/**
 * The results of a sweep as a table for other programs: one row a run.
 */
import { stringify } from 'csv-stringify/sync';
import type { SweepRecord } from './sweepFolder.ts';

const cell = (value: unknown): unknown => (typeof value === 'object' && value !== null ? JSON.stringify(value) : value);

/** Columns: trial, replicate, state, group, each parameter, the objective (at the best epoch), best epoch, epochs, seconds, folder, reused from, error. */
export function resultsCsv({ trials, spec }: SweepRecord): string {
  const paths = [...new Set(trials.flatMap(({ parameters }) => Object.keys(parameters)))];
  const head = [
    'trial',
    'replicate',
    'state',
    'group',
    ...paths,
    spec.objective.metric,
    'best_epoch',
    'epochs',
    'seconds',
    'folder',
    'reused_from',
    'error',
  ];
  const rows = trials.flatMap(({ number, parameters, group, runs }) =>
    runs.map(run => [
      ...[number, run.replicate, run.state, group],
      ...paths.map(path => cell(parameters[path])),
      ...[run.value, run.epoch, run.epochs, run.seconds, run.folder, run.reusedFrom, run.error?.message],
    ]),
  );
  return stringify([head, ...rows]);
}
