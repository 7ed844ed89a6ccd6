/**
 * Where data sets and checkpoints lie: bytes under keys, behind one small interface, so that a folder and a bucket are the same to
 * whoever reads and writes.
 */
import { SegfleetError } from '../errors.ts';

export interface StoreOptions {
  /** Ends the wait; the call then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Bytes, and by which `putIfMatch` knows them again. */
export interface Versioned {
  readonly bytes: Buffer;
  readonly version: string;
}

export interface Stat extends Pick<Versioned, 'version'> {
  /** How many bytes there are. */
  readonly length: number;
}

/**
 * All throw notAllowed, unavailable (after retries) and resources besides what is said at each.
 *
 * Keys that are written under a condition are to be written under one by everybody.
 */
export interface Store {
  readonly url: string;
  /** @throws notFound */
  get(key: string, options?: StoreOptions): Promise<Buffer>;
  /** @throws notFound */
  getVersioned(key: string, options?: StoreOptions): Promise<Versioned>;
  /** What is there, without its bytes. @throws notFound */
  stat(key: string, options?: StoreOptions): Promise<Stat>;
  /** @throws notFound; integrity: where the object ends before the range does */
  getRange(key: string, offset: number, length: number, options?: StoreOptions): Promise<Buffer>;
  /** Replaces what is there: readers see the old bytes or the new ones. */
  put(key: string, bytes: Uint8Array, options?: StoreOptions): Promise<void>;
  /** Whether it was written: false where something is there already, which stays as it is. Of several writers one wins. */
  putIfAbsent(key: string, bytes: Uint8Array, options?: StoreOptions): Promise<boolean>;
  /** Whether it was written: false where something else than `version` is there, or nothing. Of several writers one wins. */
  putIfMatch(key: string, bytes: Uint8Array, version: string, options?: StoreOptions): Promise<boolean>;
  /** Keys that begin with the prefix, in ascending order. */
  list(prefix?: string, options?: StoreOptions): Promise<string[]>;
  /** Nothing happens where nothing is there. */
  delete(key: string, options?: StoreOptions): Promise<void>;
}

/** Of what need not be there. @returns undefined where the store throws notFound */
export const ifThere = <T>(asked: Promise<T>): Promise<T | undefined> =>
  asked.catch((error: unknown) => {
    if (error instanceof SegfleetError && error.code === 'notFound') return undefined;
    throw error;
  });

/** Names joined by "/". Those that begin with a dot are the store's own; the others mean the same in a folder and in a bucket. */
export function checkKey(key: string): void {
  if (key.split('/').every(name => name !== '' && !name.startsWith('.')) && !/[\\\p{Cc}]/u.test(key)) return;
  throw new SegfleetError('bug', `${JSON.stringify(key)} is not a key of a store: names that do not begin with a dot, joined by "/"`);
}
