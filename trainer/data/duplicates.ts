/**
 * Images that are the same, or nearly: a photograph saved twice, shrunk or retouched. Told by the correlation of small thumbnails.
 */

/**
 * Of two thumbnails. In ISIC 2018 the 20 pairs above it are one lesion each (looked at: other exposure, colour or crop of a few pixels);
 * in CHASE_DB1, where all eyes look alike, and among the nuclei no pair reaches it.
 */
export const nearCorrelation = 0.985;

/** Thumbnails with a smaller standard deviation (grey levels) are too flat to be compared. */
const flat = 2;

/** Zero mean and length one, so that the correlation is a sum of products; missing where the picture is flat. */
export function normalise(thumbnail: Uint8Array): Float32Array | undefined {
  const mean = thumbnail.reduce((sum, value) => sum + value, 0) / thumbnail.length;
  const squares = thumbnail.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  if (squares < flat ** 2 * thumbnail.length) return undefined;
  const length = Math.sqrt(squares);
  return Float32Array.from(thumbnail, value => (value - mean) / length);
}

export interface Pair {
  readonly first: number;
  readonly second: number;
  readonly correlation: number;
}

/** All pairs whose thumbnails correlate by at least `nearCorrelation`. Time grows with the square of their number: 3 s for 2,600. */
export function nearPairs(thumbnails: readonly Uint8Array[]): Pair[] {
  const vectors = thumbnails.map(normalise);
  const pairs: Pair[] = [];
  for (let first = 0; first < vectors.length; first++) {
    const a = vectors[first];
    if (!a) continue;
    for (let second = first + 1; second < vectors.length; second++) {
      const b = vectors[second];
      if (!b) continue;
      const correlation = product(a, b);
      if (correlation >= nearCorrelation) pairs.push({ first, second, correlation });
    }
  }
  return pairs;
}

function product(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
