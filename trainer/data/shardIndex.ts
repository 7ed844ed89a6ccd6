/**
 * The index of a sharded data set, and the members that it names, read where they lie: in a folder or a bucket, each alone and verified.
 * A member is named `<url of the set>/<shard>#<name>`, which stands wherever the path of a file may.
 */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { SegfleetError } from '../errors.ts';
import { openStore, schemeOf } from '../storage/openStore.ts';
import type { Store } from '../storage/store.ts';
import { limits } from './sources/members.ts';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const bytes = z.int().nonnegative();
const role = z.enum(['image', 'mask', 'fov', 'meta']);
const member = z.strictObject({
  name: z.string().regex(/^[^#/]+$/),
  id: z.string(),
  role,
  /** Of the first byte of the file itself, behind its header. */
  offset: bytes,
  length: bytes.max(limits.memberBytes),
  sha256,
  /** Of the case; they stand at its `meta`. */
  part: z.string().optional(),
  group: z.string().optional(),
});
const shard = z.strictObject({ key: z.string().regex(/^[^#/]+$/), bytes, sha256, members: z.array(member) });
const schema = z.strictObject({
  schema: z.literal('segfleet/shards/1'),
  cases: z.int(),
  /** Digest of the labelled cases, as runs record it. */
  data: sha256,
  shards: z.array(shard),
});

export type Role = z.infer<typeof role>;
export type ShardMember = Readonly<z.infer<typeof member>>;
export type Shard = Readonly<z.infer<typeof shard>>;
export type ShardIndex = Readonly<z.infer<typeof schema>>;

export const indexKey = 'index.json';

/** True of a data set that is named by a URL: it lies in shards. */
export const isSharded = (path: string): boolean => ['s3', 'file'].includes(schemeOf(path) ?? '');

export const memberName = (url: string, key: string, name: string): string => `${url}/${key}#${name}`;
const memberPattern = /^((?:s3|file):.*)\/([^/#]+)#([^#/]+)$/;
export const isMember = (file: string): boolean => memberPattern.test(file);

interface Opened {
  readonly store: Store;
  readonly index: ShardIndex;
  readonly members: ReadonlyMap<string, ShardMember & { readonly key: string }>;
}

/** An index does not change: it is written where none is. */
const opened = new Map<string, Promise<Opened>>();

/** @throws notFound; invalidData: no index, or one of another kind */
export function openShards(url: string): Promise<Opened> {
  let shards = opened.get(url);
  if (!shards) {
    shards = readIndex(url);
    shards.catch(() => opened.delete(url)); // asked again, it may be there
    opened.set(url, shards);
  }
  return shards;
}

async function readIndex(url: string): Promise<Opened> {
  const store = await openStore(url);
  const source = `${store.url}/${indexKey}`;
  const text = await store.get(indexKey).catch(error => {
    if (!(error instanceof SegfleetError) || error.code !== 'notFound') throw error;
    throw new SegfleetError('notFound', `${url} is no data set in shards (${error.message}); write one there with dataset shard`, {
      cause: error,
    });
  });
  let read: unknown;
  try {
    read = JSON.parse(text.toString('utf8'));
  } catch (cause) {
    throw new SegfleetError('invalidData', `${source} is not JSON; write the shards again`, { cause });
  }
  const { success, data: index, error } = schema.safeParse(read);
  if (!success) {
    const [problem] = z.prettifyError(error).split('\n');
    throw new SegfleetError('invalidData', `${source} is not an index of shards (${problem}); write them again with dataset shard`);
  }
  const members = index.shards.flatMap(({ key, members }) =>
    members.map(one => [memberName(store.url, key, one.name), { ...one, key }] as const),
  );
  return { store, index, members: new Map(members) };
}

async function find(file: string) {
  const [, url] = memberPattern.exec(file)!;
  const { store, members } = await openShards(url);
  const found = members.get(file);
  if (!found) throw new SegfleetError('notFound', `${file}: the index of ${url} has no such member`);
  return { store, ...found };
}

/** What the bytes of a member are known by, before they are read. */
export const memberDigest = async (file: string): Promise<string> => (await find(file)).sha256;

/** @throws integrity: bytes other than those that were written, twice */
export async function readMember(file: string): Promise<Buffer> {
  const { store, key, offset, length, sha256 } = await find(file);
  for (let attempt = 1; ; attempt++) {
    const bytes = await store.getRange(key, offset, length);
    if (hash('sha256', bytes) === sha256) return bytes;
    if (attempt === 2) {
      throw new SegfleetError('integrity', `${file}: its bytes do not have the checksum of the index; the shard was damaged or replaced`, {
        details: { file },
      });
    }
  }
}
