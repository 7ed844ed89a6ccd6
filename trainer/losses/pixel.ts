/**
 * Losses that are means over pixels: cross-entropy and its focal form.
 */
import * as tf from '@tensorflow/tfjs';
import { meanOverUnit, type Prediction, type UnitLoss } from './prediction.ts';

/**
 * -[w t (1-p)^f ln p + (1-w) (1-t) p^f ln(1-p)] for each pixel, p the probability, t the target.
 * Where classes exclude each other only the term of the true class, w t (1-p)^f ln p, is there.
 */
function weightedTerms(prediction: Prediction, target_NHWC: tf.Tensor4D, positiveWeight: number, focus: number): tf.Tensor4D {
  // As exp(f ln(1-p)) the power has a finite slope for any f, where the power itself has not.
  const modulated = (log: tf.Tensor4D, logOfOther: tf.Tensor4D) => (focus === 0 ? log : tf.mul(log, tf.exp(tf.mul(logOfOther, focus))));
  const positive = tf.mul(target_NHWC, modulated(prediction.logProbability_NHWC, prediction.logComplement_NHWC));
  if (prediction.exclusive) return tf.mul(positive, -positiveWeight);
  const negative = tf.mul(tf.sub(1, target_NHWC), modulated(prediction.logComplement_NHWC, prediction.logProbability_NHWC));
  return tf.add(tf.mul(positive, -positiveWeight), tf.mul(negative, positiveWeight - 1));
}

/** Cross-entropy, the mean over pixels of -[t ln p + (1-t) ln(1-p)]. At least 0. */
export const crossEntropy: UnitLoss = (prediction, target, pool) =>
  tf.mul(meanOverUnit(weightedTerms(prediction, target, 0.5, 0), pool), 2);

/** Cross-entropy with weight w on foreground and 1-w on background. At least 0. */
export const weightedCrossEntropy =
  ({ positiveWeight }: { positiveWeight: number }): UnitLoss =>
  (prediction, target, pool) =>
    meanOverUnit(weightedTerms(prediction, target, positiveWeight, 0), pool);

/**
 * Focal loss, Lin et al. 2017, eq. 5: cross-entropy in which well predicted pixels count little. At least 0.
 *
 * @param positiveWeight their alpha, the weight of foreground; background has 1 - alpha
 * @param focus their gamma; at 0 and `positiveWeight` 0.5 this is half of cross-entropy
 */
export const focal =
  ({ positiveWeight, focus }: { positiveWeight: number; focus: number }): UnitLoss =>
  (prediction, target, pool) =>
    meanOverUnit(weightedTerms(prediction, target, positiveWeight, focus), pool);
