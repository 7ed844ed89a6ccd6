/**
 * Combo loss (Taghanaki et al. 2019, eq. 3): weighted cross-entropy against the Dice score.
 */
import * as tf from '@tensorflow/tfjs';
import { weightedCrossEntropy } from './pixel.ts';
import type { UnitLoss } from './prediction.ts';
import { dice, type Smoothing } from './region.ts';

/**
 * mix * wCE - (1 - mix) * Dice score. At least -(1 - mix): a perfect prediction is negative.
 *
 * The authors' released file has the wrong sign on the background term; this is the sign of the paper.
 *
 * @param mix their alpha, the share of cross-entropy
 * @param positiveWeight their beta, the weight of foreground in the cross-entropy
 */
export const combo =
  ({ mix, positiveWeight, ...smoothing }: { mix: number; positiveWeight: number } & Smoothing): UnitLoss =>
  (prediction, target, pool) => {
    const entropy = weightedCrossEntropy({ positiveWeight })(prediction, target, pool);
    const minusScore = tf.sub(dice(smoothing)(prediction, target, pool), 1);
    return tf.add(tf.mul(entropy, mix), tf.mul(minusScore, 1 - mix));
  };
