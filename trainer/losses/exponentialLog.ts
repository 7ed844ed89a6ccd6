/**
 * Exponential logarithmic loss (Wong et al. 2018, "3D segmentation with exponential logarithmic loss for highly unbalanced object sizes").
 */
import * as tf from '@tensorflow/tfjs';
import { entropyTerms } from './pixel.ts';
import { meanOverUnit, stablePower, type UnitLoss } from './prediction.ts';
import { dice, type Smoothing } from './region.ts';

export interface ExponentialLogOptions extends Smoothing {
  /** Share of the Dice part; the rest is cross-entropy. */
  readonly mix: number;
  readonly exponent: number;
  /** Weight of foreground in the cross-entropy. */
  readonly positiveWeight: number;
}

/**
 * mix * (-ln Dice)^g + (1 - mix) * mean of [w t (-ln p)^g + (1-w) (1-t) (-ln(1-p))^g], g the exponent, w the weight of foreground. At least 0.
 * The paper has weights of 0.8 and 0.2, g = 0.3, and w by the frequency of the class, which is for the job to say here.
 */
export const exponentialLog =
  ({ mix, exponent, positiveWeight, ...smoothing }: ExponentialLogOptions): UnitLoss =>
  (prediction, truth, pool) => {
    const loss = tf.minimum(dice(smoothing)(prediction, truth, pool), 1 - 1e-6);
    const ofDice = stablePower(tf.neg(tf.log1p(tf.neg(loss))) as tf.Tensor2D, exponent);
    // t (-ln p)^g: the target outside the power.
    const { target_NHWC: t } = truth;
    const { positive, negative } = entropyTerms(prediction, { ...truth, target_NHWC: tf.onesLike(t) });
    const background = negative && entropyTerms(prediction, { ...truth, target_NHWC: tf.zerosLike(t) }).negative!;
    const foregroundTerm = tf.mul<tf.Tensor4D>(tf.mul(t, stablePower(positive, exponent)), positiveWeight);
    const terms = background
      ? tf.add<tf.Tensor4D>(foregroundTerm, tf.mul(tf.mul(tf.sub(1, t), stablePower(background, exponent)), 1 - positiveWeight))
      : foregroundTerm;
    return tf.add(tf.mul(ofDice, mix), tf.mul(meanOverUnit(terms, truth, pool), 1 - mix));
  };
