/**
 * A process that writes checkpoints is killed before and after every single one of its store operations. Whatever it leaves: what it
 * said was saved can be restored, bit for bit, and another process goes on to the end as if nothing had been.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { restore } from '../../../trainer/storage/checkpoints.ts';
import { chunkPrefix, manifestPrefix } from '../../../trainer/storage/manifest.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { lastStep, stateAt, writeCheckpoints } from '../../tools/checkpointRun.ts';
import { startS3Server } from '../../tools/s3Server.ts';
import { setCredentials } from '../../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-kill-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** @returns the last step that it said was saved, and whether it was killed */
async function killAt(url: string, when: string, operation: number): Promise<{ saved: number; isKilled: boolean }> {
  const program = new URL('../../tools/checkpointRun.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [program, url, when, String(operation)], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', text => {
    said += text;
  });
  const [code, signal] = await new Promise<[number | null, string | null]>(resolve => child.on('close', (...how) => resolve(how)));
  expect({ operation, code, signal }).toEqual({ operation, ...(signal ? { code: null, signal: 'SIGKILL' } : { code: 0, signal }) });
  return { saved: Number(said.trim().split('\n').at(-1)), isKilled: signal !== null };
}

async function check(url: string, saved: number, context: string): Promise<void> {
  const store = await openStore(url);
  const found = await restore(store);
  const step = found?.manifest.step ?? 0;
  expect([context, step >= saved, step <= saved + 1]).toEqual([context, true, true]);
  if (found) expect([context, found.state]).toEqual([context, stateAt(step)]);
  await writeCheckpoints(store);
  const end = await restore(store);
  expect([context, end?.manifest.step, end?.state]).toEqual([context, lastStep, stateAt(lastStep)]);
  // Kept: the last and the best, which is the second. Where the killed process had written all, nobody has cleared up after it.
  if (step === lastStep) return;
  const manifests = await store.list(manifestPrefix);
  expect([context, ...manifests.map(key => Number(/-(\d+)/.exec(key)![1]))]).toEqual([context, 2, lastStep]);
  expect([context, (await store.list(chunkPrefix)).length]).toEqual([context, 1 + 2 * 2]); // one that both share, two of each
}

/**
 * From operation `first` on every `stride`-th, until one that is not reached: after one operation is before the next, but where several
 * are on their way.
 */
async function killAtEach(urlOf: (name: string) => string, when: 'before' | 'after', first: number, stride: number): Promise<number> {
  for (let operation = first; ; operation += stride) {
    const url = urlOf(`${when}-${operation}`);
    const { saved, isKilled } = await killAt(url, when, operation);
    await check(url, saved, `${when} ${operation}`);
    if (!isKilled) return operation - stride;
  }
}

// At the least a claim, and for each step two chunks written and read, a manifest, a pointer and what goes.
const leastOperations = lastStep * 10;

test('in a folder, at every operation', async () => {
  const urlOf = (name: string) => `file:${join(folder, name)}`;
  const reached = await Promise.all([
    killAtEach(urlOf, 'after', 1, 2),
    killAtEach(urlOf, 'after', 2, 2),
    killAtEach(urlOf, 'before', 1, 9),
  ]);
  expect(Math.max(...reached)).toBeGreaterThan(leastOperations);
}, 300_000);

test('in S3, at every seventeenth operation', async () => {
  setCredentials();
  await using server = await startS3Server();
  process.env.AWS_ENDPOINT_URL_S3 = server.url;
  try {
    expect(await killAtEach(name => `s3://bucket/${name}`, 'after', 3, 17)).toBeGreaterThan(leastOperations);
  } finally {
    delete process.env.AWS_ENDPOINT_URL_S3;
  }
}, 300_000);
