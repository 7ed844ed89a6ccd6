/**
 * Decoded cases kept on disk, so that a second start reads bytes and decodes nothing: one file for each set of files and way of
 * decoding, in the cache folder of the user. A file that changed, or a cached byte that did, means that the case is decoded anew.
 */
import { createHash, hash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm, stat, statfs, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../engine/library.ts';
import { partialName, removeAbandoned } from '../storage/files.ts';
import type { Case } from './cases.ts';
import { decoderVersion, type Size } from './decode.ts';
import { isMember, memberDigest } from './shardIndex.ts';

/** A decoded case without its id. */
export interface CachedCase {
  /** [height, width, channels] */
  readonly image: Uint8Array;
  /** [height, width] */
  readonly labels: Uint8Array;
  /** [height, width]: 1 in the field of view, where the data set has one. */
  readonly fov?: Uint8Array;
  /** Of these three. */
  readonly size: Size;
  /** Of the files. */
  readonly original: Size;
  readonly digest: string;
}

interface Entry extends Pick<CachedCase, 'size' | 'original' | 'digest'> {
  readonly offset: number;
  /** Of image, labels and field of view (0 where there is none), which lie one behind the other. */
  readonly lengths: readonly [number, number, number];
  readonly sha256: string;
}

/** Smaller sets are decoded faster than anyone waits. */
const worthCaching = 16 * 2 ** 20;
/** All files of the cache together; the least recently used go first. */
const allowedBytes = 8 * 2 ** 30;
/** Length of the table (8 bytes) and its SHA-256 in hexadecimal. */
const footBytes = 8 + 64;

export const decodedFolder = (): string => join(cacheFolder(), 'decoded');

/**
 * What the decoded bytes depend on: the files, known by path, size and the times of their last change of content and of anything (in
 * shards by their checksum), and how they are decoded.
 */
export async function cacheKey(cases: readonly Case[], how: Readonly<Record<string, unknown>>): Promise<string> {
  const sources = createHash('sha256').update(JSON.stringify([decoderVersion, how]));
  for (const { id, image, mask, fov } of cases) {
    const files = [image, mask, fov].map(async file => {
      if (file === undefined) return undefined;
      if (isMember(file)) return [await memberDigest(file)];
      const { size, mtimeNs, ctimeNs, ino } = await stat(file, { bigint: true });
      return [file, size, mtimeNs, ctimeNs, ino].map(String);
    });
    sources.update(JSON.stringify([id, await Promise.all(files)]));
  }
  return sources.digest('hex');
}

export class DecodedCache {
  readonly #file: string;
  readonly #entries: readonly Entry[];

  private constructor(file: string, entries: readonly Entry[]) {
    this.#file = file;
    this.#entries = entries;
  }

  /** @returns undefined where there is none, or none whose table of cases is sound */
  static async open(key: string, folder = decodedFolder()): Promise<DecodedCache | undefined> {
    const file = join(folder, key);
    try {
      const { size } = await stat(file);
      const foot = await readAt(file, size - footBytes, footBytes);
      const tableBytes = Number(foot.readBigUInt64LE(0));
      const table = await readAt(file, size - footBytes - tableBytes, tableBytes);
      if (hash('sha256', table) !== foot.toString('latin1', 8)) return undefined;
      await utimes(file, new Date(), new Date()); // used now: the last to be removed
      return new DecodedCache(file, JSON.parse(table.toString('utf8')));
    } catch {
      return undefined;
    }
  }

  /** @returns undefined where its bytes are not those that were written */
  async read(index: number): Promise<CachedCase | undefined> {
    const { offset, lengths, size, original, digest, sha256 } = this.#entries[index];
    const [image, labels, fov] = lengths;
    const bytes = await readAt(this.#file, offset, image + labels + fov).catch(() => undefined);
    if (!bytes || hash('sha256', bytes) !== sha256) return undefined;
    return {
      image: bytes.subarray(0, image),
      labels: bytes.subarray(image, image + labels),
      fov: fov > 0 ? bytes.subarray(image + labels) : undefined,
      size,
      original,
      digest,
    };
  }
}

/**
 * The cases one behind the other, a table of them, and at the end the length and the SHA-256 of the table. Written beside, then renamed.
 * What goes wrong (a full disk) is no error: the cases are there, only not kept.
 *
 * @returns whether they were kept
 */
export async function keepDecoded(key: string, cases: readonly CachedCase[], folder = decodedFolder()): Promise<boolean> {
  const partial = join(folder, partialName(key));
  try {
    await mkdir(folder, { recursive: true });
    await removeAbandoned(folder);
    if (!(await hasRoom(folder, bytesOf(cases)))) return false;
    const handle = await open(partial, 'w');
    try {
      const entries: Entry[] = [];
      let offset = 0;
      for (const { image, labels, fov = new Uint8Array(0), size, original, digest } of cases) {
        const bytes = Buffer.concat([image, labels, fov]);
        const lengths = [image.length, labels.length, fov.length] as const;
        entries.push({ offset, lengths, size, original, digest, sha256: hash('sha256', bytes) });
        await handle.writeFile(bytes);
        offset += bytes.length;
      }
      const table = Buffer.from(JSON.stringify(entries));
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(table.length));
      await handle.writeFile(Buffer.concat([table, length, Buffer.from(hash('sha256', table), 'latin1')]));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, join(folder, key));
    await removeOld(folder);
    return true;
  } catch {
    await rm(partial, { force: true }).catch(() => {});
    return false;
  }
}

/** The decoded cases of an earlier run over the same files, read one by one, and written where some were missing. */
export class KeptCases {
  readonly #folder: string | undefined;
  readonly #key: Promise<string | undefined>;
  readonly #cache: Promise<DecodedCache | undefined>;
  #missing = false;

  constructor(cases: readonly Case[], how: Readonly<Record<string, unknown>>, folder?: string) {
    this.#folder = folder;
    this.#key = cacheKey(cases, how).catch(() => undefined); // a file that is not there: decoding says so
    this.#cache = this.#key.then(key => (key === undefined ? undefined : DecodedCache.open(key, folder)));
  }

  async read(index: number): Promise<CachedCase | undefined> {
    const found = await (await this.#cache)?.read(index);
    this.#missing ||= found === undefined;
    return found;
  }

  async keep(cases: readonly CachedCase[]): Promise<void> {
    const key = await this.#key;
    const isWorth = this.#folder !== undefined || bytesOf(cases) >= worthCaching;
    if (key !== undefined && this.#missing && isWorth) await keepDecoded(key, cases, this.#folder);
  }
}

/** Of decoded images and masks. */
export const bytesOf = (cases: readonly CachedCase[]): number =>
  cases.reduce((sum, { image, labels, fov }) => sum + image.length + labels.length + (fov?.length ?? 0), 0);

/** A cache that fills the disk harms more than it helps. */
async function hasRoom(folder: string, bytes: number): Promise<boolean> {
  const { bavail, bsize } = await statfs(folder);
  return bytes < allowedBytes && bytes < (bavail * bsize) / 2;
}

async function removeOld(folder: string): Promise<void> {
  const files = await Promise.all(
    (await readdir(folder)).map(async name => ({ file: join(folder, name), ...(await stat(join(folder, name))) })),
  );
  let total = 0;
  for (const { file, size } of files.sort((a, b) => b.mtimeMs - a.mtimeMs)) {
    total += size;
    if (total > allowedBytes) await rm(file, { force: true });
  }
}

async function readAt(file: string, offset: number, length: number): Promise<Buffer> {
  const handle = await open(file);
  try {
    const bytes = Buffer.allocUnsafeSlow(length);
    const { bytesRead } = await handle.read(bytes, 0, length, offset);
    if (bytesRead < length) throw new Error('it ends too early');
    return bytes;
  } finally {
    await handle.close();
  }
}
