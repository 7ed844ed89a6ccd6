/**
 * The safetensors format: the length of a JSON header (8 bytes, little endian), the header, then the tensors' bytes one behind the
 * other. Opens in PyTorch, JAX and Keras. Names are sorted and nothing else goes in unless asked, so the bytes are a function of
 * the values alone.
 */

import { readFile } from 'node:fs/promises';
import type { HostTensor } from '../engine/tensor.ts';
import { fromSystemError, SegfleetError } from '../errors.ts';

export type Tensors = ReadonlyMap<string, HostTensor>;

const formatNames = { float32: 'F32', int32: 'I32', uint8: 'U8' } as const;
type Stored = keyof typeof formatNames;
const arrays = { F32: Float32Array, I32: Int32Array, U8: Uint8Array } as const;
const dtypeOf = { F32: 'float32', I32: 'int32', U8: 'uint8' } as const;

/** The format's own limit. */
const maxHeaderBytes = 100e6;

interface Described {
  readonly dtype: keyof typeof arrays;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

export function encodeSafetensors(tensors: Tensors, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const names = [...tensors.keys()].sort();
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  let offset = 0;
  for (const name of names) {
    const { dtype, shape, data } = tensors.get(name)!;
    const end = offset + data.byteLength;
    header[name] = { dtype: formatNames[dtype as Stored], shape, data_offsets: [offset, end] } satisfies Described;
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  // Padded with spaces, so that the tensors begin at a multiple of 8.
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(start + offset).fill(0x20, 0, start);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.set(json, 8);
  let at = start;
  for (const name of names) {
    const { data } = tensors.get(name)!;
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
    at += data.byteLength;
  }
  return bytes;
}

/** @throws integrity for anything that is not a whole, consistent file; checked before memory is taken */
export function decodeSafetensors(
  bytes: Uint8Array,
  source: string,
): { tensors: Map<string, HostTensor>; metadata: Record<string, string> } {
  const broken = (why: string, cause?: unknown) =>
    new SegfleetError('integrity', `${source} is not a valid safetensors file: ${why}; restore it from a copy or train again`, { cause });
  // Of a Buffer, `slice` would be a view; of a plain array it is a copy, aligned for its elements.
  bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 8) throw broken('it is shorter than its header');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerBytes = Number(view.getBigUint64(0, true));
  if (headerBytes > maxHeaderBytes || 8 + headerBytes > bytes.length) throw broken('the header is longer than the file');
  let header: Record<string, unknown>;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, 8 + headerBytes)));
  } catch (cause) {
    throw broken('the header is not JSON', cause);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw broken('the header is not a JSON object');
  const { __metadata__: metadata = {}, ...described } = header;
  const data = bytes.subarray(8 + headerBytes);
  const tensors = new Map<string, HostTensor>();
  let expected = 0;
  const entries = Object.entries(described as Record<string, Described>).sort(
    ([, a], [, b]) => (a?.data_offsets?.[0] ?? 0) - (b?.data_offsets?.[0] ?? 0),
  );
  for (const [name, entry] of entries) {
    const array = arrays[entry?.dtype];
    const [begin, end] = entry?.data_offsets ?? [];
    if (!array || !Array.isArray(entry.shape) || !Number.isSafeInteger(begin) || !Number.isSafeInteger(end))
      throw broken(`the entry ${name} is malformed`);
    const length = entry.shape.reduce((product: number, dimension) => product * dimension, 1);
    if (begin !== expected || end - begin !== length * array.BYTES_PER_ELEMENT || end > data.length) {
      throw broken(`the entry ${name} does not fit its bytes`);
    }
    expected = end;
    tensors.set(name, { dtype: dtypeOf[entry.dtype], shape: entry.shape, data: new array(data.slice(begin, end).buffer) });
  }
  if (expected !== data.length) throw broken('there are bytes behind the last tensor, or bytes are missing');
  return { tensors, metadata: metadata as Record<string, string> };
}

/** @throws notFound, integrity */
export async function readSafetensors(file: string): Promise<{ tensors: Tensors; metadata: Record<string, string> }> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw fromSystemError(error, file);
  }
  return decodeSafetensors(bytes, file);
}
