/**
 * A recorded network as an ONNX model (opset 17). Its layout is ONNX's own: images and probabilities are [N,C,H,W], with any N.
 */
import { version } from '../machine.ts';
import type { Tensors } from '../storage/safetensors.ts';
import type { ModelDescription } from './description.ts';
import {
  type Attribute,
  attributeTypes,
  encodeModel,
  float32Type,
  type NodeProto,
  type TensorProto,
  type ValueInfoProto,
} from './onnxProto.ts';
import { type Node, nodeName, type Recording, samePadding } from './record.ts';

const opset = 17;
/** Of the file format: the one that came with this opset. */
const irVersion = 8;

export const inputName = 'image';
export const outputName = 'probabilities';

export function encodeOnnx({ nodes }: Recording, weights: Tensors, description: ModelDescription): Uint8Array {
  const writer = new Writer(weights, nodes);
  for (const index of nodes.keys()) writer.write(index);
  const [image, probabilities] = [nodes[0], nodes.at(-1)!];
  return encodeModel({
    irVersion,
    producerName: 'segfleet',
    producerVersion: version,
    docString: `${description.name}: segmentation network trained with segfleet`,
    opsetImport: [{ domain: '', version: opset }],
    metadataProps: Object.entries(description.metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name: description.name,
      node: writer.written,
      initializer: writer.initializers,
      input: [valueInfo(inputName, image, description.input)],
      output: [valueInfo(outputName, probabilities, description.output)],
    },
  });
}

function valueInfo(name: string, { shape: { height, width, channels } }: Node, docString: string): ValueInfoProto {
  const dim = [{ dimParam: 'N' }, ...[channels, height, width].map(dimValue => ({ dimValue }))];
  return { name, docString, type: { tensorType: { elemType: float32Type, shape: { dim } } } };
}

type Attributes = Readonly<Record<string, number | string | readonly number[]>>;

/** Whole numbers are ints, unless the name is that of a float of the standard. */
const floatAttributes = ['epsilon', 'alpha'];

function toAttribute([name, value]: [string, Attributes[string]]): Attribute {
  if (typeof value === 'string') return { name, type: attributeTypes.s, s: Buffer.from(value) };
  if (typeof value !== 'number') return { name, type: attributeTypes.ints, ints: value };
  if (floatAttributes.includes(name)) return { name, type: attributeTypes.f, f: value };
  return { name, type: attributeTypes.i, i: value };
}

class Writer {
  readonly written: NodeProto[] = [];
  readonly initializers: TensorProto[] = [];
  readonly #weights: Tensors;
  readonly #nodes: readonly Node[];

  constructor(weights: Tensors, nodes: readonly Node[]) {
    this.#weights = weights;
    this.#nodes = nodes;
  }

  /** The value that a node of the recording gives. */
  #value(index: number): string {
    if (index === 0) return inputName;
    if (index === this.#nodes.length - 1) return outputName;
    const node = this.#nodes[index];
    return nodeName(node, index);
  }

  write(index: number): void {
    const node = this.#nodes[index];
    const output = this.#value(index);
    const inputs = node.inputs.map(input => this.#value(input));
    const same = (operation: string, attributes: Attributes = {}) => this.#add(operation, inputs, output, attributes);
    switch (node.kind) {
      case 'image':
        return;
      case 'convolution':
        return this.#convolution(node, inputs, output);
      case 'transposedConvolution':
        return this.#transposedConvolution(node, inputs, output);
      case 'batchNorm':
        return node.statistics === 'moving' ? this.#batchNorm(node, inputs, output) : this.#batchStatisticsNorm(node, inputs[0], output);
      case 'relu':
        return same('Relu');
      case 'leakyRelu':
        return same('LeakyRelu', { alpha: node.slope });
      case 'sigmoid':
        return same('Sigmoid');
      case 'softmax':
        return same('Softmax', { axis: 1 });
      case 'concat':
        return same('Concat', { axis: 1 });
      case 'add':
        return same('Add');
      case 'multiply':
        return same('Mul');
      case 'maxPool':
      case 'averagePool': {
        const window = [node.factor, node.factor];
        return same(node.kind === 'maxPool' ? 'MaxPool' : 'AveragePool', { kernel_shape: window, strides: window });
      }
      case 'globalAveragePool':
        return same('GlobalAveragePool');
      case 'upSample': {
        const scales = this.#constant(`${output}/scales`, [4], Float32Array.of(1, 1, node.factor, node.factor));
        const nearest = { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' };
        return this.#add('Resize', [...inputs, '', scales], output, nearest);
      }
      default:
        node satisfies never;
    }
  }

  #convolution(node: Extract<Node, { kind: 'convolution' }>, inputs: string[], output: string): void {
    const { name, size, stride, bias } = node;
    const kernel = this.#kernel(name, [3, 2, 0, 1]); // [h,w,in,out] -> [out,in,h,w]
    const attributes = { kernel_shape: [size, size], strides: [stride, stride], pads: padsOf(this.#nodes[node.inputs[0]], size, stride) };
    this.#add('Conv', [...inputs, kernel, ...(bias ? [this.#vector(name, 'bias')] : [])], output, attributes);
  }

  /** The transpose of the convolution that takes the output to the input: padded as that one. */
  #transposedConvolution(node: Extract<Node, { kind: 'transposedConvolution' }>, inputs: string[], output: string): void {
    const { name, size, stride } = node;
    const kernel = this.#kernel(name, [3, 2, 0, 1]); // [h,w,out,in] -> [in,out,h,w]
    // Where the windows do not meet, the last pixels are reached by none.
    const missing = Math.max(stride - size, 0);
    this.#add('ConvTranspose', [...inputs, kernel, this.#vector(name, 'bias')], output, {
      kernel_shape: [size, size],
      strides: [stride, stride],
      pads: padsOf(node, size, stride),
      output_padding: [missing, missing],
    });
  }

  #batchNorm({ name, epsilon }: Extract<Node, { kind: 'batchNorm' }>, inputs: string[], output: string): void {
    const vectors = ['scale', 'offset', 'mean', 'variance'].map(role => this.#vector(name, role));
    this.#add('BatchNormalization', [...inputs, ...vectors], output, { epsilon });
  }

  /** Written out: the operation of the standard takes its statistics from the batch in training only. */
  #batchStatisticsNorm({ name, epsilon, shape }: Extract<Node, { kind: 'batchNorm' }>, input: string, output: string): void {
    const at = (part: string) => `${name}/${part}`;
    const overImages = { axes: [0, 2, 3], keepdims: 1 };
    const channels = [1, shape.channels, 1, 1];
    this.#add('ReduceMean', [input], at('batchMean'), overImages);
    this.#add('Sub', [input, at('batchMean')], at('centred'));
    this.#add('Mul', [at('centred'), at('centred')], at('squares'));
    this.#add('ReduceMean', [at('squares')], at('batchVariance'), overImages);
    this.#add('Add', [at('batchVariance'), this.#constant(at('epsilon'), [1], Float32Array.of(epsilon))], at('positive'));
    this.#add('Sqrt', [at('positive')], at('deviation'));
    this.#add('Div', [at('centred'), at('deviation')], at('normalised'));
    this.#add('Mul', [at('normalised'), this.#constant(at('scale'), channels, this.#data(at('scale')))], at('scaled'));
    this.#add('Add', [at('scaled'), this.#constant(at('offset'), channels, this.#data(at('offset')))], output);
  }

  #add(opType: string, input: readonly string[], output: string, attributes: Attributes = {}): void {
    this.written.push({ name: output, opType, input, output: [output], attribute: Object.entries(attributes).map(toAttribute) });
  }

  #data(name: string): Float32Array {
    return this.#weights.get(name)!.data as Float32Array;
  }

  #vector(name: string, role: string): string {
    const data = this.#data(`${name}/${role}`);
    return this.#constant(`${name}/${role}`, [data.length], data);
  }

  #kernel(name: string, order: readonly number[]): string {
    const { shape } = this.#weights.get(`${name}/kernel`)!;
    return this.#constant(
      `${name}/kernel`,
      order.map(axis => shape[axis]),
      transpose(this.#data(`${name}/kernel`), shape, order),
    );
  }

  #constant(name: string, dims: readonly number[], data: Float32Array): string {
    this.initializers.push({ name, dims, dataType: float32Type, rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) });
    return name;
  }
}

/** ONNX's order: rows before, columns before, rows after, columns after. */
function padsOf({ shape }: Node, size: number, stride: number): number[] {
  const [rows, columns] = [shape.height, shape.width].map(length => samePadding(length, size, stride));
  return [rows[0], columns[0], rows[1], columns[1]];
}

/** @param order which axis of `data` each axis of the result is */
function transpose(data: Float32Array, shape: readonly number[], order: readonly number[]): Float32Array {
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, length) => product * length, 1));
  const [lengths, steps] = [order.map(axis => shape[axis]), order.map(axis => strides[axis])];
  const result = new Float32Array(data.length);
  let to = 0;
  for (let a = 0; a < lengths[0]; a++)
    for (let b = 0; b < lengths[1]; b++)
      for (let c = 0; c < lengths[2]; c++)
        for (let d = 0; d < lengths[3]; d++) result[to++] = data[a * steps[0] + b * steps[1] + c * steps[2] + d * steps[3]];
  return result;
}
