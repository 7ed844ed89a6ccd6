/**
 * How fast and how steadily each loss came to its best, from what its runs said epoch by epoch: the paper claims that ALL is the fastest, and prints
 * nothing of it.
 */
import { stringify } from 'csv-stringify/sync';
import type { RunRecord } from '../runRecord.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { type EpochEvent, readEvents } from '../tracking/events.ts';
import { deltas, epochsToWithin, restlessness } from './curves.ts';

export interface RunConvergence {
  readonly epochs: number;
  readonly bestEpoch: number;
  readonly bestJaccard: number;
  /** First epoch that is at most so much below the best, for each of `deltas`. */
  readonly within: readonly number[];
  /** Mean change of the Jaccard from epoch to epoch over the second half of the run. */
  readonly restlessness?: number;
  /** The largest fall of the Jaccard from one epoch to the next. */
  readonly largestFall: number;
  /** With ALL: share of all steps in the logarithmic branch. */
  readonly logShare?: number;
}

/** @param path folder of a run that succeeded */
export function convergenceOf(path: string): RunConvergence {
  const folder = new RunFolder(path);
  const { logShare } = folder.readRecord<RunRecord>();
  const epochs = readEvents(folder.events).filter((event): event is EpochEvent => event.event === 'epoch');
  const values = epochs.map(({ validation }) => validation.pooled.jaccard);
  const restless = restlessness(values);
  return {
    epochs: values.length,
    bestEpoch: epochsToWithin(values, 0),
    bestJaccard: Math.max(...values),
    within: deltas.map(delta => epochsToWithin(values, delta)),
    ...(restless !== undefined && { restlessness: restless }),
    largestFall: Math.max(0, ...values.slice(1).map((value, i) => values[i] - value)),
    ...(logShare !== undefined && { logShare }),
  };
}

export interface Convergence {
  readonly dataset: string;
  readonly method: string;
  /** Epsilon, omega and gamma, where cells differ in them. */
  readonly parameters: string;
  readonly runs: readonly RunConvergence[];
}

export const convergenceConvention =
  'Epochs to within: the first epoch whose pooled validation Jaccard is at most 0.05, 0.02, 0.01 below the best of the same run, mean over runs. Restlessness: mean change of that Jaccard from epoch to epoch over the second half. Log branch: share of the steps in which the wrapped loss was below gamma';

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Of several runs the mean; a dash where there is nothing to say. */
export function convergenceTable(found: readonly Convergence[]): {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
} {
  const columns = [
    'data set',
    'method',
    'runs',
    'best epoch',
    ...deltas.map(delta => `to within ${delta}`),
    'restlessness',
    'largest fall',
    'log branch',
  ];
  const over = (runs: readonly RunConvergence[], value: (run: RunConvergence) => number | undefined, show: (mean: number) => string) => {
    const known = runs.map(value).filter((one): one is number => one !== undefined);
    return known.length === 0 ? '-' : show(mean(known));
  };
  const epoch = (value: number) => value.toFixed(1);
  const rows = found
    .filter(({ runs }) => runs.length > 0)
    .map(({ dataset, method, parameters, runs }) => [
      ...[dataset, parameters === '' ? method : `${method} ${parameters}`, String(runs.length)],
      over(runs, run => run.bestEpoch, epoch),
      ...deltas.map((_, i) => over(runs, run => run.within[i], epoch)),
      over(
        runs,
        run => run.restlessness,
        value => value.toFixed(4),
      ),
      over(
        runs,
        run => run.largestFall,
        value => value.toFixed(4),
      ),
      over(
        runs,
        run => run.logShare,
        share => `${(100 * share).toFixed(1)} %`,
      ),
    ]);
  return { columns, rows };
}

/** One line a run. @param tier that the numbers are of, in every line */
export function convergenceCsv(found: readonly Convergence[], tier: string): string {
  const columns = [
    ...['tier', 'dataset', 'method', 'parameters', 'run', 'epochs', 'best_epoch', 'best_jaccard'],
    ...deltas.map(delta => `epochs_to_within_${delta}`),
    ...['restlessness', 'largest_fall', 'log_share'],
  ];
  const rows = found.flatMap(({ dataset, method, parameters, runs }) =>
    runs.map((run, i) => [
      ...[tier, dataset, method, parameters, i + 1, run.epochs, run.bestEpoch, run.bestJaccard],
      ...run.within,
      ...[run.restlessness ?? '', run.largestFall, run.logShare ?? ''],
    ]),
  );
  return stringify([columns, ...rows]);
}

/** Where ALL never came below gamma it was the Dice loss, step for step, and nothing is compared. */
export function branchNote(found: readonly Convergence[]): string | undefined {
  const shares = found.flatMap(({ runs }) => runs.flatMap(({ logShare }) => logShare ?? []));
  const never = shares.filter(share => share === 0).length;
  if (never === 0) return undefined;
  return `In ${never} of ${shares.length} trainings with ALL no step was in its logarithmic branch: these are trainings with the Dice loss and a constant, and omega, epsilon and gamma change nothing in them`;
}
