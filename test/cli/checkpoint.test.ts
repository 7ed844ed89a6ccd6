/**
 * The checkpoint commands, on a folder and on an S3 server.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Checkpoints } from '../../trainer/storage/checkpoints.ts';
import { openStore } from '../../trainer/storage/openStore.ts';
import { readSafetensors } from '../../trainer/storage/safetensors.ts';
import type { Store } from '../../trainer/storage/store.ts';
import { options, stateAt, writeCheckpoints } from '../tools/checkpointRun.ts';
import { segfleet } from '../tools/cli.ts';
import { type S3Server, startS3Server } from '../tools/s3Server.ts';
import { setCredentials } from '../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-checkpoint-cli-'));
let server: S3Server;
beforeAll(async () => {
  setCredentials();
  server = await startS3Server();
  process.env.AWS_ENDPOINT_URL_S3 = server.url;
});
afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL_S3;
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

const call = async (...words: string[]) => {
  const { code, stdout, stderr } = await segfleet(['checkpoint', ...words]);
  return { code, stdout, stderr };
};
const json = async (...words: string[]) => JSON.parse((await call(...words, '--json')).stdout);

/** Steps 1 to 4, all kept. */
async function filled(url: string): Promise<Store> {
  const store = await openStore(url);
  const checkpoints = await Checkpoints.claim(store, { ...options, keep: { last: 9, best: 0 } });
  for (const step of [1, 2, 3, 4])
    await checkpoints.save({ state: stateAt(step), step, score: step === 2 ? 0.9 : 0.5, position: { step } });
  return store;
}

describe.each([
  ['a folder', () => `file:${join(folder, 'run')}`],
  ['S3', () => 's3://bucket/runs/skin'],
])('in %s', (_, urlOf) => {
  test('list, verify, show, prune and fetch', async () => {
    const url = urlOf();
    const store = await filled(url);
    const { checkpoints } = await json('list', url);
    expect(checkpoints.map(({ step, score, problems }: Record<string, unknown>) => [step, score, problems])).toEqual([
      [1, 0.5, []],
      [2, 0.9, []],
      [3, 0.5, []],
      [4, 0.5, []],
    ]);
    expect(await call('verify', url)).toMatchObject({ code: 0, stdout: expect.stringContaining('4 of 4 checkpoints are whole') });
    expect(await json('show', url, '3')).toMatchObject({
      key: 'manifests/000001-000000000003.json',
      manifest: { run: 'test', term: 1, step: 3, position: { step: 3 }, chunks: [{ tensors: ['constant'] }, {}, {}] },
    });

    const before = await store.list();
    const planned = await json('prune', url, '--last', '1', '--best', '1', '--dry-run');
    expect(await store.list()).toEqual(before);
    const pruned = await json('prune', url, '--last', '1', '--best', '1');
    expect(pruned).toEqual({ ...planned, dryRun: false });
    expect(pruned.drop).toEqual(['manifests/000001-000000000003.json', 'manifests/000001-000000000001.json']);
    expect(before.length - (await store.list()).length).toBe(2 + 2 * 2); // two manifests, and of each the two chunks that it does not share
    expect(await call('verify', url)).toMatchObject({ code: 0, stdout: expect.stringContaining('2 of 2 checkpoints are whole') });

    const file = join(folder, 'fetched.safetensors');
    expect(await json('fetch', url, '2', '--out', file)).toMatchObject({ step: 2, tensors: 4, passedOver: [] });
    const { tensors, metadata } = await readSafetensors(file);
    expect(tensors).toEqual(stateAt(2));
    expect(JSON.parse(metadata.position)).toEqual({ step: 2 });
    expect(readFileSync(file).length).toBeGreaterThan(4 * (90 + 90 + 60));
  });
});

test('a damaged checkpoint is named, passed over, and never the reason to delete a whole one', async () => {
  const url = `file:${join(folder, 'damaged')}`;
  const store = await filled(url);
  const newest = JSON.parse((await store.get('manifests/000001-000000000004.json')).toString());
  const key = `chunks/${newest.chunks[1].sha256}.safetensors`;
  await store.put(key, (await store.get(key)).subarray(0, 100));

  const verified = await call('verify', url);
  expect(verified).toMatchObject({ code: 12, stderr: expect.stringContaining('3 of 4 checkpoints are whole') });
  expect(verified.stdout).toContain(`${key} is damaged: its 100 bytes`);
  const fetched = await call('fetch', url, '--out', join(folder, 'x.safetensors'));
  expect(fetched).toMatchObject({ code: 0, stdout: expect.stringContaining('step 3: '), stderr: expect.stringContaining(key) });
  expect(await call('fetch', url, '4')).toMatchObject({ code: 10, stderr: expect.stringContaining(key) });
  const before = await store.list();
  expect(await call('prune', url, '--last', '1')).toMatchObject({ code: 10, stderr: expect.stringContaining(key) });
  expect(await store.list()).toEqual(before);

  for (const chunk of await store.list('chunks/')) await store.delete(chunk);
  expect(await call('verify', url)).toMatchObject({ code: 10, stderr: expect.stringContaining('0 of 4 checkpoints are whole') });
  expect(await call('fetch', url)).toMatchObject({ code: 10, stderr: expect.stringContaining('no checkpoint of 4 is whole') });
});

test('a run goes on while others look', async () => {
  const url = `file:${join(folder, 'live')}`;
  await writeCheckpoints(await openStore(url));
  expect((await call('list', url)).stdout).toMatch(/000001-000000000002.* 2 .*\n.*000001-000000000003.* 3 /);
});

test.each([
  [['list', 'nowhere'], 4, 'nowhere holds no checkpoints; give the URL that the run writes them to'],
  [['list', 's3://absent/run'], 4, 'there is no such bucket'],
  [['show', 's3://bucket/some', '7'], 4, 's3://bucket/some has no checkpoint 7; there are those of step 2, 3'],
  [['list', 'ftp://x'], 2, 'there is no storage ftp:'],
  [['prune', 's3://bucket/some', '--last', '0'], 2, '--last'],
])('%j ends with %i', async (words, code, sentence) => {
  await writeCheckpoints(await openStore('s3://bucket/some'));
  const ended = await call(...words);
  expect(ended).toMatchObject({ code, stderr: expect.stringContaining(sentence) });
  expect(ended.stderr.trim().split('\n')).toHaveLength(1);
});

test('a server that does not answer ends with 6', async () => {
  const { code, stderr } = await segfleet(['checkpoint', 'list', 's3://bucket/x'], { env: { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9' } });
  expect({ code, stderr }).toEqual({
    code: 6,
    stderr: expect.stringMatching(/^error: s3:\/\/bucket\/x\/manifests\/: listing failed after 5 attempts \(ECONNREFUSED\); .*\n$/),
  });
});
