/**
 * Exact Euclidean distances of pixels to a mask, in time linear in the number of pixels (Felzenszwalb and Huttenlocher 2012,
 * "Distance Transforms of Sampled Functions"). Squared distances are whole numbers and come out exactly.
 */
import type { Size } from '../data/decode.ts';

/**
 * The squared distance of each pixel to the nearest foreground pixel, centre to centre: 0 on the foreground, infinite everywhere
 * where there is none.
 *
 * @param mask [height, width], foreground where not 0
 * @returns [height, width], in pixels squared
 */
export function squaredDistances(mask: Uint8Array, { height, width }: Size): Float64Array {
  const squared = new Float64Array(mask.length);
  for (let x = 0; x < width; x++) squareColumn(mask, squared, x, height, width);
  const envelope = { apexes: new Int32Array(width), heights: new Float64Array(width), ends: new Float64Array(width) };
  for (let y = 0; y < height; y++) lowerEnvelope(squared.subarray(y * width, (y + 1) * width), envelope);
  return squared;
}

/** Squared distances within column x alone: one sweep down, one up. */
function squareColumn(mask: Uint8Array, squared: Float64Array, x: number, height: number, width: number): void {
  let distance = Number.POSITIVE_INFINITY;
  for (let y = 0; y < height; y++) {
    distance = mask[y * width + x] ? 0 : distance + 1;
    squared[y * width + x] = distance * distance;
  }
  distance = Number.POSITIVE_INFINITY;
  for (let y = height - 1; y >= 0; y--) {
    distance = mask[y * width + x] ? 0 : distance + 1;
    squared[y * width + x] = Math.min(squared[y * width + x], distance * distance);
  }
}

/** The parabolas that make up an envelope, from left to right: where each has its lowest point, how high that is, and where it ends. */
interface Envelope {
  readonly apexes: Int32Array;
  readonly heights: Float64Array;
  readonly ends: Float64Array;
}

/** Replaces each value f(x) of a row by the least of f(q) + (x - q)^2 over all q: the lower envelope of one parabola a pixel. */
function lowerEnvelope(row: Float64Array, { apexes, heights, ends }: Envelope): void {
  let numParabolas = 0;
  for (let q = 0; q < row.length; q++) {
    if (row[q] === Number.POSITIVE_INFINITY) continue;
    // Where the parabola at q comes below the last one; those that it comes below before they begin are no part of the envelope.
    while (numParabolas > 0) {
      const last = numParabolas - 1;
      const crossing = (row[q] + q * q - heights[last] - apexes[last] * apexes[last]) / (2 * (q - apexes[last]));
      ends[last] = crossing;
      if (last === 0 || crossing > ends[last - 1]) break;
      numParabolas--;
    }
    apexes[numParabolas] = q;
    heights[numParabolas++] = row[q];
  }
  if (numParabolas === 0) return;
  ends[numParabolas - 1] = Number.POSITIVE_INFINITY;
  let k = 0;
  for (let x = 0; x < row.length; x++) {
    while (ends[k] < x) k++;
    row[x] = heights[k] + (x - apexes[k]) ** 2;
  }
}

/**
 * The distance map of the boundary loss (Kervadec et al. 2019, "Boundary loss for highly unbalanced segmentation", as their code
 * discretises it): outside the foreground the distance to its nearest pixel, inside minus (the distance to the nearest background
 * pixel less 1). So pixels that touch the boundary from outside have 1, from inside 0, and from there it falls by 1 a pixel.
 * An empty mask gives zeros, as theirs does; so does a full one, which has no boundary (theirs leaves the value to the library).
 *
 * @param mask [height, width], foreground where not 0
 * @returns [height, width], in pixels
 */
export function signedDistance(mask: Uint8Array, size: Size): Float32Array {
  const signed = new Float32Array(mask.length);
  const numForeground = mask.reduce((count, value) => (value ? count + 1 : count), 0);
  if (numForeground === 0 || numForeground === mask.length) return signed;
  const toForeground = squaredDistances(mask, size);
  const toBackground = squaredDistances(
    mask.map(value => (value ? 0 : 1)),
    size,
  );
  for (let i = 0; i < signed.length; i++) signed[i] = mask[i] ? 1 - Math.sqrt(toBackground[i]) : Math.sqrt(toForeground[i]);
  return signed;
}
