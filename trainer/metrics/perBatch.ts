/**
 * Scores as Keras prints them while it trains and evaluates: a score a batch, then a mean over batches. Such numbers depend on the
 * batch size and on which images share a batch; they are here to be compared with what was published so, beside `pooled` and per image.
 *
 * How Keras weighs the batches has changed. In Keras 3 a metric that returns one number a batch counts the same for every batch, however
 * short the last one is (`keras.metrics.Mean`); in Keras 2.2 it was weighted with the number of images (`BaseLogger`).
 */
import { addCounts, type Counts, type Metrics, meanMetrics, metricNames, metricsOf, noCounts } from './counts.ts';

/** Sums over pixels of probability times truth, of probability, and of truth. */
export interface SoftSums {
  readonly intersection: number;
  readonly prediction: number;
  readonly truth: number;
}

export interface SoftScores {
  readonly jaccard: number;
  readonly dice: number;
}

/** Added to numerator and denominator of soft scores, as in the code of the paper's authors. */
export const softSmooth = 1;

/** @param logits of one class, one a pixel  @param foreground 0 or 1 a pixel */
export function softSums(logits: Float32Array, foreground: ArrayLike<number>): SoftSums {
  let [intersection, prediction, truth] = [0, 0, 0];
  for (let i = 0; i < logits.length; i++) {
    const probability = 1 / (1 + Math.exp(-logits[i]));
    prediction += probability;
    if (!foreground[i]) continue;
    intersection += probability;
    truth++;
  }
  return { intersection, prediction, truth };
}

/** Without a threshold: Jaccard (I + s) / (P + T - I + s), Dice (2 I + s) / (P + T + s), s = 1. */
export const softScores = ({ intersection, prediction, truth }: SoftSums): SoftScores => ({
  jaccard: (intersection + softSmooth) / (prediction + truth - intersection + softSmooth),
  dice: (2 * intersection + softSmooth) / (prediction + truth + softSmooth),
});

/** What an image adds to its batch, for each class. */
export interface ImageSums {
  readonly counts: readonly Counts[];
  readonly soft: readonly SoftSums[];
}

export interface PerBatch {
  readonly perBatch: Metrics;
  readonly soft: SoftScores;
}

/**
 * @param images in the order in which they were evaluated
 * @param batch images a batch; the last may have fewer
 * @returns means over batches where each counts the same, and where each counts by its images; of several classes the mean over classes
 */
export function scoresPerBatch(images: readonly ImageSums[], batch: number): Record<'equal' | 'byImages', PerBatch> {
  const batches = Array.from({ length: Math.ceil(images.length / batch) }, (_, b) => images.slice(b * batch, (b + 1) * batch));
  const scores = batches.map(scoresOfBatch);
  const mean = (weights: readonly number[]): PerBatch => {
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const average = (value: (score: PerBatch) => number) => scores.reduce((sum, score, b) => sum + (weights[b] / total) * value(score), 0);
    return {
      perBatch: Object.fromEntries(metricNames.map(name => [name, average(({ perBatch }) => perBatch[name])])) as Metrics,
      soft: { jaccard: average(({ soft }) => soft.jaccard), dice: average(({ soft }) => soft.dice) },
    };
  };
  return { equal: mean(batches.map(() => 1)), byImages: mean(batches.map(({ length }) => length)) };
}

function scoresOfBatch(images: readonly ImageSums[]): PerBatch {
  const classes = images[0].counts.map((_, c) => c);
  const counts = classes.map(c => images.reduce((sum, image) => addCounts(sum, image.counts[c]), noCounts));
  const soft = classes.map(c => softScores(images.map(image => image.soft[c]).reduce(addSoftSums)));
  const meanOf = (name: keyof SoftScores) => soft.reduce((sum, score) => sum + score[name], 0) / soft.length;
  return { perBatch: meanMetrics(counts.map(metricsOf)), soft: { jaccard: meanOf('jaccard'), dice: meanOf('dice') } };
}

const addSoftSums = (a: SoftSums, b: SoftSums): SoftSums => ({
  intersection: a.intersection + b.intersection,
  prediction: a.prediction + b.prediction,
  truth: a.truth + b.truth,
});
