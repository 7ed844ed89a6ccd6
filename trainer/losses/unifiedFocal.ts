/**
 * Unified focal loss (Yeung et al. 2022): a focal cross-entropy and a focal Tversky loss under three common hyper-parameters.
 */
import * as tf from '@tensorflow/tfjs';
import { entropyTerms } from './pixel.ts';
import { meanOverUnit, type Pool, type Prediction, stablePower, sumOverUnit, type Truth, type UnitLoss } from './prediction.ts';
import { type Smoothing, type SoftCounts, softCounts, tverskyOf } from './region.ts';

export interface UnifiedFocalOptions extends Smoothing {
  /** Their lambda, the share of the Tversky part. */
  readonly mix: number;
  /** Their delta: the weight of foreground in the cross-entropy, and of false negatives in the Tversky index. */
  readonly positiveWeight: number;
  /** Their gamma, in [0, 1): how strongly background is discounted and foreground enhanced. */
  readonly focus: number;
  /** Symmetric: both kinds of term for foreground and background. Asymmetric: the discount for background, the enhancement for foreground. */
  readonly symmetric: boolean;
}

/**
 * mix * mean over classes of the Tversky parts + (1 - mix) * mean over pixels of the sum over classes of the cross-entropies. At least 0.
 *
 *   cross-entropy   foreground d t (-ln p)                    background (1-d) (1-t) p^f (-ln(1-p))
 *   Tversky         foreground (1 - TI)^(1-f)                  background 1 - TI
 *
 * d = positiveWeight, f = focus, TI the Tversky index with d on false negatives and 1-d on false positives; symmetric: foreground's
 * cross-entropy is discounted by (1-p)^f too, and background's Tversky part has the power 1-f too. (mlyg's implementation is followed.)
 *
 * Exclusive classes, of which the first is background, are joined to one value [U,1]; otherwise each class is a problem of two: [U,C].
 */
export const unifiedFocal =
  ({ mix, positiveWeight, focus, symmetric, ...smoothing }: UnifiedFocalOptions): UnitLoss =>
  (prediction, truth, pool) => {
    const foreground = { weight: positiveWeight, entropyFocus: symmetric ? focus : 0, power: 1 - focus };
    const background = { weight: 1 - positiveWeight, entropyFocus: focus, power: symmetric ? 1 - focus : 1 };
    const tversky = (counts: SoftCounts, { power }: typeof foreground) => {
      const loss = tverskyOf(counts, { fpWeight: 1 - positiveWeight, fnWeight: positiveWeight, ...smoothing });
      return power === 1 ? loss : stablePower(loss, power);
    };
    const counts = softCounts(prediction, truth, pool);
    if (!prediction.exclusive) {
      const { positive } = entropyTerms(prediction, truth, foreground.entropyFocus);
      const negative = entropyTerms(prediction, truth, background.entropyFocus).negative!;
      const entropy = tf.add<tf.Tensor4D>(tf.mul(positive, foreground.weight), tf.mul(negative, background.weight));
      const parts = tf.add(tversky(counts, foreground), tversky(ofBackground(counts, prediction, truth, pool), background));
      return tf.add(tf.mul(parts, mix / 2), tf.mul(meanOverUnit(entropy, truth, pool), 1 - mix));
    }
    // Which classes are which, as a row [1,C].
    const { shape } = truth.target_NHWC;
    const isBackground = tf.oneHot(tf.tensor1d([0], 'int32'), shape[3]).cast('float32') as tf.Tensor2D;
    const choose = (first: tf.Tensor2D, others: tf.Tensor2D) =>
      tf.add<tf.Tensor2D>(tf.mul(first, isBackground), tf.mul(others, tf.sub(1, isBackground)));
    const entropyOf = ({ weight, entropyFocus }: typeof foreground) =>
      tf.mul<tf.Tensor2D>(meanOverUnit(entropyTerms(prediction, truth, entropyFocus).positive, truth, pool), weight);
    const entropies = choose(entropyOf(background), entropyOf(foreground));
    const parts = choose(tversky(counts, background), tversky(counts, foreground));
    return tf.add(tf.mul(tf.mean(parts, 1, true), mix), tf.mul(tf.sum(entropies, 1, true), 1 - mix));
  };

/** The counts of everything that is not the class: what was false for one is false for the other. */
function ofBackground({ fp, fn }: SoftCounts, prediction: Prediction, truth: Truth, pool: Pool): SoftCounts {
  const { probability_NHWC: p, complement_NHWC: q } = prediction;
  const { target_NHWC: t, soft } = truth;
  // As in `softCounts`, of what is not the class: the smaller of 1 - p and 1 - t where targets are soft.
  const hits = soft ? tf.sub<tf.Tensor4D>(q, tf.relu(tf.sub<tf.Tensor4D>(t, p))) : tf.mul<tf.Tensor4D>(q, tf.sub(1, t));
  return { tp: sumOverUnit(hits, truth, pool), fp: fn, fn: fp };
}
