/**
 * A data set in shards, in a folder and in a bucket, is the data set that it was written from.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dataPath, findAllCases, findCases, movedDataPath } from '../../../trainer/data/cases.ts';
import { writeShards } from '../../../trainer/data/shard.ts';
import { CaseStore } from '../../../trainer/data/store.ts';
import { verifyDataSet } from '../../../trainer/data/verify.ts';
import { initJob } from '../../../trainer/initJob.ts';
import { parseJob } from '../../../trainer/spec.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { writeTree } from '../../tools/archives.ts';
import { segfleet } from '../../tools/cli.ts';
import { drawDataSet } from '../../tools/pictures.ts';
import { type S3Server, startS3Server } from '../../tools/s3Server.ts';
import { setCredentials } from '../../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-shard-index-'));
const data = join(folder, 'data');
const shape = { height: 32, width: 32, channels: 3 };
const binary = { classes: 1, exclusive: false };
let server: S3Server;
beforeAll(async () => {
  setCredentials();
  server = await startS3Server();
  process.env.AWS_ENDPOINT_URL_S3 = server.url;
  await drawDataSet(data, 7);
  const rows = Array.from({ length: 7 }, (_, i) => {
    const mask = i === 6 ? '' : `masks/case0${i}.png`;
    return `case0${i},images/case0${i}.png,${mask},${i === 2 ? 'masks/case05.png' : ''},${i > 4 ? 'test' : 'training'},${i < 2 ? 'eye' : ''}`;
  });
  writeTree(data, { 'manifest.csv': `id,image,mask,fov,part,group\n${rows.join('\n')}\n` });
});
afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL_S3;
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const decoded = async (path: string) => {
  const store = new CaseStore(await findCases(path), shape, binary);
  await store.fill();
  return { digest: await store.digest(), cases: await Promise.all(store.cases.map((_, i) => store.get(i))) };
};

describe.each([
  ['a folder', (name: string) => `file:${join(folder, name)}`],
  ['S3', (name: string) => `s3://bucket/${name}`],
])('in %s', (_, urlOf) => {
  test('has the same cases, parts, groups and pixels', async () => {
    const url = urlOf('same');
    await writeShards(data, url, 15_000);
    const plain = await findAllCases(data);
    const known = ({ id, part, group, mask, fov }: (typeof plain)[number]) => ({ id, part, group, mask: Boolean(mask), fov: Boolean(fov) });
    expect((await findAllCases(url)).map(known)).toEqual(plain.map(known));
    expect(await decoded(url)).toEqual(await decoded(data));
    expect(await verifyDataSet(url, { ...binary, split: undefined })).toMatchObject({ cases: 7, errors: 0 });
  });

  test('is written to shards again as the same bytes', async () => {
    const index = await writeShards(data, urlOf('first'), 15_000);
    expect({ ...(await writeShards(urlOf('first'), urlOf('second'), 15_000)), url: '' }).toEqual({ ...index, url: '' });
  });

  test('a member that was damaged is named, after it was read twice', async () => {
    const url = urlOf('damaged');
    const { shards } = await writeShards(data, url, 1e6);
    const store = await openStore(url);
    const bytes = await store.get(shards[0].key);
    const { offset, name } = shards[0].members.find(({ id, role }) => id === 'case03' && role === 'mask')!;
    bytes[offset + 40] ^= 1;
    await store.put(shards[0].key, bytes);
    await expect(decoded(url)).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringContaining(`${store.url}/${shards[0].key}#${name}: its bytes do not have the checksum of the index`),
    });
    const { code, stderr } = await segfleet(['dataset', 'show', url, 'case03', '--out', join(folder, 'case.png')]);
    expect({ code, stderr }).toEqual({ code: 10, stderr: expect.stringContaining(name) });
  });

  test('a shard that is gone or cut short is named', async () => {
    const url = urlOf('cut');
    const { shards } = await writeShards(data, url, 15_000);
    const store = await openStore(url);
    const [first] = shards;
    await store.put(first.key, (await store.get(first.key)).subarray(0, 2000));
    await expect(decoded(url)).rejects.toMatchObject({ code: 'integrity', message: expect.stringContaining(first.key) });
    await store.delete(first.key);
    await expect(decoded(url)).rejects.toMatchObject({ code: 'notFound', message: expect.stringContaining(first.key) });
  });
});

test('a job file is fitted to it as to any other', async () => {
  await writeShards(data, 's3://bucket/init', 15_000);
  const text = await initJob({ name: 'x', base: folder, data: 's3://bucket/init' });
  expect(parseJob(text, 'x.yaml').job.spec.data).toMatchObject({ path: 's3://bucket/init', size: { height: 32, width: 32 } });
});

test('in S3 reads what it needs and no more: the index once, each file once', async () => {
  await writeShards(data, 's3://bucket/counted', 1e6);
  server.requests.length = 0;
  await decoded('s3://bucket/counted');
  const ranges = server.requests.map(({ headers }) => headers.range);
  expect(ranges.filter(range => range === undefined)).toHaveLength(1);
  expect(ranges).toHaveLength(1 + 5 * 2 + 1); // the index; five cases for training, one of them with a field of view
});

test('in S3 is read through faults of the server', async () => {
  await writeShards(data, 's3://bucket/faulty', 15_000);
  const faults = ['cutBody', 'reset', 'flippedBit', { status: 503, code: 'SlowDown' }] as const;
  const failed = new Set<string | undefined>();
  server.fault = ({ headers }) => {
    if (failed.has(headers.range)) return undefined; // each range fails once
    failed.add(headers.range);
    return faults[failed.size % faults.length];
  };
  const there = await decoded('s3://bucket/faulty');
  server.fault = () => undefined;
  expect(there).toEqual(await decoded(data));
});

describe('an index', () => {
  test.each<[string, string, string]>([
    ['{', 'invalidData', 'is not JSON'],
    ['{"schema":"segfleet/shards/2"}', 'invalidData', 'is not an index of shards'],
    [
      `{"schema":"segfleet/shards/1","cases":1,"data":"${'0'.repeat(64)}","shards":[{"key":"../x","bytes":1,"sha256":"${'0'.repeat(64)}","members":[]}]}`,
      'invalidData',
      'is not an index of shards',
    ],
  ])('that says %s is refused', async (text, code, sentence) => {
    const url = `file:${join(folder, `index-${text.length}`)}`;
    await (await openStore(url)).put('index.json', Buffer.from(text));
    await expect(findCases(url)).rejects.toMatchObject({ code, message: expect.stringContaining(sentence) });
  });

  test('that is not there is an error that says what is missing', async () => {
    for (const url of [`file:${join(folder, 'nothing')}`, 's3://bucket/nothing'])
      await expect(findCases(url)).rejects.toMatchObject({
        code: 'notFound',
        message: expect.stringContaining('write one there with dataset shard'),
      });
  });
});

test.each([
  ['data', '/jobs/data', '../../jobs/data'],
  ['/data', '/data', '/data'],
  ['s3://bucket/set', 's3://bucket/set', 's3://bucket/set'],
  ['file:sets/x', 'file:/jobs/sets/x', 'file:../../jobs/sets/x'],
  ['file:/sets/x', 'file:/sets/x', 'file:/sets/x'],
  ['file:///sets/x', 'file:///sets/x', 'file:///sets/x'],
])('data.path %s of a job in /jobs is %s, and in its run folder %s', (path, found, moved) => {
  expect(dataPath('/jobs', path)).toBe(found);
  expect(movedDataPath(path, '/jobs', '/runs/x')).toBe(moved);
});
