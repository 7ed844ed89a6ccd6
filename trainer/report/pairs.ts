/**
 * Lists of scores of the same images held against each other, pair by pair: how far apart, how sure, and which is better. What `compare` says of
 * runs and the report of losses.
 */
import { mean } from '../averages.ts';
import { SegfleetError } from '../errors.ts';
import { type MetricKey, metricCatalogue } from '../metrics/catalogue.ts';
import { bootstrapInterval, confidence, holm, type Interval, numResamples, signedRankRule, signedRankTest } from './statistics.ts';

/** Scores image by image: of a run, or the means of several. */
export interface Scored {
  readonly name: string;
  readonly ids: readonly string[];
  /** By metric, in the order of the ids; NaN where it is not defined. */
  readonly values: ReadonlyMap<string, readonly number[]>;
}

export type Pair = readonly [first: Scored, second: Scored];

export interface PairComparison {
  readonly metric: string;
  readonly first: string;
  readonly second: string;
  /** Images on which the metric is defined in both runs. */
  readonly images: number;
  /** Mean over these images of first less second. */
  readonly difference: number;
  /** Of that mean. */
  readonly interval: Interval;
  /** Rank-biserial correlation of the pairs: 1 where first is higher on every image, -1 where second is. */
  readonly effect: number;
  readonly pValue: number;
  /** After Holm's correction over all rows. */
  readonly adjustedP: number;
  readonly test: 'exact' | 'normal';
  /** The better run: only where the interval excludes 0 and the adjusted p-value is below `level`; else null. */
  readonly better: string | null;
}

export const level = 0.05;

/** The smallest p-value that so many images can give: all differences on one side. */
export const smallestPValue = (images: number): number => Math.min(1, 2 ** (1 - images));

const resamplingSeed = 0;

export const comparisonMethod = `differences are first less second, image by image; ${100 * confidence} % percentile bootstrap interval of their mean (${numResamples.toLocaleString('en')} resamples of the images, seed ${resamplingSeed}); ${signedRankRule}; effect: rank-biserial correlation of the pairs, -1 to 1 (Kerby 2014); Holm's correction over all rows`;

/** In the order in which they are given, the first with each after it, then the second, ... */
export const allPairs = (scored: readonly Scored[]): Pair[] =>
  scored.flatMap((first, i) => scored.slice(i + 1).map(second => [first, second] as const));

/** @throws invalidData where a metric is not defined on any image of both */
export function comparePairs(pairs: readonly Pair[], metrics: readonly string[]): PairComparison[] {
  const compared = metrics.flatMap(metric => pairs.map(pair => comparePair(metric, pair)));
  const adjusted = holm(compared.map(({ pValue }) => pValue));
  return compared.map((pair, i) => ({ ...pair, adjustedP: adjusted[i], better: betterOf(pair, adjusted[i]) }));
}

type Compared = Omit<PairComparison, 'adjustedP' | 'better'>;

function comparePair(metric: string, [first, second]: Pair): Compared {
  const other = new Map(second.ids.map((id, i) => [id, second.values.get(metric)![i]]));
  const differences = first.values
    .get(metric)!
    .map((value, i) => value - (other.get(first.ids[i]) ?? Number.NaN))
    .filter(Number.isFinite);
  if (differences.length === 0) {
    throw new SegfleetError('invalidData', `${metric} is not defined on any image of both ${first.name} and ${second.name}; leave it out`);
  }
  const { pValue, effect, method: test } = signedRankTest(differences);
  const interval = bootstrapInterval(differences, resamplingSeed);
  const images = differences.length;
  return { metric, first: first.name, second: second.name, images, difference: mean(differences), interval, effect, pValue, test };
}

function betterOf({ metric, interval, first, second }: Compared, adjustedP: number): string | null {
  if (adjustedP >= level || (interval.low <= 0 && interval.high >= 0)) return null;
  const firstIsHigher = interval.low > 0;
  return firstIsHigher === (metricCatalogue[metric as MetricKey].better === 'higher') ? first : second;
}
