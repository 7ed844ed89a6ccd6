/**
 * Copies of run folders in a store, as a coordinator keeps them with --mirror: below `run/`, beside the checkpoints of the run.
 */
import { SegfleetError } from '../errors.ts';
import { mirrorPrefix } from '../storage/mirror.ts';
import { openStore } from '../storage/openStore.ts';
import type { Store } from '../storage/store.ts';
import { type Found, runFiles, type Source } from './source.ts';

const endOfRecord = `${mirrorPrefix}${runFiles.record}`;
/** What was asked for is asked for again after so long, and no sooner. */
const freshMs = 5000;
/** Of small files the bytes are kept. */
const mostKept = 1024 * 1024;

/** As it was when somebody last looked; without a version it was not there. */
interface Kept {
  readonly at: number;
  readonly version?: string;
  readonly length: number;
  readonly bytes?: Buffer;
}

export async function storeSource(url: string, now: () => number): Promise<Source> {
  const store = await openStore(url);
  return sourceOf(store, url, now);
}

export function sourceOf(store: Store, url: string, now: () => number): Source {
  const kept = new Map<string, Kept>();
  const keyOf = (id: string, name: string) => (id === '.' ? `${mirrorPrefix}${name}` : `${id}/${mirrorPrefix}${name}`);
  // The bytes of what has not changed do not travel again.
  const look = async (key: string): Promise<Kept> => {
    const before = kept.get(key);
    if (before && now() - before.at < freshMs) return before;
    const seen = await lookAgain(key, before);
    kept.set(key, seen);
    return seen;
  };
  const lookAgain = async (key: string, before: Kept | undefined): Promise<Kept> => {
    try {
      const there = before?.version === undefined ? await store.getVersioned(key) : await store.getIfChanged(key, before.version);
      if (!there) return { ...before!, at: now() };
      const { bytes, version } = there;
      return { at: now(), version, length: bytes.length, ...(bytes.length <= mostKept && { bytes }) };
    } catch (error) {
      if (!(error instanceof SegfleetError && error.code === 'notFound')) throw error;
      return { at: now(), length: 0 };
    }
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
      const { version, length } = await look(keyOf(id, name));
      // A log that has grown begins as before; `readFrom` begins anew where that cannot be told.
      return version === undefined ? undefined : { text: version, bytes: length, identity: '' };
    },
    read: async (id, name) => {
      const key = keyOf(id, name);
      const { version, bytes } = await look(key);
      return version === undefined ? undefined : (bytes ?? store.get(key));
    },
    readFrom: async (id, name, offset, length) => {
      const key = keyOf(id, name);
      const { bytes, length: end } = await look(key);
      const wanted = Math.min(length, end - offset);
      if (wanted <= 0) return Buffer.alloc(0);
      return bytes ? bytes.subarray(offset, offset + wanted) : store.getRange(key, offset, wanted);
    },
    isForsaken: async () => undefined,
  };
}
