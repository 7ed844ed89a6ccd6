/**
 * How many workers there are to be. Their Job is given another size, and nothing else of it changes: workers that stay are not touched, those with the
 * highest indexes go.
 */
interface Wanted {
  readonly replicas: number;
  /** With fewer the run would wait. */
  readonly min: number;
  /** Frozen when the job was accepted: each worker has a lane at least. */
  readonly max: number;
}

/** The API server refuses what is out of range, if it knows the range. */
export const sizeOf = ({ replicas, min, max }: Wanted): number => Math.max(1, Math.min(Math.max(replicas, min), max));
