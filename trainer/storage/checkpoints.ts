/**
 * Checkpoints of a run in a store. Chunks are written and read back first, then the manifest that names them, then the pointer; what is
 * older goes last. So at every moment the newest manifest whose every chunk verifies is a whole checkpoint, whatever was cut off.
 *
 * One writer at a time: whoever takes the store over raises the term in the pointer, and an earlier writer finds that out at its next
 * move of the pointer, before it deletes anything.
 */
import { SegfleetError } from '../errors.ts';
import {
  type Chunk,
  chunkKey,
  chunkPrefix,
  decodeManifest,
  decodePointer,
  digestOf,
  encodeManifest,
  encodePointer,
  type Manifest,
  type ManifestContents,
  manifestKey,
  manifestPrefix,
  type Pointer,
  planChunks,
  planRetention,
  pointerKey,
  type Retention,
  termOf,
} from './manifest.ts';
import { decodeSafetensors, encodeSafetensors, type Tensors } from './safetensors.ts';
import { ifThere, type Store, type StoreOptions } from './store.ts';

export interface CheckpointOptions {
  /** Of the run; a store holds the checkpoints of one. */
  readonly run: string;
  readonly keep: Retention;
  /** Of a chunk at most, unless one tensor alone is larger. @default 16 MiB */
  readonly chunkBytes?: number;
  readonly now?: () => Date;
}

/** What the next step depends on. */
export interface Snapshot {
  readonly state: Tensors;
  readonly step: number;
  readonly score?: number;
  readonly position: Manifest['position'];
}

export const defaultChunkBytes = 16 * 2 ** 20;
/** Chunks that are on their way at once. */
const numTransfers = 4;

export class Checkpoints {
  readonly #store: Store;
  readonly #options: CheckpointOptions;
  readonly #term: number;

  private constructor(store: Store, options: CheckpointOptions, term: number) {
    this.#store = store;
    this.#options = options;
    this.#term = term;
  }

  /** Takes the store over for writing; whoever wrote there before can write no more. @throws conflict: it holds another run */
  static async claim(store: Store, options: CheckpointOptions, { signal }: StoreOptions = {}): Promise<Checkpoints> {
    for (;;) {
      const there = await readPointer(store, signal);
      const known = await store.list(manifestPrefix, { signal });
      if (there?.pointer && there.pointer.run !== options.run) {
        throw new SegfleetError(
          'conflict',
          `${store.url} holds the checkpoints of the run ${there.pointer.run}, and this one is ${options.run}; name another place`,
        );
      }
      const term = Math.max(there?.pointer?.term ?? 0, ...known.map(termOf)) + 1;
      const claimed = encodePointer({ run: options.run, term, manifest: there?.pointer?.manifest ?? null });
      const isOurs = there
        ? await store.putIfMatch(pointerKey, claimed, there.version, { signal })
        : await store.putIfAbsent(pointerKey, claimed, { signal });
      if (isOurs) return new Checkpoints(store, options, term);
    }
  }

  get term(): number {
    return this.#term;
  }

  /** @throws conflict: another writer has taken over */
  async check(options: StoreOptions = {}): Promise<void> {
    await this.#checkTerm(options);
  }

  /** The same writer under the next term: a second checkpoint of a step then has a name of its own. @throws conflict: another has taken over */
  async renew(options: StoreOptions = {}): Promise<Checkpoints> {
    const { version, manifest } = await this.#checkTerm(options);
    const term = this.#term + 1;
    const renewed = encodePointer({ run: this.#options.run, term, manifest });
    if (!(await this.#store.putIfMatch(pointerKey, renewed, version, options))) throw this.#conflict('has moved latest.json');
    return new Checkpoints(this.#store, this.#options, term);
  }

  /**
   * Writes a checkpoint; one at a time. When this returns it was read back, and older ones that are not kept are gone.
   *
   * @throws conflict: another writer has taken over; integrity: the store gives back other bytes than it was given; unavailable. After
   * these the checkpoint before is still there.
   */
  async save({ state, ...rest }: Snapshot, options: StoreOptions = {}): Promise<Manifest> {
    await this.#checkTerm(options);
    const plan = planChunks(state, this.#options.chunkBytes ?? defaultChunkBytes);
    return this.commit({ ...rest, chunks: await writeChunks(this.#store, state, plan, options) }, options);
  }

  /** The second half of `save`, where the chunks have been written, and read back, by others. */
  async commit(written: Pick<ManifestContents, 'step' | 'score' | 'position' | 'chunks'>, options: StoreOptions = {}): Promise<Manifest> {
    const { run, now = () => new Date() } = this.#options;
    await this.#checkTerm(options);
    const contents = { run, term: this.#term, ...written, written: now().toISOString() };
    const key = manifestKey(contents);
    const isFirst = await this.#store.putIfAbsent(key, encodeManifest(contents), options);
    const manifest = await readManifest(this.#store, key, options);
    // One that was written before, by a call whose answer was lost, differs in its time alone.
    if (!isFirst && !isSame(manifest, contents)) throw this.#conflict(`has written ${key}`);
    await this.#movePointer(key, options);
    await this.#prune(key, options);
    return manifest;
  }

  async #checkTerm({ signal }: StoreOptions): Promise<{ version: string; manifest: string | null }> {
    const there = await readPointer(this.#store, signal);
    if (there?.pointer?.term !== this.#term) throw this.#conflict(`has taken it over (term ${there?.pointer?.term ?? 'unknown'})`);
    return { version: there.version, manifest: there.pointer.manifest };
  }

  async #movePointer(manifest: string, options: StoreOptions): Promise<void> {
    const { version } = await this.#checkTerm(options);
    const moved = encodePointer({ run: this.#options.run, term: this.#term, manifest });
    if (!(await this.#store.putIfMatch(pointerKey, moved, version, options))) throw this.#conflict('has moved latest.json');
  }

  /** What cannot be deleted now is at the next checkpoint: this one is done. */
  async #prune(newest: string, options: StoreOptions): Promise<void> {
    try {
      const { drop, keep } = await planPruning(this.#store, this.#options.keep, options, newest);
      for (const key of drop) await this.#store.delete(key, options);
      const used = new Set(keep.flatMap(({ chunks }) => chunks.map(({ sha256 }) => chunkKey(sha256))));
      const unused = (await this.#store.list(chunkPrefix, options)).filter(key => !used.has(key));
      await this.#checkTerm(options);
      for (const key of unused) await this.#store.delete(key, options);
    } catch (error) {
      if (!(error instanceof SegfleetError) || error.code !== 'unavailable') throw error;
    }
  }

  #conflict(what: string): SegfleetError {
    return new SegfleetError(
      'conflict',
      `${this.#store.url}: another writer ${what}, and this one (term ${this.#term}) stops; only one may write`,
    );
  }
}

function isSame(there: Manifest, ours: Omit<ManifestContents, 'written'>): boolean {
  const plain = ({ run, term, step, score, position, chunks }: Omit<ManifestContents, 'written'>) =>
    JSON.stringify([run, term, step, score, position, chunks]);
  return plain(there) === plain(ours);
}

/**
 * Writes the chunks of the plan (of a worker: its share of it) that the store does not have, and reads all of them back.
 *
 * @throws integrity: where even a second write is read back as something else
 */
export async function writeChunks(
  store: Store,
  state: Tensors,
  plan: readonly (readonly string[])[],
  options: StoreOptions = {},
): Promise<Chunk[]> {
  return inParallel(plan, async tensors => {
    const bytes = encodeSafetensors(new Map(tensors.map(name => [name, state.get(name)!])));
    const chunk = { sha256: digestOf(bytes), bytes: bytes.length, tensors: [...tensors] };
    for (let attempt = 0; ; attempt++) {
      const problem = await readChunk(store, chunk, options).then(
        () => undefined,
        error => error,
      );
      if (problem === undefined) return chunk;
      if (!isUnsound(problem) || attempt === 2) throw problem;
      await store.put(chunkKey(chunk.sha256), bytes, options);
    }
  });
}

export interface Restored {
  readonly key: string;
  readonly manifest: Manifest;
  readonly state: Tensors;
  /** Why newer ones were not taken. */
  readonly passedOver: readonly string[];
}

/**
 * The newest checkpoint whose every chunk verifies; undefined where there is none at all.
 *
 * @throws integrity: there are some, and none verifies
 */
export async function restore(store: Store, options: StoreOptions = {}): Promise<Restored | undefined> {
  for (let before: string | undefined; ; ) {
    const keys = await manifestKeys(store, options);
    if (keys.length === 0) return undefined;
    const passedOver: string[] = [];
    for (const key of keys.toReversed()) {
      try {
        const manifest = await readManifest(store, key, options);
        return { key, manifest, state: await readState(store, manifest, options), passedOver };
      } catch (error) {
        if (!isUnsound(error)) throw error;
        passedOver.push((error as SegfleetError).message);
      }
    }
    // Deleted while they were read, by a writer that has made others meanwhile?
    if (keys.join() === before) {
      throw new SegfleetError('integrity', `${store.url}: no checkpoint of ${keys.length} is whole: ${passedOver.join('; ')}`, {
        details: { passedOver },
      });
    }
    before = keys.join();
  }
}

/** Keys of manifests, the newest last. A listing may lag behind: the pointer knows the newest one all the same. */
export async function manifestKeys(store: Store, options: StoreOptions = {}): Promise<string[]> {
  const listed = await store.list(manifestPrefix, options);
  const pointed = (await readPointer(store, options.signal))?.pointer?.manifest;
  return [...new Set([...listed, ...(pointed ? [pointed] : [])])].sort();
}

/** @throws notFound, integrity; usage: of a later version of segfleet */
export async function readManifest(store: Store, key: string, options: StoreOptions = {}): Promise<Manifest> {
  const source = `${store.url}/${key}`;
  const manifest = decodeManifest(await store.get(key, options), source);
  if (manifestKey(manifest) === key) return manifest;
  throw new SegfleetError('integrity', `${source} is damaged: it is the manifest of ${manifestKey(manifest)}`);
}

/** @throws notFound, integrity: by the name of the chunk */
export async function readState(store: Store, { chunks }: Pick<Manifest, 'chunks'>, options: StoreOptions = {}): Promise<Tensors> {
  const parts = await inParallel(chunks, chunk => readChunk(store, chunk, options));
  return new Map(parts.flatMap(tensors => [...tensors]));
}

/** @throws notFound, integrity */
export async function readChunk(store: Store, { sha256, bytes, tensors }: Chunk, options: StoreOptions = {}): Promise<Tensors> {
  const key = chunkKey(sha256);
  const source = `${store.url}/${key}`;
  const found = await store.get(key, options);
  if (found.length !== bytes || digestOf(found) !== sha256) {
    throw new SegfleetError('integrity', `${source} is damaged: its ${found.length} bytes do not have the checksum that names it`);
  }
  const decoded = decodeSafetensors(found, source).tensors;
  if (decoded.size === tensors.length && tensors.every(name => decoded.has(name))) return decoded;
  throw new SegfleetError('integrity', `${source} does not hold the tensors that the manifest says`);
}

/** True of what is missing or damaged, unlike what could not be asked for. */
export const isUnsound = (error: unknown): boolean =>
  error instanceof SegfleetError && (error.code === 'integrity' || error.code === 'notFound');

/**
 * What retention keeps, and the keys of the manifests that it does not; among these the damaged ones.
 *
 * @param newest stays in any case
 */
export async function planPruning(
  store: Store,
  keep: Retention,
  options: StoreOptions = {},
  newest?: string,
): Promise<{ keep: Manifest[]; drop: string[]; dropped: Manifest[] }> {
  const keys = await manifestKeys(store, options);
  const read = await inParallel(keys, key =>
    readManifest(store, key, options).catch(error => {
      if (isUnsound(error)) return key;
      throw error;
    }),
  );
  const damaged = read.filter(one => typeof one === 'string');
  const plan = planRetention(
    read.filter(one => typeof one !== 'string'),
    keep,
  );
  const isNewest = (manifest: Manifest) => manifestKey(manifest) === newest;
  const dropped = plan.drop.filter(one => !isNewest(one));
  return { keep: [...plan.keep, ...plan.drop.filter(isNewest)], drop: [...dropped.map(manifestKey), ...damaged], dropped };
}

/** A pointer that is damaged is there, and says nothing. */
async function readPointer(store: Store, signal: AbortSignal | undefined): Promise<{ pointer?: Pointer; version: string } | undefined> {
  const found = await ifThere(store.getVersioned(pointerKey, { signal }));
  if (!found) return undefined;
  try {
    return { pointer: decodePointer(found.bytes, `${store.url}/${pointerKey}`), version: found.version };
  } catch {
    return { version: found.version };
  }
}

async function inParallel<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const worker = async () => {
    for (const [i, item] of queue) results[i] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(numTransfers, items.length) }, worker));
  return results;
}
