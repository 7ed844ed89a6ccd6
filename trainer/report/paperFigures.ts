/**
 * The paper's figures: the loss and its slope, with where a training really was on them (Figure 1), and ROC curves of each loss (Figures 2 and 3). Each
 * as SVG with its numbers beside it.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { evaluationOf, readRocs } from '../evaluateRun.ts';
import { type AdaptiveLogOptions, adaptiveLogAt } from '../losses/adaptiveLog.ts';
import type { LossSpec } from '../losses/catalogue.ts';
import type { Auc } from '../metrics/roc.ts';
import { readRun } from '../openRun.ts';
import type { RunRecord } from '../runRecord.ts';
import { inputSizeOf } from '../spec.ts';
import { writeAtomically } from '../storage/files.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { describeParameters } from '../sweep/parameters.ts';
import { SweepFolder } from '../sweep/sweepFolder.ts';
import { readEvents } from '../tracking/events.ts';
import { renderChart, type Series } from './chart.ts';

export const paperLoss = { gamma: 0.1, omega: 10, epsilon: 0.5, continuity: 'paper' } as const satisfies AdaptiveLogOptions;

const numPoints = 1001;

/**
 * Figure 1, from the formula alone.
 *
 * @returns the files written
 */
export async function writeLossFigure(folder: string): Promise<string[]> {
  const points = Array.from({ length: numPoints }, (_, i) => i / (numPoints - 1)).map(dice => ({
    dice,
    ...adaptiveLogAt(dice, paperLoss),
  }));
  const { gamma, omega, epsilon } = paperLoss;
  const below = omega / (epsilon + gamma);
  // At the kink both slopes: the line falls down there, not from the point before.
  const slope = [
    ...points.filter(({ dice }) => dice < gamma).map(({ dice, derivative }) => [dice, derivative] as const),
    [gamma, below] as const,
    ...points.filter(({ dice }) => dice >= gamma).map(({ dice, derivative }) => [dice, derivative] as const),
  ];
  const chart = renderChart({
    title: `Figure 1: ALL and its slope (omega ${omega}, epsilon ${epsilon}, gamma ${gamma})`,
    description: `Value and slope of the adaptive logarithmic loss against the Dice loss. The slope falls from ${omega / epsilon} at 0 to ${below.toFixed(2)} at gamma, and jumps there to 1.`,
    x: 'Dice loss',
    y: '',
    series: [
      { name: 'value', points: points.map(({ dice, value }) => [dice, value] as const) },
      { name: 'slope', points: slope },
    ],
    marks: [{ x: gamma, label: `gamma: slope ${below.toFixed(2)} to 1` }],
  });
  const files = ['fig1.svg', 'fig1.csv'].map(name => join(folder, name));
  await writeAtomically(files[0], chart);
  await writeAtomically(
    files[1],
    stringify([['dice_loss', 'value', 'slope'], ...points.map(({ dice, value, derivative }) => [dice, value, derivative])]),
  );
  return files;
}

/** The Dice loss that ALL was of: its inverse, which rises throughout. */
export function wrappedLoss(value: number, options: AdaptiveLogOptions): number {
  const { gamma, omega, epsilon } = options;
  const atGamma = adaptiveLogAt(gamma, options);
  if (value < atGamma.value) return epsilon * Math.expm1(value / omega);
  return gamma + (value - atGamma.value) / atGamma.derivative;
}

/**
 * Of the loss of a step the Dice loss can be told where it was one number: Dice itself, or ALL of it, pooled over the batch. Of a search only the
 * parameters of Figure 1 are taken.
 */
function diceLossOf(loss: LossSpec): ((value: number) => number) | undefined {
  if (loss.pool !== 'batch') return undefined;
  if (loss.name === 'dice') return value => value;
  if (loss.name !== 'adaptiveLog' || loss.of.name !== 'dice') return undefined;
  const isOfFigure = loss.gamma === paperLoss.gamma && loss.omega === paperLoss.omega && loss.epsilon === paperLoss.epsilon;
  return isOfFigure ? value => wrappedLoss(value, loss) : undefined;
}

const numBins = 50;

/** Where on Figure 1 the steps of real trainings were, of which size is in their names. @returns the files written; none where no run tells it */
export async function writeMeasuredLosses(folder: string, runs: readonly NamedRun[]): Promise<string[]> {
  const counts = new Map<string, number[]>();
  for (const { name, folder: path } of runs) {
    const runFolder = new RunFolder(path);
    const { spec } = runFolder.readRecord<RunRecord>().job;
    const toDice = diceLossOf(spec.loss);
    if (!toDice) continue;
    const { height, width } = inputSizeOf(spec.data);
    const title = `${name}, ${height}x${width}, ${spec.training.epochs} epochs`;
    const bins = counts.get(title) ?? new Array<number>(numBins).fill(0);
    counts.set(title, bins);
    for (const event of readEvents(runFolder.events)) {
      // The smoothing keeps it below 1.
      if (event.event === 'step') bins[Math.min(numBins - 1, Math.max(0, Math.floor(toDice(event.loss) * numBins)))]++;
    }
  }
  if (counts.size === 0) return [];
  const arms = [...counts].map(([name, bins]) => ({ name, bins, total: bins.reduce((sum, count) => sum + count, 0) }));
  const edge = (i: number) => Number((i / numBins).toFixed(6));
  const files = ['fig1-measured.svg', 'fig1-measured.csv'].map(name => join(folder, name));
  await writeAtomically(
    files[0],
    renderChart({
      title: 'Dice loss of the steps of training',
      x: 'Dice loss',
      y: 'share of the steps',
      series: arms.map(({ name, bins, total }) => ({
        name,
        points: bins.flatMap((count, i) => [edge(i), edge(i + 1)].map(x => [x, count / total] as const)),
      })),
      marks: [{ x: paperLoss.gamma, label: 'gamma' }],
    }),
  );
  const rows = arms.flatMap(({ name, bins, total }) => bins.map((count, i) => [name, edge(i), edge(i + 1), count, count / total]));
  await writeAtomically(files[1], stringify([['job', 'from', 'to', 'steps', 'share'], ...rows]));
  return files;
}

/** Of one loss in one network on one data set. */
export interface RocArm {
  readonly method: string;
  /** Folders of its runs. */
  readonly runs: readonly string[];
}

export interface RocFigure {
  readonly figure: 'fig2' | 'fig3';
  readonly network: string;
  /** In the order of the arms. */
  readonly arms: readonly { readonly method: string; readonly areas: readonly Auc[]; readonly best: string }[];
  readonly files: readonly string[];
}

/**
 * One chart a network: of each loss the curve of its best run (by area), as the paper draws "the best performing models"; the areas of all runs stand
 * in the CSV with the half-width within which the exact ones lie.
 */
export async function writeRocFigure(
  folder: string,
  {
    figure,
    network,
    dataset,
    arms,
    subtitle,
  }: {
    readonly figure: RocFigure['figure'];
    readonly network: string;
    readonly dataset: string;
    readonly arms: readonly RocArm[];
    readonly subtitle: string;
  },
): Promise<RocFigure> {
  const drawn: { method: string; areas: Auc[]; best: string; points: Series['points'] }[] = [];
  for (const { method, runs } of arms) {
    const which = { select: 'best', part: 'validation' } as const;
    const evaluated: { run: string; auc: Auc; points: Series['points'] }[] = [];
    for (const run of runs) {
      const stored = await readRun(run, which.select);
      const { scores } = await evaluationOf(run, stored, which);
      const [curve = []] = await readRocs(stored.folder, which);
      evaluated.push({ run, auc: scores.auc, points: curve.map(point => [point.falsePositiveRate, point.truePositiveRate] as const) });
    }
    if (evaluated.length === 0) continue;
    const best = evaluated.reduce((a, b) => (b.auc.auc > a.auc.auc ? b : a));
    drawn.push({ method, areas: evaluated.map(({ auc }) => auc), best: best.run, points: best.points });
  }
  const stem = `${figure}-${network.toLowerCase().replace(/[^a-z]/g, '')}`;
  const files = ['svg', 'csv'].map(ending => join(folder, `${stem}.${ending}`)).concat(join(folder, `${stem}-areas.csv`));
  await writeAtomically(
    files[0],
    renderChart({
      title: `Figure ${figure.slice(3)}: ROC, ${dataset}, ${network}`,
      description: `ROC curves of the best run of each loss; ${subtitle}.`,
      x: 'false positive rate',
      y: 'true positive rate',
      series: drawn.map(({ method, points, areas }) => ({
        name: `${method} ${Math.max(...areas.map(({ auc }) => auc)).toFixed(4)}`,
        points,
      })),
      xDomain: [0, 1],
      yDomain: [0, 1],
      square: true,
      legend: 'bottom-right',
    }),
  );
  await writeAtomically(
    files[1],
    stringify([
      ['method', 'false_positive_rate', 'true_positive_rate'],
      ...drawn.flatMap(({ method, points }) => points.map(([x, y]) => [method, x, y])),
    ]),
  );
  await writeAtomically(
    files[2],
    stringify([
      ['note', 'method', 'run', 'auc', 'half_width'],
      ...drawn.flatMap(({ method, areas }) => areas.map(({ auc, halfWidth }, i) => [subtitle, method, i + 1, auc, halfWidth])),
    ]),
  );
  return { figure, network, arms: drawn.map(({ points: _, ...arm }) => arm), files };
}

/** A run, and what tells its job from others. */
export interface NamedRun {
  readonly name: string;
  readonly folder: string;
}

/** Runs that succeeded, of the sweeps in a folder. */
export function finishedRuns(out: string): NamedRun[] {
  if (!existsSync(out)) return [];
  const sweeps = readdirSync(out)
    .sort()
    .map(name => new SweepFolder(join(out, name)))
    .filter(({ record }) => existsSync(record));
  return sweeps.flatMap(sweep => {
    const { name, trials } = sweep.readRecord();
    return trials.flatMap(({ parameters, runs }) =>
      runs
        .filter(({ state }) => state === 'succeeded')
        .map(({ folder }) => ({
          name: trials.length > 1 ? `${name} ${describeParameters(parameters)}` : name,
          folder: join(sweep.path, folder),
        })),
    );
  });
}
