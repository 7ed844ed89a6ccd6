/**
 * How well weights segment a set of cases: counts, metrics and the ROC, image by image in order.
 */
import { ignoredLabel } from './data/batch.ts';
import { labelsInside } from './data/fov.ts';
import type { CaseStore, DecodedCase } from './data/store.ts';
import { type Counts, countsOfImage, type Metrics, meanMetrics, metricsOf, OverlapState } from './metrics/counts.ts';
import { type Auc, type RocPoint, RocState } from './metrics/roc.ts';
import type { Program } from './program.ts';
import { segment } from './segment.ts';

export interface CaseResult {
  readonly id: string;
  readonly index: number;
  /** Mean over classes. */
  readonly metrics: Metrics;
  readonly counts: readonly Counts[];
}

export interface Scores {
  readonly images: number;
  /** Mean over images of the run's loss, each batch of images (or of windows of them) evaluated as one; also outside the field of view. */
  readonly loss: number;
  readonly pooled: Metrics;
  readonly perImage: Metrics;
  /** Over all pixels (inside the field of view) of all images; of several classes the mean of each against the rest. */
  readonly auc: Auc;
}

export interface Evaluation {
  readonly scores: Scores;
  readonly perClass: readonly Metrics[];
  readonly cases: readonly CaseResult[];
  readonly roc: readonly RocPoint[];
}

export interface EvaluateOptions {
  readonly batch: number;
  readonly signal?: AbortSignal;
  /** Called with each image and its logits [pixels, classes], in order. */
  readonly onImage?: (source: DecodedCase, logits: Float32Array) => void | Promise<void>;
}

export async function evaluate(
  program: Program,
  store: CaseStore,
  indices: readonly number[],
  options: EvaluateOptions,
): Promise<Evaluation> {
  const { classes, exclusive } = program.options;
  const overlap = new OverlapState();
  const rocs = Array.from({ length: classes }, () => new RocState());
  const cases: CaseResult[] = [];
  let lossSum = 0;
  for await (const { source, logits, loss } of segment(program, store.read(indices), options)) {
    lossSum += loss;
    const { id, index } = source;
    const labels = labelsInside(source);
    const counts = countsOfImage(logits, labels, classes, exclusive);
    overlap.add(counts);
    cases.push({ id, index, metrics: meanMetrics(counts.map(metricsOf)), counts });
    rocs.forEach((roc, c) => {
      const label = exclusive ? c : c + 1;
      const truth = labels.map(value => (value === ignoredLabel ? ignoredLabel : Number(value === label)));
      roc.add(classScores(logits, classes, c, exclusive), truth);
    });
    await options.onImage?.(source, logits);
  }
  const aucs = rocs.map(roc => roc.auc());
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const auc = { auc: mean(aucs.map(({ auc }) => auc)), halfWidth: mean(aucs.map(({ halfWidth }) => halfWidth)) };
  const scores = { images: indices.length, loss: lossSum / indices.length, ...overlap.metrics(), auc };
  return { scores, perClass: overlap.pooled().map(metricsOf), cases, roc: rocs[0].curve() };
}

/** The logit of one class against all others: under softmax its own less the logarithm of the sum of the other exponentials. */
export function classScores(logits: Float32Array, classes: number, c: number, exclusive: boolean): Float32Array {
  if (classes === 1) return logits;
  const scores = new Float32Array(logits.length / classes);
  for (let pixel = 0; pixel < scores.length; pixel++) {
    const at = pixel * classes;
    scores[pixel] = logits[at + c];
    if (!exclusive) continue;
    let largest = Number.NEGATIVE_INFINITY;
    for (let k = 0; k < classes; k++) if (k !== c) largest = Math.max(largest, logits[at + k]);
    let sum = 0;
    for (let k = 0; k < classes; k++) if (k !== c) sum += Math.exp(logits[at + k] - largest);
    scores[pixel] -= largest + Math.log(sum);
  }
  return scores;
}
