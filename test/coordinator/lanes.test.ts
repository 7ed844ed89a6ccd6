import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dealLanes } from '../../coordinator/lanes.ts';

test.each([
  // 8 = 3 + 3 + 2
  [8, [8, 8, 8], [3, 3, 2]],
  [4, [4, 4, 4, 4], [1, 1, 1, 1]],
  [5, [9], [5]],
  // The second holds one: 7 = 3 + 1 + 3
  [7, [7, 1, 7], [3, 1, 3]],
])('%i lanes over capacities %j are %j', (lanes, capacities, counts) => {
  expect(dealLanes(lanes, capacities)?.map(({ start, end }) => end - start)).toEqual(counts);
});

test.each([
  ['more workers than lanes', 2, [1, 1, 1]],
  ['no room for all lanes', 8, [3, 4]],
  ['nobody', 1, []],
])('%s: undefined', (_, lanes, capacities) => {
  expect(dealLanes(lanes, capacities)).toBeUndefined();
});

test('ranges are contiguous, none empty, none over its capacity, and differ by one at most where capacities allow', () => {
  const cases = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), cases, (lanes, capacities) => {
      const ranges = dealLanes(lanes, capacities);
      const fits = capacities.length <= lanes && capacities.reduce((a, b) => a + b) >= lanes;
      expect(ranges !== undefined).toBe(fits);
      if (!ranges) return;
      expect(ranges[0].start).toBe(0);
      expect(ranges.at(-1)!.end).toBe(lanes);
      for (let rank = 1; rank < ranges.length; rank++) expect(ranges[rank].start).toBe(ranges[rank - 1].end);
      const counts = ranges.map(({ start, end }) => end - start);
      const most = Math.max(...counts);
      counts.forEach((count, rank) => {
        expect(count).toBeGreaterThanOrEqual(1);
        expect(count).toBeLessThanOrEqual(capacities[rank]);
        if (count < capacities[rank]) expect(count).toBeGreaterThanOrEqual(most - 1);
      });
    }),
  );
});
