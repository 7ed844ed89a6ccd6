/**
 * What trials have shown so far. A value that is no finite number (the training diverged; JSON has null for it) is worse than every number; of
 * equal ones the trial that was chosen first is the better.
 */
import type { Report, Trial } from './strategy.ts';

/** Waits for its turn, or runs. */
export const isLive = ({ state }: Trial): boolean => state === 'waiting' || state === 'running';
/** Nothing more comes of it. */
export const isOver = ({ state }: Trial): boolean => state === 'succeeded' || state === 'stopped' || state === 'failed';

const finite = (value: unknown): number => (Number.isFinite(value) ? (value as number) : -Infinity);

/** The last report up to a time. */
function reportBy({ reports }: Trial, time: number): Report | undefined {
  let index = reports.length - 1;
  while (index >= 0 && reports[index].time > time) index--;
  return reports[index];
}

/** Time that a trial has come to, as far as it has told. */
export const timeOf = ({ reports }: Trial): number => reports.at(-1)?.time ?? 0;

/** The last value up to a time; -Infinity where there is none, or where it is no number. */
export const lastBy = (trial: Trial, time = Infinity): number => finite(reportBy(trial, time)?.value);

/** The best value up to a time, that of its best checkpoint; -Infinity where there is none, or where it has diverged by then. */
export function bestBy(trial: Trial, time = Infinity): number {
  if (lastBy(trial, time) === -Infinity) return -Infinity;
  let best = -Infinity;
  for (const report of trial.reports) if (report.time <= time) best = Math.max(best, finite(report.value));
  return best;
}

/** Better ones first. */
export const byValue =
  (worth: (trial: Trial) => number) =>
  (a: Trial, b: Trial): number => {
    const [left, right] = [worth(a), worth(b)];
    return left === right ? a.number - b.number : left > right ? -1 : 1;
  };

/** The trial with the best value of all that have one and have not failed. */
export function best(trials: readonly Trial[]): Trial | undefined {
  let found: Trial | undefined;
  let value = -Infinity;
  for (const trial of trials) {
    if (trial.state === 'failed') continue;
    const its = bestBy(trial);
    if (its > value) [found, value] = [trial, its];
  }
  return found;
}
