/**
 * A tfjs backend that adds nodes to a TensorFlow graph instead of computing. One call of a model and its loss under tfjs's
 * autodiff is thereby the trace of the whole step: forward and backward. Values exist only when a session runs.
 */
import * as tf from '@tensorflow/tfjs';
import { type Attribute, type Graph, type Output, type as typeOf } from './graph.ts';
import { NodeJSKernelBackend } from './kernels.ts';
import { dtypeName, dtypes, type HostArray } from './tensor.ts';

tf.enableProdMode(); // no hints on the console

/** tfjs-node's kernels look their backend up by this name. */
const backendName = 'tensorflow';

/** tfjs-node's kernels pass the inputs of these operations as one flat list: which of them form TensorFlow's list input. */
const listInputs: Record<string, (ids: Output[]) => (Output | Output[])[]> = {
  AddN: all => [all],
  Pack: all => [all],
  ConcatV2: all => [all.slice(0, -1), all[all.length - 1]],
  Einsum: all => [all],
};

/** An attribute as tfjs-node's kernels write it: a number that says the kind, and a value. */
interface KernelAttribute {
  readonly name: string;
  readonly type: number;
  readonly value: unknown;
}

const kernelAttributeKinds = ['string', 'int', 'float', 'bool', 'type', 'shape'] as const;

function toAttribute({ type, value }: KernelAttribute): Attribute {
  const kind = kernelAttributeKinds[type];
  if (kind === 'type') {
    return Array.isArray(value) ? { kind: 'types', value: value.map(dtypeName) } : { kind, value: dtypeName(value as number) };
  }
  if (Array.isArray(value) && (kind === 'int' || kind === 'float')) return { kind: `${kind}s`, value };
  return { kind, value } as Attribute;
}

/** What tfjs-node's add-on offers, with a graph behind it. Tensors are numbered outputs of nodes. */
class GraphBinding {
  readonly TF_FLOAT = dtypes.float32;
  readonly TF_INT32 = dtypes.int32;
  readonly TF_INT64 = dtypes.int64;
  readonly TF_BOOL = dtypes.bool;
  readonly TF_UINT8 = dtypes.uint8;
  readonly TF_RESOURCE = dtypes.resource;
  readonly TF_COMPLEX64 = 8;
  readonly TF_STRING = 7;
  readonly TF_ATTR_STRING = 0;
  readonly TF_ATTR_INT = 1;
  readonly TF_ATTR_FLOAT = 2;
  readonly TF_ATTR_BOOL = 3;
  readonly TF_ATTR_TYPE = 4;
  readonly TF_ATTR_SHAPE = 5;
  readonly TF_ATTR_RESOURCE = 6;
  readonly TF_Version = '';

  graph: Graph | undefined;
  readonly outputs = new Map<number, Output>();
  #nextId = 1;

  register(output: Output): number {
    const id = this.#nextId++;
    this.outputs.set(id, output);
    return id;
  }

  createTensor(shape: number[], dtype: number, values: unknown): number {
    const name = dtypeName(dtype) as 'float32' | 'int32' | 'bool';
    const make = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[name];
    const data = ArrayBuffer.isView(values) && values instanceof make ? values : make.from(values as ArrayLike<number>);
    return this.register(this.current().constant({ dtype: name, shape, data: data as HostArray }));
  }

  deleteTensor(id: number): void {
    this.outputs.delete(id);
  }

  tensorDataSync(): never {
    throw new Error('a value was read while a graph was being built; values exist only when the session runs');
  }

  executeOp(
    name: string,
    attributes: KernelAttribute[],
    ids: number[],
    numOutputs: number,
  ): { id: number; shape: number[]; dtype: number }[] {
    const graph = this.current();
    const inputs = ids.map(id => {
      const output = this.outputs.get(id);
      if (!output) throw new Error(`${name}: an input is not of this graph`);
      return output;
    });
    const converted = Object.fromEntries(attributes.filter(a => a.name !== 'N').map(a => [a.name, toAttribute(a)]));
    // tfjs knows no bfloat16: to it such a tensor is float32 (see `cast` in ops.ts), in the graph the operation takes the type of its input.
    if (inputs.length > 0 && graph.dtypeOf(inputs[0]) === 'bfloat16') {
      if (name === 'Cast') {
        const { DstT } = converted;
        if (DstT.kind === 'type' && DstT.value === 'float32') return [describe(inputs[0])]; // to tfjs it is that already
        converted.SrcT = typeOf('bfloat16');
      }
      if (converted.T?.kind === 'type' && converted.T.value === 'float32') converted.T = typeOf('bfloat16');
    }
    const operation = graph.add(name === 'Add' ? 'AddV2' : name, listInputs[name]?.(inputs) ?? inputs, converted);
    return Array.from({ length: numOutputs }, (_, index) => describe({ oper: operation, index }));
  }

  isUsingGpuDevice(): boolean {
    return false;
  }

  getNumOfTensors(): number {
    return this.outputs.size;
  }

  current(): Graph {
    if (!this.graph) throw new Error('no graph is being built');
    return this.graph;
  }
}

const binding = new GraphBinding();
type KernelBinding = ConstructorParameters<typeof NodeJSKernelBackend>[0];
const kernels = new NodeJSKernelBackend(binding as unknown as KernelBinding, 'segfleet');
tf.registerBackend(backendName, () => kernels);

/** Two methods that the kernels call, which their declaration calls private. */
const backend = kernels as unknown as {
  createOutputTensor(metadata: { id: number; shape: number[]; dtype: number }): tf.Tensor;
  getInputTensorIds(tensors: readonly tf.Tensor[]): number[];
};

function describe(output: Output): { id: number; shape: number[]; dtype: number } {
  const graph = binding.current();
  const dtype = graph.dtypeOf(output);
  return { id: binding.register(output), shape: graph.shapeOf(output) ?? [], dtype: dtypes[dtype === 'bfloat16' ? 'float32' : dtype] };
}

/** True while code runs under `trace`: `ops.ts` then takes the fused native operations. */
export const isTracing = (): boolean => tf.getBackend() === backendName;

/** Runs tfjs code so that it adds nodes to `graph`. What it returns must be plain values or outputs (`outputOf`), not tensors. */
export function trace<T>(graph: Graph, code: () => T): T {
  if (binding.graph) throw new Error('a graph is already being built');
  const before = tf.getBackend();
  binding.graph = graph;
  void tf.setBackend(backendName);
  try {
    let result: T;
    tf.tidy(() => {
      result = code();
    });
    return result!;
  } finally {
    binding.graph = undefined;
    binding.outputs.clear();
    if (before && before !== backendName) void tf.setBackend(before);
  }
}

/** The tensor that stands for an output of a node. */
export function tensorOf(output: Output): tf.Tensor {
  return backend.createOutputTensor(describe(output));
}

/** The output of a node that a tensor stands for. */
export function outputOf(tensor: tf.Tensor): Output {
  return binding.outputs.get(backend.getInputTensorIds([tensor])[0])!;
}

/** The graph that is being built. */
export const currentGraph = (): Graph => binding.current();

/** Outputs of a new node of it. @param after outputs whose nodes must have run before it */
export function addNode(
  operation: string,
  inputs: readonly Output[],
  attributes: Readonly<Record<string, Attribute>>,
  numOutputs = 1,
  after: readonly Output[] = [],
): Output[] {
  const pointer = binding.current().add(operation, inputs, attributes, { after: after.map(({ oper }) => oper) });
  return Array.from({ length: numOutputs }, (_, index) => ({ oper: pointer, index }));
}

/**
 * A function of tensors that is made of native nodes and brings its own gradient, one output for each input.
 * `forward` works on outputs, not tensors: tfjs disposes of tensors between forward and backward, while an output stays good.
 */
export function nativeFunction(
  inputs: readonly tf.Tensor[],
  forward: (...inputs: Output[]) => { value: Output; gradient: (dy: Output) => readonly Output[] },
): tf.Tensor {
  const call = tf.customGrad((...saved) => {
    const { value, gradient } = forward(...saved.slice(0, inputs.length).map(tensor => outputOf(tensor as tf.Tensor)));
    return { value: tensorOf(value), gradFunc: dy => gradient(outputOf(dy)).map(tensorOf) };
  });
  return call(...inputs);
}
