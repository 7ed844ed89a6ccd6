/**
 * Sobol's sequence against SciPy 1.17 (`qmc.Sobol(64, scramble=False, bits=32)`), and how evenly it fills a cube.
 */
import { describe, expect, test } from 'vitest';
import { maxDimensions, sobol } from '../../../trainer/search/sobol.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import { simulate, sweep } from './simulate.ts';

const numbers = (point: number, dimensions: readonly number[]) => dimensions.map(dimension => sobol(point, dimension) / 2 ** 32);

/** How far, in the mean square, the share of points in a box from the corner 0 is from the volume of the box (T. T. Warnock 1972). */
function discrepancy(points: readonly (readonly number[])[]): number {
  const dimensions = points[0].length;
  const product = (values: readonly number[]) => values.reduce((a, b) => a * b, 1);
  let pairs = 0;
  let singles = 0;
  for (const a of points) {
    singles += product(a.map(x => 1 - x * x));
    for (const b of points) pairs += product(a.map((x, i) => 1 - Math.max(x, b[i])));
  }
  return Math.sqrt(3 ** -dimensions - (2 ** (1 - dimensions) * singles) / points.length + pairs / points.length ** 2);
}

describe('the sequence', () => {
  test('has the published first points', () => {
    expect(Array.from({ length: 8 }, (_, point) => numbers(point, [0, 1, 2, 3, 4]))).toEqual([
      [0, 0, 0, 0, 0],
      [0.5, 0.5, 0.5, 0.5, 0.5],
      [0.75, 0.25, 0.25, 0.25, 0.75],
      [0.25, 0.75, 0.75, 0.75, 0.25],
      [0.375, 0.375, 0.625, 0.875, 0.375],
      [0.875, 0.875, 0.125, 0.375, 0.875],
      [0.625, 0.125, 0.875, 0.625, 0.625],
      [0.125, 0.625, 0.375, 0.125, 0.125],
    ]);
  });

  test('and later ones, up to the last of its 64 dimensions', () => {
    expect(maxDimensions).toBe(64);
    expect(numbers(1000, [0, 1, 31, 62, 63])).toEqual([0.2197265625, 0.0966796875, 0.1455078125, 0.2587890625, 0.4462890625]);
    expect([0, 5, 20, 40, 63].map(dimension => sobol(777, dimension))).toEqual([
      2973761536, 1530920960, 1019215872, 3099590656, 1832910848,
    ]);
  });

  test('has one point in each of 2^k equal intervals, in every dimension', () => {
    for (let dimension = 0; dimension < maxDimensions; dimension++) {
      const intervals = Array.from({ length: 256 }, (_, point) => sobol(point, dimension) >>> 24);
      expect(new Set(intervals).size).toBe(256);
    }
  });
});

describe('a search by it', () => {
  const names = ['a', 'b', 'c', 'd'];
  const parameters = Object.fromEntries(names.map(name => [name, { distribution: 'uniform', min: 0, max: 1 }]));
  const choose = (method: string, seed: number, numTrials = 256) => {
    const { trials } = simulate(sweep({ method, seed, parameters, limits: { maxTrials: numTrials } }), {
      maxTime: 1,
      parallel: numTrials,
      objective: () => 0,
    });
    return trials.map(trial => names.map(name => trial.parameters[name] as number));
  };

  test('fills the cube more evenly than chance, and as evenly as the sequence itself', () => {
    // SciPy: 0.00512 for the sequence, 0.0221 for 256 random points.
    const sequence = Array.from({ length: 256 }, (_, point) => numbers(point, [0, 1, 2, 3]));
    expect(discrepancy(sequence)).toBeCloseTo(0.005123310002770821, 12);
    for (let seed = 0; seed < 5; seed++) {
      expect(discrepancy(choose('sobol', seed))).toBeLessThan(0.007);
      expect(discrepancy(choose('random', seed))).toBeGreaterThan(0.01);
    }
  });

  test('takes all values of whole numbers and lists equally often', () => {
    const spec = sweep({
      method: 'sobol',
      parameters: {
        omega: { distribution: 'uniform', min: 1, max: 8, step: 1 },
        loss: { values: ['all', 'dice', 'focal', 'tversky'] },
        one: { values: ['only'] },
      },
      limits: { maxTrials: 64 },
    });
    const { trials } = simulate(spec, { maxTime: 1, parallel: 64, objective: () => 0 });
    const counts = (name: string) =>
      Object.values(Object.groupBy(trials, trial => String(trial.parameters[name]))).map(some => some!.length);
    expect(counts('omega')).toEqual(Array(8).fill(8));
    expect(counts('loss')).toEqual(Array(4).fill(16));
    expect(counts('one')).toEqual([64]);
  });

  test('does not depend on the order of the parameters in the file', () => {
    const first = (given: Record<string, unknown>) =>
      makeStrategy(sweep({ method: 'sobol', parameters: given, limits: { maxTrials: 5 } }), { maxTime: 1 })([], 5);
    expect(first(Object.fromEntries(Object.entries(parameters).reverse()))).toEqual(first(parameters));
  });

  test('has room for as many parameters as a sweep may have', () => {
    const many = Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`p${i}`, { distribution: 'uniform', min: 0, max: 1 }]));
    const [choice] = makeStrategy(sweep({ method: 'sobol', parameters: many, limits: { maxTrials: 5 } }), { maxTime: 1 })([], 1);
    expect(choice).toMatchObject({ do: 'start' });
    expect(new Set(Object.values((choice as { parameters: object }).parameters)).size).toBe(64);
  });
});
