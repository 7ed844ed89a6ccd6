/**
 * Who computes which lanes. Ranges are contiguous and in rank order, so that each worker owns whole subtrees of the summation tree.
 */

export interface LaneRange {
  readonly start: number;
  /** The lane after the last. */
  readonly end: number;
}

/**
 * Deals lanes out as evenly as the workers' capacities allow; where they do not divide, earlier ranks get one more.
 *
 * @param lanes how many there are
 * @param capacities the most lanes that each worker, by rank, may hold; each at least 1
 * @returns one range for each worker that covers all lanes, each with at least one lane; undefined if they do not fit
 */
export function dealLanes(lanes: number, capacities: readonly number[]): LaneRange[] | undefined {
  const workers = capacities.length;
  if (workers === 0 || workers > lanes || capacities.reduce((sum, capacity) => sum + capacity, 0) < lanes) return undefined;
  const counts = new Array<number>(workers).fill(0);
  // Lane by lane to whoever has the fewest and room for more: as even as it can be, and small enough (lanes <= 4096) to be plain.
  for (let lane = 0; lane < lanes; lane++) {
    let least = -1;
    for (let rank = 0; rank < workers; rank++) {
      if (counts[rank] < capacities[rank] && (least < 0 || counts[rank] < counts[least])) least = rank;
    }
    counts[least]++;
  }
  let end = 0;
  return counts.map(count => {
    const start = end;
    end += count;
    return { start, end };
  });
}
