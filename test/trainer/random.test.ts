import { describe, expect, test } from 'vitest';
import { generator, hash32, normalDistribution, normalQuantile, permutation, truncatedNormal } from '../../trainer/random.ts';

describe('randomness', () => {
  test('is the same for the same seed and purpose, and another for any other', () => {
    const first = (seed: number, ...purpose: (number | string)[]) => Array.from({ length: 4 }, generator(seed, ...purpose));
    expect(first(1, 'order', 3)).toEqual(first(1, 'order', 3));
    for (const other of [first(2, 'order', 3), first(1, 'order', 4), first(1, 'split', 3)]) expect(other).not.toEqual(first(1, 'order', 3));
  });

  test('is the same on every machine: these numbers never change, or old runs cannot be repeated', () => {
    expect([
      hash32(1, 'a', 2),
      ...Array.from({ length: 2 }, generator(1, 'weights', 'x')),
      ...permutation(6, 1, 'order', 1),
    ]).toMatchInlineSnapshot(`
      [
        1603946602,
        2957541972,
        3460831465,
        4,
        5,
        2,
        0,
        1,
        3,
      ]
    `);
  });

  test('bits of the generator are balanced', () => {
    const next = generator(5, 'bits');
    const ones = new Array(32).fill(0);
    for (let i = 0; i < 10_000; i++) {
      const value = next();
      for (let bit = 0; bit < 32; bit++) ones[bit] += (value >>> bit) & 1;
    }
    for (const count of ones) expect(Math.abs(count - 5000)).toBeLessThan(300); // six standard deviations
  });
});

describe('a permutation', () => {
  test.each([0, 1, 2, 100])('of %i numbers holds each once', length => {
    expect([...permutation(length, 3, 'test')].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
  });

  test('puts every number in every place about equally often', () => {
    const counts = Array.from({ length: 5 }, () => new Array(5).fill(0));
    for (let seed = 0; seed < 5000; seed++) for (const [place, value] of permutation(5, seed, 'test').entries()) counts[place][value]++;
    for (const row of counts) for (const count of row) expect(Math.abs(count - 1000)).toBeLessThan(180); // six standard deviations
  });
});

describe('normal numbers', () => {
  test.each([
    [0.5, 0],
    [0.8413447460685429, 1],
    [0.15865525393145707, -1],
    [0.9986501019683699, 3],
    [0.0227501319481792, -2],
  ])('the quantile of %f is %f', (p, z) => {
    expect(normalQuantile(p)).toBeCloseTo(z, 7);
  });

  test.each([
    [-8, 6.220960574271819e-16],
    [-3.3, 0.0004834241423837776],
    [-1, 0.15865525393145707],
    [0, 0.5],
    [0.5, 0.6914624612740131],
    [7.5, 0.9999999999999681],
    [40, 1],
    [-40, 0],
    // Python 3.11, math.erfc(-x / sqrt(2)) / 2.
  ])('below %f lies a share of %f', (x, share) => {
    expect(Math.abs(normalDistribution(x) - share)).toBeLessThan(1e-14);
  });

  test('cut off at two standard deviations have the asked mean and deviation', () => {
    const values = truncatedNormal(100_000, 0.5, generator(1, 'normal'));
    const mean = values.reduce((a, b) => a + b) / values.length;
    const deviation = Math.sqrt(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / values.length);
    expect(Math.abs(mean)).toBeLessThan(0.01);
    expect(deviation).toBeCloseTo(0.5, 2);
    const limit = (2 * 0.5) / 0.8796256610342398;
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(limit);
  });
});
