/**
 * Soft clDice (Shit et al. 2021, "clDice: a novel topology-preserving loss function for tubular structure segmentation"): overlap of each
 * region's centreline with the other region, for vessels.
 */
import * as tf from '@tensorflow/tfjs';
import { sumOverUnit, type UnitLoss } from './prediction.ts';

export interface SoftClDiceOptions {
  /** Erosions that a skeleton is made of; at least the largest radius of a vessel, in pixels. */
  readonly iterations: number;
  readonly smooth: number;
}

const largest = (x: tf.Tensor4D, window: [number, number]) => tf.maxPool(x, window, 1, 'same');

/** The least of a pixel and its four neighbours. */
const erode = (x: tf.Tensor4D): tf.Tensor4D => {
  const opposite = tf.neg(x) as tf.Tensor4D;
  return tf.neg(tf.maximum(largest(opposite, [3, 1]), largest(opposite, [1, 3])));
};

/** What an opening takes away: what is thinner than the window. */
const thinParts = (x: tf.Tensor4D): tf.Tensor4D => tf.relu(tf.sub<tf.Tensor4D>(x, largest(erode(x), [3, 3])));

/** Soft skeleton, algorithm 1 of the paper: [N,H,W,C] in [0,1] -> the same. */
export function softSkeleton(x: tf.Tensor4D, iterations: number): tf.Tensor4D {
  let eroded = x;
  let skeleton = thinParts(x);
  for (let i = 0; i < iterations; i++) {
    eroded = erode(eroded);
    const more = thinParts(eroded);
    skeleton = tf.add(skeleton, tf.relu(tf.sub(more, tf.mul(skeleton, more))));
  }
  return skeleton;
}

/** 1 - the harmonic mean of topology precision and topology sensitivity (algorithm 2), in [0, 1). */
export const softClDice =
  ({ iterations, smooth }: SoftClDiceOptions): UnitLoss =>
  (prediction, truth, pool) => {
    const { probability_NHWC: p } = prediction;
    const { target_NHWC: t } = truth;
    const share = (skeleton: tf.Tensor4D, region: tf.Tensor4D) =>
      tf.div(
        tf.add(sumOverUnit(tf.mul(skeleton, region), truth, pool), smooth),
        tf.maximum(tf.add(sumOverUnit(skeleton, truth, pool), smooth), 1e-7),
      );
    const precision = share(softSkeleton(p, iterations), t);
    const sensitivity = share(softSkeleton(t, iterations), p);
    const harmonic = tf.div(tf.mul(tf.mul(precision, sensitivity), 2), tf.maximum(tf.add(precision, sensitivity), 1e-7));
    return tf.sub(1, harmonic) as tf.Tensor2D;
  };
