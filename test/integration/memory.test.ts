/**
 * A run of thousands of steps needs no more memory than one of hundreds.
 */
import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { expect, test } from 'vitest';
import { optimizerSchema } from '../../trainer/engine/optimizer.ts';
import { defaultLoss } from '../../trainer/losses/catalogue.ts';
import type { Network } from '../../trainer/models/layers.ts';
import { Program } from '../../trainer/program.ts';
import { labels, uniform } from '../tools/numbers.ts';

/** Every kind of layer that the U-Net has, small, so that thousands of steps take seconds. */
const network: Network = (layers, image) => {
  const block = (name: string, x: tf.Tensor4D, stride: number) =>
    layers.relu(
      layers.batchNorm(`${name}/batchNorm`, layers.convolution(name, x, { filters: 16, stride, bias: false }), { momentum: 0.9 }),
    );
  const skip = block('down', layers.input(image), 1);
  const deep = layers.dropout(block('deep', skip, 2), 0.5);
  const up = layers.relu(layers.upConvolution('up', deep, 16));
  return [layers.output(layers.convolution('head', layers.concat(skip, up), { filters: 1, size: 1 }))];
};

/** Bytes of this process that are in memory, as the kernel counts them. */
const residentBytes = (): number => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;

test('resident memory at step 4,000 is within 2 % of that at step 2,000', async () => {
  const program = await Program.create({
    network,
    image: { height: 32, width: 32, channels: 3 },
    classes: 1,
    exclusive: false,
    loss: defaultLoss('adaptiveLog'),
    optimizer: optimizerSchema.parse({ name: 'adam' }),
    clipNorm: 1,
    dtype: 'float32',
    threads: 2,
    seed: 1,
  });
  const count = 4;
  const images = Uint8Array.from(uniform(count * 32 * 32 * 3, 'images', 0, 256), Math.floor);
  const masks = labels(count * 32 * 32, 'masks');
  const batches = [
    { count, images, labels: masks },
    { count: 1, images: images.slice(0, 32 * 32 * 3), labels: masks.slice(0, 32 * 32) }, // the short last batch of an epoch
  ];
  const numTensors = tf.memory().numTensors;
  let at2000 = 0;
  for (let step = 1; step <= 4000; step++) {
    await program.step(batches[step % 10 === 0 ? 1 : 0], { step, learningRate: 1e-3 });
    if (step % 100 === 0) await program.predict(batches[0]);
    if (step === 2000) at2000 = residentBytes();
  }
  expect(residentBytes() / at2000).toBeLessThan(1.02);
  // Tensors of tfjs are made while a graph is traced, and none is left then.
  expect(tf.memory().numTensors).toBe(numTensors);
  await program.close();
});
