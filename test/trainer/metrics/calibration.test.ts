import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CalibrationState } from '../../../trainer/metrics/calibration.ts';
import { calibration, goldenCases } from '../../tools/metricsGolden.ts';
import { uniform } from '../../tools/numbers.ts';

const logit = (probability: number) => Math.log(probability / (1 - probability));

const stateOf = (pixels: readonly (readonly [logit: number, truth: number])[]) => {
  const state = new CalibrationState();
  state.add(
    Float32Array.from(pixels, ([z]) => z),
    pixels.map(([, t]) => t),
  );
  return state;
};

describe('calibration', () => {
  test('by hand: of two pixels at 0.75 one is right, of two at 0.25 none is foreground', () => {
    const state = stateOf([
      [logit(0.75), 1],
      [logit(0.75), 0],
      [logit(0.25), 0],
      [logit(0.25), 0],
    ]);
    const { ece, mce, brier } = state.scores();
    expect(ece).toBeCloseTo(0.5 * 0.25 + 0.5 * 0.25, 7);
    expect(mce).toBeCloseTo(0.25, 7);
    expect(brier).toBeCloseTo((0.0625 + 0.5625 + 0.0625 + 0.0625) / 4, 7);
    expect(state.curve().map(({ frequency, pixels }) => [frequency, pixels])).toEqual([
      [0, 2],
      [0.5, 2],
    ]);
  });

  test('saturated and right is perfect, saturated and wrong is as bad as can be', () => {
    const right = stateOf([
      [60, 1],
      [-60, 0],
    ]).scores();
    const wrong = stateOf([
      [60, 0],
      [-60, 1],
    ]).scores();
    expect(right).toEqual({ ece: 0, mce: 0, brier: 0 });
    expect(wrong).toEqual({ ece: 1, mce: 1, brier: 1 });
  });

  test('as MONAI (ECE, MCE) and scikit-learn (Brier, curve), of all cases together', () => {
    const state = new CalibrationState();
    for (const { logits, truth } of goldenCases) state.add(logits, truth);
    const { ece, mce, brier } = state.scores();
    expect(ece).toBeCloseTo(calibration.ece, 6);
    expect(mce).toBeCloseTo(calibration.mce, 6);
    expect(brier).toBeCloseTo(calibration.brier, 7);
    const curve = state.curve();
    expect(curve).toHaveLength(calibration.curve.length);
    curve.forEach(({ probability, frequency }, i) => {
      expect(probability).toBeCloseTo(calibration.curve[i][0], 7);
      expect(frequency).toBeCloseTo(calibration.curve[i][1], 12);
    });
  });

  const pixels = fc.array(fc.tuple(fc.float({ min: -40, max: 40, noNaN: true }), fc.constantFrom(0, 1)), { minLength: 1, maxLength: 80 });

  test('any partition, merged in any order, gives the same bits', () => {
    fc.assert(
      fc.property(pixels, fc.array(fc.nat(4), { minLength: 80, maxLength: 80 }), (all, part) => {
        const parts = [3, 0, 4, 1, 2].map(k => stateOf(all.filter((_, i) => part[i] === k)));
        const [merged, ...rest] = parts;
        for (const other of rest) merged.merge(other);
        expect(merged.scores()).toEqual(stateOf(all).scores());
        expect(merged.curve()).toEqual(stateOf(all).curve());
      }),
    );
  });

  test('so do ten thousand pixels in a hundred parts', () => {
    const all = Array.from(uniform(10_000, 'calibration', -8, 8), (z, i) => [z, i % 3 === 0 ? 1 : 0] as const);
    const merged = new CalibrationState();
    for (let k = 99; k >= 0; k--) merged.merge(stateOf(all.filter((_, i) => i % 100 === k)));
    expect(merged.scores()).toEqual(stateOf(all).scores());
    expect(merged.curve()).toEqual(stateOf(all).curve());
  });

  test('lies between 0 and 1, and the largest gap is no smaller than the mean one', () => {
    fc.assert(
      fc.property(pixels, all => {
        const { ece, mce, brier } = stateOf(all).scores();
        for (const score of [ece, mce, brier]) {
          expect(score).toBeGreaterThanOrEqual(0);
          expect(score).toBeLessThanOrEqual(1);
        }
        expect(mce).toBeGreaterThanOrEqual(ece - 1e-12);
      }),
    );
  });
});
