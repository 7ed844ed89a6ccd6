/**
 * Attention U-Net with multi-scale input and deep supervision (Abraham and Khan 2019, "A novel focal Tversky loss function with improved attention
 * U-Net for lesion segmentation"), as in the authors' `attn_reg`: the image, averaged down, enters every level of the encoder; gates weigh
 * the skips by the coarser level; every level of the decoder has an output, on which training looks too.
 */
import type * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Layers, Network } from './layers.ts';

export const attentionUnetSchema = z.strictObject({
  name: z.literal('attentionUnet'),
  multiScaleInput: z.boolean().default(true).describe('The image at 1/2, 1/4 and 1/8 of its size enters the encoder too.'),
  deepSupervision: z.boolean().default(true).describe('Outputs at 1/8, 1/4 and 1/2 of the size, for training.'),
  gate3: z
    .enum(['asReleased', 'corrected'])
    .default('corrected')
    .describe('Which decoder level steers the finest gate. asReleased: that of the gate before it, a slip of the public code.'),
  batchNormMomentum: z.number().min(0).lt(1).default(0.99).describe('Share of a moving average that a step leaves as it was.'),
});
type Spec = z.infer<typeof attentionUnetSchema>;

const initial = 'glorotNormal' as const;

class Blocks {
  readonly #layers: Layers;
  readonly #momentum: number;

  constructor(layers: Layers, { batchNormMomentum }: Spec) {
    this.#layers = layers;
    this.#momentum = batchNormMomentum;
  }

  convolution(name: string, x: tf.Tensor4D, filters: number, size = 3, stride = 1): tf.Tensor4D {
    return this.#layers.convolution(name, x, { filters, size, stride, initial });
  }

  /** Convolution, batch norm, ReLU; twice. */
  twice(name: string, x: tf.Tensor4D, filters: number): tf.Tensor4D {
    return this.#activated(`${name}/second`, this.#activated(`${name}/first`, x, filters), filters);
  }

  #activated(name: string, x: tf.Tensor4D, filters: number, size = 3): tf.Tensor4D {
    return this.#layers.relu(this.#normalised(name, this.convolution(name, x, filters, size)));
  }

  #normalised(name: string, x: tf.Tensor4D): tf.Tensor4D {
    return this.#layers.batchNorm(`${name}/batchNorm`, x, { momentum: this.#momentum });
  }

  up(name: string, x: tf.Tensor4D, filters: number, skip: tf.Tensor4D): tf.Tensor4D {
    const layers = this.#layers;
    return layers.concat(layers.relu(layers.transposedConvolution(name, x, { filters, initial })), skip);
  }

  /** x, each pixel weighted by what x and the coarser map `steering` say together (Oktay et al. 2018, eq. 1). */
  gate(name: string, x: tf.Tensor4D, steering: tf.Tensor4D, filters: number): tf.Tensor4D {
    const layers = this.#layers;
    const signal = this.#activated(`${name}/signal`, steering, steering.shape[3], 1);
    const theta = this.convolution(`${name}/theta`, x, filters, 2, 2);
    const phi = this.convolution(`${name}/phi`, signal, filters, 1);
    const stride = theta.shape[1] / phi.shape[1];
    const wide = layers.transposedConvolution(`${name}/widen`, phi, { filters, stride, initial });
    const score = this.convolution(`${name}/score`, layers.relu(layers.add(theta, wide)), 1, 1);
    const weighted = layers.multiply(x, layers.upSample(layers.sigmoid(score), 2));
    return this.#normalised(`${name}/output`, this.convolution(`${name}/output`, weighted, x.shape[3], 1));
  }
}

export const attentionUnet =
  (spec: Spec, classes: number): Network =>
  (layers, input) => {
    const image = layers.input(input);
    const blocks = new Blocks(layers, spec);
    const downwards = (level: number, x: tf.Tensor4D, filters: number) => {
      const pooled = layers.maxPool(x);
      if (!spec.multiScaleInput) return pooled;
      const small = layers.averagePool(image, 2 ** level);
      return layers.concat(layers.relu(blocks.convolution(`input${level}`, small, filters)), pooled);
    };
    const encoder1 = blocks.twice('encoder1', image, 32);
    const encoder2 = blocks.twice('encoder2', downwards(1, encoder1, 64), 64);
    const encoder3 = blocks.twice('encoder3', downwards(2, encoder2, 128), 128);
    const encoder4 = blocks.twice('encoder4', downwards(3, encoder3, 256), 64); // 64, not 256: as released
    const center = blocks.twice('center', layers.maxPool(encoder4), 512);

    const up1 = blocks.up('up1', center, 32, blocks.gate('gate1', encoder4, center, 128));
    const up2 = blocks.up('up2', up1, 64, blocks.gate('gate2', encoder3, up1, 64));
    const steering3 = spec.gate3 === 'asReleased' ? up1 : up2;
    const up3 = blocks.up('up3', up2, 32, blocks.gate('gate3', encoder2, steering3, 32));
    const up4 = blocks.up('up4', up3, 32, encoder1);

    const head = (name: string, x: tf.Tensor4D, filters: number) =>
      layers.output(blocks.convolution(`${name}/output`, blocks.twice(name, x, filters), classes, 1));
    const output = head('head1', up4, 32);
    if (!spec.deepSupervision) return [output];
    return [output, head('head2', up3, 64), head('head4', up2, 128), head('head8', up1, 256)];
  };
