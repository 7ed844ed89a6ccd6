import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bootstrapInterval,
  expectedMaximum,
  holm,
  meanDifference,
  numResamples,
  signedRankTest,
  studentQuantile,
} from '../../../trainer/report/statistics.ts';
import golden from '../../fixtures/statistics.json' with { type: 'json' };
import { holmCases, intervalCases, signedRankCases } from '../../tools/statisticsCase.ts';

describe('the signed-rank test', () => {
  test.each(signedRankCases.map((given, i) => ({ ...given, expected: golden.signedRank[i] })))(
    'of $name has the p-value of scipy ($how)',
    ({ differences, how, expected }) => {
      const { pValue, statistic, method } = signedRankTest(differences);
      expect(statistic).toBe(expected.statistic);
      expect(Math.abs(pValue / expected.pValue - 1)).toBeLessThan(1e-9);
      expect(method).toBe(how === 'asymptotic' ? 'normal' : 'exact');
    },
  );

  test.each([
    // Signs of 3 ranks: 8 assignments. Sum of the positive ones at most 0: 1 of them; times two sides.
    ['3 above 0: 2 * 1/8', [1, 2, 3], 2 / 8],
    // At most 1: {} and {1}.
    ['the smallest below 0: 2 * 2/8', [-1, 2, 3], 4 / 8],
    // At most 3: {}, {1}, {2}, {3}, {1,2}: 5/8 on either side.
    ['balanced: no more than 1', [1, 2, -3], 1],
    // Ranks 1.5, 1.5, 3. At most 1.5: {}, {1.5}, {the other 1.5}.
    ['two that tie: 2 * 3/8', [-1, 1, 2], 6 / 8],
    ['zeros are left out', [0, 1, 0, 2, 3], 2 / 8],
    ['nothing but zeros says nothing', [0, 0], 1],
  ])('%s', (_, differences, expected) => {
    expect(signedRankTest(differences).pValue).toBeCloseTo(expected, 12);
  });

  test.each([
    ['all above 0', [1, 2, 3], 1],
    ['ranks 2 and 3 above, 1 below: (5 - 1) / 6', [-1, 2, 3], 4 / 6],
    ['all below 0', [-1, -1], -1],
    ['nothing but zeros', [0, 0], 0],
  ])('has the effect of %s', (_, differences, expected) => {
    expect(signedRankTest(differences).effect).toBeCloseTo(expected, 12);
  });

  test('does not depend on the order, nor on which of the two comes first', () => {
    const differences = fc.array(fc.integer({ min: -20, max: 20 }), { minLength: 1, maxLength: 80 });
    fc.assert(
      fc.property(differences, values => {
        const { pValue } = signedRankTest(values);
        expect(signedRankTest(values.toReversed()).pValue).toBe(pValue);
        expect(signedRankTest(values.map(value => -value)).pValue).toBe(pValue);
        expect(pValue).toBeGreaterThan(0);
        expect(pValue).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe('the bootstrap interval', () => {
  test('of 0, 0, 0, 1 is [0, 3/4]: the mean is a binomial of 4 draws at 1/4, at most 2/4 in 94.9 % and at most 3/4 in 99.6 %', () => {
    expect(bootstrapInterval([0, 0, 0, 1], 1)).toEqual({ low: 0, high: 0.75 });
  });

  test('of equal differences is that one difference', () => {
    expect(bootstrapInterval([0.25, 0.25, 0.25], 1)).toEqual({ low: 0.25, high: 0.25 });
  });

  test.each(intervalCases.map((differences, i) => ({ differences, length: differences.length, expected: golden.intervals[i] })))(
    'of $length differences is that of scipy, with twenty times the resamples, to 3 % of its width',
    ({ differences, expected }) => {
      const { low, high } = bootstrapInterval(differences, 0);
      const width = expected.high - expected.low;
      expect(Math.abs(low - expected.low) / width).toBeLessThan(0.03);
      expect(Math.abs(high - expected.high) / width).toBeLessThan(0.03);
      expect(numResamples).toBe(10_000);
    },
  );

  test('is the same for the same seed, and another for another', () => {
    const [differences] = intervalCases;
    expect(bootstrapInterval(differences, 1)).toEqual(bootstrapInterval(differences, 1));
    expect(bootstrapInterval(differences, 2)).not.toEqual(bootstrapInterval(differences, 1));
  });
});

describe("Holm's correction", () => {
  test.each(holmCases.map((pValues, i) => ({ pValues, expected: golden.holm[i] })))('of $pValues is that of statsmodels', given => {
    for (const [i, value] of holm(given.pValues).entries()) expect(value).toBeCloseTo(given.expected[i], 12);
  });

  test('of 0.01, 0.04, 0.03: 3 * 0.01, then 2 * 0.03, then 0.04 raised to the one before', () => {
    expect(holm([0.01, 0.04, 0.03])).toEqual([0.03, 0.06, 0.06]);
  });
});

describe('chance', () => {
  test.each([
    [1, 0],
    [2, 1 / Math.sqrt(Math.PI)],
    [3, 3 / (2 * Math.sqrt(Math.PI))],
    [5, 1.16296],
    [24, 1.94767],
    [100, 2.50759],
  ])('makes the best of %i standard normal numbers %f on average', (n, expected) => {
    expect(expectedMaximum(n)).toBeCloseTo(expected, 5);
  });

  test.each([
    [1, 12.7062],
    [2, 4.30265],
    [3, 3.18245],
    [10, 2.22814],
    [120, 1.97993],
  ])("leaves Student's t of %i degrees within %f in 95 % of cases", (degrees, expected) => {
    expect(studentQuantile(degrees)).toBeCloseTo(expected, 4);
  });

  test('two means with spread: the standard errors add as squares, degrees are those of Welch', () => {
    // 0.3^2 / 3 + 0.4^2 / 4 = 0.07; degrees 0.07^2 / (0.03^2 / 2 + 0.04^2 / 3) = 4.98 -> 4: t 2.7764.
    const { difference, limit } = meanDifference({ mean: 2, sd: 0.3, runs: 3 }, { mean: 1, sd: 0.4, runs: 4 });
    expect(difference).toBe(1);
    expect(limit).toBeCloseTo(2.77645 * Math.sqrt(0.07), 4);
  });
});
