/**
 * Losses that are means over pixels: cross-entropy and its focal form, and its mean over the hardest pixels alone.
 */
import * as tf from '@tensorflow/tfjs';
import { constantOf, meanOverUnit, type Prediction, pixelsOfUnit, type Truth, type UnitLoss } from './prediction.ts';

/**
 * The two terms of a pixel's cross-entropy, focal where `focus` is above 0: -t (1-p)^f ln p and -(1-t) p^f ln(1-p), p the probability, t the
 * target. Where classes exclude each other the second is missing: the true class says all.
 */
export function entropyTerms(
  prediction: Prediction,
  { target_NHWC }: Truth,
  focus = 0,
): { positive: tf.Tensor4D; negative: tf.Tensor4D | undefined } {
  // As exp(f ln(1-p)) the power has a finite slope for any f, where the power itself has not.
  const term = (weight: tf.Tensor, log: tf.Tensor4D, logOfOther: tf.Tensor4D): tf.Tensor4D =>
    tf.neg(tf.mul(weight, focus === 0 ? log : tf.mul(log, tf.exp(tf.mul(logOfOther, focus)))));
  const { exclusive, logProbability_NHWC: log, logComplement_NHWC: logOfOther } = prediction;
  return { positive: term(target_NHWC, log, logOfOther), negative: exclusive ? undefined : term(tf.sub(1, target_NHWC), logOfOther, log) };
}

function weighted({ positive, negative }: ReturnType<typeof entropyTerms>, positiveWeight: number, negativeWeight = 1 - positiveWeight) {
  const times = (x: tf.Tensor4D, weight: number): tf.Tensor4D => (weight === 1 ? x : tf.mul(x, weight));
  const foreground = times(positive, positiveWeight);
  return negative ? tf.add<tf.Tensor4D>(foreground, times(negative, negativeWeight)) : foreground;
}

/** Cross-entropy, the mean over pixels of -[t ln p + (1-t) ln(1-p)]. At least 0. */
export const crossEntropy: UnitLoss = (prediction, truth, pool) =>
  meanOverUnit(weighted(entropyTerms(prediction, truth), 1, 1), truth, pool);

/**
 * Cross-entropy with weight w on foreground and 1-w on background. At least 0.
 *
 * @param negativeWeight of background, where it is not 1 - w
 */
export const weightedCrossEntropy =
  ({ positiveWeight, negativeWeight }: { positiveWeight: number; negativeWeight?: number }): UnitLoss =>
  (prediction, truth, pool) =>
    meanOverUnit(weighted(entropyTerms(prediction, truth), positiveWeight, negativeWeight), truth, pool);

/**
 * Focal loss, Lin et al. 2017, eq. 5: cross-entropy in which well predicted pixels count little. At least 0.
 *
 * @param positiveWeight their alpha, the weight of foreground; background has 1 - alpha
 * @param focus their gamma; at 0 and `positiveWeight` 0.5 this is half of cross-entropy
 */
export const focal =
  ({ positiveWeight, focus }: { positiveWeight: number; focus: number }): UnitLoss =>
  (prediction, truth, pool) =>
    meanOverUnit(weighted(entropyTerms(prediction, truth, focus), positiveWeight), truth, pool);

/**
 * Cross-entropy of the worst predicted pixels of each unit alone, their mean (Wu, Shen, van den Hengel 2016, "Bridging category-level and instance-level
 * semantic image segmentation"). At least 0. Pixels as bad as the last of them count too.
 *
 * @param share of the pixels of a unit, in (0, 1]
 */
export const topKCrossEntropy =
  ({ share }: { share: number }): UnitLoss =>
  (prediction, truth, pool) => {
    const terms = weighted(entropyTerms(prediction, truth), 1, 1);
    const counted = truth.valid_NHW1 ? tf.mul<tf.Tensor4D>(terms, truth.valid_NHW1) : terms;
    const pixels_UCP = pixelsOfUnit(counted, pool);
    const numKept = Math.max(1, Math.round(share * pixels_UCP.shape[2]));
    const among_UCP = constantOf(pixels_UCP, x => {
      const { values } = tf.topk(x, numKept);
      const least = tf.slice(values, [0, 0, numKept - 1], [-1, -1, 1]);
      return tf.cast(tf.greaterEqual(x, least), 'float32');
    });
    return tf.div(tf.sum(tf.mul(pixels_UCP, among_UCP), 2), tf.sum(among_UCP, 2)) as tf.Tensor2D;
  };
