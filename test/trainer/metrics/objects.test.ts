import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { iouThresholds, labelComponents, matchObjects, objectAveragePrecision } from '../../../trainer/metrics/objects.ts';
import { maskPairs } from '../../tools/masks.ts';
import { goldenCases, maskOf, numbersOf } from '../../tools/metricsGolden.ts';

describe('components', () => {
  test('touch by sides and corners, and are numbered row by row', () => {
    const mask = maskOf('..#..#', '##...#', '......', '#.....');
    expect([...labelComponents(mask, { height: 4, width: 6 })]).toEqual([
      ...[0, 0, 1, 0, 0, 2],
      ...[1, 1, 0, 0, 0, 2],
      ...[0, 0, 0, 0, 0, 0],
      ...[3, 0, 0, 0, 0, 0],
    ]);
  });

  test.each(goldenCases)("as scikit-image's label: $name", ({ predicted, truth, size, answers }) => {
    expect([predicted, truth].map(mask => [...labelComponents(mask, size)])).toEqual(answers.components.map(numbersOf));
  });
});

describe('matching objects', () => {
  test('by hand: 3 of 5 pixels in common are a match up to 0.55, for the overlap must be above the threshold', () => {
    const counts = matchObjects([1, 1, 1, 1, 0, 2], [0, 7, 7, 7, 7, 0]);
    const matched = { tp: 1, fp: 1, fn: 0 };
    const unmatched = { tp: 0, fp: 2, fn: 1 };
    expect(counts).toEqual(iouThresholds.map(threshold => ({ threshold, ...(threshold < 0.6 ? matched : unmatched) })));
    expect(objectAveragePrecision(counts)).toBeCloseTo((1 / 2 + 1 / 2) / 10, 12);
  });

  test('objects that touch are apart where the labels say so', () => {
    const [first] = matchObjects([1, 1, 2, 2], [5, 5, 9, 9]);
    expect(first).toEqual({ threshold: 0.5, tp: 2, fp: 0, fn: 0 });
  });

  test.each([
    ['no object in either', [0, 0], [0, 0], 1],
    ['one missed', [0, 0], [0, 1], 0],
    ['one false alarm', [0, 1], [0, 0], 0],
    ['one found and one missed', [1, 0], [1, 2], 0.5],
  ])('average precision, %s', (_, predicted, truth, expected) => {
    expect(objectAveragePrecision(matchObjects(predicted, truth))).toBe(expected);
  });

  test.each(goldenCases)("as MONAI's panoptic quality counts: $name", ({ predicted, truth, size, answers }) => {
    const counts = matchObjects(labelComponents(predicted, size), labelComponents(truth, size));
    expect(counts.map(({ tp, fp, fn }) => [tp, fp, fn])).toEqual(answers.objects);
  });

  test('no object is matched twice, and a miss never raises the average precision', () => {
    fc.assert(
      fc.property(maskPairs(), fc.nat(), ({ size, a, b }, choice) => {
        const [predicted, truth] = [labelComponents(a, size), labelComponents(b, size)];
        const counts = matchObjects(predicted, truth);
        for (const { tp, fp, fn } of counts) {
          expect([tp + fp, tp + fn]).toEqual([Math.max(0, ...predicted), Math.max(0, ...truth)]);
          expect(Math.min(tp, fp, fn)).toBeGreaterThanOrEqual(0);
        }
        // An object that was found exactly, missed: not better at any threshold.
        const numTrue = Math.max(0, ...truth);
        if (numTrue === 0) return;
        const missed = 1 + (choice % numTrue);
        const all = objectAveragePrecision(matchObjects(truth, truth));
        const fewer = objectAveragePrecision(
          matchObjects(
            truth.map(label => (label === missed ? 0 : label)),
            truth,
          ),
        );
        expect(all).toBe(1);
        expect(fewer).toBeCloseTo((numTrue - 1) / numTrue, 12);
      }),
    );
  });
});
