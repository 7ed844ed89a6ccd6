/**
 * Where everything lies in the shared memory of the exchange. Each place is written by one side at a time: lanes by the main thread
 * until it says that they are there, everything else by the thread of the exchange; totals are the main thread's to read.
 */
import { granule } from './kernels.ts';
import { type Plan, sliceBytes } from './plan.ts';

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
  /** By own node: its numbers as they travel; last of all the own slices' sums. Only buckets of bfloat16 are written here, and without one there is none. */
  readonly packed: readonly number[];
  /** Blocks for what is between the nodes that came and the sum. */
  readonly scratch: readonly number[];
}

/** @param inline whether numbers come with their frames */
export function arenaOf(plan: Plan, inline: boolean): Arena {
  let bytes = 0;
  const take = (size: number): number => {
    const place = bytes;
    bytes += Math.ceil(size / (granule * 4)) * granule * 4;
    return place;
  };
  const { start, end } = plan.ranges[plan.rank];
  const all = plan.paddedLength * 4;
  const ownNodes = plan.nodes[plan.rank].length;
  const numNodes = plan.nodes.reduce((sum, nodes) => sum + nodes.length, 0);
  const ownSlices = plan.buckets.reduce((sum, bucket) => sum + sliceBytes(bucket, plan.rank), 0);
  const packs = plan.workers > 1 && plan.buckets.some(({ wire }) => wire === 'bfloat16');
  const places = (count: number, size: number) => Array.from({ length: count }, () => take(size));
  return {
    lanes: places(end - start, all),
    totals: [take(all), take(all)],
    inbox: places(numNodes - ownNodes, inline ? ownSlices : 0),
    packed: packs ? places(ownNodes + 1, plan.wireBytes) : [],
    // A block for every node that has to be unpacked, and one for every sum.
    scratch: places(2 * numNodes, blockLength * 4),
    bytes,
  };
}
