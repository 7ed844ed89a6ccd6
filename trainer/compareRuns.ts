/**
 * `segfleet compare`: whether one run segments the same held-out images better than another, image by image. Runs that were not
 * evaluated yet are evaluated first.
 */
import { SegfleetError } from './errors.ts';
import { type CaseScores, evaluationOf, type PartOfRun, readCases } from './evaluateRun.ts';
import { describeLoss } from './losses/catalogue.ts';
import { type MetricInfo, type MetricKey, metricCatalogue } from './metrics/catalogue.ts';
import { readRun } from './openRun.ts';
import { bootstrapInterval, confidence, holm, type Interval, numResamples, signedRankRule, signedRankTest } from './report/statistics.ts';

export interface CompareOptions extends PartOfRun {
  /** Columns of cases.csv that are metrics. */
  readonly metrics: readonly string[];
}

export interface ComparedRun {
  readonly run: string;
  readonly loss: string;
  readonly model: string;
  /** Mean over images of each metric, over those where it is defined. */
  readonly means: Readonly<Record<string, number>>;
}

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
  readonly pValue: number;
  /** After Holm's correction over all rows. */
  readonly adjustedP: number;
  readonly test: 'exact' | 'normal';
  /** The better run: only where the interval excludes 0 and the adjusted p-value is below `level`; else null. */
  readonly better: string | null;
}

export interface RunComparison extends PartOfRun {
  readonly images: number;
  readonly runs: readonly ComparedRun[];
  readonly comparisons: readonly PairComparison[];
  /** Of the scores: what all share, then each metric. */
  readonly conventions: readonly string[];
  readonly method: string;
}

export const level = 0.05;

/** The smallest p-value that so many images can give: all differences on one side. */
export const smallestPValue = (images: number): number => Math.min(1, 2 ** (1 - images));

const resamplingSeed = 0;

const method = `differences are first less second, image by image; ${100 * confidence} % percentile bootstrap interval of their mean (${numResamples.toLocaleString('en')} resamples of the images, seed ${resamplingSeed}); ${signedRankRule}; Holm's correction over all rows`;

/** A run with its score of each image. */
interface ScoredRun extends CaseScores {
  readonly path: string;
  readonly loss: string;
  readonly model: string;
  readonly dataDigest: string | undefined;
  readonly classes: string;
  readonly convention: string;
}

/** @throws usage where fewer than two runs are named or a metric is unknown, conflict where runs cannot be compared, and why */
export async function compareRuns(paths: readonly string[], { select, part, metrics }: CompareOptions): Promise<RunComparison> {
  if (paths.length < 2) throw new SegfleetError('usage', `compare needs at least two run folders, and ${paths.length} is given`);
  const twice = paths.find((path, i) => paths.indexOf(path) < i);
  if (twice) throw new SegfleetError('usage', `${twice} is named twice; compare different runs`);
  const runs: ScoredRun[] = [];
  for (const path of paths) {
    const run = await scoredRun(path, { select, part });
    refuseOtherCases(runs[0] ?? run, run);
    runs.push(run);
  }
  for (const metric of metrics) {
    for (const { path, values } of runs) {
      if (values.has(metric)) continue;
      throw new SegfleetError(
        'usage',
        `there is no metric ${metric} in the evaluation of ${path}; known are ${[...values.keys()].join(', ')}`,
      );
    }
  }
  const pairs = metrics.flatMap(metric => runs.flatMap((first, i) => runs.slice(i + 1).map(second => comparePair(metric, first, second))));
  const adjusted = holm(pairs.map(({ pValue }) => pValue));
  return {
    select,
    part,
    images: runs[0].ids.length,
    runs: runs.map(({ path, loss, model, values }) => ({
      run: path,
      loss,
      model,
      means: Object.fromEntries(metrics.map(metric => [metric, mean(values.get(metric)!.filter(Number.isFinite))])),
    })),
    comparisons: pairs.map((pair, i) => ({ ...pair, adjustedP: adjusted[i], better: betterOf(pair, adjusted[i]) })),
    conventions: [runs[0].convention, ...metrics.map(metric => `${metric}: ${infoOf(metric).convention}`)],
    method,
  };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

type Pair = Omit<PairComparison, 'adjustedP' | 'better'>;

const infoOf = (metric: string): MetricInfo => metricCatalogue[metric as MetricKey];

function comparePair(metric: string, first: ScoredRun, second: ScoredRun): Pair {
  const [a, b] = [first, second].map(({ values }) => values.get(metric)!);
  const differences = a.map((value, i) => value - b[i]).filter(Number.isFinite);
  if (differences.length === 0) {
    throw new SegfleetError('invalidData', `${metric} is not defined on any image of both ${first.path} and ${second.path}; leave it out`);
  }
  const { pValue, method: test } = signedRankTest(differences);
  const interval = bootstrapInterval(differences, resamplingSeed);
  const images = differences.length;
  return { metric, first: first.path, second: second.path, images, difference: mean(differences), interval, pValue, test };
}

function betterOf({ metric, interval, first, second }: Pair, adjustedP: number): string | null {
  if (adjustedP >= level || (interval.low <= 0 && interval.high >= 0)) return null;
  const firstIsHigher = interval.low > 0;
  return firstIsHigher === (infoOf(metric).better === 'higher') ? first : second;
}

/** Scores are only paired where images, truth and rules are the same. */
function refuseOtherCases(reference: ScoredRun, run: ScoredRun): void {
  const refuse = (sentence: string) => new SegfleetError('conflict', `${reference.path} and ${run.path} cannot be compared: ${sentence}`);
  const known = new Set(reference.ids);
  const strange = run.ids.find(id => !known.has(id)) ?? reference.ids.find(id => !run.ids.includes(id));
  if (strange !== undefined) {
    throw refuse(`they held out different images (${strange} is only in one of them); train both with the same data.path and data.split`);
  }
  if (reference.dataDigest === undefined || reference.dataDigest !== run.dataDigest) {
    throw refuse('run.json records another data digest, so images or masks differ; train both on the same files');
  }
  if (reference.classes !== run.classes) {
    throw refuse(
      `their classes differ (${reference.classes} and ${run.classes}); train both with the same data.classes and data.exclusive`,
    );
  }
  if (reference.convention !== run.convention) {
    throw refuse(`they are scored by different rules ("${reference.convention}" and "${run.convention}")`);
  }
}

async function scoredRun(path: string, which: PartOfRun): Promise<ScoredRun> {
  const run = await readRun(path, which.select);
  const { folder, job, record } = run;
  const { convention } = await evaluationOf(path, run, which);
  const { ids, values } = await readCases(folder, which);
  const { data, loss, model } = job.spec;
  return {
    path,
    loss: describeLoss(loss),
    model: model.name,
    dataDigest: record.data.digest,
    classes: `${data.classes}${data.exclusive ? ', exclusive' : ''}`,
    convention,
    ids,
    values,
  };
}
