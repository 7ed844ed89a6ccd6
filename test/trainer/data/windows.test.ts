import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { addWindow, windowsAlong, windowsOf } from '../../../trainer/data/windows.ts';

const length = fc.integer({ min: 1, max: 200 });
const window = fc.integer({ min: 2, max: 64 });

describe('windows along an axis', () => {
  test('cover it with weights that sum to one everywhere', () => {
    fc.assert(
      fc.property(length, window, (length, window) => {
        const total = new Float64Array(Math.max(length, window));
        for (const { start, weights } of windowsAlong(length, window)) {
          expect(start >= 0 && start + window <= total.length).toBe(true);
          weights.forEach((weight, i) => {
            total[start + i] += weight;
          });
        }
        total.forEach((sum, i) => {
          expect(sum).toBeCloseTo(i < length ? 1 : 0, 12);
        });
      }),
    );
  });

  test('overlap by at least a half', () => {
    fc.assert(
      fc.property(length, window, (length, window) => {
        const starts = windowsAlong(length, window).map(({ start }) => start);
        for (let i = 1; i < starts.length; i++) expect(starts[i] - starts[i - 1]).toBeLessThanOrEqual(Math.floor(window / 2));
      }),
    );
  });

  test('of 8 over 16: at 0, 4 and 8, with the sine squared where two overlap', () => {
    const windows = windowsAlong(16, 8);
    expect(windows.map(({ start }) => start)).toEqual([0, 4, 8]);
    // At position 4 the first window is at sin^2(pi 4.5/8) = 0.961940, the second at sin^2(pi 0.5/8) = 0.038060; they sum to one.
    expect(windows[0].weights[4]).toBeCloseTo(0.9619397662556434, 12);
    expect(windows[1].weights[0]).toBeCloseTo(0.0380602337443566, 12);
    expect([...windows[0].weights.subarray(0, 4)]).toEqual([1, 1, 1, 1]);
  });

  test('of the length of the axis: one, of weight one', () => {
    expect(windowsAlong(5, 5)).toEqual([{ start: 0, weights: Float64Array.of(1, 1, 1, 1, 1) }]);
  });
});

describe('blending', () => {
  const size = fc.record({ height: fc.integer({ min: 1, max: 60 }), width: fc.integer({ min: 1, max: 60 }) });
  const input = fc.record({ height: fc.constantFrom(16, 32), width: fc.constantFrom(16, 32) });

  test('leaves a constant map constant', () => {
    fc.assert(
      fc.property(size, input, fc.double({ min: -50, max: 50, noNaN: true }), (image, window, value) => {
        const sum = new Float32Array(image.height * image.width * 2);
        for (const part of windowsOf(image, window))
          addWindow(new Float32Array(window.height * window.width * 2).fill(value), part, sum, image, 2);
        for (const blended of sum) expect(Math.abs(blended - value)).toBeLessThanOrEqual(1e-5 * Math.max(Math.abs(value), 1));
      }),
    );
  });

  test('keeps a map that the windows agree on: each pixel comes from its own place', () => {
    const image = { height: 40, width: 56 };
    const truth = Float32Array.from({ length: 40 * 56 }, (_, i) => Math.sin(i));
    const sum = new Float32Array(truth.length);
    for (const part of windowsOf(image, { height: 16, width: 32 })) {
      const { top, left, height, width } = part;
      const values = Float32Array.from(
        { length: height * width },
        (_, i) => truth[(top + Math.floor(i / width)) * 56 + left + (i % width)],
      );
      addWindow(values, part, sum, image, 1);
    }
    sum.forEach((value, i) => {
      expect(value).toBeCloseTo(truth[i], 5);
    });
  });

  test('shows no seam: where windows say 0 and 1 in turn, neighbours differ by little', () => {
    // Between neighbours the weight of a window of 32 rises from 0 to 1 as sin^2(pi x/32), whose slope is at most pi/32 = 0.098 a pixel.
    const image = { height: 32, width: 96 };
    const sum = new Float32Array(32 * 96);
    windowsOf(image, { height: 32, width: 32 }).forEach((part, i) => {
      addWindow(new Float32Array(32 * 32).fill(i % 2), part, sum, image, 1);
    });
    const row = sum.subarray(0, 96);
    for (let x = 1; x < 96; x++) expect(Math.abs(row[x] - row[x - 1])).toBeLessThan(Math.PI / 32);
    expect(Math.max(...row)).toBeGreaterThan(0.99);
    expect(Math.min(...row)).toBeLessThan(0.01);
  });
});
