/**
 * The Lovász extension of the Jaccard loss (Berman, Triki, Blaschko 2018): exactly the Jaccard loss on hard decisions, convex and piecewise
 * linear between them. Hinge for sigmoid classes, softmax form for exclusive ones.
 */
import * as tf from '@tensorflow/tfjs';
import { elementsAt } from '../engine/ops.ts';
import { constantOf, pixelsOfUnit, type UnitLoss } from './prediction.ts';

/**
 * Sum over pixels of error times the rise of the Jaccard loss when that pixel, after all with larger errors, turns wrong. At least 0.
 *
 * Error of a pixel: max(0, 1 - z s) with z the logit and s = +1 or -1 the truth (hinge, algorithm 1); |t - p| for exclusive classes (eq. 11).
 * A soft target counts as foreground from one half on.
 */
export const lovasz: UnitLoss = (prediction, truth, pool) => {
  const hard = tf.cast(tf.greaterEqual(truth.target_NHWC, 0.5), 'float32') as tf.Tensor4D;
  const errors = prediction.exclusive
    ? tf.add<tf.Tensor4D>(tf.mul(hard, prediction.complement_NHWC), tf.mul(tf.sub(1, hard), prediction.probability_NHWC))
    : hinge(tf.sub(prediction.logProbability_NHWC, prediction.logComplement_NHWC), hard);
  // Pixels that do not count have no error and are no foreground, so that they sort last and change nothing before them.
  const valid = truth.valid_NHW1;
  const [errors_UCP, hard_UCP] = [errors, hard].map(x => pixelsOfUnit(valid ? tf.mul(x, valid) : x, pool));
  const weights_UCP = constantOf(errors_UCP, x => jaccardRises(x, hard_UCP));
  return tf.sum(tf.mul(errors_UCP, weights_UCP), 2) as tf.Tensor2D;
};

const hinge = (logits: tf.Tensor4D, hard: tf.Tensor4D): tf.Tensor4D =>
  tf.relu(tf.sub<tf.Tensor4D>(1, tf.mul(logits, tf.sub(tf.mul(hard, 2), 1))));

/** For each pixel, in its own place, how much the Jaccard loss rises when it joins those with larger errors: [U,C,P], P summed gives 1 at most. */
function jaccardRises(errors_UCP: tf.Tensor3D, hard_UCP: tf.Tensor3D): tf.Tensor3D {
  const [units, classes, pixels] = errors_UCP.shape;
  const rows = (x: tf.Tensor3D) => tf.unstack(tf.reshape(x, [units * classes, pixels])) as tf.Tensor1D[];
  const hardRows = rows(hard_UCP);
  const rises = rows(errors_UCP).map((row, i) => {
    const order = tf.topk(row, pixels).indices as tf.Tensor1D;
    const sorted = elementsAt(hardRows[i], order);
    const foreground = tf.sum(sorted);
    const intersection = tf.sub(foreground, tf.cumsum(sorted));
    const union = tf.add(foreground, tf.cumsum(tf.sub(1, sorted)));
    const losses = tf.sub(1, tf.div(intersection, union)) as tf.Tensor1D;
    const before = tf.concat1d([tf.zeros([1]), tf.slice(losses, 0, pixels - 1)]);
    const place = tf.topk(tf.neg(order), pixels).indices; // where each pixel stands in the order
    return elementsAt(tf.sub(losses, before), place as tf.Tensor1D);
  });
  return tf.reshape(tf.stack(rises), [units, classes, pixels]);
}
