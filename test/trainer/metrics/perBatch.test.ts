import { describe, expect, test } from 'vitest';
import { countsOfImage } from '../../../trainer/metrics/counts.ts';
import { type ImageSums, scoresPerBatch, softScores, softSums } from '../../../trainer/metrics/perBatch.ts';
import { batchSize, commonSize } from '../../tools/metricsCase.ts';
import { goldenCases, keras } from '../../tools/metricsGolden.ts';

const image = (tp: number, fp: number, fn: number): ImageSums => ({
  counts: [{ tp, fp, fn, tn: 0 }],
  soft: [{ intersection: tp, prediction: tp + fp, truth: tp + fn }],
});

describe('scores a batch, averaged', () => {
  test('by hand: counts are pooled in a batch; the short last batch counts as much as the others, or by its images', () => {
    const { equal, byImages } = scoresPerBatch([image(6, 2, 0), image(0, 0, 2), image(1, 1, 0)], 2);
    const [first, last] = [6 / 10, 1 / 2];
    expect(equal.perBatch.jaccard).toBeCloseTo((first + last) / 2, 12);
    expect(byImages.perBatch.jaccard).toBeCloseTo((2 * first + last) / 3, 12);
    const [softFirst, softLast] = [(6 + 1) / (10 + 1), (1 + 1) / (2 + 1)];
    expect(equal.soft.jaccard).toBeCloseTo((softFirst + softLast) / 2, 12);
    expect(byImages.soft.jaccard).toBeCloseTo((2 * softFirst + softLast) / 3, 12);
    expect(equal.soft.dice).toBeCloseTo(((12 + 1) / (16 + 1) + (2 + 1) / (3 + 1)) / 2, 12);
  });

  test('with one batch of all images are the pooled ones, whatever the weights', () => {
    const { equal, byImages } = scoresPerBatch([image(6, 2, 0), image(0, 0, 2)], 2);
    expect(equal).toEqual(byImages);
    expect(equal.perBatch.jaccard).toBeCloseTo(6 / 10, 12);
  });

  test('of several classes are the mean over classes', () => {
    const [a, b] = [image(1, 1, 0), image(0, 2, 2)];
    const both = { counts: [a.counts[0], b.counts[0]], soft: [a.soft[0], b.soft[0]] };
    const { equal } = scoresPerBatch([both], 1);
    expect(equal.perBatch.jaccard).toBeCloseTo((1 / 2 + 0) / 2, 12);
    expect(equal.soft.jaccard).toBeCloseTo((2 / 3 + 1 / 5) / 2, 12);
  });
});

test('soft sums by hand: probabilities 1/2 and 1/2, one on the truth', () => {
  const sums = softSums(Float32Array.of(0, 0), [1, 0]);
  expect(sums).toEqual({ intersection: 0.5, prediction: 1, truth: 1 });
  expect(softScores(sums)).toEqual({ jaccard: 1.5 / 2.5, dice: 2 / 3 });
});

test('soft scores of an empty mask predicted empty are 1', () => {
  const { jaccard, dice } = softScores(softSums(Float32Array.of(-60, -60), [0, 0]));
  expect(jaccard).toBeCloseTo(1, 12);
  expect(dice).toBeCloseTo(1, 12);
});

test(`what Keras 3 prints of ${keras.images} images in batches of ${batchSize}`, () => {
  const cases = goldenCases.filter(({ size }) => size === commonSize);
  expect(cases).toHaveLength(keras.images);
  expect(cases.length % batchSize).not.toBe(0);
  const sums = cases.map(({ logits, truth }) => ({ counts: countsOfImage(logits, truth, 1, false), soft: [softSums(logits, truth)] }));
  const { equal } = scoresPerBatch(sums, batchSize);
  expect(equal.perBatch.jaccard).toBeCloseTo(keras.jaccard, 6);
  expect(equal.soft.jaccard).toBeCloseTo(keras.soft_jaccard, 6);
  expect(equal.soft.dice).toBeCloseTo(keras.soft_dice, 6);
});
