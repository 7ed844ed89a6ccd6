/**
 * `segfleet evaluate`: a run's weights on its validation cases, or on another data set, with a report beside the run.
 */
import { join, resolve } from 'node:path';
import { findCases } from './data/cases.ts';
import { splitCases } from './data/split.ts';
import { CaseStore } from './data/store.ts';
import { SegfleetError } from './errors.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import { emptyMaskRule, metricNames } from './metrics/counts.ts';
import { openRun } from './openRun.ts';
import { renderChart } from './report/chart.ts';
import { writeOverlays } from './report/run.ts';
import { inputSizeOf } from './spec.ts';
import { writeAtomically } from './storage/files.ts';
import type { Selection } from './storage/runFolder.ts';
import { storedShapeOf } from './train.ts';

export interface RunEvaluation extends Pick<Evaluation, 'scores' | 'perClass'> {
  readonly run: string;
  readonly select: Selection;
  readonly data: string;
  /** Which of its cases were taken. */
  readonly part: Part | 'all';
  readonly convention: string;
  /** Folder with scores.json, cases.csv, roc.svg and overlays/. */
  readonly folder: string;
}

/** Which of the cases that a run did not train on. */
export const parts = ['validation', 'test'] as const;
export type Part = (typeof parts)[number];

export interface EvaluateRunOptions {
  readonly select: Selection;
  readonly part?: Part;
  /** Another data set than the run's own, of which all cases are taken. */
  readonly data?: string;
}

export async function evaluateRun(path: string, { select, part = 'validation', data }: EvaluateRunOptions): Promise<RunEvaluation> {
  const { folder, job, program } = await openRun(path, select);
  try {
    const { spec } = job;
    const cases = await findCases(data ?? resolve(path, spec.data.path));
    const ids = cases.map(({ id }) => id);
    const all = Array.from(cases.keys());
    const { validation: share, test, seed } = spec.data.split;
    const indices = data ? all : splitCases(ids, { share, test, seed })[part];
    if (indices.length === 0) {
      throw new SegfleetError('usage', `${path} held no cases out for a test; train with data.split.test, or evaluate the validation part`);
    }
    const store = new CaseStore(cases, storedShapeOf(job), spec.data);
    const evaluation = await evaluate(program, store, indices, { batch: spec.training.batch });

    const out = join(folder.evaluation(select), data ? 'other-data' : part === 'test' ? 'test' : '');
    const { height, width } = inputSizeOf(spec.data);
    const where = `${spec.data.patches ? `at native size by windows of ${width}x${height}` : `at ${width}x${height}`} (width x height)${cases.some(({ fov }) => fov) ? ', inside the field of view' : ''}`;
    const result: RunEvaluation = {
      run: path,
      select,
      data: data ?? spec.data.path,
      part: data ? 'all' : part,
      scores: evaluation.scores,
      perClass: evaluation.perClass,
      convention: `${where}, probability above 0.5; pooled: counts of all images together; per image: mean over images; ${emptyMaskRule}`,
      folder: out,
    };
    await writeAtomically(join(out, 'scores.json'), `${JSON.stringify(result, null, 2)}\n`);
    const rows = evaluation.cases.map(({ id, metrics }) => [JSON.stringify(id), ...metricNames.map(name => metrics[name])].join(','));
    await writeAtomically(join(out, 'cases.csv'), `${[['id', ...metricNames].join(','), ...rows].join('\n')}\n`);
    const roc = evaluation.roc.map(({ falsePositiveRate, truePositiveRate }) => [falsePositiveRate, truePositiveRate] as const);
    const area = evaluation.scores.auc.auc.toFixed(4);
    const chart = renderChart({
      title: `${job.metadata.name}: ROC, area ${area}`,
      x: 'false positive rate',
      y: 'true positive rate',
      series: [{ name: job.spec.loss.name, points: roc }],
      xDomain: [0, 1],
      yDomain: [0, 1],
      square: true,
    });
    await writeAtomically(join(out, 'roc.svg'), chart);
    await writeOverlays(join(out, 'overlays'), { program, store, evaluation, batch: spec.training.batch });
    return result;
  } finally {
    await program.close();
  }
}
