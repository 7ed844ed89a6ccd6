/**
 * The median stopping rule (D. Golovin, B. Solnik, S. Moitra, G. Kochanski, J. Karro, D. Sculley, "Google Vizier: a service for black-box
 * optimization", 2017, 3.2.2): a trial ends when its best value so far is below the median, over the trials that came to their end, of the mean of
 * their values up to the same time. As in Katib, only once three have come to their end.
 */
import { median } from '../averages.ts';
import { bestBy, timeOf } from './history.ts';
import type { Search } from './searches.ts';
import type { Trial } from './strategy.ts';

const fewestCompleted = 3;

/**
 * @param minTime no trial ends before
 * @param end when the longest trials end
 */
export const withMedianStop = (search: Search, minTime: number, end: number): Search => ({
  next: search.next,
  stops: (trials, room) => {
    const stops = search.stops?.(trials, room) ?? [];
    const ended = new Set(stops.map(({ trial }) => trial));
    const medianBy = medians(trials.filter(trial => trial.state === 'succeeded' || timeOf(trial) >= end));
    for (const trial of trials) {
      const time = timeOf(trial);
      if (trial.state !== 'running' || time < minTime || ended.has(trial.number)) continue;
      const median = medianBy(time);
      if (median !== undefined && bestBy(trial) < median) {
        stops.push({ do: 'stop', trial: trial.number, reason: `its best value by ${time} is below the median of the others at that time` });
      }
    }
    return stops;
  },
});

function medians(completed: readonly Trial[]): (time: number) => number | undefined {
  const known = new Map<number, number | undefined>();
  return time => {
    if (!known.has(time)) {
      const means = completed.map(trial => meanBy(trial, time)).filter(mean => mean !== undefined);
      known.set(time, means.length < fewestCompleted ? undefined : median(means));
    }
    return known.get(time);
  };
}

function meanBy({ reports }: Trial, time: number): number | undefined {
  const values = reports.filter(report => report.time <= time && Number.isFinite(report.value)).map(({ value }) => value);
  return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value) / values.length;
}
