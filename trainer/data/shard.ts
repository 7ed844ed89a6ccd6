/**
 * A data set as WebDataset shards: tar archives whose members of one case lie together and share a name up to the first dot, and
 * index.json, which says where each member lies. The same input gives the same bytes: members in the order of the ids, with no time,
 * owner or other trace of the machine.
 *
 * Format: github.com/webdataset/webdataset, and POSIX.1-1988 ustar.
 */
import { hash } from 'node:crypto';
import { extname } from 'node:path';
import { pack } from 'tar-stream';
import { SegfleetError } from '../errors.ts';
import { openStore } from '../storage/openStore.ts';
import type { Store } from '../storage/store.ts';
import { type Case, findAllCases } from './cases.ts';
import { readHeader, readImageFile } from './decode.ts';
import { caseDigest, dataDigest } from './digest.ts';
import { indexKey, type Role, type Shard, type ShardIndex, type ShardMember } from './shardIndex.ts';

const block = 512;
const padded = (length: number) => Math.ceil(length / block) * block;
const digest = (bytes: Uint8Array) => hash('sha256', bytes);

/** @param bytes of a shard at most, unless one case alone is larger */
export async function writeShards(path: string, out: string, bytes: number): Promise<ShardIndex & { readonly url: string }> {
  const store = await openStore(out);
  const cases = await findAllCases(path);
  const shards: Shard[] = [];
  const digests: { id: string; digest: string }[] = [];
  let waiting: Sample[] = [];
  const flush = async () => {
    if (waiting.length === 0) return;
    shards.push(await writeShard(store, `shard-${String(shards.length).padStart(6, '0')}.tar`, waiting));
    waiting = [];
  };
  for (const one of cases) {
    const sample = await readSample(one);
    if (sizeOf([...waiting, sample]) > bytes) await flush();
    waiting.push(sample);
    if (sample.labelled) digests.push({ id: one.id, digest: sample.labelled });
  }
  await flush();
  const index: ShardIndex = { schema: 'segfleet/shards/1', cases: cases.length, data: dataDigest(digests), shards };
  await putSame(store, indexKey, Buffer.from(`${JSON.stringify(index)}\n`));
  return { ...index, url: store.url };
}

interface Sample {
  readonly files: readonly (Pick<ShardMember, 'name' | 'id' | 'role' | 'part' | 'group'> & { readonly bytes: Buffer })[];
  /** Digest of the case where it has a mask. */
  readonly labelled?: string;
}

async function readSample(one: Case): Promise<Sample> {
  const { id, part, group } = one;
  const key = keyOf(id);
  const read = async (role: Role, file: string) => {
    const { bytes } = await readImageFile(file);
    return { name: `${key}.${role}${extname(file).toLowerCase()}`, id, role, bytes };
  };
  const image = await read('image', one.image);
  const { width, height } = await readHeader({ name: one.image, bytes: image.bytes });
  const mask = one.mask === undefined ? undefined : await read('mask', one.mask);
  if (mask) await readHeader({ name: one.mask!, bytes: mask.bytes });
  const view = one.fov === undefined ? undefined : await read('fov', one.fov);
  const text = `${JSON.stringify({ id, width, height, part, group })}\n`;
  const meta = { name: `${key}.json`, id, role: 'meta' as const, bytes: Buffer.from(text), part, group };
  const files = [image, mask, view, meta].filter(file => file !== undefined);
  return { files, labelled: mask && caseDigest(digest(image.bytes), digest(mask.bytes), view && digest(view.bytes)) };
}

/** What lies before the first dot names a case in WebDataset. An id that does not fit into a plain tar header gives way to its hash. */
const keyOf = (id: string): string => (/^[\w-]{1,80}$/.test(id) ? id : digest(Buffer.from(id)).slice(0, 32));

/** With the two empty blocks at the end. */
const sizeOf = (samples: readonly Sample[]): number =>
  samples.flatMap(({ files }) => files).reduce((sum, { bytes }) => sum + block + padded(bytes.length), 2 * block);

async function writeShard(store: Store, key: string, samples: readonly Sample[]): Promise<Shard> {
  const archive = pack();
  const members: ShardMember[] = [];
  let offset = 0;
  for (const { bytes, ...named } of samples.flatMap(({ files }) => files)) {
    archive.entry({ name: named.name, size: bytes.length, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 }, bytes);
    members.push({ ...named, offset: offset + block, length: bytes.length, sha256: digest(bytes) });
    offset += block + padded(bytes.length);
  }
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  const bytes = Buffer.concat(chunks);
  await putSame(store, key, bytes);
  return { key, bytes: bytes.length, sha256: digest(bytes), members };
}

/** Writing the same shards again is fine; others in the same place are not. */
async function putSame(store: Store, key: string, bytes: Uint8Array): Promise<void> {
  if (await store.putIfAbsent(key, bytes)) return;
  if (Buffer.compare(await store.get(key), bytes) === 0) return;
  throw new SegfleetError('conflict', `${store.url}/${key} is there already and holds something else; name another --out, or remove it`);
}
