import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { labelComponents } from '../../../trainer/metrics/objects.ts';
import { centrelineScores, skeletonize } from '../../../trainer/metrics/skeleton.ts';
import { maskPairs } from '../../tools/masks.ts';
import { drawnRows, goldenCases, goldenPairs, maskOf } from '../../tools/metricsGolden.ts';

describe('a skeleton', () => {
  test('of a bar is its middle line', () => {
    const bar = maskOf('.......', '.#####.', '.#####.', '.#####.', '.......');
    expect(drawnRows(skeletonize(bar, { height: 5, width: 7 }), 7)).toEqual(['.......', '.......', '..###..', '.......', '.......']);
  });

  test('of a square of two by two is a pixel of it, not nothing', () => {
    const square = maskOf('....', '.##.', '.##.', '....');
    expect(skeletonize(square, { height: 4, width: 4 }).filter(value => value === 1)).toHaveLength(1);
  });

  test.each(goldenCases)("as scikit-image's thin: $name", ({ predicted, truth, size, answers }) => {
    expect([predicted, truth].map(mask => drawnRows(skeletonize(mask, size), size.width))).toEqual(answers.skeletons);
  });

  test('lies in the mask, has as many components, and is its own skeleton', () => {
    fc.assert(
      fc.property(maskPairs(), ({ size, a }) => {
        const skeleton = skeletonize(a, size);
        expect(skeleton.every((value, i) => !value || a[i])).toBe(true);
        const components = (mask: Uint8Array) => Math.max(0, ...labelComponents(mask, size));
        expect(components(skeleton)).toBe(components(a));
        expect(skeletonize(skeleton, size)).toEqual(skeleton);
      }),
    );
  });
});

describe('centreline Dice', () => {
  test('by hand: of a line of five, three are predicted, and one pixel beside it', () => {
    const size = { height: 3, width: 5 };
    const [truth, predicted] = [maskOf('.....', '#####', '.....'), maskOf('....#', '###..', '.....')];
    const precision = 3 / 4;
    const sensitivity = 3 / 5;
    expect(centrelineScores(predicted, truth, size)).toEqual({
      topologyPrecision: precision,
      topologySensitivity: sensitivity,
      clDice: (2 * precision * sensitivity) / (precision + sensitivity),
    });
  });

  const size = { height: 2, width: 2 };
  test.each([
    ['both empty', maskOf('..', '..'), maskOf('..', '..'), 1],
    ['nothing predicted', maskOf('..', '..'), maskOf('##', '..'), 0],
    ['nothing to find', maskOf('##', '..'), maskOf('..', '..'), 0],
    ['nothing in common', maskOf('##', '..'), maskOf('..', '##'), 0],
  ])('%s', (_, predicted, truth, expected) => {
    expect(centrelineScores(predicted, truth, size).clDice).toBe(expected);
  });

  test.each(goldenPairs)("from scikit-image's skeletons: $name", ({ predicted, truth, size, answers }) => {
    const { topologyPrecision, topologySensitivity, clDice } = centrelineScores(predicted, truth, size);
    [topologyPrecision, topologySensitivity, clDice].forEach((value, i) => {
      expect(value).toBeCloseTo(answers.clDice[i], 12);
    });
  });

  test('a cut through a vessel costs more clDice than a thinner vessel', () => {
    const size = { height: 5, width: 9 };
    const truth = maskOf('.........', '#########', '#########', '#########', '.........');
    const thinner = maskOf('.........', '.........', '#########', '.........', '.........');
    const cut = maskOf('.........', '###...###', '###...###', '###...###', '.........');
    expect(centrelineScores(thinner, truth, size).clDice).toBe(1);
    expect(centrelineScores(cut, truth, size).clDice).toBeLessThan(0.8);
  });
});
