/**
 * How well weights segment a set of cases: counts, metrics and the ROC, image by image in order.
 */
import { mean } from './averages.ts';
import { ignoredLabel } from './data/batch.ts';
import { cutIntoBatches } from './data/batches.ts';
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
  /** By class, each against the rest. */
  readonly rocs: readonly (readonly RocPoint[])[];
}

/** What is counted of one image. */
export interface ImageCounts {
  /** By class. */
  readonly counts: readonly Counts[];
  readonly loss: number;
}

/** All that scores are made of. Images in their order; histograms may be counted anywhere and merged. */
export class Tally {
  readonly images: ImageCounts[] = [];
  /** By class. */
  readonly rocs: readonly RocState[];

  constructor(classes: number) {
    this.rocs = Array.from({ length: classes }, () => new RocState());
  }

  scores(): Scores {
    const overlap = this.#overlap();
    const aucs = this.rocs.map(roc => roc.auc());
    const auc = { auc: mean(aucs.map(({ auc }) => auc)), halfWidth: mean(aucs.map(({ halfWidth }) => halfWidth)) };
    return { images: this.images.length, loss: mean(this.images.map(({ loss }) => loss)), ...overlap.metrics(), auc };
  }

  perClass(): Metrics[] {
    return this.#overlap().pooled().map(metricsOf);
  }

  #overlap(): OverlapState {
    const overlap = new OverlapState();
    for (const { counts } of this.images) overlap.add(counts);
    return overlap;
  }
}

export interface CountOptions {
  /** Images, or windows of them, that are predicted at once. */
  readonly batch: number;
  readonly signal?: AbortSignal;
  /** Called with each image and its logits [pixels, classes], in order. */
  readonly onImage?: (source: DecodedCase, logits: Float32Array) => void | Promise<void>;
}

/** Predicts the cases of a group and counts them. No batch of windows reaches beyond it, so a group may be computed anywhere. */
export async function countGroup(
  program: Program,
  store: CaseStore,
  group: readonly number[],
  tally: Tally,
  { batch, signal, onImage }: CountOptions,
): Promise<void> {
  const { classes, exclusive } = program.options;
  for await (const { source, logits, loss } of segment(program, store.read(group), { batch, signal })) {
    const labels = labelsInside(source);
    tally.images.push({ counts: countsOfImage(logits, labels, classes, exclusive), loss });
    tally.rocs.forEach((roc, c) => {
      const label = exclusive ? c : c + 1;
      const truth = labels.map(value => (value === ignoredLabel ? ignoredLabel : Number(value === label)));
      roc.add(classScores(logits, classes, c, exclusive), truth);
    });
    await onImage?.(source, logits);
  }
}

export async function evaluate(program: Program, store: CaseStore, indices: readonly number[], options: CountOptions): Promise<Evaluation> {
  const tally = new Tally(program.options.classes);
  for (const group of cutIntoBatches(indices, options.batch)) await countGroup(program, store, group, tally, options);
  const cases = indices.map((index, i) => {
    const { counts } = tally.images[i];
    return { id: store.cases[index].id, index, metrics: meanMetrics(counts.map(metricsOf)), counts };
  });
  return { scores: tally.scores(), perClass: tally.perClass(), cases, rocs: tally.rocs.map(roc => roc.curve()) };
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
