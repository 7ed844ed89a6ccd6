/**
 * Where everything lies in the shared memory of the exchange. Each place is written by one side at a time: lanes by the main thread
 * until it says that they are there, everything else by the thread of the exchange; totals are the main thread's to read.
 */
import { bytesPerNumber, type Wire } from './frame.ts';
import { granule } from './kernels.ts';
import type { Plan } from './plan.ts';

/** Numbers that are folded at once: three such blocks fit the first-level cache. */
export const blockLength = 2048;

/** All in bytes from the beginning of the memory. */
export interface Arena {
  readonly bytes: number;
  /** By lane of this worker, from its first on: its values of all buckets. The first lane of a node takes the sum of the node. */
  readonly lanes: readonly number[];
  /** The sums of steps with an even and with an odd number. */
  readonly totals: readonly [number, number];
  /** By node of another worker, in the order of lanes: its numbers of this rank's slices, as they came. Empty where workers share memory. */
  readonly inbox: readonly number[];
  /** By own node: its numbers in two bytes each; last of all the own slices' sums. None where the wire has float32. */
  readonly packed: readonly number[];
  /** Blocks for what is between the nodes that came and the sum. */
  readonly scratch: readonly number[];
}

/** @param inline whether numbers come with their frames */
export function arenaOf(plan: Plan, wire: Wire, inline: boolean): Arena {
  let bytes = 0;
  const take = (numbers: number, size: number): number => {
    const place = bytes;
    bytes += Math.ceil((numbers * size) / (granule * 4)) * granule * 4;
    return place;
  };
  const { start, end } = plan.ranges[plan.rank];
  const all = plan.paddedLength;
  const ownNodes = plan.nodes[plan.rank].length;
  const numNodes = plan.nodes.reduce((sum, nodes) => sum + nodes.length, 0);
  const places = (count: number, numbers: number, size: number) => Array.from({ length: count }, () => take(numbers, size));
  return {
    lanes: places(end - start, all, 4),
    totals: [take(all, 4), take(all, 4)],
    inbox: places(numNodes - ownNodes, inline ? ownSlicesLength(plan) : 0, bytesPerNumber[wire]),
    packed: wire === 'bfloat16' && plan.workers > 1 ? places(ownNodes + 1, all, 2) : [],
    // A block for every node that has to be unpacked, and one for every sum.
    scratch: places(2 * numNodes, blockLength, 4),
    bytes,
  };
}

const ownSlicesLength = (plan: Plan): number =>
  plan.buckets.flatMap(({ chunks }) => chunks[plan.rank]).reduce((sum, { length }) => sum + length, 0);
