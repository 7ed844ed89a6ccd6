/**
 * The operations that a network spends its time in, as one native TensorFlow operation forward and one backward.
 * (tfjs's own gradients of ReLU and batch norm are chains of memory-bound operations that cost a third of a step; its gradient
 * of half-pixel bilinear resizing is wrong.) On any other backend each falls back to plain tfjs, which makes tfjs's pure
 * JavaScript `cpu` backend an independent oracle.
 *
 * Names of axes: N images, H rows, W columns, C channels. Kernels are [height, width, channels in, channels out], as in Keras.
 */
import * as tf from '@tensorflow/tfjs';
import { addNode, currentGraph, isTracing, nativeFunction, outputOf, tensorOf } from './backend.ts';
import { type Attribute, bool, float, ints, type Output, string, type } from './graph.ts';
import { kernelGradientByProducts, prefersProducts } from './kernelGradient.ts';
import { float32, float32Scalar, int32, int32Scalar } from './tensor.ts';

export type ComputeDType = 'float32' | 'bfloat16';

const NHWC = string('NHWC');

/** The element type in the graph: where tfjs says float32 it may be bfloat16. */
const typeIn = (output: Output): ComputeDType => currentGraph().dtypeOf(output) as ComputeDType;

/** The same values with another element type in the graph. tfjs sees float32 either way; the gradient comes back in the type of `x`. */
export function cast<T extends tf.Tensor>(x: T, to: ComputeDType): T {
  if (!isTracing()) return x;
  const from = typeIn(outputOf(x));
  if (from === to) return x;
  const convert = (value: Output, source: ComputeDType, target: ComputeDType) =>
    addNode('Cast', [value], { SrcT: type(source), DstT: type(target) });
  return nativeFunction([x], value => ({ value: convert(value, from, to)[0], gradient: dy => convert(dy, to, from) })) as T;
}

/** Parameters are float32; an operation takes them in the element type of its input. */
const castLike = <T extends tf.Tensor>(parameter: T, x: tf.Tensor): T => (isTracing() ? cast(parameter, typeIn(outputOf(x))) : parameter);

interface Strides {
  readonly stride: number;
  /** Rows and columns of zeros before and after; left out, TensorFlow's `SAME`. */
  readonly padding?: readonly [before: number, after: number];
}

function convolutionAttributes(x: Output, { stride, padding }: Strides): Record<string, Attribute> {
  const attributes: Record<string, Attribute> = { T: type(typeIn(x)), strides: ints(1, stride, stride, 1), data_format: NHWC };
  if (!padding) return { ...attributes, padding: string('SAME') };
  return { ...attributes, padding: string('EXPLICIT'), explicit_paddings: ints(0, 0, ...padding, ...padding, 0, 0) };
}

const shapeNode = (dimensions: readonly number[]): Output => currentGraph().constant(int32(Int32Array.from(dimensions)));

const convolution = (x: Output, kernel: Output, how: Strides, after: readonly Output[] = []) =>
  addNode('Conv2D', [x, kernel], convolutionAttributes(x, how), 1, after)[0];

const convolutionInputGradient = (inputShape: readonly number[], kernel: Output, dy: Output, how: Strides, after: readonly Output[] = []) =>
  addNode('Conv2DBackpropInput', [shapeNode(inputShape), kernel, dy], convolutionAttributes(dy, how), 1, after)[0];

const convolutionKernelGradient = (x: Output, kernelShape: readonly number[], dy: Output, how: Strides) =>
  addNode('Conv2DBackpropFilter', [x, shapeNode(kernelShape), dy], convolutionAttributes(x, how))[0];

// The gradient of each convolution by its kernel comes before that by its input, so that gradients leave while the backward pass goes on.

/** Convolution with `SAME` padding: x [N,H,W,Cin], kernel [h,w,Cin,Cout] -> [N,ceil(H/stride),ceil(W/stride),Cout]. */
export function conv2d(x: tf.Tensor4D, kernel: tf.Tensor4D, stride = 1): tf.Tensor4D {
  if (!isTracing()) return tf.conv2d(x, kernel, stride, 'same');
  return nativeFunction([x, castLike(kernel, x)], (input, weights) => ({
    value: convolution(input, weights, { stride }),
    gradient: dy => {
      const ofKernel =
        typeIn(input) === 'float32' && prefersProducts(x.shape, kernel.shape, stride)
          ? kernelGradientByProducts(input, x.shape, dy, kernel.shape[3])
          : convolutionKernelGradient(input, kernel.shape, dy, { stride });
      return [convolutionInputGradient(x.shape, weights, dy, { stride }, [ofKernel]), currentGraph().passOn(ofKernel)];
    },
  })) as tf.Tensor4D;
}

/**
 * Transposed convolution with `SAME` padding: x [N,H,W,Cin], kernel [h,w,Cout,Cin] -> [N,stride H,stride W,Cout]. The gradient of a
 * convolution by its input, used forward.
 */
export function transposedConv2d(x: tf.Tensor4D, kernel: tf.Tensor4D, stride: number): tf.Tensor4D {
  const [images, height, width] = x.shape;
  const shape: [number, number, number, number] = [images, stride * height, stride * width, kernel.shape[2]];
  if (!isTracing()) return tf.conv2dTranspose(x, kernel, shape, stride, 'same');
  return nativeFunction([x, castLike(kernel, x)], (input, weights) => ({
    value: convolutionInputGradient(shape, weights, input, { stride }),
    gradient: dy => {
      const ofKernel = convolutionKernelGradient(dy, kernel.shape, input, { stride });
      return [convolution(dy, weights, { stride }, [ofKernel]), currentGraph().passOn(ofKernel)];
    },
  })) as tf.Tensor4D;
}

export function biasAdd(x: tf.Tensor4D, bias: tf.Tensor1D): tf.Tensor4D {
  if (!isTracing()) return tf.add(x, bias);
  return nativeFunction([x, castLike(bias, x)], (input, offset) => {
    const attributes = { T: type(typeIn(input)), data_format: NHWC };
    return {
      value: addNode('BiasAdd', [input, offset], attributes)[0],
      gradient: dy => [dy, ...addNode('BiasAddGrad', [dy], attributes)],
    };
  }) as tf.Tensor4D;
}

/**
 * Nearest-neighbour up-sampling by two, then a 2x2 convolution with `SAME` padding: x [N,H,W,Cin], kernel [2,2,Cin,Cout] -> [N,2H,2W,Cout].
 *
 * The up-sampled image repeats each pixel, so most products of that convolution are repeated too. In one dimension, output 2m is
 * (w0 + w1) x[m] and output 2m+1 is w0 x[m] + w1 x[m+1]: a transposed convolution of stride 2 with the kernel (w1, w0 + w1, w0).
 * That is 9 products for each pixel of x instead of 16, and the up-sampled image is never written.
 */
export function upConv2d(x: tf.Tensor4D, kernel: tf.Tensor4D): tf.Tensor4D {
  const [images, height, width, channels] = x.shape;
  if (!isTracing()) return tf.conv2d(repeatPixels(x, 2), kernel, 1, 'same');
  const filters = kernel.shape[3];
  // [2,2,Cin,Cout] -> [3,3,Cout,Cin] is linear: each of the nine is a sum of some of the four. tfjs differentiates it.
  const spread = tf.tensor2d([0, 1, 1, 1, 1, 0], [3, 2]);
  const spread2d = tf.reshape(tf.mul(tf.reshape(spread, [3, 1, 2, 1]), tf.reshape(spread, [1, 3, 1, 2])), [9, 4]) as tf.Tensor2D;
  const wide = tf.matMul(spread2d, tf.reshape(kernel, [4, channels * filters]) as tf.Tensor2D);
  const transposed = tf.transpose(tf.reshape(wide, [3, 3, channels, filters]), [0, 1, 3, 2]);
  const how: Strides = { stride: 2, padding: [1, 0] };
  return nativeFunction([x, castLike(transposed, x)], (input, weights) => ({
    value: convolutionInputGradient([images, 2 * height, 2 * width, filters], weights, input, how),
    gradient: dy => {
      const ofKernel = convolutionKernelGradient(dy, transposed.shape, input, how);
      return [convolution(dy, weights, how, [ofKernel]), currentGraph().passOn(ofKernel)];
    },
  })) as tf.Tensor4D;
}

export interface Normalised {
  readonly y: tf.Tensor4D;
  readonly mean: tf.Tensor1D;
  /** Over all but the last axis, unbiased (divided by the count less one), as TensorFlow's fused operation gives it. */
  readonly variance: tf.Tensor1D;
}

const batchNormAttributes = (x: Output, epsilon: number, training: boolean) => ({
  T: type(typeIn(x)),
  U: type('float32'),
  epsilon: float(epsilon),
  data_format: NHWC,
  is_training: bool(training),
});

/** Batch normalisation with the statistics of x itself (Ioffe and Szegedy 2015, algorithm 1). Statistics and parameters are float32. */
export function batchNormTraining(x: tf.Tensor4D, scale: tf.Tensor1D, offset: tf.Tensor1D, epsilon: number): Normalised {
  if (!isTracing()) {
    const { mean, variance } = tf.moments(x, [0, 1, 2]) as { mean: tf.Tensor1D; variance: tf.Tensor1D };
    const count = x.size / x.shape[3];
    const y = tf.batchNorm(x, mean, variance, offset, scale, epsilon);
    return { y, mean, variance: tf.mul(variance, count / Math.max(count - 1, 1)) };
  }
  let statistics: Output[] = [];
  const y = nativeFunction([x, scale, offset], (input, gamma, beta) => {
    const none = currentGraph().constant(float32(new Float32Array(0)));
    const attributes = batchNormAttributes(input, epsilon, true);
    const [value, mean, variance, ...reserved] = addNode('FusedBatchNormV3', [input, gamma, beta, none, none], attributes, 6);
    statistics = [mean, variance];
    return { value, gradient: dy => addNode('FusedBatchNormGradV3', [dy, input, gamma, ...reserved], attributes, 3) };
  });
  const [mean, variance] = statistics.map(tensorOf) as tf.Tensor1D[];
  return { y: y as tf.Tensor4D, mean, variance };
}

/** Batch normalisation with given statistics. Has no gradient: it is for prediction. */
export function batchNormInference(
  x: tf.Tensor4D,
  scale: tf.Tensor1D,
  offset: tf.Tensor1D,
  mean: tf.Tensor1D,
  variance: tf.Tensor1D,
  epsilon: number,
): tf.Tensor4D {
  if (!isTracing()) return tf.batchNorm(x, mean, variance, offset, scale, epsilon);
  const inputs = [x, scale, offset, mean, variance].map(outputOf);
  return tensorOf(addNode('FusedBatchNormV3', inputs, batchNormAttributes(inputs[0], epsilon, false))[0]) as tf.Tensor4D;
}

export function relu<T extends tf.Tensor>(x: T): T {
  if (!isTracing()) return tf.relu(x);
  return nativeFunction([x], input => {
    const T = type(typeIn(input));
    const [value] = addNode('Relu', [input], { T });
    return { value, gradient: dy => addNode('ReluGrad', [dy, value], { T }) };
  }) as T;
}

/** @param slope of the negative side */
export function leakyRelu<T extends tf.Tensor>(x: T, slope: number): T {
  if (!isTracing()) return tf.leakyRelu(x, slope);
  return nativeFunction([x], input => {
    const attributes = { T: type(typeIn(input)), alpha: float(slope) };
    return { value: addNode('LeakyRelu', [input], attributes)[0], gradient: dy => addNode('LeakyReluGrad', [dy, input], attributes) };
  }) as T;
}

export function sigmoid<T extends tf.Tensor>(x: T): T {
  if (!isTracing()) return tf.sigmoid(x);
  return nativeFunction([x], input => {
    const T = type(typeIn(input));
    const [value] = addNode('Sigmoid', [input], { T });
    return { value, gradient: dy => addNode('SigmoidGrad', [value, dy], { T }) };
  }) as T;
}

const poolingAttributes = (x: Output, size: number) => ({
  T: type(typeIn(x)),
  ksize: ints(1, size, size, 1),
  strides: ints(1, size, size, 1),
  padding: string('VALID'),
  data_format: NHWC,
});

/** The largest of each block of 2x2 pixels; of equal ones the first has the gradient. [N,H,W,C] -> [N,H/2,W/2,C] */
export function maxPool(x: tf.Tensor4D): tf.Tensor4D {
  if (!isTracing()) return tf.maxPool(x, 2, 2, 'valid');
  return nativeFunction([x], input => {
    const attributes = poolingAttributes(input, 2);
    const [value] = addNode('MaxPool', [input], attributes);
    return { value, gradient: dy => addNode('MaxPoolGrad', [input, value, dy], attributes) };
  }) as tf.Tensor4D;
}

/** The mean of each block of `size` x `size` pixels: [N,H,W,C] -> [N,H/size,W/size,C]. */
export function averagePool(x: tf.Tensor4D, size: number): tf.Tensor4D {
  if (!isTracing()) return tf.avgPool(x, size, size, 'valid');
  return nativeFunction([x], input => {
    const attributes = poolingAttributes(input, size);
    const [value] = addNode('AvgPool', [input], attributes);
    return { value, gradient: dy => addNode('AvgPoolGrad', [shapeNode(x.shape), dy], attributes) };
  }) as tf.Tensor4D;
}

/** The mean of each channel: [N,H,W,C] -> [N,1,1,C]. */
export function globalAveragePool(x: tf.Tensor4D): tf.Tensor4D {
  if (!isTracing()) return tf.mean(x, [1, 2], true);
  const [, height, width] = x.shape;
  return nativeFunction([x], input => {
    const dtype = typeIn(input);
    const T = type(dtype);
    const share = currentGraph().constant(float32Scalar(1 / (height * width)));
    return {
      value: addNode('Mean', [input, shapeNode([1, 2])], { T, Tidx: type('int32'), keep_dims: bool(true) })[0],
      gradient: dy => {
        const [factor] = dtype === 'float32' ? [share] : addNode('Cast', [share], { SrcT: type('float32'), DstT: T });
        return addNode('BroadcastTo', [addNode('Mul', [dy, factor], { T })[0], shapeNode(x.shape)], { T, Tidx: type('int32') });
      },
    };
  }) as tf.Tensor4D;
}

/** Nearest up-sampling in plain tfjs; the gradient of its own `resizeNearestNeighbor` is wrong for images that are not square. */
function repeatPixels(x: tf.Tensor4D, factor: number): tf.Tensor4D {
  const [images, height, width, channels] = x.shape;
  const copies = (tensor: tf.Tensor) => Array.from({ length: factor }, () => tensor);
  const wide = tf.reshape(tf.stack(copies(x), 3), [images, height, width * factor, channels]);
  return tf.reshape(tf.stack(copies(wide), 2), [images, height * factor, width * factor, channels]);
}

/** The sum of each block of `factor` x `factor` pixels, to `shape`. (TensorFlow's ResizeNearestNeighborGrad has no deterministic kernel on GPUs.) */
function blockSums(dy: Output, shape: readonly number[], factor: number): Output {
  const [images, height, width, channels] = shape;
  const T = type(typeIn(dy));
  const reshape = (x: Output, to: readonly number[]) => addNode('Reshape', [x, shapeNode(to)], { T, Tshape: type('int32') })[0];
  const sumOfMiddle = (x: Output) => addNode('Sum', [x, shapeNode([1])], { T, Tidx: type('int32'), keep_dims: bool(false) })[0];
  const rows = sumOfMiddle(reshape(dy, [images * height, factor, width * factor * channels]));
  return reshape(sumOfMiddle(reshape(rows, [images * height * width, factor, channels])), shape);
}

/** Up-sampling by a whole factor: [N,H,W,C] -> [N,factor H,factor W,C]. Bilinear samples at half-pixel centres. */
export function upSample(x: tf.Tensor4D, factor: number, method: 'nearest' | 'bilinear'): tf.Tensor4D {
  const [, height, width] = x.shape;
  const size: [number, number] = [height * factor, width * factor];
  if (!isTracing()) return method === 'nearest' ? repeatPixels(x, factor) : tf.image.resizeBilinear(x, size, false, true);
  return nativeFunction([x], input => {
    const T = type(typeIn(input));
    if (method === 'nearest') {
      // Whole factors: the same with TensorFlow's legacy sampling and at half-pixel centres.
      return {
        value: addNode('ResizeNearestNeighbor', [input, shapeNode(size)], { T })[0],
        gradient: dy => [blockSums(dy, x.shape, factor)],
      };
    }
    const attributes = { T, half_pixel_centers: bool(true) };
    return {
      value: addNode('ResizeBilinear', [input, shapeNode(size)], attributes)[0],
      gradient: dy => addNode('ResizeBilinearGrad', [dy, input], attributes),
    };
  }) as tf.Tensor4D;
}

/**
 * Dropout whose mask is a pure function of `key` and `layer`: the same key gives the same mask on any machine.
 *
 * @param rate share of elements set to zero; the others are divided by 1 - rate
 * @param key two int32, fed at each run: a hash of the run's seed, and one of step and lane
 * @param layer which dropout layer of the network this is
 */
export function dropout<T extends tf.Tensor>(x: T, rate: number, key: Output, layer: number): T {
  if (rate === 0) return x;
  if (!isTracing()) throw new Error('dropout draws its mask inside the graph; set the rate to 0 to compare with another backend');
  const salt = currentGraph().constant(int32(Int32Array.of(layer, 0)));
  const seed = addNode('AddV2', [key, salt], { T: type('int32') })[0];
  const attributes = { dtype: type('float32'), T: type('int32'), Tseed: type('int32') };
  const uniform = tensorOf(addNode('StatelessRandomUniform', [shapeNode(x.shape), seed], attributes)[0]);
  const mask = tf.mul(tf.cast(tf.greaterEqual(uniform, rate), 'float32'), 1 / (1 - rate));
  return tf.mul(x, castLike(mask, x)) as T;
}

/** The elements of x [P] at `indices` (int32): [Q]. Has no gradient. (tfjs-node's own kernel reads a value while it is traced.) */
export function elementsAt(x: tf.Tensor1D, indices: tf.Tensor1D): tf.Tensor1D {
  if (!isTracing()) return tf.gather(x, indices);
  const attributes = { Tparams: type('float32'), Tindices: type('int32'), Taxis: type('int32') };
  return tensorOf(
    addNode('GatherV2', [outputOf(x), outputOf(indices), currentGraph().constant(int32Scalar(0))], attributes)[0],
  ) as tf.Tensor1D;
}

/** One channel a class from a map of labels [N,H,W] (uint8): label `first + c` sets channel c, any other label none. -> [N,H,W,classes] */
export function oneHot(labels: Output, classes: number, first: number): tf.Tensor4D {
  const graph = currentGraph();
  const [wide] = addNode('Cast', [labels], { SrcT: type('uint8'), DstT: type('int32') });
  const [index] = addNode('Sub', [wide, graph.constant(int32Scalar(first))], { T: type('int32') });
  const [on, off] = [1, 0].map(value => graph.constant(float32Scalar(value)));
  const [channels] = addNode('OneHot', [index, graph.constant(int32Scalar(classes)), on, off], { T: type('float32'), TI: type('int32') });
  return tensorOf(channels) as tf.Tensor4D;
}

/** 1 where the label is another than `ignored`, else 0: [N,H,W] (uint8) -> [N,H,W,1]. */
export function countedPixels(labels: Output, ignored: number): tf.Tensor4D {
  const value = currentGraph().constant({ dtype: 'uint8', shape: [], data: Uint8Array.of(ignored) });
  const [counted] = addNode('NotEqual', [labels, value], { T: type('uint8') });
  return tf.expandDims(tensorOf(addNode('Cast', [counted], { SrcT: type('bool'), DstT: type('float32') })[0]), 3) as tf.Tensor4D;
}

/** Images as bytes [N,H,W,C] to float32 in [0,1]. */
export function scaleImages(images: Output): tf.Tensor4D {
  return tf.mul(tensorOf(addNode('Cast', [images], { SrcT: type('uint8'), DstT: type('float32') })[0]), 1 / 255) as tf.Tensor4D;
}
