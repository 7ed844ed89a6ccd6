/**
 * Checkpoints that outlive the run they are of, so that others may begin with them: a folder with one checkpoint and the best weights by then. Chunks
 * are named by what is in them, so they are linked, not copied, where both lie on one file system.
 */
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SegfleetError } from './errors.ts';
import type { Position } from './position.ts';
import type { RunRecord } from './runRecord.ts';
import { Checkpoints, restore } from './storage/checkpoints.ts';
import { partialName } from './storage/files.ts';
import { chunkKey, type Manifest } from './storage/manifest.ts';
import { openStore } from './storage/openStore.ts';
import type { RunFolder } from './storage/runFolder.ts';
import type { Store } from './storage/store.ts';

const bestWeights = 'best.safetensors';

/** Keeps the newest checkpoint of a run and its best weights in a folder; nothing is done where the folder is there. */
export async function keepFork(store: Store, run: RunFolder, folder: string): Promise<void> {
  if (existsSync(folder)) return;
  const partial = join(dirname(folder), partialName(folder.slice(dirname(folder).length + 1)));
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const found = await restore(store);
  if (!found) throw new SegfleetError('notFound', `${store.url} holds no checkpoint to keep`);
  const { manifest } = found;
  const kept = await openStore(partial);
  const checkpoints = await Checkpoints.claim(kept, { run: manifest.run, keep: { last: 1, best: 0 } });
  await commitShared(manifest, store, kept, checkpoints);
  await shareFile(run.weights('best'), join(partial, bestWeights));
  await rename(partial, folder);
}

/** Puts what `keepFork` kept into a new run. @throws notFound, integrity */
export async function takeFork(
  from: string,
  { checkpoints, store, folder }: { checkpoints: Checkpoints; store: Store; folder: RunFolder },
): Promise<RunRecord['forkedFrom']> {
  const kept = await openStore(from);
  const found = await restore(kept);
  if (!found) throw new SegfleetError('notFound', `there is no checkpoint to begin with in ${from}`);
  const { manifest } = found;
  await shareFile(join(from, bestWeights), folder.weights('best'));
  await commitShared(manifest, kept, store, checkpoints);
  const { step, epoch } = manifest.position as unknown as Position;
  return { run: manifest.run, step, epoch: epoch - 1 };
}

async function commitShared(manifest: Manifest, from: Store, to: Store, checkpoints: Checkpoints): Promise<void> {
  for (const { sha256 } of manifest.chunks) await shareChunk(chunkKey(sha256), from, to);
  const { step, score, position, chunks } = manifest;
  await checkpoints.commit({ step, ...(score !== undefined && { score }), position, chunks });
}

async function shareChunk(key: string, from: Store, to: Store): Promise<void> {
  const [source, target] = [from, to].map(({ url }) => (url.startsWith('file:') ? join(url.slice('file:'.length), key) : undefined));
  if (source && target) await shareFile(source, target);
  else await to.put(key, await from.get(key));
}

/** Files that are never changed in place. */
async function shareFile(source: string, target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  await link(source, target).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST') return;
    await copyFile(source, target);
  });
}
