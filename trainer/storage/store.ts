/**
 * Where data sets and checkpoints lie: bytes under keys, behind one small interface, so that a folder and a bucket are the same to
 * whoever reads and writes.
 */
import { randomUUID } from 'node:crypto';
import { link, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { writeAtomically } from './files.ts';

export interface Store {
  readonly url: string;
  /** @throws notFound */
  get(key: string): Promise<Buffer>;
  /** @throws notFound; integrity: where the object ends before the range does */
  getRange(key: string, offset: number, length: number): Promise<Buffer>;
  /** Replaces what is there: readers see the old bytes or the new ones. */
  put(key: string, bytes: Uint8Array): Promise<void>;
  /** Whether it was written: false where something is there already, which stays as it is. Of several writers one wins. */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<boolean>;
  /** Keys that begin with the prefix, in ascending order. */
  list(prefix?: string): Promise<string[]>;
  /** Nothing happens where nothing is there. */
  delete(key: string): Promise<void>;
}

/** @param url `file:` with an absolute or relative path, or a plain path */
export function openStore(url: string): Store {
  const [, scheme] = /^([a-z][a-z0-9+.-]+):/i.exec(url) ?? [];
  if (scheme === undefined) return fileStore(url);
  if (scheme.toLowerCase() === 'file') return fileStore(url.startsWith('file:///') ? fileURLToPath(url) : url.slice('file:'.length));
  if (scheme.toLowerCase() === 's3') {
    throw new SegfleetError('usage', `${url}: storage in S3 is not built yet; write to file:<folder> and copy the folder to the bucket`);
  }
  throw new SegfleetError('usage', `${url}: there is no storage ${scheme}:; give file:<folder>`);
}

function fileStore(path: string): Store {
  const folder = resolve(path);
  const fileOf = (key: string) => {
    const file = resolve(folder, key);
    if (key === '' || !file.startsWith(folder + sep))
      throw new SegfleetError('bug', `the key ${JSON.stringify(key)} leads out of the store`);
    return file;
  };
  const attempt = async <T>(key: string, work: (file: string) => Promise<T>): Promise<T> => {
    const file = fileOf(key);
    try {
      return await work(file);
    } catch (error) {
      throw fromSystemError(error, file);
    }
  };
  return {
    url: `file:${folder}`,
    get: key => attempt(key, file => readFile(file)),
    getRange: (key, offset, length) =>
      attempt(key, async file => {
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
    put: (key, bytes) => attempt(key, file => writeAtomically(file, bytes)),
    putIfAbsent: (key, bytes) =>
      attempt(key, async file => {
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
    list: async (prefix = '') => {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(error => {
        if (error.code === 'ENOENT') return [];
        throw fromSystemError(error, folder);
      });
      return entries
        .filter(entry => entry.isFile() && !entry.name.endsWith('.partial'))
        .map(entry => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
        .filter(key => key.startsWith(prefix))
        .sort();
    },
    delete: key => attempt(key, file => rm(file, { force: true })),
  };
}
