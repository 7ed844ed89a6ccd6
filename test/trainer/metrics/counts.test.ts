import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Counts, countsOfImage, metricsOf, OverlapState, thresholdedJaccard } from '../../../trainer/metrics/counts.ts';
import { goldenPairs } from '../../tools/metricsGolden.ts';

describe('metrics of counts', () => {
  test('by hand: tp 6, fp 2, fn 4, tn 8', () => {
    expect(metricsOf({ tp: 6, fp: 2, fn: 4, tn: 8 })).toEqual({
      jaccard: 6 / 12,
      dice: 12 / 18,
      precision: 6 / 8,
      recall: 6 / 10,
      specificity: 8 / 10,
      f1: 12 / 18,
      accuracy: 14 / 20,
    });
  });

  test.each([
    [
      'empty mask, predicted empty: all right',
      { tp: 0, fp: 0, fn: 0, tn: 9 },
      { jaccard: 1, dice: 1, precision: 1, recall: 1, specificity: 1 },
    ],
    ['empty mask, one stray pixel', { tp: 0, fp: 1, fn: 0, tn: 8 }, { jaccard: 0, dice: 0, precision: 0, recall: 0, specificity: 8 / 9 }],
    ['mask, nothing predicted', { tp: 0, fp: 0, fn: 3, tn: 6 }, { jaccard: 0, dice: 0, precision: 0, recall: 0, specificity: 1 }],
    ['full mask, predicted full', { tp: 9, fp: 0, fn: 0, tn: 0 }, { jaccard: 1, precision: 1, recall: 1, specificity: 1 }],
    ['full mask, one pixel missed', { tp: 8, fp: 0, fn: 1, tn: 0 }, { jaccard: 8 / 9, precision: 1, recall: 8 / 9, specificity: 0 }],
  ])('%s', (_, counts, expected) => {
    expect(metricsOf(counts)).toMatchObject(expected);
  });

  test.each(goldenPairs)('as scikit-learn: $name', ({ logits, truth, answers: { overlap } }) => {
    const [counts] = countsOfImage(logits, truth, 1, false);
    const metrics = metricsOf(counts);
    for (const [name, value] of Object.entries(overlap)) expect(metrics[name as keyof typeof overlap]).toBeCloseTo(value, 12);
  });

  test.each([
    [0.6499, 0],
    [0.65, 0.65],
    [1, 1],
  ])('a Jaccard of %d counts as %d for ISIC', (jaccard, expected) => {
    expect(thresholdedJaccard(jaccard)).toBe(expected);
  });

  test('J = D / (2 - D) for any counts', () => {
    const count = fc.nat(1000);
    fc.assert(
      fc.property(count, count, count, count, (tp, fp, fn, tn) => {
        const { jaccard, dice } = metricsOf({ tp, fp, fn, tn });
        expect(jaccard).toBeCloseTo(dice / (2 - dice), 12);
      }),
    );
  });
});

describe('counts of an image', () => {
  test('one class: predicted where the logit is above 0', () => {
    const logits = Float32Array.of(2, 0.1, -1, -3, 0, 5);
    const labels = Uint8Array.of(1, 0, 1, 0, 0, 1);
    expect(countsOfImage(logits, labels, 1, false)).toEqual([{ tp: 2, fp: 1, fn: 1, tn: 2 }]);
  });

  test('pixels with the ignored label do not count', () => {
    const logits = Float32Array.of(2, 0.1, -1, -3);
    expect(countsOfImage(logits, Uint8Array.of(1, 255, 255, 0), 1, false)).toEqual([{ tp: 1, fp: 0, fn: 0, tn: 1 }]);
    const two = Float32Array.of(2, 0, /**/ 0, 2);
    expect(countsOfImage(two, Uint8Array.of(255, 1), 2, true)[1]).toEqual({ tp: 1, fp: 0, fn: 0, tn: 0 });
  });

  test('several classes by themselves: label c + 1 belongs to class c, label 0 to none', () => {
    const logits = Float32Array.of(1, -1, /**/ 1, 1, /**/ -1, -1);
    const labels = Uint8Array.of(1, 2, 0);
    expect(countsOfImage(logits, labels, 2, false)).toEqual([
      { tp: 1, fp: 1, fn: 0, tn: 1 },
      { tp: 1, fp: 0, fn: 0, tn: 2 },
    ]);
  });

  test('classes that exclude each other: the largest logit decides', () => {
    const logits = Float32Array.of(3, 1, 2, /**/ 0, 5, 1, /**/ -3, -2, -1);
    const labels = Uint8Array.of(0, 2, 2);
    expect(countsOfImage(logits, labels, 3, true)).toEqual([
      { tp: 1, fp: 0, fn: 0, tn: 2 },
      { tp: 0, fp: 1, fn: 0, tn: 2 },
      { tp: 1, fp: 0, fn: 1, tn: 1 },
    ]);
  });
});

test('pooled and per image differ: the pooled ratio weighs large masks, the mean does not', () => {
  const state = new OverlapState();
  const [large, small]: Counts[] = [
    { tp: 90, fp: 10, fn: 0, tn: 0 },
    { tp: 0, fp: 0, fn: 1, tn: 99 },
  ];
  state.add([large]);
  state.add([small]);
  const { pooled, perImage } = state.metrics();
  expect(pooled.jaccard).toBeCloseTo(90 / 101, 12);
  expect(perImage.jaccard).toBeCloseTo((0.9 + 0) / 2, 12);
});
