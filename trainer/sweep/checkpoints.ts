/**
 * Checkpoints of the runs of a sweep: they go when nothing will go on from them any more.
 */
import { rm } from 'node:fs/promises';
import { checkpointUrl } from '../runWriter.ts';
import type { Job } from '../spec.ts';
import { openStore } from '../storage/openStore.ts';
import type { Store } from '../storage/store.ts';

export async function removeCheckpointsOf(job: Job, base: string, out: string): Promise<void> {
  await removeCheckpoints(await openStore(checkpointUrl(job, base, out)));
}

export async function removeCheckpoints(store: Store): Promise<void> {
  for (const key of await store.list()) await store.delete(key);
  if (store.url.startsWith('file:')) await rm(store.url.slice('file:'.length), { recursive: true, force: true });
}
