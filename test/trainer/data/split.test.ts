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
