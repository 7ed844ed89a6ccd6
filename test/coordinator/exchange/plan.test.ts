import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bytesSent, planOf } from '../../../coordinator/exchange/plan.ts';
import { bytesPerNumber, wires } from '../../../trainer/wire.ts';
import { bucketsOf, evenly, partition } from '../../tools/lanes.ts';

describe('bytes that a rank sends in one step', () => {
  test.each([
    [2, 2],
    [2, 8],
    [4, 4],
    [4, 64],
    [8, 8],
  ])('are 2 (n - 1) / n of the gradient for n = %i and %i lanes', (workers, lanes) => {
    const numbers = 16 * 8 * 1000;
    for (let rank = 0; rank < workers; rank++) {
      for (const wire of wires) {
        const plan = planOf({ rank, ranges: evenly(lanes, workers), buckets: [{ length: numbers, wire }] });
        expect(bytesSent(plan)).toBe(((2 * (workers - 1)) / workers) * numbers * bytesPerNumber[wire]);
      }
    }
  });

  test('are a slice more for each further node: 3 workers, 4 lanes as 1 + 2 + 1', () => {
    // Worker 1 has lanes 1 and 2, which are children of different nodes: 2 nodes x 2 foreign slices + 2 copies of its own, of 1/3 each.
    const ranges = partition(4, [true, false, true]);
    const sent = [0, 1, 2].map(rank => bytesSent(planOf({ rank, ranges, buckets: bucketsOf(48 * 100) })) / (4 * 48 * 100));
    expect(sent).toEqual([4 / 3, 6 / 3, 4 / 3].map(value => expect.closeTo(value, 12)));
  });
});

test('every number of every bucket is in exactly one chunk, and none is longer than a frame carries', () => {
  const bucket = fc.record({ length: fc.integer({ min: 1, max: 3000 }), wire: fc.constantFrom(...wires) });
  const buckets = fc.array(bucket, { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(buckets, fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 500 }), (given, workers, chunkLength) => {
      const plan = planOf({ rank: 0, ranges: evenly(workers, workers), buckets: given, chunkLength });
      let [start, wireStart] = [0, 0];
      for (const [index, { paddedLength, chunks, ...bucket }] of plan.buckets.entries()) {
        expect(bucket).toEqual({ ...given[index], start, wireStart });
        expect(paddedLength).toBe(Math.ceil(bucket.length / 16) * 16);
        let offset = 0;
        for (const chunk of chunks.flat()) {
          expect(chunk.offset).toBe(offset);
          expect(chunk.length % 16).toBe(0);
          expect(chunk.length).toBeGreaterThan(0);
          expect(chunk.length).toBeLessThanOrEqual(Math.ceil(chunkLength / 16) * 16);
          offset += chunk.length;
        }
        expect(offset).toBe(paddedLength);
        start += paddedLength;
        wireStart += paddedLength * bytesPerNumber[bucket.wire];
      }
      expect([plan.paddedLength, plan.wireBytes]).toEqual([start, wireStart]);
    }),
  );
});

test.each([
  [{ rank: 0, ranges: [{ start: 1, end: 2 }], buckets: bucketsOf(1) }, 'rank 0 has lanes 1 to 1; expected one lane or more, from 0 on'],
  [{ rank: 0, ranges: evenly(2, 3), buckets: bucketsOf(1) }, 'rank 0 has lanes 0 to -1; expected one lane or more, from 0 on'],
  [{ rank: 2, ranges: evenly(2, 2), buckets: bucketsOf(1) }, 'rank 2 has no lanes: there are ranges for ranks 0 to 1'],
  [{ rank: 0, ranges: evenly(2, 2), buckets: [] }, '0 buckets: between 1 and 65536 can be exchanged'],
  [{ rank: 0, ranges: evenly(2, 2), buckets: bucketsOf(3, 0) }, 'bucket 1 has 0 numbers; give it one at least'],
  [{ rank: 0, ranges: [{ start: 0, end: 65536 }], buckets: bucketsOf(1) }, '65536 lanes: between 1 and 65535 can be summed'],
])('%j is refused', (options, sentence) => {
  expect(() => planOf(options)).toThrow(sentence);
});
