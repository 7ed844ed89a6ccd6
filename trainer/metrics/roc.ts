/**
 * Area under the ROC curve from two histograms of logits, one of foreground and one of background pixels. Histograms add up exactly
 * and have a fixed size, whatever the number of pixels; what binning costs is known: `halfWidth` bounds the error.
 */

import { ignoredLabel } from '../data/batch.ts';

/** Bins are the upper 16 bits of a float32: relative width 2^-8 everywhere, so saturated logits stay apart. */
export const numBins = 2 ** 16;

export interface Auc {
  /** Share of pairs (foreground, background) that are ranked right; ties count half. NaN where a kind of pixel is missing. */
  readonly auc: number;
  /** The exact area lies within `auc` plus or minus this. */
  readonly halfWidth: number;
}

export interface RocPoint {
  readonly falsePositiveRate: number;
  readonly truePositiveRate: number;
}

export class RocState {
  /** Counts of background (0) and foreground (1) pixels, lowest logits first. */
  readonly histograms: readonly [Float64Array, Float64Array] = [new Float64Array(numBins), new Float64Array(numBins)];

  /** @param logits one a pixel  @param foreground 0 or 1 a pixel, or `ignoredLabel` where it does not count */
  add(logits: Float32Array, foreground: ArrayLike<number>): void {
    const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
    for (let i = 0; i < bits.length; i++) {
      if (foreground[i] !== ignoredLabel) this.histograms[foreground[i] ? 1 : 0][binOf(bits[i])]++;
    }
  }

  merge(other: RocState): void {
    this.histograms.forEach((histogram, kind) => {
      for (let bin = 0; bin < numBins; bin++) histogram[bin] += other.histograms[kind][bin];
    });
  }

  auc(): Auc {
    const [background, foreground] = this.histograms;
    let below = 0;
    let ranked = 0;
    let tied = 0;
    for (let bin = 0; bin < numBins; bin++) {
      ranked += foreground[bin] * (below + background[bin] / 2);
      tied += foreground[bin] * background[bin];
      below += background[bin];
    }
    const pairs = below * total(foreground);
    return pairs === 0 ? { auc: Number.NaN, halfWidth: Number.NaN } : { auc: ranked / pairs, halfWidth: tied / 2 / pairs };
  }

  /** From (0, 0) to (1, 1), one point a bin that is not empty. */
  curve(): RocPoint[] {
    const [background, foreground] = this.histograms;
    const [negatives, positives] = [total(background), total(foreground)];
    if (negatives === 0 || positives === 0) return [];
    const points: RocPoint[] = [{ falsePositiveRate: 0, truePositiveRate: 0 }];
    let [fp, tp] = [0, 0];
    for (let bin = numBins - 1; bin >= 0; bin--) {
      if (background[bin] === 0 && foreground[bin] === 0) continue;
      fp += background[bin];
      tp += foreground[bin];
      points.push({ falsePositiveRate: fp / negatives, truePositiveRate: tp / positives });
    }
    return points;
  }
}

/** A curve with fewer points: none is further than `step` in both rates from one that stays. The ends stay. */
export function thinned(curve: readonly RocPoint[], step = 1e-3): RocPoint[] {
  const kept: RocPoint[] = [];
  for (const [i, point] of curve.entries()) {
    const last = kept.at(-1);
    const isFar =
      !last ||
      Math.abs(point.falsePositiveRate - last.falsePositiveRate) >= step ||
      Math.abs(point.truePositiveRate - last.truePositiveRate) >= step;
    if (isFar || i === curve.length - 1) kept.push(point);
  }
  return kept;
}

const minusZero = -0x80000000;

/** The bits of a float32 as a number that sorts as the float does: of negative ones all bits are flipped, of others the sign. Both zeros are one. */
const binOf = (bits: number): number => (bits < 0 && bits !== minusZero ? ~bits : bits | minusZero) >>> 16;

const total = (histogram: Float64Array): number => histogram.reduce((sum, count) => sum + count, 0);
