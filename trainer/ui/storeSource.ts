/**
 * Copies of run folders in a store, as a coordinator keeps them with --mirror: below `run/`, beside the checkpoints of the run.
 */
import { hash } from 'node:crypto';
import { SegfleetError } from '../errors.ts';
import { mirrorPrefix } from '../storage/mirror.ts';
import { openStore } from '../storage/openStore.ts';
import type { Store } from '../storage/store.ts';
import { type Found, runFiles, type Source } from './source.ts';

const endOfRecord = `${mirrorPrefix}${runFiles.record}`;
/** Small files are asked for again after so long, and no sooner. */
const freshMs = 5000;
/** Of small files the bytes are kept. */
const mostKept = 1024 * 1024;

interface Kept {
  readonly at: number;
  readonly bytes: Buffer | undefined;
}

export async function storeSource(url: string, now: () => number): Promise<Source> {
  const store = await openStore(url);
  return sourceOf(store, url, now);
}

export function sourceOf(store: Store, url: string, now: () => number): Source {
  const kept = new Map<string, Kept>();
  const keyOf = (id: string, name: string) => (id === '.' ? `${mirrorPrefix}${name}` : `${id}/${mirrorPrefix}${name}`);
  // A store has no way to ask whether something has changed other than to look: files are small, but for the log.
  const get = async (id: string, name: string): Promise<Buffer | undefined> => {
    const key = keyOf(id, name);
    const before = kept.get(key);
    if (before && now() - before.at < freshMs) return before.bytes;
    const bytes = await store.get(key).catch((error: SegfleetError) => {
      if (error instanceof SegfleetError && error.code === 'notFound') return undefined;
      throw error;
    });
    if (!bytes || bytes.length <= mostKept) kept.set(key, { at: now(), bytes });
    return bytes;
  };
  return {
    place: url,
    pathOf: id => (id === '.' ? url : `${url.replace(/\/$/, '')}/${id}`),
    find: async () => {
      const keys = await store.list();
      const ends = keys.filter(key => key === endOfRecord || key.endsWith(`/${endOfRecord}`));
      return ends.map((key): Found => ({ id: key === endOfRecord ? '.' : key.slice(0, -endOfRecord.length - 1), kind: 'run' }));
    },
    stamp: async (id, name) => {
      const bytes = await get(id, name);
      if (!bytes) return undefined;
      const digest = hash('sha256', bytes);
      // A log that has grown begins as before; `readFrom` begins anew where that cannot be told.
      return { text: digest, bytes: bytes.length, identity: '' };
    },
    read: get,
    readFrom: async (id, name, offset, length) => (await get(id, name))?.subarray(offset, offset + length) ?? Buffer.alloc(0),
    isForsaken: async () => undefined,
  };
}
