/**
 * FocusNet (Kaul, Manandhar, Pears 2019, "FocusNet: an attention-based fully convolutional network for medical image segmentation"), layer by
 * layer as its authors released it: an attention auto-encoder (branch A) whose decoder maps, through a sigmoid, gate the encoder of the
 * segmentation branch B. Residual blocks without an activation after the sum, strided convolutions instead of pooling,
 * squeeze-and-excitation around each gate. `fused` is the variant of 2021: the decoder's coarser levels have outputs of their own, joined with the
 * finest by two convolutions.
 */
import type * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Layers, Network } from './layers.ts';

export const focusnetSchema = z.strictObject({
  name: z.literal('focusnet'),
  stem: z
    .union([z.literal(24), z.literal(32)])
    .default(24)
    .describe('Filters of the first convolution of the attention branch: 24 in the code of 2019, 32 in that of 2021.'),
  fused: z.boolean().default(false).describe('Joins outputs of all decoder levels, as the code of 2021.'),
  batchNormMomentum: z.number().min(0).lt(1).default(0.99).describe('Share of a moving average that a step leaves as it was.'),
  batchNormInference: z
    .enum(['moving', 'batch'])
    .default('moving')
    .describe(
      'Statistics that normalise in prediction. batch: those of the images predicted together, as the released code does by an oversight; scores then depend on the batch.',
    ),
  dropout: z.number().min(0).max(0.9).default(0.2).describe('Share of activations dropped in the bottleneck of the attention branch.'),
});
type Spec = z.infer<typeof focusnetSchema>;

/** L2 penalties of the released code: of all convolutions in residual blocks and of the 7x7 stem, and of the stem of the attention branch. */
const l2 = 1e-4;
const stemL2 = 5e-4;
const leakySlope = 0.3;
const squeezeRatio = 16;

/** What both branches are made of. */
class Blocks {
  readonly #layers: Layers;
  readonly #spec: Spec;

  constructor(layers: Layers, spec: Spec) {
    this.#layers = layers;
    this.#spec = spec;
  }

  normalised(name: string, x: tf.Tensor4D, inference: Spec['batchNormInference'] = this.#spec.batchNormInference): tf.Tensor4D {
    return this.#layers.batchNorm(`${name}/batchNorm`, x, { momentum: this.#spec.batchNormMomentum, inference });
  }

  #activated(name: string, x: tf.Tensor4D): tf.Tensor4D {
    return this.#layers.relu(this.normalised(name, x));
  }

  /** Convolution, batch norm, ReLU, convolution; plus the input, through a 1x1 convolution where the channels differ. */
  residual(name: string, x: tf.Tensor4D, filters: number): tf.Tensor4D {
    const layers = this.#layers;
    const first = layers.convolution(`${name}/first`, x, { filters, l2 });
    const second = layers.convolution(`${name}/second`, this.#activated(`${name}/first`, first), { filters, l2 });
    const shortcut = x.shape[3] === filters ? x : layers.convolution(`${name}/shortcut`, x, { filters, size: 1, l2 });
    return layers.add(shortcut, second);
  }

  /** Batch norm and ReLU before each of both convolutions, the first of stride 2; plus the input through a 1x1 convolution of stride 2. */
  residualDown(name: string, x: tf.Tensor4D, filters: number): tf.Tensor4D {
    const layers = this.#layers;
    const first = layers.convolution(`${name}/first`, this.#activated(`${name}/input`, x), { filters, stride: 2, l2 });
    const second = layers.convolution(`${name}/second`, this.#activated(`${name}/first`, first), { filters, l2 });
    return layers.add(layers.convolution(`${name}/shortcut`, x, { filters, size: 1, stride: 2, l2 }), second);
  }

  /** Squeeze-and-excitation (Hu et al. 2018): channels weighted by what the whole map holds. */
  squeeze(name: string, x: tf.Tensor4D): tf.Tensor4D {
    const layers = this.#layers;
    const channels = x.shape[3];
    const narrow = { filters: channels / squeezeRatio, size: 1, bias: false };
    const squeezed = layers.relu(layers.convolution(`${name}/squeeze`, layers.globalAveragePool(x), narrow));
    const weights = layers.convolution(`${name}/excite`, squeezed, { filters: channels, size: 1, bias: false });
    return layers.multiply(x, layers.sigmoid(weights));
  }

  up(name: string, x: tf.Tensor4D, skip: tf.Tensor4D, filters: number): tf.Tensor4D {
    const layers = this.#layers;
    return layers.concat(skip, layers.relu(layers.upConvolution(name, x, filters)));
  }
}

/** Branch A. @returns its decoder maps, coarse to fine: at a quarter, at half and at the whole size */
function attention(layers: Layers, blocks: Blocks, image: tf.Tensor4D, { stem, dropout }: Spec): [tf.Tensor4D, tf.Tensor4D, tf.Tensor4D] {
  const first = layers.convolution('attention/stem', image, { filters: stem, bias: false, l2: stemL2 });
  const skip1 = layers.leakyRelu(blocks.normalised('attention/stem', first, 'moving'), leakySlope);
  const skip2 = blocks.residual('attention/encoder2', blocks.residualDown('attention/down1', skip1, 32), 64);
  const skip3 = blocks.residual('attention/encoder3', blocks.residualDown('attention/down2', skip2, 64), 128);
  const bottom = blocks.residual('attention/bottom', blocks.residualDown('attention/down3', skip3, 128), 256);
  const up3 = blocks.up('attention/up3', layers.dropout(bottom, dropout), skip3, 256);
  const quarter = blocks.residual('attention/decoder3', up3, 256);
  const half = blocks.residual('attention/decoder2', blocks.up('attention/up2', quarter, skip2, 128), 128);
  const whole = blocks.residual('attention/decoder1', blocks.up('attention/up1', half, skip1, 64), 64);
  return [quarter, half, whole];
}

export const focusnet =
  (spec: Spec, classes: number): Network =>
  (layers, input) => {
    const image = layers.input(input);
    const blocks = new Blocks(layers, spec);
    const gates = attention(layers, blocks, image, spec);

    const stem = layers.convolution('stem', image, { filters: 64, size: 7, l2 });
    let x = layers.relu(blocks.normalised('stem', stem));
    const skips = [x];
    for (const [i, filters] of [64, 128, 256, 512].entries()) {
      const name = `encoder${i + 1}`;
      x = blocks.squeeze(`${name}/before`, blocks.residual(name, x, filters));
      const gate = gates.pop();
      if (gate) x = blocks.squeeze(`${name}/after`, layers.multiply(x, layers.sigmoid(gate)));
      x = blocks.residualDown(`${name}/down`, x, filters);
      skips.push(x);
    }
    skips.pop();

    const coarse: tf.Tensor4D[] = [];
    for (const [i, filters] of [256, 128, 64].entries()) {
      const level = 4 - i;
      x = blocks.residual(`decoder${level}`, blocks.up(`up${level}`, x, skips.pop()!, filters), filters);
      coarse.push(x);
    }
    x = blocks.up('up1', x, skips.pop()!, 32);
    for (const filters of [32, 16, 4]) x = blocks.residual(`decoder1/${filters}`, x, filters);
    const logits = layers.convolution('head', x, { filters: classes, size: 1 });
    if (!spec.fused) return [layers.output(logits)];

    const maps = coarse.map((map, i) => {
      const factor = 8 >> i;
      const wide = layers.relu(layers.convolution(`fusion/head${factor}`, layers.upSample(map, factor), { filters: 32 }));
      return layers.sigmoid(layers.convolution(`fusion/output${factor}`, wide, { filters: classes, size: 1 }));
    });
    const joined = layers.concat(...maps, layers.sigmoid(logits));
    const fused = layers.relu(layers.convolution('fusion/join', joined, { filters: 32 }));
    return [layers.output(layers.convolution('fusion/output', fused, { filters: classes, size: 1 }))];
  };
