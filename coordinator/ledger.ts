/**
 * The account of samples: what the workers of a committed step say they have used must be, end to end, the next part of the epoch's
 * order. So every sample of an epoch counts once, whoever computed it.
 */
import type { Samples } from './messages.ts';

/** Where in the data the next step begins: `next` samples of `epoch` are used up. */
export interface Place {
  readonly epoch: number;
  readonly next: number;
}

/**
 * @param parts of one step, by rank; undefined throughout for a round that trains nothing (a validation)
 * @returns the place after the step, or a sentence that says what is counted twice or not at all
 */
export function countSamples(place: Place, parts: readonly (Samples | undefined)[]): Place | string {
  const counted = parts.filter(part => part !== undefined);
  if (counted.length === 0) return place;
  if (counted.length < parts.length)
    return `${parts.length - counted.length} of ${parts.length} workers counted no samples, the others did`;
  let { epoch, next } = place;
  for (const [rank, part] of counted.entries()) {
    if (part.of !== counted[0].of) return `rank ${rank} has ${part.of} samples in the epoch, rank 0 has ${counted[0].of}`;
    if (part.epoch !== epoch || part.first !== next) {
      return `rank ${rank} used samples from ${part.first} of epoch ${part.epoch}; the next that were due are from ${next} of epoch ${epoch}`;
    }
    next += part.count;
  }
  const { of } = counted[0];
  if (next > of) return `${next} samples were used in epoch ${epoch}, which has ${of}`;
  if (next === of) [epoch, next] = [epoch + 1, 0];
  return { epoch, next };
}
