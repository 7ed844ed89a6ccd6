/**
 * Sums, roundings and checksums of vectors in a shared WebAssembly memory, which the main thread and the thread of the exchange both
 * see. Vector instructions: a loop in JavaScript takes some five times as long.
 */
import { SegfleetError } from '../../trainer/errors.ts';
import { wasm } from './kernels.wasm.ts';

/** Every vector is a multiple of this many numbers long; what is missing to it is zeros. */
export const granule = 16;

const pageBytes = 2 ** 16;
const maxPages = 2 ** 16;

/** Addresses and ends are bytes into the memory. */
export interface Kernels {
  /** out = a + b */
  add(out: number, a: number, b: number, end: number): void;
  /** out = the nearest bfloat16 of a + b, ties to even, kept as float32 */
  addRounded(out: number, a: number, b: number, end: number): void;
  /** out = the nearest bfloat16 of a, kept as float32 */
  round(out: number, a: number, end: number): void;
  /** Rounded numbers to two bytes each. */
  pack(out: number, a: number, end: number): void;
  /** Two bytes to four: the reverse. */
  unpack(out: number, a: number, end: number): void;
  checksum(address: number, end: number): number;
}

/** @throws resources: where it is more than WebAssembly can address */
export function createMemory(bytes: number): WebAssembly.Memory {
  const pages = Math.max(1, Math.ceil(bytes / pageBytes));
  const why = `the exchange needs ${Math.ceil(bytes / 2 ** 20)} MiB for the gradients of this worker`;
  if (pages > maxPages)
    throw new SegfleetError('resources', `${why}, more than the 4 GiB it can address; spread the lanes over more workers`);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new SegfleetError('resources', `${why}, which this machine does not give; spread the lanes over more workers`, { cause });
  }
}

export function loadKernels(memory: WebAssembly.Memory): Kernels {
  const module = new WebAssembly.Module(Buffer.from(wasm, 'base64'));
  return new WebAssembly.Instance(module, { exchange: { memory } }).exports as unknown as Kernels;
}
