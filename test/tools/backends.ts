/**
 * The same tfjs function on a TensorFlow graph and on tfjs's pure JavaScript backend.
 */
import * as tf from '@tensorflow/tfjs';
import { outputOf, tensorOf, trace } from '../../trainer/engine/backend.ts';
import { Graph } from '../../trainer/engine/graph.ts';
import { Session } from '../../trainer/engine/session.ts';
import { float32 } from '../../trainer/engine/tensor.ts';

export interface Input {
  readonly data: Float32Array;
  readonly shape: number[];
}

/** Tensors to one tensor. */
export type TensorFunction = (...inputs: tf.Tensor[]) => tf.Tensor;

/** Value of f, and its gradient by each input when f is weighted with `weights` (of f's shape) and summed. */
export interface Evaluated {
  readonly value: ArrayLike<number>;
  readonly gradients: ArrayLike<number>[];
}

function differentiate(
  f: TensorFunction,
  inputs: tf.Tensor[],
  weights: (shape: number[]) => tf.Tensor,
): { value: tf.Tensor; grads: tf.Tensor[] } {
  let value: tf.Tensor | undefined;
  const { grads } = tf.valueAndGrads((...xs: tf.Tensor[]) => {
    value = tf.keep(f(...xs));
    return tf.sum(tf.mul(value, weights(value.shape))) as tf.Scalar;
  })(inputs);
  return { value: value!, grads };
}

const weightsFor = (shape: number[]): tf.Tensor => {
  const size = shape.reduce((a, b) => a * b, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(i * 1.7) + 0.3),
    shape,
  );
};

export async function onGraph(f: TensorFunction, inputs: readonly Input[]): Promise<Evaluated> {
  const graph = new Graph();
  const fed = inputs.map(({ shape }) => graph.placeholder('float32', shape));
  const outputs = trace(graph, () => {
    const { value, grads } = differentiate(f, fed.map(tensorOf), weightsFor);
    return [value, ...grads].map(outputOf);
  });
  const session = new Session(graph, { threads: 2 });
  const [value, ...gradients] = await session.run(
    inputs.map(({ data, shape }, i) => [fed[i], float32(data, shape)]),
    outputs,
  );
  await session.close();
  graph.close();
  return { value: value.data as Float32Array, gradients: gradients.map(({ data }) => data as Float32Array) };
}

export function onCpu(f: TensorFunction, inputs: readonly Input[], { gradients = true } = {}): Evaluated {
  void tf.setBackend('cpu');
  return tf.tidy(() => {
    if (!gradients) return { value: f(...inputs.map(({ data, shape }) => tf.tensor(data, shape))).dataSync(), gradients: [] };
    const { value, grads } = differentiate(
      f,
      inputs.map(({ data, shape }) => tf.tensor(data, shape)),
      weightsFor,
    );
    return { value: value.dataSync(), gradients: grads.map(grad => grad.dataSync()) };
  });
}

/** Central differences of the weighted sum, in double precision apart from f itself. */
export function byDifferences(f: TensorFunction, inputs: readonly Input[], step = 1e-2): number[][] {
  void tf.setBackend('cpu');
  const total = (at: readonly Input[]) =>
    tf.tidy(() => {
      const value = f(...at.map(({ data, shape }) => tf.tensor(data, shape)));
      const weights = weightsFor(value.shape).dataSync();
      return Array.from(value.dataSync()).reduce((sum, v, i) => sum + v * weights[i], 0);
    });
  return inputs.map((input, which) =>
    Array.from(input.data, (_, i) => {
      const moved = (by: number) => {
        const data = Float32Array.from(input.data);
        data[i] += by;
        return total(inputs.map((other, k) => (k === which ? { ...other, data } : other)));
      };
      return (moved(step) - moved(-step)) / (2 * step);
    }),
  );
}
