import { describe, expect, test } from 'vitest';
import { flattened, namesOf } from '../../../trainer/report/arms.ts';
import { bandOf, epochsToWithin, normalisedLoss, restlessness } from '../../../trainer/report/curves.ts';
import type { Scored } from '../../../trainer/report/pairs.ts';
import { ranking } from '../../../trainer/report/sections/comparison.ts';
import { rateAt } from '../../../trainer/report/sections/roc.ts';

describe('curves', () => {
  test('of several runs are mean, lowest and highest, as long as all go on', () => {
    expect(
      bandOf([
        [1, 2, 3],
        [3, 2],
      ]),
    ).toEqual([
      { x: 1, mean: 2, low: 1, high: 3 },
      { x: 2, mean: 2, low: 2, high: 2 },
    ]);
    expect(bandOf([])).toEqual([]);
  });

  test.each([
    ['the first that is near enough, not the best', [0.1, 0.79, 0.6, 0.8], 0.02, 2],
    ['the best itself', [0.1, 0.79, 0.6, 0.8], 0.005, 4],
    ['the first epoch, if nothing is better', [0.5, 0.4], 0.01, 1],
  ])('come within delta in %s', (_, values, delta, epoch) => {
    expect(epochsToWithin(values, delta)).toBe(epoch);
  });

  test('of losses go from 1 to 0, in any unit; one that never fell has none', () => {
    expect(normalisedLoss([3, 2, 1, 1.5])).toEqual([1, 0.5, 0, 0.25]); // (L - 1) / (3 - 1)
    expect(normalisedLoss([-5, -9, -7])).toEqual([1, 0, 0.5]);
    expect(normalisedLoss([1, 2])).toBeUndefined();
  });

  test('that lie still at the end are not restless, whatever they did before', () => {
    expect(restlessness([0, 1, 0.5, 0.5, 0.5, 0.5])).toBe(0);
    expect(restlessness([0, 0, 0.5, 0.6, 0.5, 0.6])).toBeCloseTo(0.1, 12); // of 0.6, 0.5, 0.6
    expect(restlessness([1, 2])).toBeUndefined();
  });
});

test('between points of an ROC curve rates follow the line; where it rises straight up, the upper end counts', () => {
  const curve = [
    [0, 0],
    [0, 0.4],
    [0.2, 0.8],
    [1, 1],
  ].map(([falsePositiveRate, truePositiveRate]) => ({ falsePositiveRate, truePositiveRate }));
  expect([0, 0.1, 0.2, 0.6, 1].map(rate => rateAt(curve, rate))).toEqual([0.4, expect.closeTo(0.6, 12), 0.8, expect.closeTo(0.9, 12), 1]);
});

describe('the order of arms', () => {
  const ids = Array.from({ length: 30 }, (_, i) => `image ${i}`);
  const scored = (name: string, values: number[]): Scored => ({
    name,
    ids,
    values: new Map([
      ['jaccard', values],
      ['hd95', values],
    ]),
  });
  const [low, high] = [
    scored(
      'low',
      ids.map((_, i) => i / 100),
    ),
    scored(
      'high',
      ids.map((_, i) => 0.1 + i / 100),
    ),
  ];

  test('is certain where one is ahead on every image, and turns with what is better', () => {
    expect(ranking([low, high], 'jaccard')).toEqual([
      { first: 0, mean: 2 },
      { first: 1, mean: 1 },
    ]);
    expect(ranking([low, high], 'hd95')).toEqual([
      { first: 1, mean: 1 },
      { first: 0, mean: 2 },
    ]);
  });

  test('is shared by those that are equal, and open where each is ahead on half of the images', () => {
    expect(ranking([low, { ...low, name: 'again' }], 'jaccard')).toEqual([
      { first: 0.5, mean: 1.5 },
      { first: 0.5, mean: 1.5 },
    ]);
    const swaps = scored(
      'swaps',
      ids.map((_, i) => i / 100 + (i % 2 === 0 ? 0.1 : -0.1)),
    );
    const [a, b] = ranking([low, swaps], 'jaccard')!;
    expect(a.first).toBeGreaterThan(0.35);
    expect(a.first + b.first).toBeCloseTo(1, 12);
    expect(a.first).toBeLessThan(0.65);
  });

  test('is not there where they share no image', () => {
    expect(ranking([low, { ...high, ids: ids.map(id => `other ${id}`) }], 'jaccard')).toBeUndefined();
  });
});

test('names of runs leave out the folders that all share', () => {
  expect(namesOf(['/a/runs/x', '/a/runs/y'])).toEqual(['x', 'y']);
  expect(namesOf(['/a/sweep/trials/0001', '/a/other/x'])).toEqual(['sweep/trials/0001', 'other/x']);
  expect(namesOf(['/a/x'])).toEqual(['x']);
  expect(namesOf(['/a/x', '/b/x'])).toEqual(['a/x', 'b/x']);
});

test('settings are named by their path; lists stay whole', () => {
  expect([...flattened({ loss: { name: 'dice', weights: [1, 2] }, seed: 1, left: undefined })]).toEqual([
    ['loss.name', 'dice'],
    ['loss.weights', [1, 2]],
    ['seed', 1],
  ]);
});
