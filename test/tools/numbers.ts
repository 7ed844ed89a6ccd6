/**
 * Numbers for tests: seeded, and compared by how far they are apart.
 */
import { expect } from 'vitest';
import { generator } from '../../trainer/random.ts';

/** Uniform in [low, high), the same for the same purpose. */
export function uniform(length: number, purpose: string, low = -1, high = 1): Float32Array {
  const next = generator(7, purpose);
  return Float32Array.from({ length }, () => low + (high - low) * (next() / 2 ** 32));
}

/** Largest difference, in units of the largest expected value. */
export function relativeDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  expect(actual.length).toBe(expected.length);
  let largest = 0;
  let difference = 0;
  for (let i = 0; i < expected.length; i++) {
    largest = Math.max(largest, Math.abs(expected[i]));
    difference = Math.max(difference, Math.abs(actual[i] - expected[i]));
    if (Number.isNaN(actual[i])) return Number.POSITIVE_INFINITY;
  }
  return largest === 0 ? difference : difference / largest;
}

/** A seeded fuzz source for labels: bytes 0 to `classes`. */
export function labels(length: number, purpose: string, classes = 1): Uint8Array {
  return Uint8Array.from(uniform(length, purpose, 0, classes + 1), Math.floor);
}
