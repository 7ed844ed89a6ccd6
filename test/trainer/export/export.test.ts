/**
 * Every network of the catalogue, exported and run by others: ONNX by ONNX Runtime, layers models by tfjs's pure JavaScript backend.
 */
import * as tf from '@tensorflow/tfjs';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { beforeAll, describe, expect, test } from 'vitest';
import { encodeOnnx } from '../../../trainer/export/onnx.ts';
import { recordNetwork, samePadding } from '../../../trainer/export/record.ts';
import { encodeLayersModel } from '../../../trainer/export/tfjs.ts';
import { type ModelName, modelSchema, models } from '../../../trainer/models/catalogue.ts';
import type { Network } from '../../../trainer/models/layers.ts';
import { channelsFirst, type ExportedCase, exportedCase, exportedNetwork, largestDifference } from '../../tools/exported.ts';

/** Of the prediction: same probabilities within this. */
const tolerance = 1e-4;

const recordingOf = ({ network, description: { image, exclusive } }: ExportedCase) => recordNetwork({ network, image, exclusive });

async function runOnnx({ weights, description, pixels, ...rest }: ExportedCase): Promise<{ dims: readonly number[]; data: Float32Array }> {
  const session = await InferenceSession.create(encodeOnnx(recordingOf({ weights, description, pixels, ...rest }), weights, description));
  const { height, width, channels } = description.image;
  const images = channelsFirst(
    Float32Array.from(pixels, value => value / 255),
    channels,
  );
  // The same image twice: N is free.
  const both = Float32Array.of(...images, ...images);
  const { probabilities } = await session.run({ image: new Tensor('float32', both, [2, channels, height, width]) });
  await session.release();
  const data = probabilities.data as Float32Array;
  expect(largestDifference(data.subarray(data.length / 2), data.subarray(0, data.length / 2))).toBeLessThan(1e-6);
  return { dims: probabilities.dims, data: data.subarray(0, data.length / 2) };
}

async function runLayersModel(exported: ExportedCase): Promise<{ dims: readonly number[]; data: ArrayLike<number> }> {
  const { weights, description, pixels } = exported;
  await tf.setBackend('cpu');
  const before = tf.memory().numTensors;
  const files = await encodeLayersModel(recordingOf(exported), weights, description);
  expect(tf.getBackend()).toBe('cpu');
  const { weightsManifest, ...artifacts } = JSON.parse(files['model.json']);
  expect(weightsManifest[0].paths).toEqual(['weights.bin']);
  const weightData = files['weights.bin'].slice().buffer;
  const model = await tf.loadLayersModel({ load: async () => ({ ...artifacts, weightSpecs: weightsManifest[0].weights, weightData }) });
  const { height, width, channels } = description.image;
  const { dims, data } = tf.tidy(() => {
    const images = tf.tensor4d(
      Float32Array.from(pixels, value => value / 255),
      [1, height, width, channels],
    );
    const probabilities = model.predict(images) as tf.Tensor;
    return { dims: probabilities.shape, data: probabilities.dataSync() };
  });
  model.dispose();
  expect(tf.memory().numTensors).toBe(before);
  return { dims, data };
}

const cases: { name: ModelName; spec: object; classes: number; exclusive: boolean }[] = [
  { name: 'unet', spec: { width: 16 }, classes: 1, exclusive: false },
  { name: 'plainUnet', spec: {}, classes: 2, exclusive: false },
  { name: 'batchNormUnet', spec: {}, classes: 3, exclusive: true },
  { name: 'attentionUnet', spec: {}, classes: 1, exclusive: false },
  { name: 'attentionUnet', spec: { gate3: 'asReleased', multiScaleInput: false, deepSupervision: false }, classes: 1, exclusive: false },
  { name: 'focusnet', spec: {}, classes: 1, exclusive: false },
  { name: 'focusnet', spec: { fused: true, stem: 32 }, classes: 2, exclusive: true },
];

test('every network of the catalogue is among those that are exported here', () => {
  expect(new Set(cases.map(({ name }) => name))).toEqual(new Set(Object.keys(models)));
});

describe.each(cases)('$name $spec with $classes classes', ({ name, spec, classes, exclusive }) => {
  let exported: ExportedCase;
  beforeAll(async () => {
    exported = await exportedCase(modelSchema.parse({ name, ...spec }), { classes, exclusive });
    // The image says something: the comparison is not one of constants.
    expect(Math.max(...exported.expected) - Math.min(...exported.expected)).toBeGreaterThan(0.05);
  });

  test('uses all weights but those of the heads for training', () => {
    const used = recordingOf(exported).nodes.flatMap(node => ('name' in node ? [node.name] : []));
    const declared = new Set(exported.parameters.map(parameter => parameter.slice(0, parameter.lastIndexOf('/'))));
    const unused = [...declared].filter(layer => !used.includes(layer));
    expect(unused.every(layer => /^head[248]\//.test(layer))).toBe(true);
    expect(unused.length > 0).toBe(name === 'attentionUnet' && !('deepSupervision' in spec));
  });

  test('as ONNX predicts what the program predicts', async () => {
    const { dims, data } = await runOnnx(exported);
    expect(dims).toEqual([2, classes, 16, 32]);
    expect(largestDifference(data, channelsFirst(exported.expected, classes))).toBeLessThan(tolerance);
  });

  test('as a layers model predicts what the program predicts', async () => {
    const { dims, data } = await runLayersModel(exported);
    expect(dims).toEqual([1, 16, 32, classes]);
    expect(largestDifference(data, exported.expected)).toBeLessThan(tolerance);
  });
});

describe('words that the catalogue does not use to the full', () => {
  /** Windows larger and smaller than the stride, even and odd; broadcasting in add; every pooling. */
  const network: Network = (layers, input) => {
    const image = layers.input(input); // 16x32
    const coarse = layers.leakyRelu(layers.convolution('coarse', image, { filters: 5, size: 4, stride: 4 }), 0.2); // 4x8
    const pooled = layers.averagePool(layers.maxPool(image), 2); // 4x8
    const joined = layers.concat(coarse, pooled, layers.convolution('odd', image, { filters: 2, size: 5, stride: 4, bias: false }));
    const shifted = layers.add(joined, layers.globalAveragePool(joined));
    const wide = layers.transposedConvolution('gaps', shifted, { filters: 4, size: 3, stride: 4 });
    const tight = layers.transposedConvolution('overlaps', layers.dropout(shifted, 0.5), { filters: 4, size: 5, stride: 4 });
    const gated = layers.multiply(layers.relu(layers.add(wide, tight)), layers.sigmoid(wide));
    const up = layers.upConvolution('up', layers.maxPool(gated), 3);
    return [layers.output(layers.convolution('head', layers.concat(up, layers.upSample(pooled, 4)), { filters: 2, size: 1 }))];
  };

  test('are exported right too', async () => {
    const exported = await exportedNetwork(network, { classes: 2, exclusive: false });
    expect(Math.max(...exported.expected) - Math.min(...exported.expected)).toBeGreaterThan(0.05);
    expect(largestDifference((await runOnnx(exported)).data, channelsFirst(exported.expected, 2))).toBeLessThan(tolerance);
    expect(largestDifference((await runLayersModel(exported)).data, exported.expected)).toBeLessThan(tolerance);
  });
});

describe('batch norm by the images predicted together', () => {
  let exported: ExportedCase;
  beforeAll(async () => {
    const spec = modelSchema.parse({ name: 'focusnet', batchNormInference: 'batch' });
    exported = await exportedCase(spec, { classes: 1, exclusive: false });
  });

  test('is written out in ONNX', async () => {
    // Twice the same image has the statistics of one.
    expect(largestDifference((await runOnnx(exported)).data, exported.expected)).toBeLessThan(tolerance);
  });

  test('is refused as a layers model, with what to do instead', async () => {
    await expect(runLayersModel(exported)).rejects.toThrow(/TensorFlow.js has no such layer; export to onnx, or train with/);
  });
});

test.each([
  // length, size, stride: zeros such that every stride-th pixel has a window, the odd one after
  [16, 3, 1, [1, 1]],
  [16, 2, 1, [0, 1]],
  [16, 3, 2, [0, 1]],
  [15, 3, 2, [1, 1]],
  [16, 7, 1, [3, 3]],
  [16, 1, 2, [0, 0]],
  [16, 3, 4, [0, 0]],
])('TensorFlow pads %i pixels for a window of %i at stride %i by %j', (length, size, stride, expected) => {
  expect(samePadding(length, size, stride)).toEqual(expected);
});
