/**
 * How the losses converge: of all runs of a data set that have the same loss (and, where they differ in it, network) the mean of their curves, and
 * the range of it.
 */
import { mean } from '../averages.ts';
import { bandOf, deltas, epochsToWithin, normalisedLoss, restlessness } from '../report/curves.ts';
import type { ConvergenceAnswer, ConvergenceArm, ConvergenceMetric, RunSummary } from './api.ts';
import type { EpochRow } from './summary.ts';

/** More lines than this say nothing together. */
const mostLines = 8;
/** The line counts as there once it is so near its best. */
const nearness = 0.02;

export interface Curved {
  readonly summary: RunSummary;
  readonly rows: readonly EpochRow[];
}

const curveOf: Record<ConvergenceMetric, (rows: readonly EpochRow[]) => readonly number[] | undefined> = {
  jaccard: rows => rows.map(({ jaccard }) => jaccard),
  loss: rows => rows.map(({ validationLoss }) => validationLoss),
  normalisedLoss: rows => normalisedLoss(rows.map(({ validationLoss }) => validationLoss)),
};

/** @param dataset by default that of most runs */
export function convergenceOf(all: readonly Curved[], metric: ConvergenceMetric, dataset?: string): ConvergenceAnswer {
  const withEpochs = all.filter(
    ({ rows }) => rows.length > 0 && rows.every(({ jaccard, validationLoss }) => Number.isFinite(jaccard + validationLoss)),
  );
  const byDataset = Map.groupBy(withEpochs, ({ summary }) => summary.dataset);
  const datasets = [...byDataset.keys()].sort((a, b) => byDataset.get(b)!.length - byDataset.get(a)!.length || (a < b ? -1 : 1));
  const chosen = dataset !== undefined && byDataset.has(dataset) ? dataset : (datasets[0] ?? '');
  const runs = byDataset.get(chosen) ?? [];
  const hasModels = new Set(runs.map(({ summary }) => summary.model)).size > 1;
  const groups = Map.groupBy(runs, ({ summary }) => (hasModels ? `${summary.model} ${summary.loss}` : summary.loss));
  const arms = [...groups].map(([name, group]) => armOf(name, group, metric)).filter(arm => arm !== undefined);
  const drawn = arms.toSorted((a, b) => b.best - a.best).slice(0, mostLines);
  return { metric, dataset: chosen, datasets, arms: drawn.sort((a, b) => (a.name < b.name ? -1 : 1)), more: arms.length - drawn.length };
}

function armOf(name: string, group: readonly Curved[], metric: ConvergenceMetric): ConvergenceArm | undefined {
  const longest = Math.max(...group.map(({ rows }) => rows.length));
  // One that has just begun would cut the line of all the others short.
  const far = group.filter(({ rows }) => rows.length >= longest / 2);
  const curves = far.map(({ rows }) => curveOf[metric](rows)).filter(curve => curve !== undefined);
  const band = bandOf(curves);
  if (band.length === 0) return undefined;
  const jaccards = far.map(({ rows }) => rows.map(({ jaccard }) => jaccard));
  const restless = jaccards.map(restlessness).filter(value => value !== undefined);
  const means = band.map(point => point.mean);
  const extreme = metric === 'jaccard' ? Math.max(...means) : Math.min(...means);
  const there = metric === 'loss' ? undefined : band.find(point => Math.abs(point.mean - extreme) <= nearness)?.x;
  return {
    name,
    runs: curves.length,
    behind: group.length - far.length,
    x: band.map(({ x }) => x),
    mean: means,
    low: band.map(({ low }) => low),
    high: band.map(({ high }) => high),
    best: mean(jaccards.map(values => Math.max(...values))),
    within: deltas.map(delta => mean(jaccards.map(values => epochsToWithin(values, delta)))),
    ...(restless.length > 0 && { restlessness: mean(restless) }),
    there,
  };
}
