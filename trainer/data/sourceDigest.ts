/**
 * The digest of a data set without decoding it: from the index where it lies in shards, else from the bytes of its files.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { fromSystemError } from '../errors.ts';
import type { LabelledCase } from './cases.ts';
import { caseDigest, dataDigest } from './digest.ts';
import { isMember, memberDigest } from './shardIndex.ts';

/** Files that are read at once. */
const numReaders = 4;

/** The same number as `CaseStore.digest`. @throws notFound, notAllowed; the reason of the signal */
export async function sourceDigest(cases: readonly LabelledCase[], signal?: AbortSignal): Promise<string> {
  const digests: { id: string; digest: string }[] = [];
  const queue = cases.entries();
  const work = async () => {
    for (const [i, { id, image, mask, fov }] of queue) {
      signal?.throwIfAborted();
      const [ofImage, ofMask, ofView] = await Promise.all([image, mask, fov].map(file => file && digestOf(file)));
      digests[i] = { id, digest: caseDigest(ofImage!, ofMask!, ofView) };
    }
  };
  await Promise.all(Array.from({ length: numReaders }, work));
  return dataDigest(digests);
}

async function digestOf(file: string): Promise<string> {
  if (isMember(file)) return memberDigest(file);
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash).catch(error => {
    throw fromSystemError(error, file);
  });
  return hash.digest('hex');
}
