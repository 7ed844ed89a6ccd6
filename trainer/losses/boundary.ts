/**
 * Boundary loss (Kervadec et al. 2019, "Boundary loss for highly unbalanced segmentation"): foreground predicted far from the true region costs by its
 * distance, inside the region it earns.
 */
import * as tf from '@tensorflow/tfjs';
import { meanOverUnit, type UnitLoss } from './prediction.ts';

/**
 * Mean over pixels of p times the signed distance to the true boundary, in pixels, negative inside (eq. 5). Negative at its best, by how
 * large the region is. Made for use beside a region loss (`sum`): alone its gradient nearly vanishes where a region is missed.
 */
export const boundary: UnitLoss = (prediction, truth, pool) => {
  if (!truth.distance_NHWC) throw new Error('the boundary loss needs the distance maps of the masks');
  return meanOverUnit(tf.mul(prediction.probability_NHWC, truth.distance_NHWC), truth, pool);
};
