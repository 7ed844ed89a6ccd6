/**
 * Overlap metrics from the four counts of a confusion matrix. Counts add up exactly (whole numbers far below 2^53), so they may be
 * gathered in any order and merged from any number of workers.
 *
 * Rule for empty masks: a ratio whose denominator is 0 is 1 where there was nothing to get wrong and nothing was (prediction and
 * truth agree on that emptiness), else 0. So an empty mask predicted empty scores 1, and one stray pixel on it scores 0.
 */

import { ignoredLabel } from '../data/batch.ts';

export interface Counts {
  readonly tp: number;
  readonly fp: number;
  readonly fn: number;
  readonly tn: number;
}

export const noCounts: Counts = { tp: 0, fp: 0, fn: 0, tn: 0 };

export const addCounts = (a: Counts, b: Counts): Counts => ({ tp: a.tp + b.tp, fp: a.fp + b.fp, fn: a.fn + b.fn, tn: a.tn + b.tn });

export const metricNames = ['jaccard', 'dice', 'precision', 'recall', 'specificity', 'f1', 'accuracy'] as const;
export type MetricName = (typeof metricNames)[number];
export type Metrics = Readonly<Record<MetricName, number>>;

export const emptyMaskRule = 'a ratio of 0 to 0 is 1 where prediction and truth agree, else 0';

export function metricsOf({ tp, fp, fn, tn }: Counts): Metrics {
  const ratio = (numerator: number, denominator: number, wrong: number) => {
    if (denominator > 0) return numerator / denominator;
    return wrong === 0 ? 1 : 0;
  };
  const dice = ratio(2 * tp, 2 * tp + fp + fn, 0);
  return {
    jaccard: ratio(tp, tp + fp + fn, 0),
    dice,
    precision: ratio(tp, tp + fp, fn),
    recall: ratio(tp, tp + fn, fp),
    specificity: ratio(tn, tn + fp, fn),
    f1: dice, // the same number under its other name
    accuracy: ratio(tp + tn, tp + fp + fn + tn, 0),
  };
}

/** The ISIC challenge of 2018 (task 1) takes a Jaccard below this for a failure. */
export const isicThreshold = 0.65;

/** The Jaccard of an image as ISIC scores it: itself, or 0 where it is below 0.65. */
export const thresholdedJaccard = (jaccard: number): number => (jaccard < isicThreshold ? 0 : jaccard);

/**
 * Counts of one image, for each class.
 *
 * @param logits [pixels, classes]
 * @param labels [pixels]; those of `ignoredLabel` do not count
 * @param exclusive the predicted class is that of the largest logit and labels are class numbers; otherwise class c is predicted
 *   where its logit is above 0 (probability above one half) and is true where the label is c + 1
 */
export function countsOfImage(logits: Float32Array, labels: Uint8Array, classes: number, exclusive: boolean): Counts[] {
  const tp = new Float64Array(classes);
  const fp = new Float64Array(classes);
  const fn = new Float64Array(classes);
  let counted = 0;
  for (let pixel = 0; pixel < labels.length; pixel++) {
    if (labels[pixel] === ignoredLabel) continue;
    counted++;
    const at = pixel * classes;
    const truth = exclusive ? labels[pixel] : labels[pixel] - 1;
    if (exclusive) {
      let predicted = 0;
      for (let c = 1; c < classes; c++) if (logits[at + c] > logits[at + predicted]) predicted = c;
      if (predicted === truth) tp[truth]++;
      else {
        fp[predicted]++;
        fn[truth]++;
      }
    } else {
      for (let c = 0; c < classes; c++) {
        if (logits[at + c] > 0) {
          if (c === truth) tp[c]++;
          else fp[c]++;
        } else if (c === truth) fn[c]++;
      }
    }
  }
  return Array.from({ length: classes }, (_, c) => ({ tp: tp[c], fp: fp[c], fn: fn[c], tn: counted - tp[c] - fp[c] - fn[c] }));
}

export interface Overlap {
  /** From the counts of all images together. */
  readonly pooled: Metrics;
  /** The mean over images of the metrics of each. */
  readonly perImage: Metrics;
}

/** Gathers counts image by image; of several classes the metrics are the mean over classes. */
export class OverlapState {
  readonly images: Counts[][] = [];

  add(counts: readonly Counts[]): void {
    this.images.push([...counts]);
  }

  /** Counts of all images together, for each class. */
  pooled(): Counts[] {
    return (this.images[0] ?? []).map((_, c) => this.images.reduce((sum, image) => addCounts(sum, image[c]), noCounts));
  }

  metrics(): Overlap {
    return {
      pooled: meanMetrics(this.pooled().map(metricsOf)),
      perImage: meanMetrics(this.images.map(image => meanMetrics(image.map(metricsOf)))),
    };
  }
}

export function meanMetrics(all: readonly Metrics[]): Metrics {
  const mean = (name: MetricName) => all.reduce((sum, metrics) => sum + metrics[name], 0) / all.length;
  return Object.fromEntries(metricNames.map(name => [name, mean(name)])) as Metrics;
}
