/**
 * The vocabulary that networks are written in. A network is a function of `Layers` and an image; its parameters come into being by
 * being asked for, so that structure is written once. Running it once with `declareParameters` gives the list.
 *
 * Names of axes: N images, H rows, W columns, C channels.
 */
import * as tf from '@tensorflow/tfjs';
import { tensorOf, trace } from '../engine/backend.ts';
import { Graph, type Output } from '../engine/graph.ts';
import * as ops from '../engine/ops.ts';
import { generator, truncatedNormal } from '../random.ts';

export type Role = 'kernel' | 'bias' | 'scale' | 'offset' | 'mean' | 'variance';

export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly role: Role;
  /** Times the sum of its squares is added to what training minimises (as Keras's `l2`). */
  readonly l2?: number;
  readonly initial?: Initializer;
}

/** Of kernels: by fan-in (He et al. 2015), or by the mean of fan-in and fan-out (Glorot and Bengio 2010). */
export type Initializer = 'heNormal' | 'glorotNormal';

/** Moving statistics are not learned: they follow the batches. */
export const isTrainable = ({ role }: Parameter): boolean => role !== 'mean' && role !== 'variance';

/**
 * A network's outputs before sigmoid or softmax: image [N,H,W,Cin] in [0,1] -> logits [N,H,W,classes], float32. Further outputs are
 * heads for deep supervision: [N,H/2^k,W/2^k,classes], for training only.
 */
export type Network = (layers: Layers, image_NHWC: tf.Tensor4D) => readonly [tf.Tensor4D, ...tf.Tensor4D[]];

/** Keras's default, and the authors'. */
export const batchNormEpsilon = 1e-3;

export interface LayersOptions {
  readonly parameter: (parameter: Parameter) => tf.Tensor;
  readonly training: boolean;
  readonly dtype?: ops.ComputeDType;
  /** Two int32 that the dropout masks depend on; needed for training with dropout. */
  readonly dropoutKey?: Output;
}

export interface ConvolutionOptions {
  readonly filters: number;
  readonly size?: number;
  readonly stride?: number;
  /** Off where batch norm follows: it subtracts the mean, and any constant with it. */
  readonly bias?: boolean;
  readonly l2?: number;
  readonly initial?: Initializer;
}

export interface BatchNormOptions {
  /** Share of a moving average that a batch leaves as it was. */
  readonly momentum: number;
  /** Which statistics normalise in prediction: the moving averages, or those of the batch that is predicted. */
  readonly inference?: 'moving' | 'batch';
}

export class Layers {
  readonly training: boolean;
  /** Statistics of this batch, for the moving averages. */
  readonly statistics: { readonly name: string; readonly value: tf.Tensor; readonly momentum: number }[] = [];
  readonly #options: LayersOptions;
  #numDropouts = 0;

  constructor(options: LayersOptions) {
    this.training = options.training;
    this.#options = options;
  }

  /** Convolutions from here on compute in the run's precision. */
  input(image: tf.Tensor4D): tf.Tensor4D {
    return ops.cast(image, this.#options.dtype ?? 'float32');
  }

  /** Logits and all that follows are float32. */
  output(x: tf.Tensor4D): tf.Tensor4D {
    return ops.cast(x, 'float32');
  }

  convolution(name: string, x: tf.Tensor4D, options: ConvolutionOptions): tf.Tensor4D {
    const { filters, size = 3, stride = 1, bias = true } = options;
    const y = ops.conv2d(x, this.#kernel(name, [size, size, x.shape[3], filters], options), stride);
    return bias ? ops.biasAdd(y, this.#vector(name, 'bias', filters)) : y;
  }

  /** Nearest-neighbour up-sampling by two and a 2x2 convolution. */
  upConvolution(name: string, x: tf.Tensor4D, filters: number): tf.Tensor4D {
    const kernel = this.#kernel(name, [2, 2, x.shape[3], filters], {});
    return ops.biasAdd(ops.upConv2d(x, kernel), this.#vector(name, 'bias', filters));
  }

  /** Its kernel is [size, size, filters, channels in], as in Keras. */
  transposedConvolution(name: string, x: tf.Tensor4D, options: ConvolutionOptions): tf.Tensor4D {
    const { filters, size = 3, stride = 2 } = options;
    const y = ops.transposedConv2d(x, this.#kernel(name, [size, size, filters, x.shape[3]], options), stride);
    return ops.biasAdd(y, this.#vector(name, 'bias', filters));
  }

  batchNorm(name: string, x: tf.Tensor4D, { momentum, inference = 'moving' }: BatchNormOptions): tf.Tensor4D {
    const channels = x.shape[3];
    const [scale, offset, mean, variance] = (['scale', 'offset', 'mean', 'variance'] as const).map(role =>
      this.#vector(name, role, channels),
    );
    if (!this.training && inference === 'moving') return ops.batchNormInference(x, scale, offset, mean, variance, batchNormEpsilon);
    const normalised = ops.batchNormTraining(x, scale, offset, batchNormEpsilon);
    for (const role of ['mean', 'variance'] as const) {
      this.statistics.push({ name: `${name}/${role}`, value: normalised[role], momentum });
    }
    return normalised.y;
  }

  relu(x: tf.Tensor4D): tf.Tensor4D {
    return ops.relu(x);
  }

  dropout(x: tf.Tensor4D, rate: number): tf.Tensor4D {
    const layer = this.#numDropouts++;
    if (!this.training || rate === 0) return x;
    if (!this.#options.dropoutKey) throw new Error('training with dropout needs a key');
    return ops.dropout(x, rate, this.#options.dropoutKey, layer);
  }

  leakyRelu(x: tf.Tensor4D, slope: number): tf.Tensor4D {
    return ops.leakyRelu(x, slope);
  }

  sigmoid(x: tf.Tensor4D): tf.Tensor4D {
    return ops.sigmoid(x);
  }

  concat(...parts: tf.Tensor4D[]): tf.Tensor4D {
    return tf.concat(parts, 3);
  }

  add(x: tf.Tensor4D, y: tf.Tensor4D): tf.Tensor4D {
    return tf.add(x, y);
  }

  /** Element by element; an axis of length one is repeated. */
  multiply(x: tf.Tensor4D, y: tf.Tensor4D): tf.Tensor4D {
    return tf.mul(x, y);
  }

  /** The largest of each block of 2x2 pixels. */
  maxPool(x: tf.Tensor4D): tf.Tensor4D {
    return ops.maxPool(x);
  }

  /** The mean of each block of `size` x `size` pixels. */
  averagePool(x: tf.Tensor4D, size: number): tf.Tensor4D {
    return ops.averagePool(x, size);
  }

  /** The mean of each channel: [N,H,W,C] -> [N,1,1,C]. */
  globalAveragePool(x: tf.Tensor4D): tf.Tensor4D {
    return ops.globalAveragePool(x);
  }

  /** Nearest-neighbour up-sampling by a whole factor. */
  upSample(x: tf.Tensor4D, factor: number): tf.Tensor4D {
    return ops.upSample(x, factor, 'nearest');
  }

  #kernel(name: string, shape: [number, number, number, number], { l2, initial }: Pick<ConvolutionOptions, 'l2' | 'initial'>): tf.Tensor4D {
    return this.#options.parameter({
      name: `${name}/kernel`,
      shape,
      role: 'kernel',
      ...(l2 !== undefined && { l2 }),
      ...(initial && { initial }),
    }) as tf.Tensor4D;
  }

  #vector(name: string, role: Role, length: number): tf.Tensor1D {
    return this.#options.parameter({ name: `${name}/${role}`, shape: [length], role }) as tf.Tensor1D;
  }
}

/** The parameters that a network asks for, in that order. The graph they are asked in is thrown away. */
export function declareParameters(network: Network, image: { height: number; width: number; channels: number }): Parameter[] {
  const graph = new Graph();
  const parameters: Parameter[] = [];
  try {
    trace(graph, () => {
      const parameter = (asked: Parameter) => {
        parameters.push(asked);
        return tensorOf(graph.placeholder('float32', asked.shape));
      };
      const layers = new Layers({ parameter, training: false });
      network(layers, tensorOf(graph.placeholder('float32', [1, image.height, image.width, image.channels])) as tf.Tensor4D);
    });
  } finally {
    graph.close();
  }
  return parameters;
}

/** Kernels as their initialiser says (truncated as Keras does), biases and offsets 0, scales 1; a pure function of seed and name. */
export function initialValue({ name, shape, role, initial = 'heNormal' }: Parameter, seed: number): Float32Array {
  const length = shape.reduce((product, dimension) => product * dimension, 1);
  switch (role) {
    case 'kernel': {
      const [fanIn, fanOut] = [shape[2], shape[3]].map(channels => shape[0] * shape[1] * channels);
      const variance = initial === 'heNormal' ? 2 / fanIn : 2 / (fanIn + fanOut);
      return truncatedNormal(length, Math.sqrt(variance), generator(seed, 'weights', name));
    }
    case 'scale':
    case 'variance':
      return new Float32Array(length).fill(1);
    case 'bias':
    case 'offset':
    case 'mean':
      return new Float32Array(length);
  }
}

export const countParameters = (parameters: readonly Parameter[]): number =>
  parameters.reduce((sum, { shape }) => sum + shape.reduce((product, dimension) => product * dimension, 1), 0);
