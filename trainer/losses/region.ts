/**
 * Losses of overlap between two regions. All are one formula, the Tversky index (Tversky 1977; Salehi et al. 2017, eq. 3) over
 * soft counts: TP = sum p t, FP = sum p (1-t), FN = sum (1-p) t.
 */
import * as tf from '@tensorflow/tfjs';
import { sumOverUnit, type UnitLoss } from './prediction.ts';

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
  ({ fpWeight, fnWeight, smooth, smoothNumerator = smooth, smoothDenominator = smooth }: TverskyOptions): UnitLoss =>
  (prediction, target, pool) => {
    const { probability_NHWC: p, complement_NHWC: q } = prediction;
    const truePositives = sumOverUnit(tf.mul(p, target), pool);
    const falsePositives = sumOverUnit(tf.mul(p, tf.sub(1, target)), pool);
    const falseNegatives = sumOverUnit(tf.mul(q, target), pool);
    const errors = tf.add(tf.mul(falsePositives, fpWeight), tf.mul(falseNegatives, fnWeight));
    const numerator = tf.add(errors, smoothDenominator - smoothNumerator);
    // Without smoothing an empty mask, predicted empty, would divide zero by zero.
    const denominator = tf.maximum(tf.add(tf.add(truePositives, errors), smoothDenominator), 1e-7);
    return tf.div(numerator, denominator);
  };

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
 *
 * Below 1 the power has an infinite slope at 0, a perfect prediction. The base is kept at 1e-7 there, with slope 0: no step is
 * taken from a perfect prediction.
 */
export const focalTversky =
  ({ exponent, ...options }: TverskyOptions & { exponent: number }): UnitLoss =>
  (prediction, target, pool) => {
    const base = tversky(options)(prediction, target, pool);
    const smallest = 1e-7;
    return tf.where(tf.greaterEqual(base, smallest), tf.pow(tf.maximum(base, smallest), exponent), tf.zerosLike(base)) as tf.Tensor2D;
  };
