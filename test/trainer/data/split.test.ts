import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutIntoBatches } from '../../../trainer/data/batches.ts';
import { epochOrder, splitCases } from '../../../trainer/data/split.ts';

const ids = (count: number) => Array.from({ length: count }, (_, i) => `case${String(i).padStart(4, '0')}`);

describe('a split', () => {
  test('puts every case in exactly one part, a fifth of them in validation', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 300 }), fc.nat(), (count, seed) => {
        const { training, validation } = splitCases(ids(count), { share: 0.2, seed });
        expect([...training, ...validation].sort((a, b) => a - b)).toEqual(ids(count).map((_, i) => i));
        expect(validation.length).toBe(Math.max(1, Math.round(count * 0.2)));
      }),
    );
  });

  test('is a function of the seed, and its digest tells splits apart', () => {
    const of = (seed: number) => splitCases(ids(50), { share: 0.2, seed });
    expect(of(1)).toEqual(of(1));
    expect(of(2).digest).not.toBe(of(1).digest);
  });

  test('leaves a case for each part however small the share', () => {
    expect(splitCases(ids(3), { share: 0.01, seed: 1 }).validation).toHaveLength(1);
    expect(splitCases(ids(3), { share: 0.99, seed: 1 }).training).toHaveLength(1);
  });

  test('with a test part puts every case in one of three, and leaves the training of another split alone', () => {
    const { training, validation, test } = splitCases(ids(100), { share: 0.2, test: 0.25, seed: 3 });
    expect([training.length, validation.length, test.length]).toEqual([55, 20, 25]);
    expect([...training, ...validation, ...test].sort((a, b) => a - b)).toEqual(ids(100).map((_, i) => i));
    expect(validation).toEqual(splitCases(ids(100), { share: 0.2, seed: 3 }).validation);
  });

  test("by numbers: the 2,594 cases of the paper's Table 4 are 1,653 to train on, 292 to validate on and 649 to test on", () => {
    const { training, validation, test } = splitCases(ids(2594), { share: 292, test: 649, seed: 0 });
    expect([training.length, validation.length, test.length]).toEqual([1653, 292, 649]);
  });

  test('that leaves nothing to train on is refused', () => {
    expect(() => splitCases(ids(10), { share: 6, test: 4, seed: 1 })).toThrow(
      'data.split holds out 6 cases for validation and 4 for the test, and the data set has 10; hold out fewer',
    );
    expect(() => splitCases(ids(2), { share: 0.5, test: 0.5, seed: 1 })).toThrow('the data set has 2 cases; at least 3 are needed');
  });

  test('of one case is refused', () => {
    expect(() => splitCases(ids(1), { share: 0.2, seed: 1 })).toThrow('the data set has 1 case; at least 2 are needed');
  });
});

test('an epoch takes every case once, in an order of its own', () => {
  const [first, second] = [1, 2].map(epoch => [...epochOrder(30, 5, epoch)]);
  expect(first).not.toEqual(second);
  expect([...epochOrder(30, 5, 1)]).toEqual(first);
  expect([...second].sort((a, b) => a - b)).toEqual(ids(30).map((_, i) => i));
});

test('the last batch of an epoch is short, not dropped', () => {
  expect(cutIntoBatches([5, 3, 1, 4, 2], 2)).toEqual([[5, 3], [1, 4], [2]]);
});
