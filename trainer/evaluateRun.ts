/**
 * `segfleet evaluate`: a run's weights on its validation cases, or on another data set, with a report beside the run.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dataPath, findCases } from './data/cases.ts';
import { labelsInside } from './data/fov.ts';
import { splitOf } from './data/splitFile.ts';
import { CaseStore, type DecodedCase } from './data/store.ts';
import { SegfleetError } from './errors.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import { imageMetricNames, Measurements } from './measure.ts';
import type { ReliabilityPoint } from './metrics/calibration.ts';
import type { Measured } from './metrics/catalogue.ts';
import { emptyMaskRule, metricNames } from './metrics/counts.ts';
import { openRun, type StoredRun } from './openRun.ts';
import { renderChart, type Series } from './report/chart.ts';
import { writeOverlays } from './report/run.ts';
import { inputSizeOf } from './spec.ts';
import { writeAtomically } from './storage/files.ts';
import type { Selection } from './storage/runFolder.ts';
import { storedShapeOf } from './train.ts';

export interface RunEvaluation extends Pick<Evaluation, 'scores' | 'perClass'> {
  readonly run: string;
  readonly select: Selection;
  /** SHA-256 of the file of the weights. */
  readonly weights: string;
  readonly data: string;
  /** Which of its cases were taken. */
  readonly part: Part | 'all';
  readonly convention: string;
  /** Every number with its own convention. */
  readonly metrics: readonly Measured[];
  /** Points of the reliability diagram of each class. */
  readonly reliability: readonly (readonly ReliabilityPoint[])[];
  /** Folder with scores.json, cases.csv, roc.svg, reliability.svg and overlays/. */
  readonly folder: string;
}

/** What `evaluate` left beside a run about these weights; evaluates them where it has not, or where it was of others. */
export async function evaluationOf(path: string, { folder, digest }: StoredRun, select: Selection): Promise<RunEvaluation> {
  const stored = await readFile(join(folder.evaluation(select), 'scores.json'), 'utf8')
    .then(text => JSON.parse(text) as RunEvaluation)
    .catch(() => undefined);
  return stored?.weights === digest ? stored : evaluateRun(path, { select });
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
  const { folder, job, program, digest } = await openRun(path, select);
  try {
    const { spec } = job;
    const cases = await findCases(data ?? dataPath(path, spec.data.path));
    const all = Array.from(cases.keys());
    const indices = data ? all : (await splitOf(spec.data.split, cases, path))[part];
    if (indices.length === 0) {
      throw new SegfleetError('usage', `${path} held no cases out for a test; train with data.split.test, or evaluate the validation part`);
    }
    const store = new CaseStore(cases, storedShapeOf(job), spec.data);
    const { batch } = spec.training;
    const measurements = new Measurements({ classes: spec.data.classes, exclusive: spec.data.exclusive });
    const onImage = (seen: DecodedCase, logits: Float32Array) => measurements.add(logits, labelsInside(seen), seen.size);
    const evaluation = await evaluate(program, store, indices, { batch, onImage });

    const out = join(folder.evaluation(select), data ? 'other-data' : part === 'test' ? 'test' : '');
    const { height, width } = inputSizeOf(spec.data);
    const where = `${spec.data.patches ? `at native size by windows of ${width}x${height}` : `at ${width}x${height}`} (width x height)${cases.some(({ fov }) => fov) ? ', inside the field of view' : ''}`;
    const result: RunEvaluation = {
      run: path,
      select,
      weights: digest,
      data: data ?? spec.data.path,
      part: data ? 'all' : part,
      scores: evaluation.scores,
      perClass: evaluation.perClass,
      convention: `${where}, probability above 0.5; of several classes the mean over classes; ${emptyMaskRule}`,
      metrics: measurements.measured(evaluation.scores, batch),
      reliability: measurements.reliability(),
      folder: out,
    };
    await writeAtomically(join(out, 'scores.json'), `${JSON.stringify(result, null, 2)}\n`);
    await writeAtomically(join(out, 'cases.csv'), casesTable(evaluation, measurements));
    const roc = evaluation.roc.map(({ falsePositiveRate, truePositiveRate }) => [falsePositiveRate, truePositiveRate] as const);
    const area = evaluation.scores.auc.auc.toFixed(4);
    const square = { xDomain: [0, 1], yDomain: [0, 1], square: true } as const;
    const charts = {
      roc: {
        title: `${job.metadata.name}: ROC, area ${area}`,
        x: 'false positive rate',
        y: 'true positive rate',
        series: [{ name: job.spec.loss.name, points: roc }],
      },
      reliability: {
        title: `${job.metadata.name}: reliability of probabilities`,
        x: 'predicted probability of foreground',
        y: 'share of foreground',
        series: [...reliabilitySeries(job.spec.loss.name, result.reliability), { name: 'calibrated', points: diagonal }],
        legend: 'top-left' as const,
      },
    };
    for (const [name, chart] of Object.entries(charts)) {
      await writeAtomically(join(out, `${name}.svg`), renderChart({ ...chart, ...square }));
    }
    await writeOverlays(join(out, 'overlays'), { program, store, evaluation });
    return result;
  } finally {
    await program.close();
  }
}

const diagonal: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 1],
];

/** @param classes points of each class */
function reliabilitySeries(name: string, classes: RunEvaluation['reliability']): Series[] {
  return classes.map((points, c) => ({
    name: classes.length === 1 ? name : `${name}, class ${c}`,
    points: points.map(({ probability, frequency }) => [probability, frequency] as const),
  }));
}

/** One row a case; a score that is not defined is left empty. */
function casesTable({ cases }: Evaluation, { images }: Measurements): string {
  const head = ['id', ...metricNames, ...imageMetricNames, 'penalised'];
  const rows = cases.map(({ id, metrics }, i) => {
    const { values, penalised } = images[i];
    const numbers = [...metricNames.map(name => metrics[name]), ...imageMetricNames.map(name => values[name])];
    return [JSON.stringify(id), ...numbers.map(value => (Number.isNaN(value) ? '' : value)), penalised];
  });
  return `${[head, ...rows].map(row => row.join(',')).join('\n')}\n`;
}
