/**
 * Combo loss (Taghanaki et al. 2019, eq. 3): weighted cross-entropy against the Dice score.
 */
import * as tf from '@tensorflow/tfjs';
import { weightedCrossEntropy } from './pixel.ts';
import type { UnitLoss } from './prediction.ts';
import { dice, type Smoothing } from './region.ts';

export interface ComboOptions extends Smoothing {
  /** Their alpha, the share of cross-entropy. */
  readonly mix: number;
  /** Their beta, the weight of foreground in the cross-entropy. */
  readonly positiveWeight: number;
  readonly asReleased: boolean;
}

/**
 * mix * wCE - (1 - mix) * Dice score. At least -(1 - mix): a perfect prediction is negative.
 *
 * The sign is that of the paper. In the authors' file, since October 2019, the background's term has the other one, which rewards false positives
 * without bound; `asReleased` is that loss, for runs that shall repeat it.
 */
export const combo =
  ({ mix, positiveWeight, asReleased, ...smoothing }: ComboOptions): UnitLoss =>
  (prediction, truth, pool) => {
    const negativeWeight = asReleased ? positiveWeight - 1 : 1 - positiveWeight;
    const entropy = weightedCrossEntropy({ positiveWeight, negativeWeight })(prediction, truth, pool);
    const minusScore = tf.sub(dice(smoothing)(prediction, truth, pool), 1);
    return tf.add(tf.mul(entropy, mix), tf.mul(minusScore, 1 - mix));
  };
