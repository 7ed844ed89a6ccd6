/**
 * How far the outlines of two masks are apart. Two rules keep a miss from improving a score: where one mask is empty and the other is
 * not, the distances are the diagonal of the image, more than any two pixels in it are apart; and no image is left out of a mean.
 */
import type { Size } from '../data/decode.ts';
import { squaredDistances } from './distance.ts';

/** Outlines this many pixels apart still agree, in `boundaryF`. */
export const boundaryTolerance = 2;

export interface SurfaceScores {
  /** 95th percentile of the Hausdorff distance, in pixels. */
  readonly hd95: number;
  /** Average symmetric surface distance, in pixels. */
  readonly averageSurfaceDistance: number;
  /** F of the boundary pixels that lie within the tolerance, in [0, 1]. */
  readonly boundaryF: number;
  /** Exactly one of the masks was empty. */
  readonly penalised: boolean;
}

/**
 * The foreground pixels with background among their four neighbours (the mask less its erosion by a cross); beyond the image is
 * background, so a mask that is cut by the frame has its outline there.
 *
 * @param mask [height, width], foreground where not 0
 * @returns [height, width], 0 and 1
 */
export function boundaryPixels(mask: Uint8Array, { width }: Size): Uint8Array {
  return mask.map((value, i) => {
    if (!value) return 0;
    const x = i % width;
    // Above the first row and below the last there is nothing in the array, which counts as background.
    const isInside = x > 0 && mask[i - 1] && x < width - 1 && mask[i + 1] && mask[i - width] && mask[i + width];
    return isInside ? 0 : 1;
  });
}

/**
 * The distance of each pixel of one outline to the nearest pixel of another, ascending.
 *
 * @param from boundary pixels, [height, width]
 * @param to boundary pixels, not empty
 * @returns in pixels, centre to centre
 */
export function directedDistances(from: Uint8Array, to: Uint8Array, size: Size): Float64Array {
  const squared = squaredDistances(to, size);
  return squared
    .filter((_, i) => from[i])
    .sort()
    .map(Math.sqrt);
}

/** @param sorted ascending  @param share in [0, 1]  @returns linearly between the two nearest ranks, as NumPy does by default */
export function percentile(sorted: Float64Array, share: number): number {
  const rank = share * (sorted.length - 1);
  const below = Math.floor(rank);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (rank - below) * (sorted[above] - sorted[below]);
}

/**
 * - `hd95`: the larger of the two directed 95th percentiles (MONAI, DeepMind's surface-distance; medpy pools both directions first).
 * - `averageSurfaceDistance`: the mean over the pixels of both outlines together (MONAI with `symmetric`).
 * - `boundaryF`: 2 P R / (P + R), P the share of predicted boundary pixels within `tolerance` of the true boundary, R the reverse
 *   (Csurka et al. 2013, "What is a good evaluation measure for semantic segmentation?").
 *
 * Both masks empty: distances 0, F 1. Exactly one empty: distances are the diagonal sqrt(height^2 + width^2), F 0, `penalised`.
 *
 * @param predicted [height, width], foreground where not 0
 * @param truth the same
 * @param tolerance in pixels, inclusive
 */
export function surfaceScores(predicted: Uint8Array, truth: Uint8Array, size: Size, tolerance = boundaryTolerance): SurfaceScores {
  const [isPredicted, isTrue] = [predicted, truth].map(mask => mask.some(value => value !== 0));
  if (!isPredicted && !isTrue) return { hd95: 0, averageSurfaceDistance: 0, boundaryF: 1, penalised: false };
  if (!isPredicted || !isTrue) {
    const diagonal = Math.hypot(size.height, size.width);
    return { hd95: diagonal, averageSurfaceDistance: diagonal, boundaryF: 0, penalised: true };
  }
  const outlines = [predicted, truth].map(mask => boundaryPixels(mask, size));
  const toTruth = directedDistances(outlines[0], outlines[1], size);
  const toPredicted = directedDistances(outlines[1], outlines[0], size);
  const sum = (distances: Float64Array) => distances.reduce((total, distance) => total + distance, 0);
  const within = (distances: Float64Array) => distances.filter(distance => distance <= tolerance).length / distances.length;
  const [precision, recall] = [within(toTruth), within(toPredicted)];
  return {
    hd95: Math.max(percentile(toTruth, 0.95), percentile(toPredicted, 0.95)),
    averageSurfaceDistance: (sum(toTruth) + sum(toPredicted)) / (toTruth.length + toPredicted.length),
    boundaryF: precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall),
    penalised: false,
  };
}
