/**
 * Losses of overlap between two regions, over soft counts of true positives, false positives and false negatives. Most are one formula,
 * the Tversky index (Tversky 1977; Salehi et al. 2017, eq. 3).
 */
import * as tf from '@tensorflow/tfjs';
import { type Pool, type Prediction, stablePower, sumOverUnit, type Truth, type UnitLoss } from './prediction.ts';

export interface Smoothing {
  /** Added to numerator and denominator of the index. */
  readonly smooth: number;
  readonly smoothNumerator?: number;
  readonly smoothDenominator?: number;
}

export interface TverskyOptions extends Smoothing {
  readonly fpWeight: number;
  readonly fnWeight: number;
}

export interface SoftCounts {
  readonly tp: tf.Tensor2D;
  readonly fp: tf.Tensor2D;
  readonly fn: tf.Tensor2D;
}

/**
 * TP = sum p t, FP = sum p (1-t), FN = sum (1-p) t, each [U,C].
 *
 * For targets between 0 and 1 the product is wrong: it is largest at p = 1, not at p = t. There TP = sum min(p,t), FP and FN what p and t
 * have beyond it (Wang et al. 2023, "Jaccard metric losses"): the same numbers where t is 0 or 1.
 */
export function softCounts(prediction: Prediction, truth: Truth, pool: Pool): SoftCounts {
  const { probability_NHWC: p, complement_NHWC: q } = prediction;
  const { target_NHWC: t, soft } = truth;
  const sum = (x: tf.Tensor4D) => sumOverUnit(x, truth, pool);
  if (!soft) return { tp: sum(tf.mul(p, t)), fp: sum(tf.mul(p, tf.sub(1, t))), fn: sum(tf.mul(q, t)) };
  const beyond = tf.relu(tf.sub<tf.Tensor4D>(p, t));
  return { tp: sum(tf.sub(p, beyond)), fp: sum(beyond), fn: sum(tf.relu(tf.sub<tf.Tensor4D>(t, p))) };
}

/** The Tversky loss of counts. */
export function tverskyOf({ tp, fp, fn }: SoftCounts, options: TverskyOptions): tf.Tensor2D {
  const { fpWeight, fnWeight, smooth, smoothNumerator = smooth, smoothDenominator = smooth } = options;
  const errors = tf.add(tf.mul(fp, fpWeight), tf.mul(fn, fnWeight));
  const numerator = tf.add(errors, smoothDenominator - smoothNumerator);
  // Without smoothing an empty mask, predicted empty, would divide zero by zero.
  const denominator = tf.maximum(tf.add(tf.add(tp, errors), smoothDenominator), 1e-7);
  return tf.div(numerator, denominator);
}

/**
 * Tversky loss: 1 - (TP + s) / (TP + a FP + b FN + s), in [0, 1).
 *
 * Computed as (a FP + b FN) / (TP + a FP + b FN + s): a sum of non-negative terms, so that a nearly perfect prediction gives a small
 * non-negative number where `1 - index` would give the rounding error of 1.
 *
 * @param fpWeight a, the weight of false positives
 * @param fnWeight b, the weight of false negatives
 */
export const tversky =
  (options: TverskyOptions): UnitLoss =>
  (prediction, truth, pool) =>
    tverskyOf(softCounts(prediction, truth, pool), options);

const half = (value: number | undefined) => (value === undefined ? undefined : value / 2);

/** Dice loss: 1 - (2 TP + s) / (2 TP + FP + FN + s), in [0, 1): Tversky with weights of one half and half the smoothing. */
export const dice = ({ smooth, smoothNumerator, smoothDenominator }: Smoothing): UnitLoss =>
  tversky({
    fpWeight: 0.5,
    fnWeight: 0.5,
    smooth: smooth / 2,
    smoothNumerator: half(smoothNumerator),
    smoothDenominator: half(smoothDenominator),
  });

/** Jaccard loss: 1 - (TP + s) / (TP + FP + FN + s), in [0, 1): Tversky with weights of one. */
export const jaccard = (smoothing: Smoothing): UnitLoss => tversky({ fpWeight: 1, fnWeight: 1, ...smoothing });

/**
 * Focal Tversky loss: Tversky loss to a power (Abraham and Khan 2019, eq. 4; `exponent` 0.75 is their 1/gamma with gamma 4/3). In [0, 1).
 */
export const focalTversky =
  ({ exponent, ...options }: TverskyOptions & { exponent: number }): UnitLoss =>
  (prediction, truth, pool) =>
    stablePower(tversky(options)(prediction, truth, pool), exponent);

/** ln cosh of the Dice loss (Jadon 2020): its square over two near 0. In [0, ln cosh 1). */
export const logCoshDice =
  (smoothing: Smoothing): UnitLoss =>
  (prediction, truth, pool) => {
    // cosh d - 1 = 2 sinh^2(d/2): no cancellation near 0.
    const d = dice(smoothing)(prediction, truth, pool);
    return tf.log1p(tf.mul(tf.square(tf.sinh(tf.div(d, 2))), 2)) as tf.Tensor2D;
  };

/**
 * Generalised Dice loss (Sudre et al. 2017): one ratio over the classes, each weighted by its size in the truth, so that small ones count as much as
 * large ones. 1 - 2 sum w TP / sum w (2 TP + FP + FN), in [0, 1]; a class that is absent has the largest weight of those present.
 *
 * Exclusive classes are joined to one value [U,1]. Otherwise each class is a problem of two, itself and its background: [U,C].
 *
 * @param weighting by size^-2 (`square`, the paper's), size^-1 (`simple`), or none
 */
export const generalisedDice =
  ({ weighting }: { weighting: 'square' | 'simple' | 'uniform' }): UnitLoss =>
  (prediction, truth, pool) => {
    const counts = softCounts(prediction, truth, pool);
    const ofTruth = (t: tf.Tensor4D) => sumOverUnit(t, truth, pool);
    const size = ofTruth(truth.target_NHWC);
    // Groups [U,C,G] of what is joined.
    const groups = (foreground: tf.Tensor2D, background: () => tf.Tensor2D): tf.Tensor3D =>
      prediction.exclusive ? tf.expandDims<tf.Tensor3D>(foreground, 1) : (tf.stack([foreground, background()], 2) as tf.Tensor3D);
    const sizes = groups(size, () => ofTruth(tf.sub(1, truth.target_NHWC)));
    const errors = groups(tf.add(counts.fp, counts.fn), () => tf.add(counts.fp, counts.fn));
    const hits = groups(counts.tp, () => {
      const all = sumOverUnit(tf.onesLike(truth.target_NHWC), truth, pool);
      return tf.sub(tf.sub(tf.sub(all, counts.tp), counts.fp), counts.fn);
    });
    const weights = weighting === 'uniform' ? tf.onesLike(sizes) : relativeWeights(sizes, weighting === 'square' ? 2 : 1);
    const weightedErrors = tf.sum(tf.mul(weights, errors), 2);
    const weightedHits = tf.sum(tf.mul(weights, hits), 2);
    return tf.div(weightedErrors, tf.maximum(tf.add(tf.mul(weightedHits, 2), weightedErrors), 1e-7)) as tf.Tensor2D;
  };

/** (smallest size / size)^power: the ratio of a sum of such is that of size^-power, without its tiny numbers; of absent classes 1. */
function relativeWeights(sizes: tf.Tensor3D, power: number): tf.Tensor3D {
  const absent = tf.cast(tf.less(sizes, 1e-3), 'float32');
  const smallest = tf.min(tf.add(sizes, tf.mul(absent, 1e30)), 2, true);
  const ratio = tf.minimum(tf.div(smallest, tf.maximum(sizes, 1e-3)), 1);
  return tf.pow(ratio, power) as tf.Tensor3D;
}
