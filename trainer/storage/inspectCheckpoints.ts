/**
 * Looking at the checkpoints of a store, and clearing up, from outside the run that writes them.
 */
import { SegfleetError } from '../errors.ts';
import { isUnsound, manifestKeys, planPruning, readChunk, readManifest, readState, restore } from './checkpoints.ts';
import { writeAtomically } from './files.ts';
import { type Chunk, chunkKey, type Manifest, manifestKey, type Retention } from './manifest.ts';
import { openStore } from './openStore.ts';
import { encodeSafetensors } from './safetensors.ts';
import type { Store } from './store.ts';

export interface Listed {
  readonly key: string;
  /** Missing where it cannot be read. */
  readonly manifest?: Manifest;
  /** What is missing or damaged. */
  readonly problems: readonly string[];
}

/** Newest last; of each the manifest, not the chunks. @throws notFound: where there is none */
export async function listCheckpoints(url: string): Promise<{ url: string; checkpoints: Listed[] }> {
  const store = await openStore(url);
  const checkpoints: Listed[] = [];
  for (const key of await keysOf(store)) {
    const manifest = await unlessUnsound(readManifest(store, key));
    checkpoints.push(typeof manifest === 'string' ? { key, problems: [manifest] } : { key, manifest, problems: [] });
  }
  return { url: store.url, checkpoints };
}

/** Reads every chunk of every checkpoint, each once. */
export async function verifyCheckpoints(url: string): Promise<{ url: string; checkpoints: Listed[] }> {
  const store = await openStore(url);
  const { checkpoints } = await listCheckpoints(url);
  const known = new Map<string, string | undefined>();
  const problemOf = async (chunk: Chunk) => {
    const key = JSON.stringify(chunk);
    if (!known.has(key)) {
      const found = await unlessUnsound(readChunk(store, chunk));
      known.set(key, typeof found === 'string' ? found : undefined);
    }
    return known.get(key);
  };
  const verified: Listed[] = [];
  for (const { key, manifest, problems } of checkpoints) {
    const more: string[] = [];
    for (const chunk of manifest?.chunks ?? []) more.push((await problemOf(chunk)) ?? '');
    verified.push({ key, manifest, problems: [...problems, ...more.filter(Boolean)] });
  }
  return { url: store.url, checkpoints: verified };
}

/** @param which its step, or its key; the newest where it is left out. @throws notFound, integrity */
export async function showCheckpoint(url: string, which?: string): Promise<{ url: string; key: string; manifest: Manifest }> {
  const store = await openStore(url);
  const key = await find(store, which);
  return { url: store.url, key, manifest: await readManifest(store, key) };
}

export interface Pruned {
  readonly url: string;
  readonly keep: readonly string[];
  readonly drop: readonly string[];
  readonly chunks: number;
  readonly bytes: number;
}

/**
 * Deletes what retention does not keep, once the newest was found whole: manifests, and the chunks that only these name. What no
 * manifest names is left, as it may be of a checkpoint that is being written.
 *
 * @throws integrity: the newest is not whole, and nothing was deleted
 */
export async function pruneCheckpoints(url: string, keep: Retention, { dryRun }: { readonly dryRun: boolean }): Promise<Pruned> {
  const store = await openStore(url);
  await keysOf(store);
  const plan = await planPruning(store, keep);
  const used = new Set(plan.keep.flatMap(({ chunks }) => chunks.map(({ sha256 }) => sha256)));
  const unused = new Map(plan.dropped.flatMap(({ chunks }) => chunks.map(chunk => [chunk.sha256, chunk.bytes] as const)));
  for (const sha256 of used) unused.delete(sha256);
  if (!dryRun && plan.drop.length > 0) {
    const [newest] = plan.keep;
    if (!newest) throw new SegfleetError('integrity', `${store.url}: no manifest is whole, so nothing is deleted`);
    await readState(store, newest);
    for (const key of plan.drop) await store.delete(key);
    for (const sha256 of unused.keys()) await store.delete(chunkKey(sha256));
  }
  const bytes = [...unused.values()].reduce((sum, one) => sum + one, 0);
  return { url: store.url, keep: plan.keep.map(manifestKey), drop: plan.drop, chunks: unused.size, bytes };
}

/**
 * Writes a checkpoint as one safetensors file, its position as JSON in the metadata.
 *
 * @param which its step, or its key; the newest that is whole where it is left out
 * @throws notFound; integrity: it is not whole
 */
export async function fetchCheckpoint(url: string, file: string, which?: string) {
  const store = await openStore(url);
  await keysOf(store);
  const found = which === undefined ? await restore(store) : await read(store, await find(store, which));
  const { key, manifest, state, passedOver } = found!;
  const metadata = { schema: 'segfleet/checkpoint/1', position: JSON.stringify(manifest.position), source: `${store.url}/${key}` };
  const bytes = encodeSafetensors(state, metadata);
  await writeAtomically(file, bytes);
  return { url: store.url, key, step: manifest.step, file, tensors: state.size, bytes: bytes.length, passedOver };
}

async function read(store: Store, key: string) {
  const manifest = await readManifest(store, key);
  return { key, manifest, state: await readState(store, manifest), passedOver: [] };
}

async function keysOf(store: Store): Promise<string[]> {
  const keys = await manifestKeys(store);
  if (keys.length > 0) return keys;
  throw new SegfleetError('notFound', `${store.url} holds no checkpoints; give the URL that the run writes them to`);
}

async function find(store: Store, which: string | undefined): Promise<string> {
  const keys = await keysOf(store);
  const found =
    which === undefined ? keys.at(-1) : keys.findLast(key => key === which || (/^\d+$/.test(which) && stepOf(key) === Number(which)));
  if (found !== undefined) return found;
  const steps = keys.map(stepOf);
  throw new SegfleetError('notFound', `${store.url} has no checkpoint ${which}; there are those of step ${steps.join(', ')}`);
}

const stepOf = (key: string): number => Number(/-(\d+)\.json$/.exec(key)?.[1]);

async function unlessUnsound<T>(reading: Promise<T>): Promise<T | string> {
  try {
    return await reading;
  } catch (error) {
    if (isUnsound(error)) return (error as Error).message;
    throw error;
  }
}
