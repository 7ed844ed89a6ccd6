/**
 * Builds a TensorFlow graph, node by node. Shapes and element types of what a node gives are TensorFlow's own inference.
 */
import { loadTensorFlow, type NativeOutput, type Pointer } from './native.ts';
import { type DType, dtypeName, dtypes, type HostTensor, toNative } from './tensor.ts';

export type Operation = Pointer;
export type Output = NativeOutput;

export type Attribute =
  | { readonly kind: 'type'; readonly value: DType }
  | { readonly kind: 'types'; readonly value: readonly DType[] }
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'ints'; readonly value: readonly number[] }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'floats'; readonly value: readonly number[] }
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  /** `null`: of unknown rank. */
  | { readonly kind: 'shape'; readonly value: readonly number[] | null }
  | { readonly kind: 'tensor'; readonly value: HostTensor };

export const type = (value: DType): Attribute => ({ kind: 'type', value });
export const types = (...value: readonly DType[]): Attribute => ({ kind: 'types', value });
export const int = (value: number): Attribute => ({ kind: 'int', value });
export const ints = (...value: readonly number[]): Attribute => ({ kind: 'ints', value });
export const float = (value: number): Attribute => ({ kind: 'float', value });
export const bool = (value: boolean): Attribute => ({ kind: 'bool', value });
export const string = (value: string): Attribute => ({ kind: 'string', value });
export const shape = (value: readonly number[] | null): Attribute => ({ kind: 'shape', value });

export interface OperationOptions {
  readonly name?: string;
  /** Operations that must have run before this one. */
  readonly after?: readonly Operation[];
  /** `'/cpu:0'` for what must stay on the host; left out, TensorFlow decides. */
  readonly device?: string;
}

export class Graph {
  readonly pointer: Pointer;
  readonly #api = loadTensorFlow().api;
  readonly #status: Pointer;
  #numOperations = 0;

  constructor() {
    this.pointer = this.#api.newGraph();
    this.#status = this.#api.newStatus();
  }

  get numOperations(): number {
    return this.#numOperations;
  }

  /** Adds a node. An input that is a list in TensorFlow's definition of the operation is an array here. */
  add(
    operation: string,
    inputs: readonly (Output | readonly Output[])[],
    attributes: Readonly<Record<string, Attribute>> = {},
    { name = `${operation}_${this.#numOperations}`, after = [], device }: OperationOptions = {},
  ): Operation {
    const api = this.#api;
    const description = api.newOperation(this.pointer, operation, name);
    if (device) api.setDevice(description, device);
    for (const input of inputs) {
      if ('oper' in input) api.addInput(description, input);
      else api.addInputList(description, input, input.length);
    }
    for (const before of after) api.addControlInput(description, before);
    for (const key in attributes) this.#setAttribute(description, key, attributes[key]);
    const pointer = api.finishOperation(description, this.#status);
    this.#check();
    this.#numOperations++;
    return pointer;
  }

  /** The first output of a new node. */
  output(...operation: Parameters<Graph['add']>): Output {
    return { oper: this.add(...operation), index: 0 };
  }

  /**
   * The same value by way of a node that costs nothing. With one thread, TensorFlow's executor puts expensive nodes that have become ready
   * on a stack and goes on with cheap ones and whatever becomes ready by them. So a value that shall reach its end before the rest of the
   * graph goes on passes here, and what can wait runs `after` its node. Of cheap nodes this is one that no rewriting removes.
   */
  passOn(value: Output): Output {
    const attributes = { T: type(this.dtypeOf(value)), shape: shape(this.shapeOf(value)) };
    return this.output('EnsureShape', [value], attributes);
  }

  constant(value: HostTensor): Output {
    return this.output('Const', [], { dtype: type(value.dtype), value: { kind: 'tensor', value } });
  }

  placeholder(dtype: DType, dimensions: readonly number[] | null, name?: string): Output {
    return this.output('Placeholder', [], { dtype: type(dtype), shape: shape(dimensions) }, { name });
  }

  dtypeOf(output: Output): DType {
    return dtypeName(this.#api.outputType(output));
  }

  /** Dimensions, -1 where unknown; `null` where even the rank is. */
  shapeOf(output: Output): number[] | null {
    const rank = this.#api.outputRank(this.pointer, output, this.#status);
    this.#check();
    if (rank < 0) return null;
    const dimensions = new BigInt64Array(Math.max(rank, 1));
    if (rank > 0) this.#api.outputShape(this.pointer, output, dimensions, rank, this.#status);
    this.#check();
    return Array.from(dimensions.subarray(0, rank), Number);
  }

  /** Only when no session uses the graph any more. */
  close(): void {
    this.#api.deleteGraph(this.pointer);
    this.#api.deleteStatus(this.#status);
  }

  #setAttribute(description: Pointer, key: string, attribute: Attribute): void {
    const api = this.#api;
    switch (attribute.kind) {
      case 'type':
        return api.setAttrType(description, key, dtypes[attribute.value]);
      case 'types':
        return api.setAttrTypeList(
          description,
          key,
          Int32Array.from(attribute.value, name => dtypes[name]),
          attribute.value.length,
        );
      case 'int':
        return api.setAttrInt(description, key, attribute.value);
      case 'ints':
        return api.setAttrIntList(description, key, BigInt64Array.from(attribute.value, BigInt), attribute.value.length);
      case 'float':
        return api.setAttrFloat(description, key, attribute.value);
      case 'floats':
        return api.setAttrFloatList(description, key, Float32Array.from(attribute.value), attribute.value.length);
      case 'bool':
        return api.setAttrBool(description, key, attribute.value ? 1 : 0);
      case 'string': {
        const bytes = Buffer.from(attribute.value);
        return api.setAttrString(description, key, bytes, bytes.length);
      }
      case 'shape':
        return attribute.value === null
          ? api.setAttrShape(description, key, null, -1)
          : api.setAttrShape(description, key, BigInt64Array.from(attribute.value, BigInt), attribute.value.length);
      case 'tensor': {
        const tensor = toNative(attribute.value);
        api.setAttrTensor(description, key, tensor, this.#status);
        api.deleteTensor(tensor);
        return this.#check();
      }
      default:
        attribute satisfies never;
    }
  }

  #check(): void {
    if (this.#api.statusCode(this.#status) !== 0) throw new Error(`TensorFlow: ${this.#api.statusMessage(this.#status)}`);
  }
}
