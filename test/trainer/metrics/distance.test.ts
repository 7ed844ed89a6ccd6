import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { signedDistance, squaredDistances } from '../../../trainer/metrics/distance.ts';
import { maskPairs } from '../../tools/masks.ts';
import { expectSameCases, goldenCases, maskOf, numbersOf } from '../../tools/metricsGolden.ts';

test('the fixture was made from the cases that are tested', expectSameCases);

describe('squared distances', () => {
  test('by hand: a corner is 2^2 + 1^2 away', () => {
    const mask = maskOf('#..', '...');
    expect([...squaredDistances(mask, { height: 2, width: 3 })]).toEqual([0, 1, 4, 1, 2, 5]);
  });

  test('are infinite where there is no foreground', () => {
    expect([...squaredDistances(new Uint8Array(4), { height: 2, width: 2 })]).toEqual(new Array(4).fill(Number.POSITIVE_INFINITY));
  });

  test('are those of a search over all pairs of pixels, exactly', () => {
    fc.assert(
      fc.property(maskPairs(), ({ size, a }) => {
        const places = Array.from(a.keys(), i => [Math.floor(i / size.width), i % size.width]);
        const foreground = places.filter((_, i) => a[i]);
        const expected = places.map(([y, x]) => Math.min(...foreground.map(([fy, fx]) => (fy - y) ** 2 + (fx - x) ** 2)));
        expect([...squaredDistances(a, size)]).toEqual(expected);
      }),
    );
  });

  test.each(goldenCases.filter(({ answers }) => answers.squaredDistances))('as SciPy: $name', ({ truth, size, answers }) => {
    expect([...squaredDistances(truth, size)]).toEqual(numbersOf(answers.squaredDistances!));
  });
});

describe('the signed distance map of the boundary loss', () => {
  test('by hand: 1 and more outside, 0 at the inner rim, negative within', () => {
    const mask = maskOf('.###.');
    expect([...signedDistance(mask, { height: 1, width: 5 })]).toEqual([1, 0, -1, 0, 1]); // -(2 - 1) in the middle
  });

  test.each([
    ['empty', 0],
    ['full', 1],
  ])('is 0 for a mask that is %s', (_, value) => {
    expect([...signedDistance(new Uint8Array(6).fill(value), { height: 2, width: 3 })]).toEqual(new Array(6).fill(0));
  });

  test.each(goldenCases)("as SciPy's transform in Kervadec et al.'s formula: $name", ({ truth, size, answers }) => {
    const expected = numbersOf(answers.signedDistance);
    signedDistance(truth, size).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i], 4);
      expect(Object.is(value, -0)).toBe(false);
    });
  });

  test('is at most 0 on the foreground and at least 1 off it', () => {
    fc.assert(
      fc.property(maskPairs(), ({ size, a }) => {
        fc.pre(a.includes(0) && a.includes(1));
        signedDistance(a, size).forEach((value, i) => {
          if (a[i]) expect(value).toBeLessThanOrEqual(0);
          else expect(value).toBeGreaterThanOrEqual(1);
        });
      }),
    );
  });
});
