import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { RocState, thinned } from '../../../trainer/metrics/roc.ts';
import { goldenCases } from '../../tools/metricsGolden.ts';

/** All pairs, ties one half (Mann and Whitney). */
function exactAuc(scores: readonly number[], truth: readonly number[]): number {
  let ranked = 0;
  let pairs = 0;
  scores.forEach((positive, i) => {
    scores.forEach((negative, j) => {
      if (truth[i] !== 1 || truth[j] !== 0) return;
      pairs++;
      ranked += positive > negative ? 1 : positive === negative ? 0.5 : 0;
    });
  });
  return ranked / pairs;
}

const state = (scores: readonly number[], truth: readonly number[]) => {
  const roc = new RocState();
  roc.add(Float32Array.from(scores), truth);
  return roc;
};

describe('area under the ROC curve', () => {
  test('by hand: of the pairs (3 > 2), (3 > -1), (0 < 2), (0 > -1) three are ranked right', () => {
    expect(state([3, 0, 2, -1], [1, 1, 0, 0]).auc()).toEqual({ auc: 0.75, halfWidth: 0 });
  });

  test.each(goldenCases.filter(({ answers }) => answers.auc !== null))('as scikit-learn: $name', ({ logits, truth, answers }) => {
    const { auc, halfWidth } = state([...logits], [...truth]).auc();
    expect(Math.abs(auc - answers.auc!)).toBeLessThanOrEqual(halfWidth + 1e-12);
  });

  test('a tie counts half and is the whole uncertainty', () => {
    expect(state([1, 1], [1, 0]).auc()).toEqual({ auc: 0.5, halfWidth: 0.5 });
  });

  test('pixels with the ignored label do not count', () => {
    expect(state([1, 2, 3], [0, 1, 255]).auc()).toEqual(state([1, 2], [0, 1]).auc());
  });

  test('minus zero is zero', () => {
    expect(state([-0, 0], [1, 0]).auc()).toEqual({ auc: 0.5, halfWidth: 0.5 });
  });

  test('is not a number where one kind of pixel is missing', () => {
    expect(state([1, 2], [1, 1]).auc().auc).toBeNaN();
  });

  const samples = fc.array(fc.tuple(fc.float({ min: -30, max: 30, noNaN: true }), fc.constantFrom(0, 1)), { minLength: 2, maxLength: 60 });
  const both = samples.filter(all => new Set(all.map(([, truth]) => truth)).size === 2);

  test('the exact area lies within the half-width', () => {
    fc.assert(
      fc.property(both, all => {
        const [scores, truth] = [all.map(([s]) => s), all.map(([, t]) => t)];
        const { auc, halfWidth } = state(scores, truth).auc();
        expect(Math.abs(auc - exactAuc(scores, truth))).toBeLessThanOrEqual(halfWidth + 1e-12);
      }),
    );
  });

  test('saturated logits are told apart, where a probability would be 1 for both', () => {
    const { auc } = state([40, 35, 30, 20], [1, 0, 1, 0]).auc();
    expect(auc).toBe(0.75);
  });

  test('merging histograms is the same as counting together, in any order', () => {
    fc.assert(
      fc.property(both, fc.nat(60), (all, cut) => {
        const part = (pixels: typeof all) =>
          state(
            pixels.map(([s]) => s),
            pixels.map(([, t]) => t),
          );
        const merged = part(all.slice(cut));
        merged.merge(part(all.slice(0, cut)));
        expect(merged.auc()).toEqual(part(all).auc());
      }),
    );
  });

  test('the curve goes from (0, 0) to (1, 1), never down, and has that area', () => {
    fc.assert(
      fc.property(both, all => {
        const roc = part(all);
        const points = roc.curve();
        expect(points[0]).toEqual({ falsePositiveRate: 0, truePositiveRate: 0 });
        expect(points.at(-1)).toEqual({ falsePositiveRate: 1, truePositiveRate: 1 });
        let area = 0;
        for (let i = 1; i < points.length; i++) {
          const width = points[i].falsePositiveRate - points[i - 1].falsePositiveRate;
          expect(width).toBeGreaterThanOrEqual(0);
          area += (width * (points[i].truePositiveRate + points[i - 1].truePositiveRate)) / 2;
        }
        expect(area).toBeCloseTo(roc.auc().auc, 9);
      }),
    );
  });

  const part = (pixels: readonly (readonly [number, number])[]) =>
    state(
      pixels.map(([s]) => s),
      pixels.map(([, t]) => t),
    );
});

test('a thinned curve keeps its ends, and of all others a point within a step', () => {
  const scores = fc.array(fc.tuple(fc.integer({ min: -50, max: 50 }), fc.integer({ min: 0, max: 1 })), { minLength: 2, maxLength: 300 });
  fc.assert(
    fc.property(scores, fc.constantFrom(0.01, 0.1), (pixels, step) => {
      const curve = state(
        pixels.map(([score]) => score),
        pixels.map(([, truth]) => truth),
      ).curve();
      const kept = thinned(curve, step);
      expect([kept[0], kept.at(-1)]).toEqual([curve[0], curve.at(-1)]);
      for (const { falsePositiveRate, truePositiveRate } of curve) {
        const isNear = kept.some(
          point =>
            Math.abs(point.falsePositiveRate - falsePositiveRate) <= step && Math.abs(point.truePositiveRate - truePositiveRate) <= step,
        );
        expect(isNear).toBe(true);
      }
    }),
    { numRuns: 30 },
  );
});
