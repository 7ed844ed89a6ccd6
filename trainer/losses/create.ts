/**
 * From the specification of a loss to the function.
 */
import * as tf from '@tensorflow/tfjs';
import { type AdaptiveLogOptions, adaptiveLog } from './adaptiveLog.ts';
import { type LossSpec, type LossTree, minimumOf, simpleLoss } from './catalogue.ts';
import { fromLogits, type Truth, type UnitLoss } from './prediction.ts';

export interface LossValue {
  readonly value: tf.Scalar;
  /** With `adaptiveLog`: the wrapped losses [units, classes], which say on which branch each is. */
  readonly wrapped?: tf.Tensor2D;
}

/** What `adaptiveLog` wraps, measured from its minimum, so that it is never negative (the paper's absolute value). */
function wrappedLoss(loss: LossTree): UnitLoss {
  const inner = unitLoss(loss);
  const minimum = minimumOf(loss)!;
  return minimum === 0 ? inner : (...seen) => tf.sub(inner(...seen), minimum);
}

function unitLoss(loss: LossTree): UnitLoss {
  if (loss.name === 'adaptiveLog') {
    const wrapped = wrappedLoss(loss.of!);
    return (...seen) => adaptiveLog(wrapped(...seen), loss as unknown as AdaptiveLogOptions);
  }
  if (loss.terms) {
    const terms = loss.terms.map(term => ({ weight: term.weight, value: unitLoss(term) }));
    return (...seen) =>
      terms
        .map(({ weight, value }) => (weight === 1 ? value(...seen) : tf.mul<tf.Tensor2D>(value(...seen), weight)))
        .reduce((sum, term) => tf.add(sum, term));
  }
  return simpleLoss(loss.name)!.create(loss as unknown as Record<string, unknown>);
}

/**
 * The loss that a specification names, as a function of logits [N,H,W,C] (float32) and the truth.
 *
 * @param exclusive classes exclude each other (softmax); otherwise each is a sigmoid
 */
export function createLoss(spec: LossSpec, exclusive = false): (logits_NHWC: tf.Tensor4D, truth: Truth) => LossValue {
  const { pool, classes, classWeights, labelSmoothing = 0 } = spec;
  const join = (values_UC: tf.Tensor2D) => {
    const values_C = tf.mean(values_UC, 0);
    const weighted_C = classWeights ? tf.mul<tf.Tensor1D>(values_C, tf.tensor1d(classWeights)) : values_C;
    return classes === 'sum' ? tf.sum<tf.Scalar>(weighted_C) : tf.mean<tf.Scalar>(weighted_C);
  };
  const smoothed = (truth: Truth): Truth => {
    if (labelSmoothing === 0) return truth;
    const even = labelSmoothing / (exclusive ? truth.target_NHWC.shape[3] : 2);
    return { ...truth, target_NHWC: tf.add(tf.mul(truth.target_NHWC, 1 - labelSmoothing), even), soft: true };
  };
  const loss = spec.name === 'adaptiveLog' ? wrappedLoss(spec.of as LossTree) : unitLoss(spec as LossTree);
  return (logits, truth) => {
    const values = loss(fromLogits(logits, exclusive), smoothed(truth), pool);
    if (spec.name !== 'adaptiveLog') return { value: join(values) };
    return { value: join(adaptiveLog(values, spec)), wrapped: values };
  };
}
