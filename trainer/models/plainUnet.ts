/**
 * The U-Nets that FocusNet's and the focal Tversky loss's authors compared with. `plain`: the widespread Keras U-Net at half its width, without batch norm
 * (Kaul, `unet` of TheFocusNetSeries). `batchNorm`: batch norm in the encoder alone, transposed convolutions in the decoder (Abraham and Khan 2019).
 */
import type * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Layers, Network } from './layers.ts';

const widths = [32, 64, 128, 256] as const;
const bottomWidth = 512;

const convolutions = (layers: Layers, name: string, x: tf.Tensor4D, filters: number, count = 2): tf.Tensor4D => {
  let y = x;
  for (let i = 1; i <= count; i++) y = layers.relu(layers.convolution(`${name}/${i}`, y, { filters }));
  return y;
};

export const plainUnetSchema = z.strictObject({
  name: z.literal('plainUnet'),
  dropout: z.number().min(0).max(0.9).default(0.5).describe('Share of activations dropped after the two deepest levels.'),
});

export const plainUnet =
  ({ dropout }: z.infer<typeof plainUnetSchema>, classes: number): Network =>
  (layers, image) => {
    let x = layers.input(image);
    const skips: tf.Tensor4D[] = [];
    for (const [i, filters] of widths.entries()) {
      x = convolutions(layers, `encoder${i + 1}`, x, filters);
      if (i === widths.length - 1) x = layers.dropout(x, dropout);
      skips.push(x);
      x = layers.maxPool(x);
    }
    x = layers.dropout(convolutions(layers, 'bottom', x, bottomWidth), dropout);
    for (const [i, filters] of [...widths.entries()].reverse()) {
      const up = layers.relu(layers.upConvolution(`up${i + 1}`, x, filters));
      x = convolutions(layers, `decoder${i + 1}`, layers.concat(skips.pop()!, up), filters);
    }
    // The original has two classes in mind here; the authors kept the layer in front of one output.
    x = layers.relu(layers.convolution('narrow', x, { filters: 2 }));
    return [layers.output(layers.convolution('head', x, { filters: classes, size: 1 }))];
  };

export const batchNormUnetSchema = z.strictObject({
  name: z.literal('batchNormUnet'),
  batchNormMomentum: z.number().min(0).lt(1).default(0.99).describe('Share of a moving average that a step leaves as it was.'),
});

export const batchNormUnet =
  ({ batchNormMomentum }: z.infer<typeof batchNormUnetSchema>, classes: number): Network =>
  (layers, image) => {
    let x = layers.input(image);
    const skips: tf.Tensor4D[] = [];
    for (const [i, filters] of widths.entries()) {
      for (const part of [1, 2]) {
        const name = `encoder${i + 1}/${part}`;
        x = layers.relu(layers.batchNorm(name, layers.convolution(name, x, { filters }), { momentum: batchNormMomentum }));
      }
      skips.push(x);
      x = layers.maxPool(x);
    }
    x = convolutions(layers, 'bottom', x, bottomWidth);
    for (const [i, filters] of [...widths.entries()].reverse()) {
      const up = layers.transposedConvolution(`up${i + 1}`, x, { filters, size: 2 });
      // The level of 64 filters has a single convolution in the released code.
      x = convolutions(layers, `decoder${i + 1}`, layers.concat(up, skips.pop()!), filters, filters === 64 ? 1 : 2);
    }
    return [layers.output(layers.convolution('head', x, { filters: classes, size: 1 }))];
  };
