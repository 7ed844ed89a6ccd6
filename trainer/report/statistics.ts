/**
 * Whether one list of scores is higher than another on the same images: an interval of the mean difference, a test, and what to do
 * about many tests. Pure functions of the differences image by image.
 */
import { percentile } from '../metrics/surface.ts';
import { generator } from '../random.ts';

export interface Interval {
  readonly low: number;
  readonly high: number;
}

export const numResamples = 10_000;
export const confidence = 0.95;

/**
 * The percentile interval of the mean (Efron 1979): images are drawn anew with replacement, as many as there are, `numResamples` times;
 * the interval holds the middle share `confidence` of the means. Quantiles between two means are interpolated.
 */
export function bootstrapInterval(differences: readonly number[], seed: number): Interval {
  const next = generator(seed, 'bootstrap');
  const length = differences.length;
  const means = new Float64Array(numResamples);
  for (let resample = 0; resample < numResamples; resample++) {
    let sum = 0;
    for (let i = 0; i < length; i++) sum += differences[Math.floor((next() / 2 ** 32) * length)];
    means[resample] = sum / length;
  }
  means.sort();
  return { low: percentile(means, (1 - confidence) / 2), high: percentile(means, (1 + confidence) / 2) };
}

export interface SignedRankTest {
  readonly pValue: number;
  /** The smaller of the sums of ranks of either sign. */
  readonly statistic: number;
  /**
   * Matched-pairs rank-biserial correlation (Kerby 2014): the sum of the ranks above 0 less that below, of all; from -1 to 1, and 0 where all
   * differences are.
   */
  readonly effect: number;
  /** Differences that are not 0: the others say nothing about the sign and are left out. */
  readonly used: number;
  readonly method: 'exact' | 'normal';
}

/** Up to so many differences every assignment of signs is counted. */
const mostExact = 50;

export const signedRankRule = `Wilcoxon signed-rank test, two-sided; differences of 0 are left out, equal ones share their mean rank; exact up to ${mostExact} differences, above by the normal approximation with correction for ties`;

/**
 * Wilcoxon's signed-rank test (1945), two-sided: were each difference as likely to have the other sign, how often would the rank sums
 * be at least as uneven? The exact count holds with ties too: it is over the signs, given the ranks that there are.
 */
export function signedRankTest(differences: readonly number[]): SignedRankTest {
  const nonZero = differences.filter(difference => difference !== 0).sort((a, b) => Math.abs(a) - Math.abs(b));
  const used = nonZero.length;
  // Twice the mean rank, so that it is whole: positions first..last (from 1) share (first + last) / 2.
  const doubled = new Int32Array(used);
  let tieTerm = 0;
  for (let first = 0; first < used; ) {
    let last = first;
    while (last + 1 < used && Math.abs(nonZero[last + 1]) === Math.abs(nonZero[first])) last++;
    doubled.fill(first + last + 2, first, last + 1);
    const tied = last - first + 1;
    tieTerm += tied ** 3 - tied;
    first = last + 1;
  }
  const total = used * (used + 1); // of the doubled ranks
  const positive = doubled.reduce((sum, rank, i) => (nonZero[i] > 0 ? sum + rank : sum), 0);
  const smaller = Math.min(positive, total - positive);
  const effect = total === 0 ? 0 : (2 * positive - total) / total;
  const method = used <= mostExact ? 'exact' : 'normal';
  if (method === 'exact') {
    return { pValue: Math.min(1, 2 * shareAtMost(smaller, doubled)), statistic: smaller / 2, effect, used, method };
  }
  const variance = (used * (used + 1) * (2 * used + 1)) / 24 - tieTerm / 48;
  const z = (total / 4 - smaller / 2) / Math.sqrt(variance);
  return { pValue: Math.min(1, 2 * normalTail(z)), statistic: smaller / 2, effect, used, method };
}

/** Share of all assignments of signs in which the positive ranks add up to at most `limit`. */
function shareAtMost(limit: number, ranks: Int32Array): number {
  const share = new Float64Array(limit + 1);
  share[0] = 1;
  for (const rank of ranks) {
    for (let sum = limit; sum >= 0; sum--) share[sum] = (share[sum] + (sum >= rank ? share[sum - rank] : 0)) / 2;
  }
  return share.reduce((sum, value) => sum + value, 0);
}

/** Probability that a standard normal number exceeds z >= 0: a series around 0, and far out Laplace's continued fraction. */
function normalTail(z: number): number {
  const density = Math.exp(-(z ** 2) / 2) / Math.sqrt(2 * Math.PI);
  if (z < 3) {
    let sum = 0;
    for (let term = z, odd = 1; term > 1e-17; odd += 2, term *= z ** 2 / odd) sum += term;
    return 0.5 - density * sum;
  }
  let fraction = z;
  for (let k = 100; k >= 1; k--) fraction = z + k / fraction;
  return density / fraction;
}

/**
 * Holm's step-down correction (1979): the chance of even one false alarm among all tests stays below the level that adjusted p-values
 * are held against. The smallest of m is multiplied by m, the next by m - 1, and none may fall below the one before it.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a] - pValues[b]);
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  for (const [rank, i] of order.entries()) {
    largest = Math.max(largest, Math.min(1, (pValues.length - rank) * pValues[i]));
    adjusted[i] = largest;
  }
  return adjusted;
}

/**
 * Mean of the largest of n independent standard normal numbers: what the best of n equal cells is above the mean of all, in standard deviations. The
 * integral of 1 - Phi(x)^n above 0 less that of Phi(x)^n below, by the trapezoid rule (within 1e-9: all derivatives vanish at the ends).
 */
export function expectedMaximum(n: number): number {
  const below = (x: number) => (x < 0 ? normalTail(-x) : 1 - normalTail(x)) ** n;
  const step = 1 / 64;
  let sum = -below(0) / 2 + (1 - below(0)) / 2;
  for (let i = 1; i * step < 12; i++) sum += 1 - below(i * step) - below(-i * step);
  return sum * step;
}

/**
 * Probability that Student's t with a whole number of degrees of freedom lies within -t..t (Abramowitz and Stegun 26.7.3 and 26.7.4).
 */
function studentWithin(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees));
  const [cosine, sine] = [Math.cos(angle), Math.sin(angle)];
  let term = degrees % 2 === 1 ? cosine : 1;
  let sum = degrees === 1 ? 0 : term;
  for (let k = degrees % 2 === 1 ? 3 : 2; k < degrees; k += 2) {
    term *= (cosine ** 2 * (k - 1)) / k;
    sum += term;
  }
  return degrees % 2 === 1 ? (2 / Math.PI) * (angle + sine * sum) : sine * sum;
}

/** The t that Student's t stays within, on both sides, with the probability `confidence`. @param degrees whole, from 1 */
export function studentQuantile(degrees: number): number {
  let [low, high] = [0, 1];
  while (studentWithin(high, degrees) < confidence) high *= 2;
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2;
    if (studentWithin(middle, degrees) < confidence) low = middle;
    else high = middle;
  }
  return high;
}

export interface MeanOfRuns {
  readonly mean: number;
  /** Between the runs. */
  readonly sd: number;
  /** At least 2. */
  readonly runs: number;
}

/** Welch's comparison of two means: their difference, and what equal ones differ by at most in a share `confidence` of cases. */
export function meanDifference(a: MeanOfRuns, b: MeanOfRuns): { difference: number; limit: number } {
  const [va, vb] = [a, b].map(({ sd, runs }) => sd ** 2 / runs);
  const error = Math.sqrt(va + vb);
  // Welch and Satterthwaite's degrees of freedom, rounded down.
  const degrees = error === 0 ? 1 : Math.floor((va + vb) ** 2 / (va ** 2 / (a.runs - 1) + vb ** 2 / (b.runs - 1)) + 1e-9);
  return { difference: a.mean - b.mean, limit: studentQuantile(Math.max(1, degrees)) * error };
}
