/**
 * `segfleet compare`: whether one run segments the same held-out images better than another, image by image. Runs that were not
 * evaluated yet are evaluated first.
 */
import { mean } from './averages.ts';
import { SegfleetError } from './errors.ts';
import { type CaseScores, evaluationOf, type PartOfRun, readCases } from './evaluateRun.ts';
import { describeLoss } from './losses/catalogue.ts';
import { type MetricKey, metricCatalogue } from './metrics/catalogue.ts';
import { readRun } from './openRun.ts';
import { allPairs, comparePairs, comparisonMethod, type PairComparison } from './report/pairs.ts';

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

export interface RunComparison extends PartOfRun {
  readonly images: number;
  readonly runs: readonly ComparedRun[];
  readonly comparisons: readonly PairComparison[];
  /** Of the scores: what all share, then each metric. */
  readonly conventions: readonly string[];
  readonly method: string;
}

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
  const named = runs.map(({ path, ids, values }) => ({ name: path, ids, values }));
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
    comparisons: comparePairs(allPairs(named), metrics),
    conventions: [runs[0].convention, ...metrics.map(metric => `${metric}: ${metricCatalogue[metric as MetricKey].convention}`)],
    method: comparisonMethod,
  };
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
