/**
 * What a loss sees of a network's output (probabilities and their logarithms, each computed from the logits in the form that
 * neither overflows nor cancels) and of the truth. And what a loss gives: one value for each unit and class.
 *
 * Names of axes: N images, H rows, W columns, C classes, U units, P pixels of a unit. A unit is what region sums run over: the whole batch, or
 * one image.
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

export interface Truth {
  /** In [0,1]. */
  readonly target_NHWC: tf.Tensor4D;
  /** Whether targets between 0 and 1 occur: region losses then count overlap in a way that is right for them. */
  readonly soft?: boolean;
  /** 1 where a pixel counts, 0 where it is ignored. Left out: all count. */
  readonly valid_NHW1?: tf.Tensor4D;
  /** Signed distance of each pixel to the boundary of the class, negative inside, in pixels. For losses that need it. */
  readonly distance_NHWC?: tf.Tensor4D;
  /** Where the batch is spread over lanes: how its sums meet. */
  readonly across?: AcrossLanes;
}

export interface AcrossLanes {
  /** The sum over all lanes; its derivative by each lane's own part is 1. */
  readonly sum: (x: tf.Tensor2D) => tf.Tensor2D;
  /** Images of the whole batch. */
  readonly images: tf.Scalar;
}

/** `lane` is the share of a batch that is computed together; while a run has one lane it is the batch. */
export const pools = ['batch', 'lane', 'image'] as const;
export type Pool = (typeof pools)[number];

/** Prediction and truth -> [U,C]; or [U,1] from a loss that joins exclusive classes in a way of its own. */
export type UnitLoss = (prediction: Prediction, truth: Truth, pool: Pool) => tf.Tensor2D;

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

type Counting = Pick<Truth, 'valid_NHW1' | 'across'>;

/** Sums over the pixels of each unit that count: [N,H,W,C] -> [U,C]. */
export function sumOverUnit(x_NHWC: tf.Tensor4D, { valid_NHW1, across }: Counting, pool: Pool): tf.Tensor2D {
  const counted = valid_NHW1 ? tf.mul<tf.Tensor4D>(x_NHWC, valid_NHW1) : x_NHWC;
  if (pool === 'image') return tf.sum(counted, [1, 2]);
  const ofLane: tf.Tensor2D = tf.reshape(tf.sum(counted, [0, 1, 2]), [1, x_NHWC.shape[3]]);
  return pool === 'batch' && across ? across.sum(ofLane) : ofLane;
}

/** Means over the pixels of each unit that count: [N,H,W,C] -> [U,C]. Of no pixels the mean is 0. */
export function meanOverUnit(x_NHWC: tf.Tensor4D, truth: Counting, pool: Pool): tf.Tensor2D {
  const sum = sumOverUnit(x_NHWC, truth, pool);
  const { valid_NHW1, across } = truth;
  if (valid_NHW1) return tf.div(sum, tf.maximum(sumOverUnit(valid_NHW1, { across }, pool), 1));
  const [images, height, width] = x_NHWC.shape;
  if (pool === 'batch' && across) return tf.div(sum, tf.mul(across.images, height * width));
  return tf.div(sum, height * width * (pool === 'image' ? 1 : images));
}

/** The pixels of each unit and class side by side: [N,H,W,C] -> [U,C,P]. */
export function pixelsOfUnit(x_NHWC: tf.Tensor4D, pool: Pool): tf.Tensor3D {
  const [images, height, width, classes] = x_NHWC.shape;
  if (pool === 'image') return tf.reshape(tf.transpose(x_NHWC, [0, 3, 1, 2]), [images, classes, height * width]);
  return tf.reshape(tf.transpose(x_NHWC, [3, 0, 1, 2]), [1, classes, images * height * width]);
}

/** f(x) as a constant: its value, and no gradient. */
export function constantOf<X extends tf.Tensor, Y extends tf.Tensor>(x: X, f: (x: X) => Y): Y {
  return tf.customGrad(y => ({ value: f(y as X), gradFunc: () => tf.zerosLike(x) }))(x) as Y;
}

/**
 * x to a power, x at least 0. Below 1 the power has an infinite slope at 0, where the loss that is raised is perfect. There, below 1e-7,
 * this is 0 with slope 0: no step is taken from a perfect prediction.
 */
export function stablePower<T extends tf.Tensor>(x: T, exponent: number): T {
  const smallest = 1e-7;
  return tf.where(tf.greaterEqual(x, smallest), tf.pow(tf.maximum(x, smallest), exponent), tf.zerosLike(x)) as T;
}
