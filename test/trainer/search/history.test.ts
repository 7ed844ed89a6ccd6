/**
 * What trials have shown.
 */
import { describe, expect, test } from 'vitest';
import { best, bestBy, lastBy } from '../../../trainer/search/history.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';

const told = (number: number, values: readonly (number | null)[], state: Trial['state'] = 'succeeded'): Trial => ({
  number,
  parameters: {},
  state,
  reports: values.map((value, i) => ({ time: 2 * (i + 1), value: value as number })),
});

describe('the value of a trial', () => {
  test('is its best up to a time, or its last', () => {
    const trial = told(0, [1, 3, 2]);
    expect([1, 2, 3, 4, 6, 99].map(time => bestBy(trial, time))).toEqual([-Infinity, 1, 1, 3, 3, 3]);
    expect([1, 2, 3, 4, 6, 99].map(time => lastBy(trial, time))).toEqual([-Infinity, 1, 1, 3, 2, 2]);
  });

  test('is the worst where it has diverged by then: not a number, endless, or the null that JSON has for both', () => {
    for (const lost of [Number.NaN, Infinity, null]) {
      expect(bestBy(told(0, [5, lost]))).toBe(-Infinity);
      expect(bestBy(told(0, [5, lost]), 2)).toBe(5);
      expect(bestBy(told(0, [lost, 5]))).toBe(5);
    }
  });
});

describe('the best trial', () => {
  test('has the highest value, of equals the first', () => {
    expect(best([told(0, [1]), told(1, [3]), told(2, [3])])!.number).toBe(1);
  });

  test('may still run, or have been stopped, but never have failed', () => {
    expect(best([told(0, [1], 'stopped'), told(1, [3], 'failed'), told(2, [2], 'running')])!.number).toBe(2);
  });

  test('is none where nothing has a value', () => {
    expect(best([])).toBeUndefined();
    expect(best([told(0, []), told(1, [Number.NaN]), told(2, [1], 'failed')])).toBeUndefined();
  });
});
