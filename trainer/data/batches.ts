/**
 * Batches read ahead of the steps that take them, so that no step waits for a file.
 */
import type { Batch } from './batch.ts';
import type { CaseStore } from './store.ts';

/** How many batches are being read or lie ready. */
const readAhead = 3;

/** Cuts an order into batches; the last may be short. */
export function cutIntoBatches(order: readonly number[], size: number): number[][] {
  return Array.from({ length: Math.ceil(order.length / size) }, (_, i) => order.slice(i * size, (i + 1) * size));
}

export async function* readBatches(store: CaseStore, batches: readonly number[][]): AsyncGenerator<{ indices: number[]; batch: Batch }> {
  const reading: Promise<Batch>[] = [];
  let next = 0;
  for (const indices of batches) {
    while (next < batches.length && reading.length < readAhead) {
      const batch = store.batch(batches[next++]);
      batch.catch(() => {}); // thrown when its turn comes
      reading.push(batch);
    }
    yield { indices, batch: await reading.shift()! };
  }
}
