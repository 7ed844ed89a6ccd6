import { expect, test } from 'vitest';
import { countSamples } from '../../coordinator/ledger.ts';

const part = (first: number, count: number, epoch = 0, of = 10) => ({ epoch, first, count, of });

test('parts that join end to end are counted; the last of an epoch opens the next one', () => {
  expect(countSamples({ epoch: 0, next: 0 }, [part(0, 3), part(3, 1)])).toEqual({ epoch: 0, next: 4 });
  expect(countSamples({ epoch: 0, next: 8 }, [part(8, 2), part(10, 0)])).toEqual({ epoch: 1, next: 0 });
});

test('a round that trains nothing counts nothing', () => {
  expect(countSamples({ epoch: 2, next: 4 }, [undefined, undefined])).toEqual({ epoch: 2, next: 4 });
});

test.each([
  ['a sample twice', [part(0, 3), part(2, 2)], 'rank 1 used samples from 2 of epoch 0; the next that were due are from 3 of epoch 0'],
  ['a gap', [part(0, 3), part(4, 2)], 'rank 1 used samples from 4 of epoch 0; the next that were due are from 3 of epoch 0'],
  ['an old step', [part(0, 4, 1)], 'rank 0 used samples from 0 of epoch 1; the next that were due are from 0 of epoch 0'],
  ['more than there are', [part(0, 11)], '11 samples were used in epoch 0, which has 10'],
  ['epochs of different size', [part(0, 3), part(3, 2, 0, 12)], 'rank 1 has 12 samples in the epoch, rank 0 has 10'],
  ['some that count and some that do not', [part(0, 3), undefined], '1 of 2 workers counted no samples, the others did'],
])('%s is said as such', (_, parts, sentence) => {
  expect(countSamples({ epoch: 0, next: 0 }, parts)).toBe(sentence);
});
