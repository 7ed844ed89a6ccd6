/**
 * What a loss sees of a network's output: probabilities and their logarithms, each computed from the logits in the form that
 * neither overflows nor cancels. And what a loss gives: one value for each unit and class.
 *
 * Names of axes: N images, H rows, W columns, C classes, U units. A unit is what region sums run over: the whole batch, or one image.
 */
import * as tf from '@tensorflow/tfjs';

export interface Prediction {
  readonly exclusive: boolean;
  readonly probability_NHWC: tf.Tensor4D;
  /** 1 - probability */
  readonly complement_NHWC: tf.Tensor4D;
  readonly logProbability_NHWC: tf.Tensor4D;
  /** ln(1 - probability) */
  readonly logComplement_NHWC: tf.Tensor4D;
}

/** `lane` is the share of a batch that is computed together; while a run has one lane it is the batch. */
export const pools = ['batch', 'lane', 'image'] as const;
export type Pool = (typeof pools)[number];

/** Logits and target [N,H,W,C] -> [U,C]. */
export type UnitLoss = (prediction: Prediction, target_NHWC: tf.Tensor4D, pool: Pool) => tf.Tensor2D;

/** @param exclusive each pixel belongs to exactly one class (softmax); otherwise each class is decided by itself (sigmoid) */
export function fromLogits(logits_NHWC: tf.Tensor4D, exclusive: boolean): Prediction {
  return exclusive ? softmaxPrediction(logits_NHWC) : sigmoidPrediction(logits_NHWC);
}

function sigmoidPrediction(z: tf.Tensor4D): Prediction {
  return {
    exclusive: false,
    get probability_NHWC() {
      return tf.sigmoid(z);
    },
    get complement_NHWC() {
      return tf.sigmoid(tf.neg(z));
    },
    get logProbability_NHWC() {
      return tf.neg(tf.softplus(tf.neg(z)));
    },
    get logComplement_NHWC() {
      return tf.neg(tf.softplus(z));
    },
  };
}

function softmaxPrediction(z: tf.Tensor4D): Prediction {
  const logProbability = tf.logSoftmax(z);
  const probability = tf.exp(logProbability);
  const complement = tf.sub(1, probability) as tf.Tensor4D;
  return {
    exclusive: true,
    probability_NHWC: probability,
    complement_NHWC: complement,
    logProbability_NHWC: logProbability,
    // The slope of ln at 0 is infinite; that of anything made from it here is not, once ln is kept from 0.
    get logComplement_NHWC() {
      return tf.log(tf.maximum(complement, 1e-7)) as tf.Tensor4D;
    },
  };
}

/** Sums over the pixels of each unit: [N,H,W,C] -> [U,C]. */
export function sumOverUnit(x_NHWC: tf.Tensor4D, pool: Pool): tf.Tensor2D {
  return pool === 'image' ? tf.sum(x_NHWC, [1, 2]) : tf.reshape(tf.sum(x_NHWC, [0, 1, 2]), [1, -1]);
}

/** Means over the pixels of each unit: [N,H,W,C] -> [U,C]. */
export function meanOverUnit(x_NHWC: tf.Tensor4D, pool: Pool): tf.Tensor2D {
  const [images, height, width] = x_NHWC.shape;
  return tf.div(sumOverUnit(x_NHWC, pool), height * width * (pool === 'image' ? 1 : images));
}
