/**
 * Two tables: the mean of each run, and each pair of runs with interval and test.
 */
import type { RunComparison } from '../../trainer/compareRuns.ts';
import { level, smallestPValue } from '../../trainer/report/pairs.ts';
import { number, table } from './text.ts';

export function renderComparison({ select, part, images, runs, comparisons, conventions, method }: RunComparison): string {
  const metrics = Object.keys(runs[0].means);
  const means = runs.map(({ run, loss, model, means }) => [run, model, loss, ...metrics.map(metric => number(means[metric]))]);
  const pairs = comparisons.map(({ metric, first, second, difference, interval, effect, pValue, adjustedP, images, better }) => [
    metric,
    `${first} - ${second}`,
    signed(difference),
    `${signed(interval.low)} to ${signed(interval.high)}`,
    `${effect < 0 ? '-' : '+'}${number(Math.abs(effect), 2)}`,
    probability(pValue),
    probability(adjustedP),
    String(images),
    better ?? 'not told apart',
  ]);
  const fewest = Math.min(...comparisons.map(row => row.images));
  return [
    `${images} ${part} images, ${select} epoch; mean per image`,
    table(['run', 'model', 'loss', ...metrics], means),
    table(['', 'difference of', 'mean', '95 % interval', 'effect', 'p', 'adjusted p', 'images', 'better'], pairs),
    ...(smallestPValue(fewest) >= level
      ? [`With ${fewest} images no p-value can be below ${probability(smallestPValue(fewest))}: too few to tell runs apart by this test.`]
      : []),
    method,
    ...conventions,
  ].join('\n');
}

const signed = (value: number) => `${value < 0 ? '-' : '+'}${number(Math.abs(value))}`;

const probability = (value: number) => (value < 0.001 ? value.toExponential(1) : value.toFixed(3));
