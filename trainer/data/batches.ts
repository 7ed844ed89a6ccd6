/**
 * Batches read ahead of the steps that take them, so that no step waits for a file.
 */
import type { Batch } from './batch.ts';

/** How many batches are being read or lie ready. */
const readAhead = 3;

/** Cuts an order into batches; the last may be short. */
export function cutIntoBatches(order: readonly number[], size: number): number[][] {
  return Array.from({ length: Math.ceil(order.length / size) }, (_, i) => order.slice(i * size, (i + 1) * size));
}

/** @param read makes the batch of some samples */
export async function* readBatches(
  batches: readonly (readonly number[])[],
  read: (samples: readonly number[]) => Promise<Batch>,
): AsyncGenerator<{ samples: readonly number[]; batch: Batch }> {
  const reading: Promise<Batch>[] = [];
  let next = 0;
  for (const samples of batches) {
    while (next < batches.length && reading.length < readAhead) {
      const batch = read(batches[next++]);
      batch.catch(() => {}); // thrown when its turn comes
      reading.push(batch);
    }
    yield { samples, batch: await reading.shift()! };
  }
}
