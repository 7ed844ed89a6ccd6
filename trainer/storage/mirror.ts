/**
 * A copy of a run folder in the store of its checkpoints, below `run/`, for a coordinator whose disk goes with its machine. Checkpoints
 * are not in it, they are in the store already.
 *
 * `run.json` is written last: where it is, the rest is. Every write is conditional on what this process has seen there last, and is
 * made only after a look whether the checkpoints are still its own to write: so a coordinator that stood still for a while and has
 * been replaced overwrites nothing of its successor's.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { writeAtomically } from './files.ts';
import type { RunFolder } from './runFolder.ts';
import { ifThere, type Store, type StoreOptions, type Versioned } from './store.ts';

export const mirrorPrefix = 'run/';

/** As a file was when it was last the same here and there. */
interface Known {
  readonly stamp: string;
  readonly version: string;
}

/** How often somebody else may come between a look and a write. */
const attempts = 4;

export class Mirror {
  readonly #store: Store;
  readonly #folder: RunFolder;
  readonly #known = new Map<string, Known>();

  constructor(store: Store, folder: RunFolder) {
    this.#store = store;
    this.#folder = folder;
  }

  get url(): string {
    return `${this.#store.url}/${mirrorPrefix.slice(0, -1)}`;
  }

  /** The record of the run that is there; undefined where there is none, or not yet the whole of it. */
  async readRecord<T>(options: StoreOptions = {}): Promise<T | undefined> {
    const found = await this.#look(this.#keyOf(this.#folder.record), options);
    if (!found) return undefined;
    try {
      return JSON.parse(found.bytes.toString()) as T;
    } catch (cause) {
      throw new SegfleetError('integrity', `${this.url}/run.json is not JSON; restore it, or name another place in checkpoint.url`, {
        cause,
      });
    }
  }

  /** Writes into the folder what is in the store, the record last. */
  async fill(options: StoreOptions = {}): Promise<void> {
    const record = this.#keyOf(this.#folder.record);
    const keys = (await this.#store.list(mirrorPrefix, options)).filter(key => this.#isMirrored(key) && key !== record);
    for (const key of [...keys, record]) {
      const { bytes, version } = await this.#store.getVersioned(key, options);
      const file = this.#fileOf(key);
      await writeAtomically(file, bytes);
      this.#known.set(key, { stamp: await stampOf(file), version });
    }
  }

  /** Copies what has changed, the record last. @param check throws where another process has taken the run over */
  async write(check: () => Promise<unknown>, options: StoreOptions = {}): Promise<void> {
    for (const file of await this.#files()) await this.#copy(file, check, options);
    await this.writeRecord(check, options);
  }

  async writeRecord(check: () => Promise<unknown>, options: StoreOptions = {}): Promise<void> {
    await this.#copy(this.#folder.record, check, options);
  }

  async #copy(file: string, check: () => Promise<unknown>, options: StoreOptions): Promise<void> {
    const key = this.#keyOf(file);
    const stamp = await stampOf(file);
    const known = this.#known.get(key);
    if (known?.stamp === stamp) return;
    const bytes = await readFile(file).catch(error => {
      throw fromSystemError(error, file);
    });
    let version = known?.version ?? (await this.#look(key, options))?.version;
    for (let attempt = 1; ; attempt++) {
      await check();
      const isWritten = await (version === undefined
        ? this.#store.putIfAbsent(key, bytes, options)
        : this.#store.putIfMatch(key, bytes, version, options));
      const there = await this.#look(key, options);
      if (there && Buffer.compare(there.bytes, bytes) === 0) {
        this.#known.set(key, { stamp, version: there.version });
        return;
      }
      if (attempt === attempts) {
        const why = isWritten ? 'gives back other bytes than it was given' : 'is being written by another process';
        throw new SegfleetError(
          isWritten ? 'integrity' : 'conflict',
          `${this.#store.url}/${key} ${why}; only one coordinator may write there`,
        );
      }
      version = there?.version;
    }
  }

  #look(key: string, options: StoreOptions): Promise<Versioned | undefined> {
    return ifThere(this.#store.getVersioned(key, options));
  }

  /** All but the record that there are now. */
  async #files(): Promise<string[]> {
    const { path, folders } = this.#folder;
    const files = this.#folder.files.filter(file => existsSync(file));
    for (const folder of folders) {
      const entries = existsSync(folder) ? await readdir(folder, { recursive: true, withFileTypes: true }) : [];
      files.push(...entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name)));
    }
    return files.filter(file => !relative(path, file).split(sep).some(isHidden)).sort();
  }

  #isMirrored(key: string): boolean {
    const file = this.#fileOf(key);
    const { record, files, folders } = this.#folder;
    return [record, ...files].includes(file) || folders.some(folder => file.startsWith(`${folder}${sep}`));
  }

  #keyOf(file: string): string {
    return `${mirrorPrefix}${relative(this.#folder.path, file).split(sep).join('/')}`;
  }

  #fileOf(key: string): string {
    return join(this.#folder.path, key.slice(mirrorPrefix.length));
  }
}

/** What is being written. */
const isHidden = (name: string): boolean => name.startsWith('.');

/** Files are replaced by renaming, or grow. */
async function stampOf(file: string): Promise<string> {
  const { ino, size, mtimeMs } = await stat(file).catch(error => {
    throw fromSystemError(error, file);
  });
  return `${ino} ${size} ${mtimeMs}`;
}
