/**
 * A network as a list of operations, for writers of other formats. The network is run on `Recorder`, a second implementation of the
 * vocabulary of `Layers` that computes nothing and writes down what it is asked for; so every network that can be trained can be
 * exported, and a word that `Recorder` lacks does not compile. What only training needs (dropout, heads for deep supervision) is left out.
 */
import type * as tf from '@tensorflow/tfjs';
import type { ImageShape } from '../data/batch.ts';
import { type BatchNormOptions, batchNormEpsilon, type ConvolutionOptions, type Layers, type Network } from '../models/layers.ts';

/** Weights are named as in the run's safetensors file. Convolutions pad as TensorFlow's `SAME` does (`samePadding`). */
export type Operation =
  | { readonly kind: 'image' }
  /** Kernel [size, size, channels in, channels out]. */
  | { readonly kind: 'convolution'; readonly name: string; readonly size: number; readonly stride: number; readonly bias: boolean }
  /** Kernel [size, size, channels out, channels in], with bias. */
  | { readonly kind: 'transposedConvolution'; readonly name: string; readonly size: number; readonly stride: number }
  /** `batch`: by the statistics of the images predicted together, not by the moving averages. */
  | { readonly kind: 'batchNorm'; readonly name: string; readonly epsilon: number; readonly statistics: 'moving' | 'batch' }
  | { readonly kind: 'leakyRelu'; readonly slope: number }
  | { readonly kind: 'averagePool' | 'maxPool' | 'upSample'; readonly factor: number }
  /** `add` and `multiply` repeat an axis of length one; `concat` and `softmax` are over channels. */
  | { readonly kind: 'relu' | 'sigmoid' | 'softmax' | 'concat' | 'add' | 'multiply' | 'globalAveragePool' };

export type Node = Operation & {
  /** Positions in the list, all before this one. */
  readonly inputs: readonly number[];
  readonly shape: ImageShape;
};

/** What a network looks like from outside. */
export interface Recording {
  /** In the order of computation; the first is the image, in [0,1], the last the probabilities of the classes. */
  readonly nodes: readonly Node[];
}

/** A name of its own for each node: layers that belong together may share theirs. */
export const nodeName = (node: Node, index: number): string => ('name' in node ? `${node.name}/${node.kind}` : `${node.kind}${index}`);

export interface RecordOptions {
  readonly network: Network;
  readonly image: ImageShape;
  readonly exclusive: boolean;
}

export function recordNetwork({ network, image, exclusive }: RecordOptions): Recording {
  const recorder = new Recorder();
  // The recorder has all that networks may call; what it lacks are the private fields of the class.
  const [logits] = network(recorder as unknown as Layers, recorder.node({ kind: 'image' }, [], image));
  recorder.node({ kind: exclusive ? 'softmax' : 'sigmoid' }, [logits]);
  return { nodes: reachable(recorder.nodes) };
}

/** Stands for a tensor while recording. */
class Placeholder {
  readonly index: number;
  readonly shape: [number, number, number, number];

  constructor(index: number, { height, width, channels }: ImageShape) {
    this.index = index;
    this.shape = [1, height, width, channels];
  }
}

class Recorder implements Pick<Layers, keyof Layers> {
  readonly training = false;
  readonly statistics = [];
  readonly nodes: Node[] = [];

  /** @param change of the shape of the first input; otherwise it stays */
  node(operation: Operation, inputs: readonly tf.Tensor4D[], change: Partial<ImageShape> = {}): tf.Tensor4D {
    const indices = inputs.map(input => (input as unknown as Placeholder).index);
    const shape = { ...this.nodes[indices[0]]?.shape, ...change } as ImageShape;
    this.nodes.push({ ...operation, inputs: indices, shape });
    return new Placeholder(this.nodes.length - 1, shape) as unknown as tf.Tensor4D;
  }

  input(image: tf.Tensor4D): tf.Tensor4D {
    return image;
  }

  output(x: tf.Tensor4D): tf.Tensor4D {
    return x;
  }

  dropout(x: tf.Tensor4D): tf.Tensor4D {
    return x;
  }

  convolution(name: string, x: tf.Tensor4D, { filters, size = 3, stride = 1, bias = true }: ConvolutionOptions): tf.Tensor4D {
    const [height, width] = [x.shape[1], x.shape[2]].map(length => Math.ceil(length / stride));
    return this.node({ kind: 'convolution', name, size, stride, bias }, [x], { height, width, channels: filters });
  }

  upConvolution(name: string, x: tf.Tensor4D, filters: number): tf.Tensor4D {
    return this.convolution(name, this.upSample(x, 2), { filters, size: 2 });
  }

  transposedConvolution(name: string, x: tf.Tensor4D, { filters, size = 3, stride = 2 }: ConvolutionOptions): tf.Tensor4D {
    return this.node({ kind: 'transposedConvolution', name, size, stride }, [x], { ...scaled(x, stride), channels: filters });
  }

  batchNorm(name: string, x: tf.Tensor4D, { inference = 'moving' }: BatchNormOptions): tf.Tensor4D {
    return this.node({ kind: 'batchNorm', name, epsilon: batchNormEpsilon, statistics: inference }, [x]);
  }

  relu(x: tf.Tensor4D): tf.Tensor4D {
    return this.node({ kind: 'relu' }, [x]);
  }

  leakyRelu(x: tf.Tensor4D, slope: number): tf.Tensor4D {
    return this.node({ kind: 'leakyRelu', slope }, [x]);
  }

  sigmoid(x: tf.Tensor4D): tf.Tensor4D {
    return this.node({ kind: 'sigmoid' }, [x]);
  }

  concat(...parts: tf.Tensor4D[]): tf.Tensor4D {
    return this.node({ kind: 'concat' }, parts, { channels: parts.reduce((sum, { shape }) => sum + shape[3], 0) });
  }

  add(x: tf.Tensor4D, y: tf.Tensor4D): tf.Tensor4D {
    return this.node({ kind: 'add' }, [x, y], broadcast(x, y));
  }

  multiply(x: tf.Tensor4D, y: tf.Tensor4D): tf.Tensor4D {
    return this.node({ kind: 'multiply' }, [x, y], broadcast(x, y));
  }

  maxPool(x: tf.Tensor4D): tf.Tensor4D {
    return this.node({ kind: 'maxPool', factor: 2 }, [x], scaled(x, 1 / 2));
  }

  averagePool(x: tf.Tensor4D, size: number): tf.Tensor4D {
    return this.node({ kind: 'averagePool', factor: size }, [x], scaled(x, 1 / size));
  }

  globalAveragePool(x: tf.Tensor4D): tf.Tensor4D {
    return this.node({ kind: 'globalAveragePool' }, [x], { height: 1, width: 1 });
  }

  upSample(x: tf.Tensor4D, factor: number): tf.Tensor4D {
    return this.node({ kind: 'upSample', factor }, [x], scaled(x, factor));
  }
}

const scaled = ({ shape: [, height, width] }: tf.Tensor4D, factor: number) => ({
  height: Math.floor(height * factor),
  width: Math.floor(width * factor),
});

function broadcast(x: tf.Tensor4D, y: tf.Tensor4D): ImageShape {
  const [height, width, channels] = [1, 2, 3].map(axis => Math.max(x.shape[axis], y.shape[axis]));
  return { height, width, channels };
}

/** The nodes that the last one depends on, renumbered. */
function reachable(nodes: readonly Node[]): Node[] {
  const needed = new Set([nodes.length - 1]);
  for (const index of nodes.keys().toArray().reverse()) {
    if (needed.has(index)) for (const input of nodes[index].inputs) needed.add(input);
  }
  const kept = [...nodes.keys()].filter(index => needed.has(index));
  const renumbered = new Map(kept.map((index, i) => [index, i]));
  return kept.map(index => ({ ...nodes[index], inputs: nodes[index].inputs.map(input => renumbered.get(input)!) }));
}

/** Zeros before and after an axis of `length` in TensorFlow's `SAME`: the odd one comes after. */
export function samePadding(length: number, size: number, stride: number): [before: number, after: number] {
  const total = Math.max((Math.ceil(length / stride) - 1) * stride + size - length, 0);
  return [Math.floor(total / 2), Math.ceil(total / 2)];
}
