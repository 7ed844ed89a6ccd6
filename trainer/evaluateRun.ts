/**
 * `segfleet evaluate`: a run's weights on its validation cases, or on another data set, with a report beside the run.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { predictedAtOnce, storedShapeOf } from './course.ts';
import { dataPath, findCases } from './data/cases.ts';
import { labelsInside } from './data/fov.ts';
import { splitOf } from './data/splitFile.ts';
import { CaseStore, type DecodedCase } from './data/store.ts';
import { SegfleetError } from './errors.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import { imageMetricNames, Measurements } from './measure.ts';
import type { ReliabilityPoint } from './metrics/calibration.ts';
import { type Measured, metricCatalogue } from './metrics/catalogue.ts';
import { emptyMaskRule, metricNames } from './metrics/counts.ts';
import { type RocPoint, thinned } from './metrics/roc.ts';
import { openRun, type StoredRun } from './openRun.ts';
import { renderChart, type Series } from './report/chart.ts';
import { writeOverlays } from './report/run.ts';
import { inputSizeOf, type Job } from './spec.ts';
import { writeAtomically } from './storage/files.ts';
import type { RunFolder, Selection } from './storage/runFolder.ts';

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
  /** Folder with scores.json, cases.csv, roc.csv, roc.svg, reliability.svg and overlays/. */
  readonly folder: string;
}

/** Which of the cases that a run did not train on. */
export const parts = ['validation', 'test'] as const;
export type Part = (typeof parts)[number];

export interface EvaluateRunOptions {
  readonly select: Selection;
  /** Of the run's own data, `validation` where it is left out. Of another data set, the part that its manifest says. */
  readonly part?: Part;
  /** Another data set than the run's own. Without a part, all its cases are taken (those of `training` where there are several parts). */
  readonly data?: string;
}

export interface PartOfRun {
  readonly select: Selection;
  readonly part: Part;
}

const evaluationFolder = (folder: RunFolder, { select, part }: PartOfRun): string =>
  part === 'test' ? join(folder.evaluation(select), part) : folder.evaluation(select);

/** What `evaluate` left beside a run about these weights; evaluates them where it has not, or where it was of others. */
export async function evaluationOf(path: string, { folder, digest }: StoredRun, which: PartOfRun): Promise<RunEvaluation> {
  const stored = await readFile(join(evaluationFolder(folder, which), 'scores.json'), 'utf8')
    .then(text => JSON.parse(text) as RunEvaluation)
    .catch(() => undefined);
  const isWhole = stored?.weights === digest && existsSync(join(evaluationFolder(folder, which), rocFile));
  return isWhole ? stored : evaluateRun(path, which);
}

export async function evaluateRun(path: string, { select, part, data }: EvaluateRunOptions): Promise<RunEvaluation> {
  const { folder, job, program, digest } = await openRun(path, select);
  try {
    const { spec } = job;
    const cases = data ? await findCases(data, part) : await findCases(dataPath(path, spec.data.path));
    const indices = data ? Array.from(cases.keys()) : (await splitOf(spec.data.split, cases, path))[part ?? 'validation'];
    if (indices.length === 0) {
      throw new SegfleetError('usage', `${path} held no cases out for a test; train with data.split.test, or evaluate the validation part`);
    }
    const store = new CaseStore(cases, storedShapeOf(job), spec.data);
    const { batch } = spec.training;
    const measurements = new Measurements({ classes: spec.data.classes, exclusive: spec.data.exclusive });
    const onImage = (seen: DecodedCase, logits: Float32Array) => measurements.add(logits, labelsInside(seen), seen.size);
    const evaluation = await evaluate(program, store, indices, { batch: predictedAtOnce(job), onImage });

    const out = data ? join(folder.evaluation(select), 'other-data') : evaluationFolder(folder, { select, part: part ?? 'validation' });
    const { height, width } = inputSizeOf(spec.data);
    const where = `${spec.data.patches ? `at native size by windows of ${width}x${height}` : `at ${width}x${height}`} (width x height)${cases.some(({ fov }) => fov) ? ', inside the field of view' : ''}`;
    const result: RunEvaluation = {
      run: path,
      select,
      weights: digest,
      data: data ?? spec.data.path,
      part: part ?? (data ? 'all' : 'validation'),
      scores: evaluation.scores,
      perClass: evaluation.perClass,
      convention: `${where}, probability above 0.5; of several classes the mean over classes; ${emptyMaskRule}`,
      metrics: measurements.measured(evaluation.scores, batch),
      reliability: measurements.reliability(),
      folder: out,
    };
    await writeAtomically(join(out, 'scores.json'), `${JSON.stringify(result, null, 2)}\n`);
    await writeAtomically(join(out, 'cases.csv'), casesTable(evaluation, measurements));
    await writeAtomically(join(out, rocFile), rocTable(evaluation.rocs));
    const area = evaluation.scores.auc.auc.toFixed(4);
    const square = { xDomain: [0, 1], yDomain: [0, 1], square: true } as const;
    const charts = {
      roc: {
        title: `${job.metadata.name}: ROC, area ${area}`,
        x: 'false positive rate',
        y: 'true positive rate',
        series: evaluation.rocs.map((points, c) => ({
          name: nameOfClass(job, c),
          points: points.map(({ falsePositiveRate, truePositiveRate }) => [falsePositiveRate, truePositiveRate] as const),
        })),
        legend: 'bottom-right' as const,
      },
      reliability: {
        title: `${job.metadata.name}: reliability of probabilities`,
        x: 'predicted probability',
        y: 'observed share',
        series: [...reliabilitySeries(job, result.reliability), { name: 'calibrated', points: diagonal }],
        legend: 'top-left' as const,
      },
    };
    for (const [name, chart] of Object.entries(charts)) {
      await writeAtomically(join(out, `${name}.svg`), renderChart({ ...chart, ...square }));
    }
    await writeOverlays(join(out, 'overlays'), { program, store, evaluation, batch: spec.training.batch });
    return result;
  } finally {
    await program.close();
  }
}

const diagonal: readonly (readonly [number, number])[] = [
  [0, 0],
  [1, 1],
];

const nameOfClass = ({ spec: { loss, data } }: Job, c: number): string =>
  data.classes === 1 ? loss.name : `${loss.name}, label ${data.exclusive ? c : c + 1}`;

/** @param classes points of each class */
function reliabilitySeries(job: Job, classes: RunEvaluation['reliability']): Series[] {
  return classes.map((points, c) => ({
    name: nameOfClass(job, c),
    points: points.map(({ probability, frequency }) => [probability, frequency] as const),
  }));
}

const rocFile = 'roc.csv';

/** One row a point, thinned: the area is in scores.json, from all points. */
function rocTable(rocs: Evaluation['rocs']): string {
  const rows = rocs.flatMap((curve, c) =>
    thinned(curve).map(({ falsePositiveRate, truePositiveRate }) => [c, falsePositiveRate.toFixed(6), truePositiveRate.toFixed(6)]),
  );
  return `${[['class', 'false_positive_rate', 'true_positive_rate'], ...rows].map(row => row.join(',')).join('\n')}\n`;
}

/** The curve of each class; none where a class has pixels of one kind only. */
export async function readRocs(folder: RunFolder, which: PartOfRun): Promise<RocPoint[][]> {
  const file = join(evaluationFolder(folder, which), rocFile);
  const rocs: RocPoint[][] = [];
  const rows: string[][] = parse(await readFile(file), { from_line: 2 });
  for (const [c, falsePositiveRate, truePositiveRate] of rows.map(row => row.map(Number))) {
    rocs[c] ??= [];
    rocs[c].push({ falsePositiveRate, truePositiveRate });
  }
  return rocs;
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

/** What that table says. */
export interface CaseScores {
  readonly ids: readonly string[];
  /** By metric; NaN where it is not defined. */
  readonly values: ReadonlyMap<string, readonly number[]>;
}

export async function readCases(folder: RunFolder, which: PartOfRun): Promise<CaseScores> {
  const file = join(evaluationFolder(folder, which), 'cases.csv');
  try {
    // Ids are written as JSON.
    const rows: Record<string, string>[] = parse(await readFile(file, 'utf8'), { columns: true, escape: '\\' });
    const metrics = Object.keys(rows[0]).filter(column => column in metricCatalogue);
    const numberOf = (cell: string) => (cell === '' ? Number.NaN : Number(cell));
    const values = new Map(metrics.map(metric => [metric, rows.map(row => numberOf(row[metric]))]));
    return { ids: rows.map(({ id }) => id), values };
  } catch (cause) {
    throw new SegfleetError('integrity', `${file} cannot be read as the table that evaluate writes; run evaluate again`, { cause });
  }
}
