/**
 * The paper's U-Net: "a generic U-Net enhanced with batch normalization, dropout and strided downsampling" (Kaul et al. 2019, section 3).
 * The paper gives no more than that sentence. Inferred from the authors' other code: five levels of width w, 2w, 4w, 8w, 16w, each twice
 * conv 3x3 - batch norm - ReLU; a strided 3x3 convolution instead of pooling; dropout after the deepest encoder level and after the
 * bottleneck; nearest up-sampling with a 2x2 convolution; He-normal initial weights.
 */
import type * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Network } from './layers.ts';

export const unetSchema = z.strictObject({
  name: z.literal('unet'),
  width: z.int().min(4).max(64).default(32).describe('Filters of the first level; each level below has twice as many.'),
  batchNormMomentum: z
    .number()
    .min(0)
    .lt(1)
    .default(0.99)
    .describe('Share of a moving average that a step leaves as it was; Keras has 0.99, a run of some hundred steps wants less.'),
  dropout: z.number().min(0).max(0.9).default(0.5).describe('Share of activations dropped after the two deepest levels.'),
});

/** Sides of the image must be divisible by this. */
export const unetStride = 16;

const numLevels = 5;

export const unet =
  ({ width, dropout, batchNormMomentum }: z.infer<typeof unetSchema>, classes: number): Network =>
  (layers, image) => {
    const block = (name: string, x: tf.Tensor4D, filters: number, stride = 1) => {
      const y = layers.convolution(`${name}/convolution`, x, { filters, stride, bias: false });
      return layers.relu(layers.batchNorm(`${name}/batchNorm`, y, { momentum: batchNormMomentum }));
    };
    const twice = (name: string, x: tf.Tensor4D, filters: number) => block(`${name}/second`, block(`${name}/first`, x, filters), filters);

    let x = layers.input(image);
    const skips: tf.Tensor4D[] = [];
    for (let level = 1; level <= numLevels; level++) {
      const filters = width * 2 ** (level - 1);
      x = twice(`encoder${level}`, x, filters);
      if (level >= numLevels - 1) x = layers.dropout(x, dropout);
      if (level === numLevels) break;
      skips.push(x);
      x = block(`encoder${level}/down`, x, filters, 2);
    }
    for (let level = numLevels - 1; level >= 1; level--) {
      const filters = width * 2 ** (level - 1);
      const up = layers.relu(layers.upConvolution(`decoder${level}/up`, x, filters));
      x = twice(`decoder${level}`, layers.concat(skips.pop()!, up), filters);
    }
    return [layers.output(layers.convolution('head', x, { filters: classes, size: 1 }))];
  };
