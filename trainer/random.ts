/**
 * Randomness as a pure function of a seed and of what it is for, so that nothing depends on how many numbers were drawn before:
 * initial weights, the order of an epoch, the split. (Dropout draws inside the graph, see engine/ops.ts.)
 */

/** Mixes words into 32 bits (MurmurHash3's block and final mixing). */
export function hash32(seed: number, ...words: readonly (number | string)[]): number {
  let h = seed >>> 0;
  const mix = (word: number) => {
    let k = Math.imul(word, 0xcc9e2d51);
    k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
    h ^= k;
    h = (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
  };
  for (const word of words) {
    if (typeof word === 'number') mix(word);
    else for (const byte of Buffer.from(word)) mix(byte);
  }
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** A stream of uniform 32-bit integers (sfc32, Doty-Humphrey), keyed by a seed and the purpose of the stream. */
export function generator(seed: number, ...purpose: readonly (number | string)[]): () => number {
  let a = hash32(seed, 0, ...purpose) | 0;
  let b = hash32(seed, 1, ...purpose) | 0;
  let c = hash32(seed, 2, ...purpose) | 0;
  let counter = 1;
  const next = () => {
    const result = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + result) | 0;
    return result >>> 0;
  };
  for (let i = 0; i < 12; i++) next();
  return next;
}

/** A random order of 0..length-1 (Fisher-Yates). */
export function permutation(length: number, seed: number, ...purpose: readonly (number | string)[]): Uint32Array {
  const order = Uint32Array.from({ length }, (_, i) => i);
  const next = generator(seed, ...purpose);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor((next() / 2 ** 32) * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** Inverse of the normal distribution function, relative error below 1.2e-9 (P. J. Acklam, 2003). */
export function normalQuantile(p: number): number {
  const tail = 0.02425;
  if (p < tail || p > 1 - tail) {
    const q = Math.sqrt(-2 * Math.log(p < tail ? p : 1 - p));
    const x =
      (((((-7.784894002430293e-3 * q - 3.223964580411365e-1) * q - 2.400758277161838) * q - 2.549732539343734) * q + 4.374664141464968) *
        q +
        2.938163982698783) /
      ((((7.784695709041462e-3 * q + 3.224671290700398e-1) * q + 2.445134137142996) * q + 3.754408661907416) * q + 1);
    return p < tail ? x : -x;
  }
  const q = p - 0.5;
  const r = q * q;
  return (
    ((((((-3.969683028665376e1 * r + 2.209460984245205e2) * r - 2.759285104469687e2) * r + 1.38357751867269e2) * r - 3.066479806614716e1) *
      r +
      2.506628277459239) *
      q) /
    (((((-5.447609879822406e1 * r + 1.615858368580409e2) * r - 1.556989798598866e2) * r + 6.680131188771972e1) * r - 1.328068155288572e1) *
      r +
      1)
  );
}

const hartAbove = [
  3.52624965998911e-2, 0.700383064443688, 6.37396220353165, 33.912866078383, 112.079291497871, 221.213596169931, 220.206867912376,
];
const hartBelow = [
  8.83883476483184e-2, 1.75566716318264, 16.064177579207, 86.7807322029461, 296.564248779674, 637.333633378831, 793.826512519948,
  440.413735824752,
];

/** The normal distribution function, absolute error below 1e-14 (J. F. Hart 1968, in the form of G. West 2005). */
export function normalDistribution(x: number): number {
  const z = Math.abs(x);
  if (z > 37) return x > 0 ? 1 : 0;
  const density = Math.exp((-z * z) / 2);
  let tail: number;
  if (z < 7.07106781186547) {
    let above = 0;
    for (const coefficient of hartAbove) above = above * z + coefficient;
    let below = 0;
    for (const coefficient of hartBelow) below = below * z + coefficient;
    tail = (density * above) / below;
  } else tail = density / (z + 1 / (z + 2 / (z + 3 / (z + 4 / (z + 0.65))))) / 2.506628274631;
  return x > 0 ? 1 - tail : tail;
}

/** Quantiles of the normal distribution cut off at two standard deviations, 65,536 levels that are equally likely. */
function truncatedNormalTable(): Float32Array {
  const lowest = 0.02275013194817921; // the distribution function at -2
  const numLevels = 2 ** 16;
  return Float32Array.from({ length: numLevels }, (_, i) => normalQuantile(lowest + ((i + 0.5) / numLevels) * (1 - 2 * lowest)));
}

let table: Float32Array | undefined;

/**
 * Normal numbers cut off at two standard deviations, rescaled so that `standardDeviation` is that of what comes out (as Keras's
 * initialisers do). Looked up in a table, two a draw: a network has millions of weights.
 */
export function truncatedNormal(length: number, standardDeviation: number, next: () => number): Float32Array {
  table ??= truncatedNormalTable();
  const scale = standardDeviation / 0.8796256610342398;
  const values = new Float32Array(length);
  for (let i = 0; i < length; i += 2) {
    const draw = next();
    values[i] = scale * table[draw & 0xffff];
    if (i + 1 < length) values[i + 1] = scale * table[draw >>> 16];
  }
  return values;
}
