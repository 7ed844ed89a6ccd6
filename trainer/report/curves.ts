/**
 * Several runs of one arm as one curve, and how fast each came near its best.
 */

export interface Band {
  readonly x: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Mean, lowest and highest value of each epoch, up to the last that all runs have: a mean over others than before would jump.
 *
 * @param runs value after each epoch, the first is epoch 1
 */
export function bandOf(runs: readonly (readonly number[])[]): Band[] {
  const length = Math.min(...runs.map(run => run.length));
  return Array.from({ length: Number.isFinite(length) ? length : 0 }, (_, i) => {
    const values = runs.map(run => run[i]);
    return {
      x: i + 1,
      mean: values.reduce((sum, value) => sum + value, 0) / values.length,
      low: Math.min(...values),
      high: Math.max(...values),
    };
  });
}

/** How near to the best: below the highest pooled validation Jaccard of the same run. */
export const deltas = [0.05, 0.02, 0.01] as const;

/** First epoch (from 1) whose value is at most `delta` below the highest. */
export function epochsToWithin(values: readonly number[], delta: number): number {
  const best = Math.max(...values);
  return values.findIndex(value => value >= best - delta) + 1;
}

/**
 * (L - best) / (L0 - best): 1 after the first epoch, 0 at the lowest loss, so that losses of different units can share an axis. Undefined where the
 * first is the lowest.
 */
export function normalisedLoss(losses: readonly number[]): number[] | undefined {
  const best = Math.min(...losses);
  const range = losses[0] - best;
  return range > 0 ? losses.map(loss => (loss - best) / range) : undefined;
}

/** Mean change from epoch to epoch, up or down, over the second half: 0 where a curve lies still. Undefined of fewer than two epochs there. */
export function restlessness(values: readonly number[]): number | undefined {
  const half = values.slice(Math.floor(values.length / 2));
  if (half.length < 2) return undefined;
  return half.slice(1).reduce((sum, value, i) => sum + Math.abs(value - half[i]), 0) / (half.length - 1);
}
