import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { outputOf, tensorOf, trace } from '../../../trainer/engine/backend.ts';
import { Graph, type Output } from '../../../trainer/engine/graph.ts';
import * as ops from '../../../trainer/engine/ops.ts';
import { Session } from '../../../trainer/engine/session.ts';
import { float32, int32 } from '../../../trainer/engine/tensor.ts';
import { permutation } from '../../../trainer/random.ts';
import { byDifferences, type Input, onCpu, onGraph, type TensorFunction } from '../../tools/backends.ts';
import { relativeDifference, uniform } from '../../tools/numbers.ts';

/** Between -1 and 1, but not near 0, where ReLU has its kink and differences mean nothing. */
function input(shape: number[], purpose: string): Input {
  const size = shape.reduce((a, b) => a * b, 1);
  return { data: uniform(size, purpose).map(value => value + 0.05 * Math.sign(value)), shape };
}

const as4D = (x: tf.Tensor) => x as tf.Tensor4D;
const as1D = (x: tf.Tensor) => x as tf.Tensor1D;

interface Case {
  readonly name: string;
  readonly f: TensorFunction;
  readonly inputs: Input[];
  /** tfjs's own gradient of this one is wrong, or missing. */
  readonly gradient?: 'by differences only';
}

const image = input([2, 6, 4, 3], 'image');
/** No two values are near each other: which is the largest of some does not change under a small step. */
const apart = Float32Array.from(permutation(image.data.length, 1), value => value / 10);
const cases: Case[] = [
  { name: 'convolution 3x3', f: (x, k) => ops.conv2d(as4D(x), as4D(k)), inputs: [image, input([3, 3, 3, 5], 'kernel')] },
  { name: 'convolution 3x3 of stride 2', f: (x, k) => ops.conv2d(as4D(x), as4D(k), 2), inputs: [image, input([3, 3, 3, 5], 'kernel')] },
  { name: 'convolution 1x1', f: (x, k) => ops.conv2d(as4D(x), as4D(k)), inputs: [image, input([1, 1, 3, 2], 'kernel1')] },
  { name: 'convolution 7x7', f: (x, k) => ops.conv2d(as4D(x), as4D(k)), inputs: [image, input([7, 7, 3, 2], 'kernel7')] },
  { name: 'bias', f: (x, b) => ops.biasAdd(as4D(x), as1D(b)), inputs: [image, input([3], 'bias')] },
  {
    name: 'up-sampling with a 2x2 convolution',
    f: (x, k) => ops.upConv2d(as4D(x), as4D(k)),
    inputs: [image, input([2, 2, 3, 4], 'kernel2')],
  },
  {
    name: 'batch norm, training',
    f: (x, s, o) => ops.batchNormTraining(as4D(x), as1D(s), as1D(o), 1e-3).y,
    inputs: [image, input([3], 'scale'), input([3], 'offset')],
  },
  { name: 'ReLU', f: x => ops.relu(x), inputs: [image] },
  { name: 'LeakyReLU', f: x => ops.leakyRelu(x, 0.3), inputs: [image] },
  { name: 'nearest up-sampling', f: x => ops.upSample(as4D(x), 2, 'nearest'), inputs: [image] },
  { name: 'bilinear up-sampling', f: x => ops.upSample(as4D(x), 2, 'bilinear'), inputs: [image], gradient: 'by differences only' },
  { name: 'sigmoid', f: x => ops.sigmoid(x), inputs: [image] },
  { name: 'max-pooling', f: x => ops.maxPool(as4D(x)), inputs: [{ ...image, data: apart }] },
  { name: 'average-pooling', f: x => ops.averagePool(as4D(x), 2), inputs: [image] },
  { name: 'global average-pooling', f: x => ops.globalAveragePool(as4D(x)), inputs: [image] },
  ...[1, 2].map(stride => ({
    name: `transposed convolution 3x3 of stride ${stride}`,
    f: ((x, k) => ops.transposedConv2d(as4D(x), as4D(k), stride)) as TensorFunction,
    inputs: [image, input([3, 3, 5, 3], 'kernel')],
  })),
  {
    name: 'transposed convolution 2x2 of stride 2',
    f: (x, k) => ops.transposedConv2d(as4D(x), as4D(k), 2),
    inputs: [image, input([2, 2, 5, 3], 'kernel2')],
  },
  {
    name: 'concatenation of two paths',
    f: (x, y) => tf.concat([ops.relu(x), ops.relu(y)], 3),
    inputs: [image, input([2, 6, 4, 2], 'other')],
  },
  { name: 'a tensor used twice', f: x => tf.add(ops.relu(x), ops.leakyRelu(x, 0.1)), inputs: [image] },
];

describe.each(cases)('$name', ({ f, inputs, gradient }) => {
  test('gives what the pure JavaScript backend gives, forward and every gradient', async () => {
    const graph = await onGraph(f, inputs);
    const cpu = onCpu(f, inputs, { gradients: gradient === undefined });
    expect(relativeDifference(graph.value, cpu.value)).toBeLessThan(1e-5);
    if (gradient) return;
    for (const i of inputs.keys()) expect(relativeDifference(graph.gradients[i], cpu.gradients[i])).toBeLessThan(1e-5);
  });

  test('has the gradient that finite differences have', async () => {
    const graph = await onGraph(f, inputs);
    const differences = byDifferences(f, inputs);
    for (const i of inputs.keys()) expect(relativeDifference(graph.gradients[i], differences[i])).toBeLessThan(2e-2);
  });
});

test('batch norm in training also gives mean and unbiased variance', async () => {
  const [x] = [image];
  const statistics = (of: 'mean' | 'variance') => (t: tf.Tensor) => ops.batchNormTraining(as4D(t), tf.ones([3]), tf.zeros([3]), 1e-3)[of];
  const graph = new Graph();
  const fed = graph.placeholder('float32', x.shape);
  const outputs = trace(graph, () => (['mean', 'variance'] as const).map(of => outputOf(statistics(of)(tensorOf(fed)))));
  const session = new Session(graph, { threads: 1 });
  const [mean, variance] = await session.run([[fed, float32(x.data, x.shape)]], outputs);
  await session.close();
  for (const channel of [0, 1, 2]) {
    const values = x.data.filter((_, i) => i % 3 === channel); // 48 values
    const average = values.reduce((a, b) => a + b) / 48;
    const unbiased = values.reduce((sum, v) => sum + (v - average) ** 2, 0) / 47;
    expect(mean.data[channel]).toBeCloseTo(average, 5);
    expect(variance.data[channel]).toBeCloseTo(unbiased, 5);
  }
});

describe('dropout', () => {
  const shape = [4, 8, 8, 16];
  const ones = new Float32Array(4 * 8 * 8 * 16).fill(1);

  /** The mask (0 or 1/(1-rate)) and the gradient by the input, for a key and a layer. */
  async function drop(key: [number, number], layer = 0, rate = 0.25): Promise<{ mask: Float32Array; gradient: Float32Array }> {
    const graph = new Graph();
    const fed = graph.placeholder('float32', shape);
    const keyFed = graph.placeholder('int32', [2]);
    const outputs = trace(graph, (): Output[] => {
      let dropped: Output | undefined;
      const gradient = tf.grad(x => {
        const y = ops.dropout(x, rate, keyFed, layer);
        dropped = outputOf(y);
        return tf.sum(y);
      })(tensorOf(fed));
      return [dropped!, outputOf(gradient)];
    });
    const session = new Session(graph, { threads: 2 });
    const feeds = [[fed, float32(ones, shape)] as const, [keyFed, int32(Int32Array.from(key))] as const];
    const [mask, gradient] = await session.run(feeds, outputs);
    await session.close();
    return { mask: mask.data as Float32Array, gradient: gradient.data as Float32Array };
  }

  test('keeps three quarters at rate 0.25, scaled by 4/3, and passes the gradient where it keeps', async () => {
    const { mask, gradient } = await drop([1, 2]);
    const kept = mask.filter(value => value > 0).length / mask.length;
    expect(kept).toBeGreaterThan(0.72);
    expect(kept).toBeLessThan(0.78); // 4096 draws: six standard deviations are 0.04
    for (const value of mask) expect([0, Math.fround(4 / 3)]).toContain(value);
    expect(gradient).toEqual(mask);
  });

  test('is the same for the same key and another for another seed, step or layer', async () => {
    const { mask } = await drop([1, 2]);
    expect((await drop([1, 2])).mask).toEqual(mask);
    for (const other of [await drop([2, 2]), await drop([1, 3]), await drop([1, 2], 1)]) {
      const agreeing = other.mask.filter((value, i) => value > 0 === mask[i] > 0).length / mask.length;
      expect(agreeing).toBeLessThan(0.7); // independent masks agree in 0.75^2 + 0.25^2 = 0.625
    }
  });
});

describe('bfloat16', () => {
  const inputs = [image, input([3, 3, 3, 5], 'kernel'), input([5], 'scale'), input([5], 'offset'), input([2, 2, 5, 2], 'kernel2')];
  const network: TensorFunction = (x, k, s, o, k2) => {
    const y = ops.conv2d(ops.cast(as4D(x), 'bfloat16'), as4D(k));
    const z = ops.relu(ops.batchNormTraining(y, as1D(s), as1D(o), 1e-3).y);
    return ops.cast(tf.concat([ops.upConv2d(z, as4D(k2)), ops.upSample(z, 2, 'nearest')], 3) as tf.Tensor4D, 'float32');
  };

  test('computes what float32 computes, to the eight bits it has, and gives float32 gradients', async () => {
    const low = await onGraph(network, inputs);
    const full = onCpu(network, inputs);
    const difference = relativeDifference(low.value, full.value);
    expect(difference).toBeLessThan(0.02);
    expect(difference).toBeGreaterThan(1e-4); // it really was rounded
    for (const i of inputs.keys()) expect(relativeDifference(low.gradients[i], full.gradients[i])).toBeLessThan(0.05);
  });
});

test('reading a value while the graph is built is an error that says so', () => {
  const graph = new Graph();
  expect(() => trace(graph, () => ops.relu(tensorOf(graph.placeholder('float32', [1]))).dataSync())).toThrow(
    'a value was read while a graph was being built; values exist only when the session runs',
  );
  graph.close();
});

test('labels become one channel a class, and none where the label is another', async () => {
  const graph = new Graph();
  const fed = graph.placeholder('uint8', [1, 1, 4]);
  const outputs = trace(graph, () => [outputOf(ops.oneHot(fed, 3, 1)), outputOf(ops.oneHot(fed, 3, 0))]);
  const session = new Session(graph, { threads: 1 });
  const [inclusive, exclusive] = await session.run([[fed, { dtype: 'uint8', shape: [1, 1, 4], data: Uint8Array.of(0, 1, 2, 3) }]], outputs);
  await session.close();
  expect([...inclusive.data]).toEqual([0, 0, 0, /**/ 1, 0, 0, /**/ 0, 1, 0, /**/ 0, 0, 1]);
  expect([...exclusive.data]).toEqual([1, 0, 0, /**/ 0, 1, 0, /**/ 0, 0, 1, /**/ 0, 0, 0]);
});
