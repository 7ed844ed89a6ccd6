/**
 * Who sends which numbers to whom, as a pure function of the lanes, their ranges and the buckets: what every worker of a generation
 * agrees on without a message. Rank r owns slice r of every bucket: it adds what the others send of it and sends them the sum.
 */
import { SegfleetError } from '../../trainer/errors.ts';
import { type Node, nodesWithin } from '../../trainer/tree.ts';
import { bytesPerNumber, type Wire } from '../../trainer/wire.ts';
import { granule } from './kernels.ts';

/** Some numbers of a bucket: offset and length count numbers within the bucket, and are multiples of `granule`. */
export interface Chunk {
  readonly offset: number;
  readonly length: number;
}

export interface Bucket {
  readonly wire: Wire;
  /** Where it begins in the vector of all buckets, filled up to multiples of `granule`. */
  readonly start: number;
  /** The same in bytes, where all are as they travel. */
  readonly wireStart: number;
  /** How many numbers it has, and how many with the zeros behind. */
  readonly length: number;
  readonly paddedLength: number;
  /** By rank: its slice, cut into what one frame carries. Empty where the bucket is too short. */
  readonly chunks: readonly (readonly Chunk[])[];
}

export interface Plan {
  readonly rank: number;
  readonly workers: number;
  readonly root: Node;
  /** By rank: its lanes. */
  readonly ranges: readonly Node[];
  /** By rank: the nodes of the tree that it adds alone. */
  readonly nodes: readonly (readonly Node[])[];
  readonly buckets: readonly Bucket[];
  /** Of all buckets, filled up. */
  readonly paddedLength: number;
  /** The same in bytes, as they travel. */
  readonly wireBytes: number;
}

export interface BucketOptions {
  /** How many numbers it has. */
  readonly length: number;
  /** What they are while they travel. Default float32, which is exact. */
  readonly wire?: Wire;
}

export interface PlanOptions {
  readonly rank: number;
  /** By rank: contiguous, none empty, together all lanes from 0 on. */
  readonly ranges: readonly Node[];
  readonly buckets: readonly BucketOptions[];
  /** Numbers that one frame carries at most. Default 2^18: 1 MiB as float32. */
  readonly chunkLength?: number;
}

export const defaultChunkLength = 2 ** 18;

/** What the numbers of a frame hold: sixteen bits and thirty-two. */
export const maxBuckets = 2 ** 16;
export const maxLanes = 2 ** 16 - 1;

/** @throws usage: ranges that are not contiguous, not from 0 on or empty, a rank that has none, a bucket without numbers */
export function planOf({ rank, ranges, buckets, chunkLength = defaultChunkLength }: PlanOptions): Plan {
  checkRanges(ranges);
  if (!ranges[rank]) throw new SegfleetError('usage', `rank ${rank} has no lanes: there are ranges for ranks 0 to ${ranges.length - 1}`);
  if (buckets.length < 1 || buckets.length > maxBuckets) {
    throw new SegfleetError('usage', `${buckets.length} buckets: between 1 and ${maxBuckets} can be exchanged`);
  }
  const workers = ranges.length;
  const root = { start: 0, end: ranges[workers - 1].end };
  let [start, wireStart] = [0, 0];
  const planned = buckets.map(({ length, wire = 'float32' }, index): Bucket => {
    if (!Number.isInteger(length) || length < 1)
      throw new SegfleetError('usage', `bucket ${index} has ${length} numbers; give it one at least`);
    const paddedLength = filledUp(length);
    const chunks = ranges.map((_, owner) => chunksOf(sliceOf(paddedLength, owner, workers), filledUp(chunkLength)));
    const bucket = { wire, start, wireStart, length, paddedLength, chunks };
    start += paddedLength;
    wireStart += paddedLength * bytesPerNumber[wire];
    return bucket;
  });
  const nodes = ranges.map(range => nodesWithin(range, root));
  return { rank, workers, root, ranges, nodes, buckets: planned, paddedLength: start, wireBytes: wireStart };
}

/**
 * Bytes of numbers that this rank sends in one step, headers not counted: its nodes of everybody else's slices, then the sum of its own
 * slice to everybody else. With one node a rank and slices of equal size that is 2 (n - 1) / n of the gradient.
 */
export function bytesSent({ rank, workers, nodes, buckets, wireBytes }: Plan): number {
  const ownSlices = buckets.reduce((sum, bucket) => sum + sliceBytes(bucket, rank), 0);
  return nodes[rank].length * (wireBytes - ownSlices) + (workers - 1) * ownSlices;
}

/** Of the owner's slice of the bucket, as it travels. */
export const sliceBytes = ({ chunks, wire }: Bucket, owner: number): number =>
  chunks[owner].reduce((sum, { length }) => sum + length, 0) * bytesPerNumber[wire];

const filledUp = (length: number): number => Math.ceil(length / granule) * granule;

function sliceOf(paddedLength: number, owner: number, workers: number): Chunk {
  const cut = (at: number) => Math.floor(((paddedLength / granule) * at) / workers) * granule;
  return { offset: cut(owner), length: cut(owner + 1) - cut(owner) };
}

function chunksOf({ offset, length }: Chunk, chunkLength: number): Chunk[] {
  return Array.from({ length: Math.ceil(length / chunkLength) }, (_, index) => ({
    offset: offset + index * chunkLength,
    length: Math.min(chunkLength, length - index * chunkLength),
  }));
}

function checkRanges(ranges: readonly Node[]): void {
  let lane = 0;
  for (const [rank, { start, end }] of ranges.entries()) {
    if (start !== lane || end <= start) {
      throw new SegfleetError('usage', `rank ${rank} has lanes ${start} to ${end - 1}; expected one lane or more, from ${lane} on`);
    }
    lane = end;
  }
  if (lane < 1 || lane > maxLanes) throw new SegfleetError('usage', `${lane} lanes: between 1 and ${maxLanes} can be summed`);
}
