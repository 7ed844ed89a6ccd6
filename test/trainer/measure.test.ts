import { describe, expect, test } from 'vitest';
import type { Size } from '../../trainer/data/decode.ts';
import type { Scores } from '../../trainer/evaluate.ts';
import { Measurements, type MeasureOptions } from '../../trainer/measure.ts';
import type { Aggregation, MetricKey } from '../../trainer/metrics/catalogue.ts';
import { countsOfImage, OverlapState } from '../../trainer/metrics/counts.ts';
import { surfaceScores } from '../../trainer/metrics/surface.ts';
import { maskOf } from '../tools/metricsGolden.ts';

/** Logits of one class that predict a mask. */
const logitsOf = (mask: Uint8Array) => Float32Array.from(mask, value => (value ? 4 : -4));

/** Measures images of one class or several, and gives each number by its name and average. */
function measure(
  { height, width, ...options }: MeasureOptions & Size,
  images: readonly (readonly [logits: Float32Array, labels: Uint8Array])[],
  batch: number,
) {
  const measurements = new Measurements(options);
  const overlap = new OverlapState();
  for (const [logits, labels] of images) {
    measurements.add(logits, labels, { height, width });
    overlap.add(countsOfImage(logits, labels, options.classes, options.exclusive));
  }
  const scores: Scores = { images: images.length, loss: 0.25, ...overlap.metrics(), auc: { auc: 0.9, halfWidth: 0.01 } };
  const numbers = measurements.measured(scores, batch);
  const get = (name: MetricKey, aggregation: Aggregation) => {
    const found = numbers.filter(number => number.name === name && number.aggregation === aggregation);
    expect(found).toHaveLength(1);
    return found[0];
  };
  return { measurements, numbers, get };
}

const size = { height: 3, width: 4 };
const nothing = new Uint8Array(12);
const block = maskOf('....', '.##.', '....');
const larger = maskOf('....', '###.', '....');

describe('of one class', () => {
  const options = { ...size, classes: 1, exclusive: false };
  const images = [
    [logitsOf(block), block],
    [logitsOf(larger), block],
    [logitsOf(nothing), block],
  ] as const;
  const { measurements, numbers, get } = measure(options, images, 2);

  test('an image with a miss counts, with the diagonal, and is reported', () => {
    const { hd95 } = surfaceScores(larger, block, size);
    const number = get('hd95', 'perImage');
    expect(number.value).toBeCloseTo((0 + hd95 + 5) / 3, 12); // the diagonal of 3 by 4 is 5
    expect(number).toMatchObject({ images: 3, penalisedImages: 1 });
    expect(get('boundaryF', 'perImage')).toMatchObject({ value: 2 / 3, penalisedImages: 1 }); // 1, 1 (within 2 pixels), 0
    expect(measurements.images.map(({ penalised }) => penalised)).toEqual([false, false, true]);
  });

  test('pixels that do not count change no number, whatever is predicted there', () => {
    // The pixel by which `larger` is too large is ignored: then it is the block.
    const ignoring = block.map((value, i) => (larger[i] !== value ? 255 : value));
    const [wrong, right] = [larger, block].map(mask => measure(options, [[logitsOf(mask), ignoring]], 1).numbers.map(({ value }) => value));
    expect(wrong).toEqual(right);
    const perfect = measure(options, [[logitsOf(larger), ignoring]], 1).get;
    expect([perfect('hd95', 'perImage').value, perfect('objectAp', 'perImage').value, perfect('jaccard', 'pooled').value]).toEqual([
      0, 1, 1,
    ]);
    expect(perfect('brier', 'pooled').value).toBeCloseTo((1 / (1 + Math.exp(4))) ** 2, 6);
  });

  test('ISIC takes the Jaccard of 2/3 as it is, and 0 for the miss', () => {
    expect(get('thresholdedJaccard', 'perImage').value).toBeCloseTo((1 + 2 / 3 + 0) / 3, 12);
  });

  test('objects: the block is found, then with an overlap of 2/3 (so at 0.5 to 0.65), then missed', () => {
    expect(get('objectAp', 'perImage').value).toBeCloseTo((1 + 4 / 10 + 0) / 3, 12);
  });

  test('per batch of two: counts of the first two images, and of the last alone', () => {
    expect(get('jaccard', 'perBatchAsKeras').value).toBeCloseTo((4 / 5 + 0) / 2, 12);
    expect(get('jaccard', 'perBatchAsKeras22').value).toBeCloseTo((2 * (4 / 5) + 0) / 3, 12);
  });

  test('pooled, per image, the area and the loss are those of the evaluation', () => {
    expect(get('jaccard', 'pooled').value).toBeCloseTo(4 / 7, 12);
    expect(get('jaccard', 'perImage').value).toBeCloseTo((1 + 2 / 3 + 0) / 3, 12);
    expect(get('auc', 'pooled')).toMatchObject({ value: 0.9, halfWidth: 0.01 });
    expect(get('loss', 'perImage').value).toBe(0.25);
  });

  test('calibration is of all pixels: of 5 at 0.982 four are foreground, of 31 at 0.018 two', () => {
    const p = 1 / (1 + Math.exp(-4));
    expect(get('ece', 'pooled').value).toBeCloseTo((5 / 36) * (p - 4 / 5) + (31 / 36) * (2 / 31 - (1 - p)), 6);
    expect(measurements.reliability()).toHaveLength(1);
    expect(measurements.reliability()[0].map(({ pixels }) => pixels)).toEqual([31, 5]);
  });

  test('no number is there twice, each has its convention, and JSON keeps all of it', () => {
    const keys = numbers.map(({ name, aggregation }) => `${name} ${aggregation}`);
    expect(new Set(keys).size).toBe(keys.length);
    for (const number of numbers) expect(number.convention.length).toBeGreaterThan(20);
    expect(JSON.parse(JSON.stringify(numbers))).toEqual(numbers);
  });

  test('an image of one kind of pixel has no AUC and is left out of its mean alone', () => {
    const { get } = measure(options, [...images, [logitsOf(nothing), nothing]], 2);
    expect(get('auc', 'perImage')).toMatchObject({ images: 3 });
    expect(get('hd95', 'perImage')).toMatchObject({ images: 4 });
  });
});

describe('of several classes', () => {
  /** The first class is the block; of the second nothing is there and nothing predicted. */
  const labels = block;

  test('a sigmoid each: the mean over both', () => {
    const logits = Float32Array.from([...larger].flatMap(value => [value ? 4 : -4, -4]));
    const { get } = measure({ ...size, classes: 2, exclusive: false }, [[logits, labels]], 1);
    expect(get('hd95', 'perImage').value).toBeCloseTo((surfaceScores(larger, block, size).hd95 + 0) / 2, 12);
    expect(get('thresholdedJaccard', 'perImage').value).toBeCloseTo((2 / 3 + 1) / 2, 12);
  });

  test('an image is penalised where one of the classes is missed', () => {
    const logits = Float32Array.from([...nothing].flatMap(() => [-4, -4]));
    const { get } = measure({ ...size, classes: 2, exclusive: false }, [[logits, labels]], 1);
    expect(get('hd95', 'perImage')).toMatchObject({ value: (5 + 0) / 2, penalisedImages: 1 });
  });

  test('that exclude each other: outlines and objects leave the background out, overlap and calibration do not', () => {
    const logits = Float32Array.from([...larger].flatMap(value => (value ? [0, 4] : [4, 0])));
    const { get, measurements } = measure({ ...size, classes: 2, exclusive: true }, [[logits, labels]], 1);
    expect(get('hd95', 'perImage').value).toBeCloseTo(surfaceScores(larger, block, size).hd95, 12);
    expect(get('objectAp', 'perImage').value).toBeCloseTo(0.4, 12);
    expect(get('thresholdedJaccard', 'perImage').value).toBeCloseTo((9 / 10 + 2 / 3) / 2, 12);
    // Under softmax the probability of one class is 1 less that of the other: both are calibrated alike.
    expect(measurements.reliability()).toHaveLength(2);
    const p = 1 / (1 + Math.exp(-4));
    expect(get('ece', 'pooled').value).toBeCloseTo((3 / 12) * (p - 2 / 3) + (9 / 12) * (1 - p), 6);
  });

  test('that exclude each other: the class with the largest logit is predicted, though it has less than one half', () => {
    const flat = { height: 1, width: 2 };
    const logits = Float32Array.of(1, 1.1, 1, /**/ 5, 0, 0);
    const { get } = measure({ ...flat, classes: 3, exclusive: true }, [[logits, Uint8Array.of(1, 0)]], 1);
    expect(get('clDice', 'perImage').value).toBe(1);
  });
});
