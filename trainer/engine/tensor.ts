/**
 * Values on the host: what goes into a running graph and what comes out of it.
 */
import koffi from 'koffi';
import { loadTensorFlow, type Pointer } from './native.ts';

/** TensorFlow's own numbers for the element types that we use (`types.proto`). */
export const dtypes = { float32: 1, int32: 3, uint8: 4, int64: 9, bool: 10, bfloat16: 14, resource: 20 } as const;
export type DType = keyof typeof dtypes;

/** bfloat16 values travel as the upper halves of float32, bool as bytes. */
const arrays = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
  int64: BigInt64Array,
  bool: Uint8Array,
  bfloat16: Uint16Array,
} as const;
export type HostDType = keyof typeof arrays;
export type HostArray = Float32Array | Int32Array | Uint8Array | BigInt64Array | Uint16Array;

export interface HostTensor {
  readonly dtype: HostDType;
  readonly shape: readonly number[];
  readonly data: HostArray;
}

export const float32 = (data: Float32Array, shape: readonly number[] = [data.length]): HostTensor => ({ dtype: 'float32', shape, data });
export const float32Scalar = (value: number): HostTensor => float32(Float32Array.of(value), []);
export const int32 = (data: Int32Array, shape: readonly number[] = [data.length]): HostTensor => ({ dtype: 'int32', shape, data });
export const int32Scalar = (value: number): HostTensor => int32(Int32Array.of(value), []);

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dimension) => product * dimension, 1);

const dtypeNames = new Map<number, DType>(Object.entries(dtypes).map(([name, number]) => [number, name as DType]));
export function dtypeName(number: number): DType {
  const name = dtypeNames.get(number);
  if (!name) throw new Error(`element type ${number} of TensorFlow is not one that we use`);
  return name;
}

/** Copies a host tensor into one that TensorFlow owns; the caller deletes it. */
export function toNative(tensor: HostTensor): Pointer {
  const { api } = loadTensorFlow();
  const { dtype, shape, data } = tensor;
  const pointer = api.allocateTensor(dtypes[dtype], BigInt64Array.from(shape, BigInt), shape.length, data.byteLength);
  if (data.byteLength > 0) {
    const target = new Uint8Array(koffi.view(api.tensorData(pointer), data.byteLength));
    target.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return pointer;
}

/** Copies a tensor that TensorFlow owns and deletes it. */
export function fromNative(pointer: Pointer): HostTensor {
  const { api } = loadTensorFlow();
  const dtype = dtypeName(api.tensorType(pointer)) as HostDType;
  const shape = Array.from({ length: api.tensorRank(pointer) }, (_, axis) => Number(api.tensorDimension(pointer, axis)));
  const bytes = Number(api.tensorByteSize(pointer));
  const copy = bytes > 0 ? koffi.view(api.tensorData(pointer), bytes).slice(0) : new ArrayBuffer(0);
  api.deleteTensor(pointer);
  return { dtype, shape, data: new arrays[dtype](copy) };
}
