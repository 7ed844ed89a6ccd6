/**
 * Lanes spread over workers, and their sums by the plainest code there is: what the exchange is held against.
 */
import { fold, type Node } from '../../trainer/tree.ts';
import type { Wire } from '../../trainer/wire.ts';
import { uniform } from './numbers.ts';

/** Contiguous ranges that cover the lanes: a cut after each lane for which the source says so. */
export function partition(lanes: number, cuts: Iterable<boolean>): Node[] {
  const ranges: Node[] = [];
  let start = 0;
  const source = cuts[Symbol.iterator]();
  for (let lane = 1; lane <= lanes; lane++) {
    if (lane < lanes && !source.next().value) continue;
    ranges.push({ start, end: lane });
    start = lane;
  }
  return ranges;
}

/** Ranges that differ by one lane at most. */
export const evenly = (lanes: number, workers: number): Node[] =>
  Array.from({ length: workers }, (_, rank) => ({
    start: Math.floor((lanes * rank) / workers),
    end: Math.floor((lanes * (rank + 1)) / workers),
  }));

/** Buckets of these lengths, exact. */
export const bucketsOf = (...lengths: readonly number[]): { length: number }[] => lengths.map(length => ({ length }));

/** Numbers of very different size, so that every other order of addition gives other bits. */
export function laneValues(lane: number, bucket: number, step: number, length: number): Float32Array {
  const sizes = uniform(length, `size ${lane} ${bucket} ${step}`, -12, 12);
  return uniform(length, `lane ${lane} ${bucket} ${step}`).map((value, index) => value * 2 ** Math.round(sizes[index]));
}

const words = new Uint32Array(1);
const number = new Float32Array(words.buffer);

/** The nearest bfloat16, ties to even, by the difference of the two candidates. */
export function nearestBfloat16(value: number): number {
  number[0] = value;
  if (!Number.isFinite(number[0])) return number[0];
  const single = number[0];
  const word = words[0];
  words[0] = word & 0xffff0000;
  const below = number[0];
  words[0] = (word & 0xffff0000) + 0x10000;
  const above = Number.isFinite(number[0]) ? number[0] : Math.sign(single) * 2 ** 128;
  const [toBelow, toAbove] = [Math.abs(single - below), Math.abs(above - single)];
  const even = ((word >>> 16) & 1) === 0;
  const chosen = toBelow < toAbove || (toBelow === toAbove && even) ? below : above;
  return Math.abs(chosen) >= 2 ** 128 ? Math.sign(single) * Number.POSITIVE_INFINITY : chosen;
}

/** The sum over lanes, number by number in the order of the tree; for bfloat16 rounded at every node. */
export function referenceSum(lanes: readonly Float32Array[], wire: Wire = 'float32'): Float32Array {
  const round = wire === 'bfloat16' ? nearestBfloat16 : (value: number) => value;
  return lanes[0].map((_, index) =>
    fold<number>(
      { start: 0, end: lanes.length },
      ({ start, end }) => (end - start === 1 ? round(lanes[start][index]) : undefined),
      (left, right) => round(Math.fround(left + right)),
    ),
  );
}

export const bitsOf = (numbers: Float32Array): string => Buffer.from(numbers.slice().buffer).toString('base64');
