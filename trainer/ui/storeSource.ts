/**
 * Copies of run folders in a store, as a coordinator keeps them with --mirror: below `run/`, beside the checkpoints of the run.
 */
import type { SegfleetError } from '../errors.ts';
import { mirrorPrefix } from '../storage/mirror.ts';
import { openStore } from '../storage/openStore.ts';
import { ifThere, type Stat, type Store } from '../storage/store.ts';
import { type Found, runFiles, type Source } from './source.ts';

const endOfRecord = `${mirrorPrefix}${runFiles.record}`;
/** What was asked for is asked for again after so long, and no sooner. */
const freshMs = 5000;
/** Of small files the bytes are kept. */
const mostKept = 1024 * 1024;

/** As it was when somebody last looked. */
interface Seen {
  readonly at: number;
  /** Undefined where it was not there. */
  readonly stat?: Stat;
  /** Of that version. */
  readonly bytes?: Buffer;
}

export async function storeSource(url: string, now: () => number): Promise<Source> {
  const store = await openStore(url);
  return sourceOf(store, url, now);
}

export function sourceOf(store: Store, url: string, now: () => number): Source {
  const seen = new Map<string, Seen>();
  const keyOf = (id: string, name: string) => (id === '.' ? `${mirrorPrefix}${name}` : `${id}/${mirrorPrefix}${name}`);
  const look = async (key: string): Promise<Seen> => {
    const before = seen.get(key);
    if (before && now() - before.at < freshMs) return before;
    const stat = await ifThere(store.stat(key));
    const bytes = stat && stat.version === before?.stat?.version ? before.bytes : undefined;
    const found = { at: now(), stat, bytes };
    seen.set(key, found);
    return found;
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
      const { stat } = await look(keyOf(id, name));
      // A log that has grown begins as before; `readFrom` begins anew where that cannot be told.
      return stat && { text: stat.version, bytes: stat.length, identity: '' };
    },
    read: async (id, name) => {
      const key = keyOf(id, name);
      const { stat, bytes } = await look(key);
      if (!stat || bytes) return bytes;
      const there = await ifThere(store.getVersioned(key));
      if (there && there.bytes.length <= mostKept) {
        seen.set(key, { at: now(), stat: { version: there.version, length: there.bytes.length }, bytes: there.bytes });
      }
      return there?.bytes;
    },
    readFrom: async (id, name, offset, length) => {
      const key = keyOf(id, name);
      const { stat } = await look(key);
      const wanted = Math.min(length, (stat?.length ?? 0) - offset);
      if (wanted <= 0) return Buffer.alloc(0);
      return store.getRange(key, offset, wanted).catch((error: SegfleetError) => {
        if (error.code !== 'integrity' && error.code !== 'notFound') throw error;
        // It was replaced by a shorter one, or is gone: it is looked at anew.
        seen.delete(key);
        return Buffer.alloc(0);
      });
    },
    isForsaken: async () => undefined,
  };
}
