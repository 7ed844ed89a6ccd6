/**
 * A folder as a store: a key is the path of a file. Writers of the same file exclude each other by a lock of the kernel, which ends
 * with the process that holds it, so that a killed writer leaves nothing that a later one must clear away.
 */
import { hash, randomUUID } from 'node:crypto';
import { type FileHandle, link, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { writeAtomically } from './files.ts';
import { tryFlock } from './flock.ts';
import { checkKey, type Store, type StoreOptions } from './store.ts';

/** A lock is held for as long as a small file takes to read and to write. */
const lockDeadlineMs = 30_000;
const lockPollMs = 5;

export function fileStore(path: string): Store {
  const folder = resolve(path);
  const attempt = async <T>(key: string, { signal }: StoreOptions, work: (file: string) => Promise<T>): Promise<T> => {
    checkKey(key);
    signal?.throwIfAborted();
    const file = join(folder, key);
    try {
      return await work(file);
    } catch (error) {
      throw fromSystemError(error, file);
    }
  };
  return {
    url: `file:${folder}`,
    get: (key, options = {}) => attempt(key, options, file => readFile(file, options)),
    getVersioned: (key, options = {}) =>
      attempt(key, options, async file => {
        const bytes = await readFile(file, options);
        return { bytes, version: versionOf(bytes) };
      }),
    stat: (key, options = {}) =>
      attempt(key, options, async file => {
        const bytes = await readFile(file, options);
        return { version: versionOf(bytes), length: bytes.length };
      }),
    getRange: (key, offset, length, options = {}) =>
      attempt(key, options, async file => {
        const handle = await open(file);
        try {
          const bytes = Buffer.alloc(length);
          const { bytesRead } = await handle.read(bytes, 0, length, offset);
          if (bytesRead === length) return bytes;
          throw new SegfleetError('integrity', `${file} ends before byte ${offset + length}; it was cut short`);
        } finally {
          await handle.close();
        }
      }),
    put: (key, bytes, options = {}) => attempt(key, options, file => writeAtomically(file, bytes)),
    putIfAbsent: (key, bytes, options = {}) =>
      attempt(key, options, async file => {
        const temporary = join(dirname(file), `.${randomUUID()}.partial`);
        await mkdir(dirname(file), { recursive: true });
        try {
          await writeFile(temporary, bytes, { flush: true });
          await link(temporary, file); // fails where the name is taken, unlike a rename
          return true;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
          throw error;
        } finally {
          await rm(temporary, { force: true });
        }
      }),
    putIfMatch: (key, bytes, version, options = {}) =>
      attempt(key, options, file =>
        locked(folder, options.signal, async () => {
          const there = await readFile(file).catch((error: NodeJS.ErrnoException) => {
            if (error.code === 'ENOENT') return undefined;
            throw error;
          });
          if (there === undefined || versionOf(there) !== version) return false;
          await writeAtomically(file, bytes);
          return true;
        }),
      ),
    list: async (prefix = '', { signal } = {}) => {
      signal?.throwIfAborted();
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(error => {
        if (error.code === 'ENOENT') return [];
        throw fromSystemError(error, folder);
      });
      return entries
        .filter(entry => entry.isFile())
        .map(entry => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
        .filter(key => key.startsWith(prefix) && !/(^|\/)\./.test(key))
        .sort();
    },
    delete: (key, options = {}) => attempt(key, options, file => rm(file, { force: true })),
  };
}

const versionOf = (bytes: Uint8Array) => hash('sha256', bytes);

/** Runs `work` while no other process, and no other call of this one, holds the lock of the folder. */
async function locked<T>(folder: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
  await mkdir(folder, { recursive: true });
  const handle = await open(join(folder, '.lock'), 'a');
  try {
    await lock(handle, folder, signal);
    return await work();
  } finally {
    await handle.close(); // gives the lock back
  }
}

async function lock(handle: FileHandle, folder: string, signal: AbortSignal | undefined): Promise<void> {
  for (const end = performance.now() + lockDeadlineMs; !(await tryFlock(handle, folder)); ) {
    if (performance.now() > end) {
      throw new SegfleetError(
        'unavailable',
        `${folder}: another process has held .lock for ${lockDeadlineMs / 1000} s; end it and try again`,
      );
    }
    await wait(lockPollMs, undefined, { signal });
  }
}
