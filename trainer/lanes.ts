/**
 * A batch cut into lanes: the unit of compute, of randomness and of summation. What a lane holds depends on the batch alone, and sums over
 * lanes run along one fixed tree, so that nothing depends on who computes which lane.
 */
import type { Batch, ImageShape } from './data/batch.ts';
import { float32 } from './engine/tensor.ts';
import type { Program, StepResult } from './program.ts';
import { fold, type Node } from './tree.ts';
import { roundToBfloat16, type Wire } from './wire.ts';

/** Lanes that are computed in one process at once need two threads of libuv's pool each (engine/mailbox.ts). */
export const maxLanes = 64;

export interface Lane {
  readonly lane: number;
  /** Its images; none where a short batch has fewer images than there are lanes. */
  readonly batch: Batch;
}

/** Where the images of a lane begin in a batch of `count`: parts are contiguous and as even as can be, the larger ones first. */
export const startOfLane = (lane: number, count: number, numLanes: number): number =>
  Math.floor(count / numLanes) * lane + Math.min(lane, count % numLanes);

/**
 * The lanes of `range` (default: all) from their images.
 *
 * @param batch the images of these lanes alone
 * @param count images of the whole batch
 */
export function cutIntoLanes(
  batch: Batch,
  { height, width, channels }: ImageShape,
  numLanes: number,
  range: Node = { start: 0, end: numLanes },
  count: number = batch.count,
): Lane[] {
  const pixels = height * width;
  const first = startOfLane(range.start, count, numLanes);
  return Array.from({ length: range.end - range.start }, (_, index) => {
    const lane = range.start + index;
    const [from, to] = [lane, lane + 1].map(at => startOfLane(at, count, numLanes) - first);
    const part = {
      count: to - from,
      images: batch.images.subarray(from * pixels * channels, to * pixels * channels),
      labels: batch.labels.subarray(from * pixels, to * pixels),
    };
    return { lane, batch: part };
  });
}

/** What all lanes have, joined along the one tree. @param leaves by lane */
export function foldLanes<T>(leaves: readonly T[], join: (left: T, right: T) => T): T {
  const leafOf = ({ start, end }: Node) => (end - start === 1 ? leaves[start] : undefined);
  return fold({ start: 0, end: leaves.length }, leafOf, join);
}

/** Adds the right to the left, in place. */
export function addInto(left: Float32Array, right: Float32Array): Float32Array {
  for (let i = 0; i < left.length; i++) left[i] += right[i];
  return left;
}

/**
 * What the lanes contribute, summed as workers would who send their gradients so: the numbers before `numGradients` are rounded at every
 * node of the tree. Writes into the contributions.
 */
export function sumContributions(contributions: readonly Float32Array[], numGradients: number, wire: Wire): Float32Array {
  const round = (values: Float32Array): Float32Array => {
    if (wire === 'bfloat16') roundToBfloat16(values.subarray(0, numGradients));
    return values;
  };
  return foldLanes(contributions.map(round), (left, right) => round(addInto(left, right)));
}

/** One step of training with all lanes in this process; the result is that of workers with the same wire. */
export async function stepInLanes(
  program: Program,
  batch: Batch,
  numLanes: number,
  { step, learningRate }: { step: number; learningRate: number },
  wire: Wire = 'float32',
): Promise<StepResult> {
  const contributions = await program.contribute(cutIntoLanes(batch, program.options.image, numLanes), {
    ticket: { generation: 0, step },
    images: batch.count,
    meet: async parts => {
      const data = foldLanes(
        parts.map(part => (part.data as Float32Array).slice()),
        addInto,
      );
      return float32(data, parts[0].shape);
    },
  });
  const [numGradients] = program.buckets(Number.POSITIVE_INFINITY);
  return program.apply([sumContributions(contributions, numGradients, wire)], { step, learningRate });
}
