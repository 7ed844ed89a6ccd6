/**
 * Every network of the catalogue: its exact size, the shapes inside it, and that it learns.
 */
import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { tensorOf, trace } from '../../../trainer/engine/backend.ts';
import { Graph } from '../../../trainer/engine/graph.ts';
import type { ComputeDType } from '../../../trainer/engine/ops.ts';
import { optimizerSchema } from '../../../trainer/engine/optimizer.ts';
import { defaultLoss } from '../../../trainer/losses/catalogue.ts';
import { createNetwork, type ModelName, modelSchema, models, numHeads } from '../../../trainer/models/catalogue.ts';
import { countParameters, declareParameters, initialValue, isTrainable, Layers, type Network } from '../../../trainer/models/layers.ts';
import { Program } from '../../../trainer/program.ts';
import { drawPicture } from '../../tools/pictures.ts';

const network = (fields: object, classes = 1): Network => createNetwork(modelSchema.parse(fields), classes);
const parametersOf = (fields: object) => declareParameters(network(fields), { height: 192, width: 256, channels: 3 });

describe('has exactly the parameters of the released code', () => {
  test.each([
    [{ name: 'focusnet' }, 18_935_177, 9_608],
    [{ name: 'focusnet', stem: 32 }, 18_943_137, 9_640],
    [{ name: 'focusnet', stem: 32, fused: true }, 19_073_573, 9_640],
    [{ name: 'plainUnet' }, 7_760_645, 0],
    [{ name: 'batchNormUnet' }, 7_727_009, 1_920],
    [{ name: 'attentionUnet', gate3: 'asReleased' }, 5_647_143, 7_040],
    [{ name: 'attentionUnet', gate3: 'asReleased', multiScaleInput: false }, 5_302_823, 7_040],
  ])('%j: %i, of which %i are not trained', (fields, count, statistics) => {
    const parameters = parametersOf(fields);
    expect(countParameters(parameters)).toBe(count);
    expect(countParameters(parameters.filter(parameter => !isTrainable(parameter)))).toBe(statistics);
    expect(new Set(parameters.map(({ name }) => name)).size).toBe(parameters.length);
  });
});

test('focusnet has 78 convolutions, 14 layers of squeeze-and-excitation and 32 batch norms; L2 on all but up-convolutions, those layers and the output', () => {
  const parameters = parametersOf({ name: 'focusnet' });
  const kernels = parameters.filter(({ role }) => role === 'kernel');
  const excitation = kernels.filter(({ name }) => /squeeze|excite/.test(name));
  expect(excitation).toHaveLength(14);
  expect(kernels.length - excitation.length).toBe(78);
  expect(parameters.filter(({ role }) => role === 'mean')).toHaveLength(32);
  const without = kernels.filter(({ l2 }) => l2 === undefined).map(({ name }) => name.replace(/\/kernel$/, ''));
  expect(without.filter(name => !/squeeze|excite/.test(name)).sort()).toEqual([
    ...['attention/up1', 'attention/up2', 'attention/up3', 'head', 'up1', 'up2', 'up3', 'up4'],
  ]);
  expect(kernels.filter(({ l2 }) => l2 === 5e-4).map(({ name }) => name)).toEqual(['attention/stem/kernel']);
  expect(new Set(kernels.map(({ l2 }) => l2))).toEqual(new Set([undefined, 1e-4, 5e-4]));
});

/** What `batchNorm` saw, by name: the shapes inside a network. */
function shapesInside(fields: object): { inside: Record<string, number[]>; outputs: number[][] } {
  const graph = new Graph();
  const inside: Record<string, number[]> = {};
  class Watched extends Layers {
    override batchNorm(...[name, x, options]: Parameters<Layers['batchNorm']>) {
      inside[name] = x.shape.slice(1);
      return super.batchNorm(name, x, options);
    }
  }
  const outputs = trace(graph, () => {
    const layers = new Watched({ parameter: ({ shape }) => tensorOf(graph.placeholder('float32', shape)), training: false });
    return network(fields)(layers, tensorOf(graph.placeholder('float32', [2, 64, 96, 3])) as tf.Tensor4D).map(({ shape }) => shape);
  });
  graph.close();
  return { inside, outputs: outputs as unknown as number[][] };
}

describe('has the shapes of the table, for a 64 x 96 image', () => {
  test('focusnet', () => {
    const { inside, outputs } = shapesInside({ name: 'focusnet' });
    expect(outputs).toEqual([[2, 64, 96, 1]]);
    expect(inside).toMatchObject({
      'attention/stem/batchNorm': [64, 96, 24],
      'attention/down1/first/batchNorm': [32, 48, 32],
      'attention/encoder2/first/batchNorm': [32, 48, 64],
      'attention/down2/first/batchNorm': [16, 24, 64],
      'attention/encoder3/first/batchNorm': [16, 24, 128],
      'attention/down3/first/batchNorm': [8, 12, 128],
      'attention/bottom/first/batchNorm': [8, 12, 256],
      'attention/decoder3/first/batchNorm': [16, 24, 256],
      'attention/decoder2/first/batchNorm': [32, 48, 128],
      'attention/decoder1/first/batchNorm': [64, 96, 64],
      'stem/batchNorm': [64, 96, 64],
      'encoder1/down/first/batchNorm': [32, 48, 64],
      'encoder2/down/first/batchNorm': [16, 24, 128],
      'encoder3/down/first/batchNorm': [8, 12, 256],
      'encoder4/first/batchNorm': [8, 12, 512],
      'encoder4/down/first/batchNorm': [4, 6, 512],
      'decoder4/first/batchNorm': [8, 12, 256],
      'decoder3/first/batchNorm': [16, 24, 128],
      'decoder2/first/batchNorm': [32, 48, 64],
      'decoder1/4/first/batchNorm': [64, 96, 4],
    });
  });

  test('attentionUnet, with an output at each level of the decoder', () => {
    const { inside, outputs } = shapesInside({ name: 'attentionUnet' });
    expect(outputs).toEqual([
      [2, 64, 96, 1],
      [2, 32, 48, 1],
      [2, 16, 24, 1],
      [2, 8, 12, 1],
    ]);
    expect(inside).toMatchObject({
      'encoder1/first/batchNorm': [64, 96, 32],
      'encoder2/first/batchNorm': [32, 48, 64],
      'encoder3/first/batchNorm': [16, 24, 128],
      'encoder4/first/batchNorm': [8, 12, 64],
      'center/first/batchNorm': [4, 6, 512],
      'gate1/signal/batchNorm': [4, 6, 512],
      'gate1/output/batchNorm': [8, 12, 64],
      'gate3/signal/batchNorm': [16, 24, 192],
      'gate3/output/batchNorm': [32, 48, 64],
    });
    // The slip of the released code: the finest gate is steered by the level of the gate before.
    expect(shapesInside({ name: 'attentionUnet', gate3: 'asReleased' }).inside['gate3/signal/batchNorm']).toEqual([8, 12, 96]);
  });
});

const image = { height: 32, width: 32, channels: 3 };
const pictures = ['a', 'b'].map(name => drawPicture(name));
const batch = {
  count: 2,
  images: Uint8Array.from(pictures.flatMap(({ pixels }) => [...pixels])),
  labels: Uint8Array.from(pictures.flatMap(({ mask }) => [...mask].map(value => value / 255))),
};

function programOf(fields: object, dtype: ComputeDType = 'float32'): Promise<Program> {
  const spec = modelSchema.parse(fields);
  return Program.create({
    network: createNetwork(spec, 1),
    image,
    classes: 1,
    exclusive: false,
    loss: defaultLoss('dice'),
    heads: { loss: defaultLoss('focalTversky'), weights: new Array(numHeads(spec)).fill(1) },
    optimizer: optimizerSchema.parse({ name: 'adam' }),
    dtype,
    threads: 2,
    seed: 1,
  });
}

describe.each(Object.keys(models) as ModelName[])('%s', name => {
  test('learns: the loss falls in eight steps on two pictures', async () => {
    const program = await programOf({ name });
    const losses: number[] = [];
    for (let step = 1; step <= 8; step++) losses.push((await program.step(batch, { step, learningRate: 1e-3 })).loss);
    await program.close();
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(losses.at(-1)!).toBeLessThan(0.9 * losses[0]);
  });

  test('computes in bfloat16 nearly what it computes in float32', async () => {
    const losses = [];
    for (const dtype of ['float32', 'bfloat16'] as const) {
      const program = await programOf({ name }, dtype);
      losses.push((await program.step(batch, { step: 1, learningRate: 1e-3 })).loss);
      await program.close();
    }
    expect(losses[0]).not.toBe(losses[1]);
    expect(losses[1] / losses[0]).toBeCloseTo(1, 1);
  });

  test('gives logits at the size of the image', async () => {
    const program = await programOf({ name });
    const { logits } = await program.predict(batch);
    await program.close();
    expect(logits).toHaveLength(2 * 32 * 32);
    expect(logits.every(Number.isFinite)).toBe(true);
  });
});

test('focusnet with batch norm `batch` predicts an image otherwise in other company, with `moving` the same', async () => {
  const other = { ...batch, images: batch.images.map((value, i) => (i < batch.images.length / 2 ? value : 255 - value)) };
  const firstImage = async (batchNormInference: string) => {
    const program = await programOf({ name: 'focusnet', batchNormInference });
    const logits = [];
    for (const company of [batch, other]) logits.push((await program.predict(company)).logits.slice(0, 32 * 32));
    await program.close();
    return logits;
  };
  const [together, apart] = await firstImage('batch');
  expect(together).not.toEqual(apart);
  const [one, same] = await firstImage('moving');
  expect(one).toEqual(same);
});

test('the L2 penalty is in the gradient and not in the loss', async () => {
  const weightsAfter = async (l2: number | undefined) => {
    const head: Network = (layers, x) => [layers.convolution('head', x, { filters: 1, size: 1, l2 })];
    const program = await Program.create({
      network: head,
      image,
      classes: 1,
      exclusive: false,
      loss: defaultLoss('dice'),
      optimizer: optimizerSchema.parse({ name: 'sgd', momentum: 0 }),
      dtype: 'float32',
      threads: 1,
      seed: 1,
    });
    const before = (await program.weights()).get('head/kernel')!.data as Float32Array;
    const { loss } = await program.step(batch, { step: 1, learningRate: 0.1 });
    const after = (await program.weights()).get('head/kernel')!.data as Float32Array;
    await program.close();
    return { before, after, loss };
  };
  const [free, penalised] = [await weightsAfter(undefined), await weightsAfter(0.5)];
  expect(penalised.loss).toBe(free.loss);
  // d (0.5 w^2) / dw = w: a step of 0.1 takes a tenth of the weight besides.
  for (const i of [0, 1, 2]) expect(penalised.after[i]).toBeCloseTo(free.after[i] - 0.1 * free.before[i], 6);
});

test('outputs at coarser levels add their weighted losses, against every nth pixel of the mask', async () => {
  // The "network" gives constants: logit 0 at full size, and at half size a logit that predicts foreground everywhere.
  const constant: Network = (layers, x) => {
    const zero = layers.multiply(layers.convolution('a', x, { filters: 1, size: 1 }), tf.zeros([1, 1, 1, 1]));
    return [zero, layers.add(layers.averagePool(zero, 2), tf.fill([1, 1, 1, 1], 50))];
  };
  const program = await Program.create({
    network: constant,
    image,
    classes: 1,
    exclusive: false,
    loss: defaultLoss('crossEntropy'),
    heads: { loss: defaultLoss('jaccard'), weights: [3] },
    dtype: 'float32',
    threads: 1,
    seed: 1,
  });
  const { loss } = await program.predict(batch);
  await program.close();
  const sampled = [0, 1].flatMap(n =>
    Array.from({ length: 256 }, (_, i) => batch.labels[n * 1024 + Math.floor(i / 16) * 64 + (i % 16) * 2]),
  );
  const foreground = sampled.reduce((sum, label) => sum + label, 0);
  // Cross-entropy of p = 1/2 is ln 2; Jaccard of "all foreground" over 512 pixels is 1 - (T + 1) / (512 + 1).
  expect(loss).toBeCloseTo(Math.log(2) + 3 * (1 - (foreground + 1) / 513), 5);
});

test('initial kernels: He-normal by fan-in, Glorot-normal by both fans', () => {
  const deviation = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0) / values.length);
  const kernel = { name: 'kernel', shape: [3, 3, 64, 32], role: 'kernel' } as const;
  expect(deviation(initialValue(kernel, 1)) / Math.sqrt(2 / (9 * 64))).toBeCloseTo(1, 1);
  expect(deviation(initialValue({ ...kernel, initial: 'glorotNormal' }, 1)) / Math.sqrt(2 / (9 * 96))).toBeCloseTo(1, 1);
  const kinds = new Set(parametersOf({ name: 'attentionUnet' }).map(({ role, initial }) => `${role} ${initial}`));
  expect(kinds).toContain('kernel glorotNormal');
  expect(kinds).not.toContain('kernel undefined');
});
