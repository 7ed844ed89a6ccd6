/**
 * Every loss: a case by hand, its gradient against finite differences, its limits, its relatives, and properties on random input.
 */
import * as tf from '@tensorflow/tfjs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { adaptiveLogAt } from '../../../trainer/losses/adaptiveLog.ts';
import { defaultLoss, joinsClasses, type LossName, type LossSpec, losses, lossSchema } from '../../../trainer/losses/catalogue.ts';
import { createLoss } from '../../../trainer/losses/create.ts';
import { lossAt } from '../../../trainer/losses/inspect.ts';
import { type Input, onCpu, onGraph, type TensorFunction } from '../../tools/backends.ts';
import { relativeDifference, uniform } from '../../tools/numbers.ts';

const names = Object.keys(losses) as LossName[];
const spec = (fields: unknown): LossSpec => lossSchema.parse(fields);
const value = (fields: unknown, p: number[], t: number[]) => lossAt(spec(fields), p, t).value;

const p = [0.9, 0.2, 0.7, 0.1];
const t = [1, 0, 1, 0];
// Sums of that case: TP = 0.9 + 0.7 = 1.6, FP = 0.2 + 0.1 = 0.3, FN = 0.1 + 0.3 = 0.4; sum p = 1.9, sum t = 2.

describe('by hand, on p = (0.9, 0.2, 0.7, 0.1) and t = (1, 0, 1, 0)', () => {
  test.each([
    ['crossEntropy: -(ln 0.9 + ln 0.8 + ln 0.7 + ln 0.9) / 4', { name: 'crossEntropy' }, 0.1976348816],
    ['focal: (0.25 (0.1^2 ln 1/0.9 + 0.3^2 ln 1/0.7) + 0.75 (0.2^2 ln 1/0.8 + 0.1^2 ln 1/0.9)) / 4', { name: 'focal' }, 0.0039432745],
    ['dice: 1 - (2 x 1.6 + 1) / (1.9 + 2 + 1) = 1 - 4.2 / 4.9', { name: 'dice' }, 0.1428571429],
    ['dice without smoothing: 1 - 3.2 / 3.9', { name: 'dice', smooth: 0 }, 0.1794871795],
    ['dice, smooth 1 in the denominator only: 1 - 3.2 / 4.9', { name: 'dice', smoothNumerator: 0 }, 0.3469387755],
    ['jaccard: 1 - (1.6 + 1) / (1.9 + 2 - 1.6 + 1) = 1 - 2.6 / 3.3', { name: 'jaccard' }, 1 - 0.7878787879],
    ['tversky: 1 - 2.6 / (1.6 + 0.3 x 0.3 + 0.7 x 0.4 + 1) = 1 - 2.6 / 2.97', { name: 'tversky' }, 1 - 0.8754208754],
    ['focalTversky: (1 - 2.6 / 2.97)^0.75', { name: 'focalTversky' }, 0.2096930111],
    ['combo: 0.5 x 0.5 x 0.1976348816 - 0.5 x 4.2 / 4.9', { name: 'combo' }, -0.3791627082],
    ['adaptiveLog, linear branch: 1 - 4.2 / 4.9 + 10 ln 1.2 - 0.1', { name: 'adaptiveLog' }, 1.8660727108],
    ['adaptiveLog, log branch (gamma 0.2): 10 ln(1 + 0.1428571429 / 0.5)', { name: 'adaptiveLog', gamma: 0.2 }, 10 * Math.log1p(2 / 7)],
    ['adaptiveLog of jaccard: 0.2121212121 + 10 ln 1.2 - 0.1', { name: 'adaptiveLog', of: { name: 'jaccard' } }, 1.9353367799],
    ['weightedCrossEntropy: (0.7 (ln 1/0.9 + ln 1/0.7) + 0.3 (ln 1/0.8 + ln 1/0.9)) / 4', { name: 'weightedCrossEntropy' }, 0.1054940105],
    ['topKCrossEntropy of half the pixels: (ln 1/0.7 + ln 1/0.8) / 2', { name: 'topKCrossEntropy', share: 0.5 }, 0.2899092475],
    ['combo as released, background with the wrong sign', { name: 'combo', asReleased: true }, -0.4202257165],
    ['generalisedDice, both sizes 2: (0.7 + 0.7) / (2 (1.6 + 1.7) + 0.7 + 0.7)', { name: 'generalisedDice' }, 0.175],
    ['logCoshDice: ln cosh (1/7)', { name: 'logCoshDice' }, 0.0101695616],
    [
      'exponentialLog: 0.8 (-ln 6/7)^0.3 + 0.2 (2 x 0.1053605^0.3 + 0.2231436^0.3 + 0.3566749^0.3) / 8',
      { name: 'exponentialLog' },
      0.516279922,
    ],
    [
      'unifiedFocal: ((1 - 2.6/2.96)^0.5 + 1 - 2.7/3.04) / 4 + (0.6 (ln 1/0.9 + ln 1/0.7) + 0.4 (0.2^0.5 ln 1/0.8 + 0.1^0.5 ln 1/0.9)) / 8',
      { name: 'unifiedFocal' },
      0.1564544524,
    ],
    ['unifiedFocal, symmetric: the same with powers and discounts on both sides', { name: 'unifiedFocal', symmetric: true }, 0.1945990359],
    ['lovasz: the third pixel alone is within the margin: (1 - ln(0.7/0.3)) x (1 - 1/2)', { name: 'lovasz' }, 0.0763510697],
    ['boundary: distances 0, 1, 0, 1: (0.2 + 0.1) / 4', { name: 'boundary' }, 0.075],
    // Skeletons (0.73, 0, 0.5, 0) and (1, 0, 1, 0): precision (1.23 + 1) / (1.23 + 1), sensitivity (1.6 + 1) / (2 + 1).
    ['softClDice: 1 - 2 (13/15) / (1 + 13/15)', { name: 'softClDice' }, 1 / 14],
    [
      'sum: 2 x 1/7 + 0.5 x 0.1976348816',
      {
        name: 'sum',
        terms: [
          { name: 'dice', weight: 2 },
          { name: 'crossEntropy', weight: 0.5 },
        ],
      },
      0.3845317265,
    ],
    [
      'adaptiveLog of a sum, in its unit: 10 ln(1 + 0.3404920245 / 0.5), below gamma 0.5',
      { name: 'adaptiveLog', gamma: 0.5, of: { name: 'sum', terms: [{ name: 'dice' }, { name: 'crossEntropy' }] } },
      10 * Math.log1p(0.3404920245 / 0.5),
    ],
    [
      'adaptiveLog of combo, measured from its minimum -0.5: 0.1208372918 + 10 ln 1.2 - 0.1',
      { name: 'adaptiveLog', of: { name: 'combo' } },
      0.1208372918 + 10 * Math.log(1.2) - 0.1,
    ],
  ])('%s', (_, fields, expected) => {
    expect(value(fields, p, t)).toBeCloseTo(expected, 6);
  });

  test('generalisedDice weighs sizes 1 and 3 by 1 and 1/9: 1.1 (10/9) / (2 (0.9 + 2/9) + 1.1 (10/9))', () => {
    expect(value({ name: 'generalisedDice' }, p, [1, 0, 0, 0])).toBeCloseTo(0.3525641026, 6);
    // size^-1: 1.1 (4/3) / (2 (0.9 + 2/3) + 1.1 (4/3))
    expect(value({ name: 'generalisedDice', weighting: 'simple' }, p, [1, 0, 0, 0])).toBeCloseTo(0.3188405797, 6);
  });

  test('dice: gradient by probability is (2I+s)/Q^2 - 2t/Q, Q = 4.9, 2I+s = 4.2', () => {
    const { gradient } = lossAt(defaultLoss('dice'), p, t);
    const expected = t.map(target => 4.2 / 4.9 ** 2 - (2 * target) / 4.9);
    expect(relativeDifference(gradient.probability, expected)).toBeLessThan(1e-5);
    expect(
      relativeDifference(
        gradient.logit,
        expected.map((g, i) => g * p[i] * (1 - p[i])),
      ),
    ).toBeLessThan(1e-5);
  });
});

describe('adaptiveLog', () => {
  const options = { gamma: 0.1, omega: 10, epsilon: 0.5, continuity: 'paper' } as const;

  test.each([
    [0.01, 0.198026],
    [0.05, 0.953102],
    [0.0999, 1.821549],
    [0.1, 1.823216],
    [0.2, 1.923216],
    [0.5, 2.223216],
    [1, 2.723216],
  ])('of %f is %f (published values)', (d, expected) => {
    expect(adaptiveLogAt(d, options).value).toBeCloseTo(expected, 6);
  });

  test.each([
    [0.08, -1.4042],
    [0.1, -1.7232],
    [0.12, -2.0311],
    [0.15, -2.4736],
    [0.2, -3.1647],
    [0.3, -4.4],
  ])('at gamma %f subtracts C = %f', (gamma, c) => {
    expect(1 - adaptiveLogAt(1, { ...options, gamma }).value).toBeCloseTo(c, 4);
  });

  test.each([
    ['paper', 16.6667, 1],
    ['slope', 16.6667, 16.6667],
  ] as const)('with continuity %s is continuous at gamma, its slope %f below and %f above', (continuity, below, above) => {
    const [left, right] = [0.1 - 1e-12, 0.1].map(d => adaptiveLogAt(d, { ...options, continuity }));
    expect(left.value).toBeCloseTo(right.value, 9);
    expect(left.derivative).toBeCloseTo(below, 4);
    expect(right.derivative).toBeCloseTo(above, 4);
  });

  test('omega = epsilon + gamma makes both continuities the same', () => {
    const smooth = { ...options, omega: 0.6 };
    for (const d of [0, 0.05, 0.1, 0.7]) {
      expect(adaptiveLogAt(d, smooth).value).toBeCloseTo(adaptiveLogAt(d, { ...smooth, continuity: 'slope' }).value, 9);
    }
  });

  test('multiplies the gradient of the wrapped loss by its own slope: 1 above gamma, omega / (epsilon + d) below', () => {
    const inner = lossAt(defaultLoss('dice'), p, t);
    const linear = lossAt(defaultLoss('adaptiveLog'), p, t);
    expect(relativeDifference(linear.gradient.logit, inner.gradient.logit)).toBeLessThan(1e-6);
    const log = lossAt(spec({ name: 'adaptiveLog', gamma: 0.2 }), p, t);
    const slope = 10 / (0.5 + inner.value);
    expect(
      relativeDifference(
        log.gradient.logit,
        inner.gradient.logit.map(g => g * slope),
      ),
    ).toBeLessThan(1e-5);
  });
});

describe('relatives', () => {
  const cases = fc.array(fc.tuple(fc.double({ min: 0.001, max: 0.999, noNaN: true }), fc.constantFrom(0, 1)), {
    minLength: 1,
    maxLength: 12,
  });
  const same = (a: unknown, b: unknown, factor = 1) =>
    fc.assert(
      fc.property(cases, pixels => {
        const [ps, ts] = [pixels.map(([x]) => x), pixels.map(([, x]) => x)];
        const [first, second] = [lossAt(spec(a), ps, ts), lossAt(spec(b), ps, ts)];
        expect(first.value).toBeCloseTo(factor * second.value, 5);
        for (const i of ps.keys()) expect(first.gradient.logit[i]).toBeCloseTo(factor * second.gradient.logit[i], 5);
      }),
      { numRuns: 50 },
    );

  test('tversky with weights 0.5 and smooth s is dice with smooth 2s', () => {
    same({ name: 'tversky', fpWeight: 0.5, fnWeight: 0.5, smooth: 1 }, { name: 'dice', smooth: 2 });
  });
  test('tversky with weights 1 is jaccard', () => {
    same({ name: 'tversky', fpWeight: 1, fnWeight: 1 }, { name: 'jaccard' });
  });
  test('focal with focus 0 and positiveWeight 0.5 is half of crossEntropy', () => {
    same({ name: 'focal', focus: 0, positiveWeight: 0.5 }, { name: 'crossEntropy' }, 0.5);
  });
  test('focalTversky with exponent 1 is tversky', () => {
    same({ name: 'focalTversky', exponent: 1 }, { name: 'tversky' });
  });
  test('combo with mix 1 and positiveWeight 0.5 is half of crossEntropy', () => {
    same({ name: 'combo', mix: 1 }, { name: 'crossEntropy' }, 0.5);
  });
  test('weightedCrossEntropy with 0.5 is half of crossEntropy, topKCrossEntropy of all pixels is crossEntropy', () => {
    same({ name: 'weightedCrossEntropy', positiveWeight: 0.5 }, { name: 'crossEntropy' }, 0.5);
    same({ name: 'topKCrossEntropy', share: 1 }, { name: 'crossEntropy' });
  });
  test('exponentialLog with mix 0 and exponent 1 is half of crossEntropy, and so is unifiedFocal with mix, focus and weight that say nothing', () => {
    same({ name: 'exponentialLog', mix: 0, exponent: 1 }, { name: 'crossEntropy' }, 0.5);
    same({ name: 'unifiedFocal', mix: 0, focus: 0, positiveWeight: 0.5 }, { name: 'crossEntropy' }, 0.5);
  });
  test('a sum of one term is that term times its weight', () => {
    same({ name: 'sum', terms: [{ name: 'adaptiveLog', weight: 3 }] }, { name: 'adaptiveLog' }, 3);
  });
  test('logCoshDice is nearly half the square of a small Dice loss', () => {
    const ps = p.map((x, i) => (t[i] === 1 ? 1 - (1 - x) / 10 : x / 10));
    expect(value({ name: 'logCoshDice' }, ps, t)).toBeCloseTo(value({ name: 'dice' }, ps, t) ** 2 / 2, 6);
  });
  test('lovasz of hard softmax decisions is the Jaccard loss of each class', () => {
    // Four pixels, classes 0 1 1 0 predicted, 0 1 0 1 true: class 0 has TP 1, FP 1, FN 1, and so has class 1: 1 - 1/3 each.
    const hard = (classes: number[]) => classes.flatMap(label => [0, 1].map(c => (c === label ? 1 : 0)));
    const f: TensorFunction = z =>
      createLoss(spec({ name: 'lovasz' }), true)(z as tf.Tensor4D, { target_NHWC: tf.tensor4d(hard([0, 1, 0, 1]), [1, 2, 2, 2]) }).value;
    const logits = Float32Array.from(hard([0, 1, 1, 0]), v => 100 * v);
    expect(onCpu(f, [{ data: logits, shape: [1, 2, 2, 2] }]).value[0]).toBeCloseTo(4 / 3, 5);
  });
  test('adaptiveLog whose gamma nothing reaches is the wrapped loss and a constant', () => {
    const gamma = 1e-9;
    const constant = 10 * Math.log1p(gamma / 0.5) - gamma;
    expect(value({ name: 'adaptiveLog', gamma }, p, t)).toBeCloseTo(value({ name: 'dice' }, p, t) + constant, 6);
  });
  test('the dice and the jaccard of one prediction without smoothing are tied: J = D / (2 - D)', () => {
    fc.assert(
      fc.property(cases, pixels => {
        const [ps, ts] = [pixels.map(([x]) => x), pixels.map(([, x]) => x)];
        const [dice, jaccard] = ['dice', 'jaccard'].map(name => 1 - value({ name, smooth: 0 }, ps, ts));
        expect(jaccard).toBeCloseTo(dice / (2 - dice), 5);
      }),
    );
  });
});

/** Losses that look at where a pixel lies. */
const spatial: LossName[] = ['boundary', 'softClDice'];
/** Losses that some pixels do not move: those predicted well enough, those at the boundary. */
const flatInPlaces: LossName[] = ['lovasz', 'topKCrossEntropy', 'boundary'];

describe.each(names)('%s', name => {
  const loss = defaultLoss(name);
  const perfect = name === 'combo' ? -0.5 : 0;

  test('is least on a perfect prediction, with no gradient that pushes away from it', () => {
    const { value: least, gradient } = lossAt(loss, [1, 0, 1, 0], t);
    // At 1e-7 from perfect, where `lossAt` keeps probabilities, exponentialLog still has 0.1 x (1e-7)^0.3 = 8e-4.
    expect(least).toBeCloseTo(perfect, name === 'exponentialLog' ? 2 : 4);
    for (const g of gradient.logit) expect(Math.abs(g)).toBeLessThan(1e-4);
    expect(least).toBeLessThan(value(loss, p, t));
  });

  test.each([
    ['an empty mask, predicted empty', [0, 0, 0], [0, 0, 0]],
    ['an empty mask, predicted full', [1, 1, 1], [0, 0, 0]],
    ['an empty mask, undecided', [0.5, 0.5, 0.5], [0, 0, 0]],
    ['a full mask, predicted full', [1, 1, 1], [1, 1, 1]],
    ['a full mask, predicted empty', [0, 0, 0], [1, 1, 1]],
    ['the very opposite of the truth', [0, 1, 0], [1, 0, 1]],
  ])('has a finite value and gradient on %s', (_, ps, ts) => {
    const variants: object[] = 'smooth' in losses[name].schema.shape ? [{ smooth: 0 }, { smooth: 1 }] : [{}];
    if (name === 'adaptiveLog') variants.push({ of: { name: 'dice', smooth: 0 } });
    for (const variant of variants) {
      const fields = { name, ...variant };
      const result = lossAt(spec(fields), ps, ts);
      expect(result.value).toSatisfy(Number.isFinite);
      for (const g of result.gradient.logit) expect(g).toSatisfy(Number.isFinite);
    }
  });

  test('has a finite value and gradient for saturated logits of any size', () => {
    void tf.setBackend('cpu');
    for (const size of [20, 100, 1e4, 1e8]) {
      tf.tidy(() => {
        const logits = tf.tensor4d([size, -size, size, -size], [1, 1, 4, 1]);
        const truth = {
          target_NHWC: tf.tensor4d([1, 1, 0, 0], [1, 1, 4, 1]),
          distance_NHWC: tf.tensor4d([-1, 0, 1, 2], [1, 1, 4, 1]),
        };
        const { value: v, grad } = tf.valueAndGrad(z => createLoss(loss)(z as tf.Tensor4D, truth).value)(logits);
        expect(v.dataSync()[0]).toSatisfy(Number.isFinite);
        for (const g of grad.dataSync()) expect(g).toSatisfy(Number.isFinite);
      });
    }
  });

  // Skeletons may shrink when a pixel gets better.
  if (name !== 'softClDice')
    test('falls when any one pixel gets better, wherever it stands', () => {
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.double({ min: 0.05, max: 0.95, noNaN: true }), fc.constantFrom(0, 1)), { minLength: 2, maxLength: 8 }),
          fc.nat(),
          (pixels, which) => {
            const [ps, ts] = [pixels.map(([x]) => x), pixels.map(([, x]) => x)];
            const { gradient } = lossAt(loss, ps, ts);
            const i = which % ps.length;
            if (ts[i] === 1) expect(gradient.probability[i]).toBeLessThan(flatInPlaces.includes(name) ? 1e-9 : 0);
            else expect(gradient.probability[i]).toBeGreaterThanOrEqual(0);
          },
        ),
        { numRuns: 50 },
      );
    });

  if (!spatial.includes(name))
    test('does not depend on the order of the pixels', () => {
      expect(value(loss, [0.7, 0.1, 0.9, 0.2], [1, 0, 1, 0])).toBeCloseTo(value(loss, p, t), 6);
    });
});

/** A batch of two images, 2x2 pixels, three classes. */
const logits: Input = { data: uniform(2 * 4 * 3, 'logits', -3, 3), shape: [2, 2, 2, 3] };
const target = Float32Array.from([0, 2, 1, 1, 2, 0, 0, 2].flatMap(label => [0, 1, 2].map(c => (c === label ? 1 : 0))));
const distances = uniform(2 * 4 * 3, 'distances', -3, 3);
/** The truth of images `first` to the end. */
const truthOf = (first = 0, end = 2) => ({
  target_NHWC: tf.tensor4d(target.slice(first * 12, end * 12), [end - first, 2, 2, 3]),
  distance_NHWC: tf.tensor4d(distances.slice(first * 12, end * 12), [end - first, 2, 2, 3]),
});
const lossFunction =
  (fields: Record<string, unknown>, exclusive: boolean): TensorFunction =>
  z =>
    createLoss(spec(fields), exclusive)(z as tf.Tensor4D, truthOf()).value;

describe.each(names)('%s of several classes and images', name => {
  describe.each([
    ['sigmoid', false],
    ['softmax', true],
  ] as const)('%s', (_, exclusive) => {
    test.each(['batch', 'lane', 'image'])(
      'pool %s: the graph agrees with the pure JavaScript backend and with finite differences',
      async pool => {
        const f = lossFunction({ name, pool }, exclusive);
        const [graph, cpu] = [await onGraph(f, [logits]), onCpu(f, [logits])];
        expect(relativeDifference(graph.value, cpu.value)).toBeLessThan(1e-5);
        expect(relativeDifference(graph.gradients[0], cpu.gradients[0])).toBeLessThan(1e-5);
        const step = 1e-2;
        const moved = (i: number, by: number) =>
          onCpu(f, [{ ...logits, data: logits.data.map((v, k) => (k === i ? v + by : v)) }], { gradients: false }).value[0];
        const differences = Array.from(logits.data, (_, i) => (0.3 * (moved(i, step) - moved(i, -step))) / (2 * step)); // 0.3: the weight of a scalar in onGraph
        expect(relativeDifference(graph.gradients[0], differences)).toBeLessThan(1e-2);
      },
    );

    test('the mean over classes is a third of the sum, unless the loss has joined them', () => {
      const [sum, mean] = ['sum', 'mean'].map(classes => onCpu(lossFunction({ name, classes }, exclusive), [logits]).value[0]);
      expect(sum).toBeCloseTo((exclusive && joinsClasses(defaultLoss(name)) ? 1 : 3) * mean, 4);
    });

    test('pool image is the mean over the images of the loss of each', () => {
      const each = [0, 1].map(i => {
        const part: Input = { data: logits.data.slice(i * 12, (i + 1) * 12), shape: [1, 2, 2, 3] };
        const f: TensorFunction = z => createLoss(spec({ name }), exclusive)(z as tf.Tensor4D, truthOf(i, i + 1)).value;
        return onCpu(f, [part]).value[0];
      });
      const together = onCpu(lossFunction({ name, pool: 'image' }, exclusive), [logits]).value[0];
      expect(together).toBeCloseTo((each[0] + each[1]) / 2, 4);
    });
  });
});

test('softmax cross-entropy summed over classes is the mean of -ln of the probability of the true class', () => {
  const z = [1, 2, 3];
  const f: TensorFunction = x =>
    createLoss(spec({ name: 'crossEntropy' }), true)(x as tf.Tensor4D, { target_NHWC: tf.tensor4d([0, 1, 0], [1, 1, 1, 3]) }).value;
  const expected = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)) - 2;
  expect(onCpu(f, [{ data: Float32Array.from(z), shape: [1, 1, 1, 3] }]).value[0]).toBeCloseTo(expected, 5);
});

test('ALL is applied to each class, not to their sum', () => {
  const f = lossFunction({ name: 'adaptiveLog' }, false);
  const perClass = [0, 1, 2].map(c => {
    const only: TensorFunction = z => {
      const [one, truth] = [z as tf.Tensor4D, tf.tensor4d(target, [2, 2, 2, 3])].map(x => tf.slice(x, [0, 0, 0, c], [2, 2, 2, 1]));
      return createLoss(spec({ name: 'adaptiveLog' }))(one as tf.Tensor4D, { target_NHWC: truth as tf.Tensor4D }).value;
    };
    return onCpu(only, [logits]).value[0];
  });
  expect(onCpu(f, [logits]).value[0]).toBeCloseTo(perClass[0] + perClass[1] + perClass[2], 4);
});

test('a numerator smoothing above the denominator is refused', () => {
  expect(() => spec({ name: 'dice', smoothNumerator: 2 })).toThrow(/at most that of the denominator/);
});

describe('pixels that do not count', () => {
  // Of four pixels in two images of 1x2 the second of each is ignored, whatever stands there.
  const valid = [1, 0, 1, 0];
  const kept = (values: readonly number[]) => values.filter((_, i) => valid[i % 4]);
  const z = [2, -1, 0.5, 3];
  const truth = [1, 1, 0, 1];
  const lossOf = (fields: object, logits: number[], targets: number[], mask?: number[]) => {
    const shape: [number, number, number, number] = [2, 1, logits.length / 2, 1];
    void tf.setBackend('cpu');
    return tf.tidy(() => {
      const seen = {
        target_NHWC: tf.tensor4d(targets, shape),
        distance_NHWC: tf.ones<tf.Rank.R4>(shape),
        ...(mask && { valid_NHW1: tf.tensor4d(mask, shape) }),
      };
      const { value, grad } = tf.valueAndGrad(x => createLoss(spec(fields))(x as tf.Tensor4D, seen).value)(tf.tensor4d(logits, shape));
      return { value: value.dataSync()[0], gradient: [...grad.dataSync()] };
    });
  };

  // The share of the worst pixels is that of all pixels; skeletons look at neighbours: for these two it is not the same as if the pixels were not there.
  test.each(
    names.filter(name => !['topKCrossEntropy', 'softClDice'].includes(name)).flatMap(name => ['batch', 'image'].map(pool => [name, pool])),
  )('%s, pool %s: it is as if they were not there', (name, pool) => {
    const masked = lossOf({ name, pool }, z, truth, valid);
    const without = lossOf({ name, pool }, kept(z), kept(truth));
    expect(masked.value).toBeCloseTo(without.value, 5);
    expect(relativeDifference(kept(masked.gradient), without.gradient)).toBeLessThan(1e-4);
    expect([masked.gradient[1], masked.gradient[3]].map(Math.abs)).toEqual([0, 0]);
  });

  test.each(names)('%s has a finite value where none counts', name => {
    const { value: v, gradient } = lossOf({ name }, z, truth, [0, 0, 0, 0]);
    expect(v).toSatisfy(Number.isFinite);
    expect(gradient.map(Math.abs)).toEqual([0, 0, 0, 0]);
  });
});

describe('targets between 0 and 1', () => {
  const soft = [0.3, 0.6, 0.9, 0.1];

  test.each(['dice', 'jaccard', 'tversky', 'focalTversky', 'logCoshDice', 'generalisedDice'])('%s is least where p = t', name => {
    const at = (ps: number[]) => value({ name }, ps, soft);
    expect(at(soft)).toBeCloseTo(0, 5);
    for (const i of soft.keys()) {
      for (const step of [-0.05, 0.05]) expect(at(soft.map((x, k) => (k === i ? x + step : x)))).toBeGreaterThan(1e-5);
    }
  });

  test('dice counts what p and t share: 1 - (2 x 0.9 + 1) / (1.2 + 1.9 + 1)', () => {
    // min(p, t) of p = (0.5, 0.2, 0.5, 0) sums to 0.3 + 0.2 + 0.5 + 0 = 1.0
    expect(value({ name: 'dice' }, [0.5, 0.2, 0.5, 0], soft)).toBeCloseTo(1 - (2 * 1.0 + 1) / (1.2 + 1.9 + 1), 5);
  });

  test('label smoothing spreads a share over both answers: t = 0.95 and 0.05 at 0.1', () => {
    const smoothed = value({ name: 'crossEntropy', labelSmoothing: 0.1 }, p, t);
    expect(smoothed).toBeCloseTo(
      value(
        { name: 'crossEntropy' },
        p,
        t.map(x => 0.9 * x + 0.05),
      ),
      6,
    );
    expect(value({ name: 'dice', labelSmoothing: 0.1 }, [0.95, 0.05, 0.95, 0.05], t)).toBeCloseTo(0, 5);
  });

  test('label smoothing spreads over exclusive classes: 1 - 0.3 + 0.1 and twice 0.1 at 0.3', () => {
    const lossOf = (fields: object, targets: number[]) => {
      const f: TensorFunction = x =>
        createLoss(spec(fields), true)(x as tf.Tensor4D, { target_NHWC: tf.tensor4d(targets, [1, 1, 1, 3]) }).value;
      return onCpu(f, [{ data: Float32Array.of(1, 2, 3), shape: [1, 1, 1, 3] }]).value[0];
    };
    expect(lossOf({ name: 'crossEntropy', labelSmoothing: 0.3 }, [0, 1, 0])).toBeCloseTo(
      lossOf({ name: 'crossEntropy' }, [0.1, 0.8, 0.1]),
      5,
    );
  });
});

test('class weights multiply the losses of the classes', () => {
  const each = [0, 1, 2].map(
    c => onCpu(lossFunction({ name: 'dice', classWeights: [0, 1, 2].map(k => (k === c ? 1 : 0)) }, false), [logits]).value[0],
  );
  const weighted = onCpu(lossFunction({ name: 'dice', classWeights: [1, 0.5, 3] }, false), [logits]).value[0];
  expect(weighted).toBeCloseTo(each[0] + 0.5 * each[1] + 3 * each[2], 5);
  expect(onCpu(lossFunction({ name: 'dice', classWeights: [1, 1, 1] }, false), [logits]).value[0]).toBeCloseTo(
    each[0] + each[1] + each[2],
    5,
  );
});

test.each([
  [{ name: 'adaptiveLog', of: { name: 'boundary' } }, 'is boundary, whose least value is not known'],
  [{ name: 'adaptiveLog', of: { name: 'combo', asReleased: true } }, 'is combo, whose least value is not known'],
  [{ name: 'adaptiveLog', of: { name: 'sum', terms: [{ name: 'dice' }, { name: 'boundary' }] } }, 'is sum, whose least value is not known'],
])('%j is refused: there is nothing to measure from', (fields, sentence) => {
  expect(() => spec(fields)).toThrow(sentence);
});
