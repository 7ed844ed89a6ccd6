/**
 * Scores that count objects, not pixels: which predicted object is which true one, and how many of both are left over.
 */
import type { Size } from '../data/decode.ts';

/** In twentieths, so that an overlap of exactly three fifths is compared without rounding: 0.5, 0.55, ... 0.95. */
const twentieths = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
export const iouThresholds = twentieths.map(n => n / 20);

/**
 * The connected components of a mask, numbered from 1 in the order of their first pixels, row by row. Pixels that touch by a side or
 * a corner are connected (8 neighbours), as in scikit-image's `label`, which the Data Science Bowl's starter kernels use; SciPy's
 * `label` takes 4.
 *
 * @param mask [height, width], foreground where not 0
 * @returns [height, width], 0 for background
 */
export function labelComponents(mask: ArrayLike<number>, { height, width }: Size): Int32Array {
  const labels = new Int32Array(mask.length);
  let numLabels = 0;
  for (let first = 0; first < mask.length; first++) {
    if (!mask[first] || labels[first]) continue;
    labels[first] = ++numLabels;
    const reached = [first];
    for (let at = reached.pop(); at !== undefined; at = reached.pop()) {
      const y = Math.floor(at / width);
      const x = at - y * width;
      for (let ny = Math.max(y - 1, 0); ny <= Math.min(y + 1, height - 1); ny++) {
        for (let nx = Math.max(x - 1, 0); nx <= Math.min(x + 1, width - 1); nx++) {
          const next = ny * width + nx;
          if (!mask[next] || labels[next]) continue;
          labels[next] = numLabels;
          reached.push(next);
        }
      }
    }
  }
  return labels;
}

export interface ObjectCounts {
  readonly threshold: number;
  /** Pairs of objects whose intersection over union is above the threshold. */
  readonly tp: number;
  /** Predicted objects without a true one. */
  readonly fp: number;
  /** True objects without a predicted one. */
  readonly fn: number;
}

/**
 * Counts at each of `iouThresholds`. From one half on an object overlaps at most one other by more than the threshold, so the
 * matching is unique and nothing has to be assigned.
 *
 * @param predicted labels of objects, any whole numbers, 0 for background
 * @param truth the same, of the same length
 */
export function matchObjects(predicted: ArrayLike<number>, truth: ArrayLike<number>): ObjectCounts[] {
  const areas = [new Map<number, number>(), new Map<number, number>()] as const;
  const overlaps = new Map<number, Map<number, number>>();
  const increment = (counts: Map<number, number>, key: number) => counts.set(key, (counts.get(key) ?? 0) + 1);
  for (let i = 0; i < predicted.length; i++) {
    const [p, t] = [predicted[i], truth[i]];
    if (p !== 0) increment(areas[0], p);
    if (t !== 0) increment(areas[1], t);
    if (p === 0 || t === 0) continue;
    const ofPredicted = overlaps.get(p) ?? new Map<number, number>();
    increment(ofPredicted, t);
    overlaps.set(p, ofPredicted);
  }
  const pairs = [...overlaps].flatMap(([p, ofPredicted]) =>
    [...ofPredicted].map(([t, intersection]) => ({
      intersection,
      union: areas[0].get(p)! + areas[1].get(t)! - intersection,
    })),
  );
  return twentieths.map(n => {
    const tp = pairs.filter(({ intersection, union }) => 20 * intersection > n * union).length;
    return { threshold: n / 20, tp, fp: areas[0].size - tp, fn: areas[1].size - tp };
  });
}

/**
 * Average precision of objects in one image as the Data Science Bowl 2018 scored it: the mean over the thresholds of
 * TP / (TP + FP + FN). Not the area under a precision-recall curve, which other fields call by this name: there are no confidences.
 * No object in either: 1.
 */
export function objectAveragePrecision(counts: readonly ObjectCounts[]): number {
  const precisions = counts.map(({ tp, fp, fn }) => (tp + fp + fn === 0 ? 1 : tp / (tp + fp + fn)));
  return precisions.reduce((sum, precision) => sum + precision, 0) / precisions.length;
}
