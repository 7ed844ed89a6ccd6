/**
 * Runs and sweeps below a folder, which come, grow and go while it is looked at.
 */
import { existsSync, statSync } from 'node:fs';
import { open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import type { Found, Source } from './source.ts';

/** Folders in a folder that are looked into. */
const deepest = 6;
/** What runs and sweeps keep for themselves, and what is never theirs. */
const passedOver = new Set(['forks', 'earlier', 'node_modules']);

/** @throws notFound, usage: it is not a folder */
export function folderSource(path: string): Source {
  if (!existsSync(path)) {
    throw new SegfleetError('notFound', `there is no folder ${path}; name the one that holds your runs, such as runs, or train first`);
  }
  if (!statSync(path).isDirectory())
    throw new SegfleetError('usage', `${path} is a file; name the folder that holds your runs, such as runs`);
  const at = (id: string, name = '') => join(path, id, ...name.split('/'));
  return {
    place: path,
    folder: path,
    pathOf: id => join(path, id),
    find: () => foundIn(path, '.', deepest),
    stamp: async (id, name) => {
      const found = await stat(at(id, name)).catch(() => undefined);
      if (!found?.isFile()) return undefined;
      const { ino, size, mtimeMs } = found;
      return { text: `${ino} ${size} ${mtimeMs}`, bytes: size, changedAt: mtimeMs, identity: String(ino) };
    },
    read: (id, name) => readFile(at(id, name)).catch(() => undefined),
    readFrom: async (id, name, offset, length) => {
      const handle = await open(at(id, name)).catch(() => undefined);
      if (!handle) return Buffer.alloc(0);
      try {
        const bytes = Buffer.alloc(length);
        const { bytesRead } = await handle.read(bytes, 0, length, offset);
        return bytes.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    },
    isForsaken: async id => {
      const holder = (await readFile(at(id, '.lock'), 'utf8').catch(() => '')).split(' ')[0];
      return holder === '' ? undefined : !existsSync(`/proc/${holder}`);
    },
  };
}

/** Folders that cannot be read, or are gone by now, hold nothing. */
async function foundIn(root: string, id: string, depth: number): Promise<Found[]> {
  const entries = await readdir(join(root, id), { withFileTypes: true }).catch(() => []);
  const has = (name: string) => entries.some(entry => entry.name === name);
  // A run that was begun has its log before its record, for a moment.
  if (has('run.json') || (has('metrics.ndjson') && has('job.yaml'))) return [{ id, kind: 'run' }];
  const own: Found[] = has('journal.ndjson') ? [{ id, kind: 'sweep' }] : [];
  if (depth === 0) return own;
  const folders = entries.filter(entry => entry.isDirectory() && !entry.name.startsWith('.') && !passedOver.has(entry.name));
  const inside = await Promise.all(folders.map(({ name }) => foundIn(root, id === '.' ? name : `${id}/${name}`, depth - 1)));
  return [...own, ...inside.flat()];
}
