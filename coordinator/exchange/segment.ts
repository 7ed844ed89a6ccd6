/**
 * Memory that the workers of one machine share: each writes what it sends into a file of its own, mapped by all, and only headers go
 * through sockets. The file lies beside the worker's socket, in a folder that is this user's alone; in /dev/shm it is memory only.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, rmSync, writeSync } from 'node:fs';
import koffi from 'koffi';
import { fromSystemError, SegfleetError } from '../../trainer/errors.ts';
import { bytesPerNumber } from '../../trainer/wire.ts';
import type { Header } from './frame.ts';
import type { Plan } from './plan.ts';

const libc = koffi.load('libc.so.6');
const mmap = libc.func('void *mmap(void *address, size_t length, int protection, int flags, int file, int64_t offset)');
const munmap = libc.func('int munmap(void *address, size_t length)');
const read = 1;
const write = 2;
const shared = 1;

export interface Segment {
  readonly bytes: Uint8Array;
  /** Nothing may look at the bytes afterwards. */
  close(): void;
}

/** Bytes of the segment of a rank: all buckets for each of its nodes. */
const sizeOf = (plan: Plan, rank: number): number => plan.nodes[rank].length * plan.wireBytes;

/**
 * Where the numbers of a frame lie in the sender's segment. It never sends its own slice of a node: the sum of the slice takes that
 * place in its first node.
 */
export function placeOf({ kind, from, node, bucket, offset, wire }: Omit<Header, 'checksum' | 'step'>, plan: Plan): number {
  const index = kind === 'sum' ? 0 : plan.nodes[from].findIndex(({ start }) => start === node.start);
  return index * plan.wireBytes + plan.buckets[bucket].wireStart + offset * bytesPerNumber[wire];
}

const fileOf = (socket: string): string => `${socket}.memory`;

export const removeSegment = (socket: string): void => rmSync(fileOf(socket), { force: true });

/** This worker's own. @throws resources: where there is no room for it */
export function createSegment(socket: string, plan: Plan): Segment {
  const size = sizeOf(plan, plan.rank);
  const file = openSync(fileOf(socket), 'wx+', 0o600);
  try {
    // Written, not only made so long: a page that there is no room for would end the process when it is touched.
    const zeros = new Uint8Array(Math.min(size, 2 ** 20));
    for (let at = 0; at < size; ) at += writeSync(file, zeros, 0, Math.min(zeros.length, size - at), at);
    return map(file, size, read | write);
  } catch (error) {
    ftruncateSync(file);
    removeSegment(socket);
    throw fromSystemError(error, `sharing ${Math.ceil(size / 2 ** 20)} MiB of memory in ${socket}`);
  } finally {
    closeSync(file);
  }
}

/** Another worker's, to read. */
export function openSegment(socket: string, plan: Plan, rank: number): Segment {
  const size = sizeOf(plan, rank);
  const file = openSync(fileOf(socket), 'r');
  try {
    const found = fstatSync(file).size;
    if (found !== size)
      throw new SegfleetError(
        'conflict',
        `${fileOf(socket)} has ${found} bytes where worker ${rank} shares ${size}; start all workers with the same job`,
      );
    return map(file, size, read);
  } finally {
    closeSync(file);
  }
}

function map(file: number, size: number, protection: number): Segment {
  const address = mmap(null, size, protection, shared, file, 0) as bigint;
  if (address === 2n ** 64n - 1n)
    throw new SegfleetError('resources', `${size} bytes of shared memory cannot be mapped; spread the lanes over more workers`);
  return { bytes: new Uint8Array(koffi.view(address, size)), close: () => munmap(address, size) };
}
