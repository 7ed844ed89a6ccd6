/**
 * The adaptive logarithmic loss, ALL (Kaul, Pears, Manandhar 2019, eq. 1): a wrapper that makes small errors of another loss count more.
 *
 *   ALL(d) = omega ln(1 + d / epsilon)   for d < gamma
 *            d - C                       otherwise, C = gamma - omega ln(1 + gamma / epsilon)
 *
 * The paper's C makes the function continuous; its slope still jumps at gamma, from omega / (epsilon + gamma) to 1 (16.67 to 1 at
 * the paper's values), although the text calls it differentiable. `continuity: slope` gives the linear branch the slope of the
 * logarithmic one, which is how Adaptive Wing (Wang et al. 2019) does it.
 */
import * as tf from '@tensorflow/tfjs';

export interface AdaptiveLogOptions {
  /** Where the logarithmic branch ends, in the unit of the wrapped loss. */
  readonly gamma: number;
  readonly omega: number;
  readonly epsilon: number;
  readonly continuity: 'paper' | 'slope';
}

/** Slope and offset of the linear branch. */
function linearBranch({ gamma, omega, epsilon, continuity }: AdaptiveLogOptions): { slope: number; offset: number } {
  const slope = continuity === 'paper' ? 1 : omega / (epsilon + gamma);
  return { slope, offset: omega * Math.log1p(gamma / epsilon) - slope * gamma };
}

/** On a number, with its derivative; at gamma itself both are those of the linear branch. */
export function adaptiveLogAt(d: number, options: AdaptiveLogOptions): { value: number; derivative: number } {
  const { gamma, omega, epsilon } = options;
  if (d < gamma) return { value: omega * Math.log1p(d / epsilon), derivative: omega / (epsilon + d) };
  const { slope, offset } = linearBranch(options);
  return { value: slope * d + offset, derivative: slope };
}

/** On every element of a tensor of non-negative losses. */
export function adaptiveLog(d: tf.Tensor2D, options: AdaptiveLogOptions): tf.Tensor2D {
  const { gamma, omega, epsilon } = options;
  const { slope, offset } = linearBranch(options);
  const linear = tf.add(tf.mul(d, slope), offset);
  const logarithmic = tf.mul(tf.log1p(tf.div(d, epsilon)), omega);
  // Of the comparisons only greaterEqual has a gradient in tfjs.
  return tf.where(tf.greaterEqual(d, gamma), linear, logarithmic) as tf.Tensor2D;
}
