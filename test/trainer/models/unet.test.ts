import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { defaultLoss } from '../../../trainer/losses/catalogue.ts';
import { createLoss } from '../../../trainer/losses/create.ts';
import { createNetwork, modelSchema } from '../../../trainer/models/catalogue.ts';
import { countParameters, declareParameters, initialValue, isTrainable, Layers } from '../../../trainer/models/layers.ts';
import { onCpu, onGraph, type TensorFunction } from '../../tools/backends.ts';
import { relativeDifference, uniform } from '../../tools/numbers.ts';

const create = (width: number, classes = 1) => createNetwork(modelSchema.parse({ name: 'unet', width, dropout: 0 }), classes);
const parametersOf = (width: number, channels = 3, classes = 1) =>
  declareParameters(create(width, classes), { height: 32, width: 32, channels });

/** From the layer table: kernels of both convolutions of each level, of the way down and of the way up; batch norm has four a channel. */
function expectedCount(base: number, channels: number, classes: number): number {
  const widths = [1, 2, 4, 8, 16].map(k => k * base);
  const block = (from: number, to: number) => 9 * from * to + 4 * to;
  let count = 0;
  let from = channels;
  widths.forEach((to, level) => {
    count += block(from, to) + block(to, to);
    if (level < 4) count += block(to, to);
    from = to;
  });
  for (const to of widths.slice(0, 4).reverse()) {
    count += 4 * from * to + to + block(2 * to, to) + block(to, to);
    from = to;
  }
  return count + from * classes + classes;
}

describe("the paper's U-Net", () => {
  test.each([
    [16, 1, 1, 2_142_033],
    [32, 3, 1, 8_554_209],
    [64, 3, 1, 34_186_689],
    [16, 3, 4, 2_142_372],
  ])('of width %i with %i channels and %i classes has %i parameters', (width, channels, classes, count) => {
    const parameters = parametersOf(width, channels, classes);
    expect(countParameters(parameters)).toBe(count);
    expect(count).toBe(expectedCount(width, channels, classes));
    const statistics = parameters.filter(parameter => !isTrainable(parameter));
    expect(new Set(statistics.map(({ role }) => role))).toEqual(new Set(['mean', 'variance']));
  });

  test('asks for each name once', () => {
    const names = parametersOf(16).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names.slice(0, 3)).toEqual([
      'encoder1/first/convolution/kernel',
      'encoder1/first/batchNorm/scale',
      'encoder1/first/batchNorm/offset',
    ]);
  });

  test.each([
    [16, 16],
    [48, 32],
    [64, 80],
  ])('gives logits at the size of a %i x %i image', async (height, width) => {
    const values = new Map(declareParameters(create(16, 2), { height, width, channels: 1 }).map(parameter => [parameter.name, parameter]));
    const f: TensorFunction = image => {
      const layers = new Layers({
        parameter: ({ name, shape }) => tf.tensor(initialValue(values.get(name)!, 1), [...shape]),
        training: true,
      });
      const [logits] = create(16, 2)(layers, image as tf.Tensor4D);
      expect(logits.shape).toEqual([1, height, width, 2]);
      return logits;
    };
    const { value } = await onGraph(f, [{ data: uniform(height * width, 'image'), shape: [1, height, width, 1] }]);
    expect(value).toHaveLength(height * width * 2);
  });

  test('with ALL(Dice) has the loss and every gradient that the pure JavaScript backend computes', async () => {
    const parameters = parametersOf(16, 1);
    const trainable = parameters.filter(isTrainable);
    const inputs = trainable.map(parameter => ({ data: initialValue(parameter, 3), shape: [...parameter.shape] }));
    const image = uniform(2 * 32 * 32, 'image', 0, 1);
    const mask = uniform(2 * 32 * 32, 'mask').map(value => (value > 0.3 ? 1 : 0));
    const f: TensorFunction = (...values) => {
      const byName = new Map(trainable.map(({ name }, i) => [name, values[i]]));
      const layers = new Layers({ parameter: ({ name, shape }) => byName.get(name) ?? tf.zeros([...shape]), training: true });
      const [logits] = create(16)(layers, tf.tensor4d(image, [2, 32, 32, 1]));
      return createLoss(defaultLoss('adaptiveLog'))(logits, { target_NHWC: tf.tensor4d(mask, [2, 32, 32, 1]) }).value;
    };
    const graph = await onGraph(f, inputs);
    const cpu = onCpu(f, inputs);
    expect(relativeDifference(graph.value, cpu.value)).toBeLessThan(1e-5);
    // Operations agree to 1e-5 each (ops.test.ts); here it is their wiring. On the way back through twenty-two batch norms of few pixels
    // rounding grows, and tips some ReLU that stands at 0 the other way: a gradient that was wired wrong would be off by its own size.
    for (const [i, { name }] of trainable.entries()) {
      expect(relativeDifference(graph.gradients[i], cpu.gradients[i]), name).toBeLessThan(5e-2);
    }
  });

  test('initial weights: He-normal kernels, ones and zeros elsewhere', () => {
    for (const parameter of parametersOf(16)) {
      const values = initialValue(parameter, 1);
      if (parameter.role === 'kernel') {
        const [h, w, from] = parameter.shape;
        const deviation = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
        if (values.length > 2000) expect(deviation / Math.sqrt(2 / (h * w * from))).toBeCloseTo(1, 1);
        continue;
      }
      const constant = parameter.role === 'scale' || parameter.role === 'variance' ? 1 : 0;
      expect(values.every(value => value === constant)).toBe(true);
    }
  });
});
