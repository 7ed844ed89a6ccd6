/**
 * Many workers on storage that fails: data and checkpoints in a real S3 server, a server that fails in every phase of a checkpoint, a
 * disk that is full. The run ends in the weights of an undisturbed one, or with the documented error and goes on from there.
 */
import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasCheckpoint } from '../tools/checkpoints.ts';
import { eventsOf, type Finished, segfleet } from '../tools/cli.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { type Result, resultOf } from '../tools/result.ts';
import { type Fault, type S3Server, type Seen, startS3Server } from '../tools/s3Server.ts';
import { onSmallDisk } from '../tools/smallDisk.ts';
import { type Gateway, setCredentials, startGateway } from '../tools/versitygw.ts';
import { workersOf } from '../tools/workers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-storage-'));
const out = (name: string) => join(folder, name);
const job = () => out('job.yaml');
let undisturbed: Result;
let gateway: Gateway;
let server: S3Server;

beforeAll(async () => {
  setCredentials();
  await drawDataSet(out('data'), 20, 16, 16);
  writeJob(folder, sharedJob('data', 4));
  expect(await segfleet(['train', job(), '--out', out('undisturbed')])).toMatchObject({ code: 0, stderr: '' });
  undisturbed = resultOf(out('undisturbed'));
  gateway = await startGateway('bucket');
  server = await startS3Server();
});
afterAll(async () => {
  await gateway[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

test('data and checkpoints in an S3 server, four workers, one killed and one added: the weights of one process on a folder', async () => {
  const env = { AWS_ENDPOINT_URL_S3: gateway.url };
  expect(await segfleet(['dataset', 'shard', out('data'), '--out', 's3://bucket/data'], { env })).toMatchObject({ code: 0 });
  const settings = ['--set', 'data.path=s3://bucket/data', '--set', 'checkpoint.url=s3://bucket/run'];
  const run = out('in s3');
  let endpoint = '';
  let added: Promise<Finished> | undefined;
  const trained = await segfleet(['train', job(), '--out', run, '--workers', '4', '--json', ...settings], {
    env,
    onLine: (line, child) => {
      const event = JSON.parse(line);
      if (event.event === 'listening') endpoint = event.endpoint;
      if (event.event === 'step' && event.step === 3) process.kill(workersOf(child.pid!).get('w3')!, 'SIGKILL');
      if (event.event === 'lost') added = segfleet(['worker', job(), '--join', endpoint, '--id', 'late', ...settings], { env });
    },
  });
  expect(trained).toMatchObject({ code: 0, stderr: '' });
  expect(await added).toMatchObject({ code: 0, stderr: '' });
  expect(resultOf(run)).toEqual(undisturbed);
  expect(existsSync(join(run, 'checkpoints'))).toBe(false);
  const verified = await segfleet(['checkpoint', 'verify', 's3://bucket/run'], { env });
  expect(verified).toMatchObject({ code: 0, stdout: expect.stringContaining('2 of 2 checkpoints are whole') });
});

/** What a request is about. */
const phases: Record<string, (seen: Seen) => boolean> = {
  'a chunk is written': ({ method, key }) => method === 'PUT' && key.includes('chunks/'),
  'a chunk is read back': ({ method, key }) => method === 'GET' && key.includes('chunks/'),
  'the manifest is written': ({ method, key }) => method === 'PUT' && key.includes('manifests/'),
  'the pointer is moved': ({ method, key }) => method === 'PUT' && key.endsWith('latest.json'),
  'an old one is deleted': ({ method }) => method === 'DELETE',
};
const faults: readonly Fault[] = [
  { status: 500, code: 'InternalError' },
  { status: 503, code: 'SlowDown' },
  'reset',
  'cutBody',
  { status: 500, code: 'InternalError', done: true },
];

test('two requests of every phase of every checkpoint fail, each in another way: the weights of an undisturbed run', async () => {
  const env = { AWS_ENDPOINT_URL_S3: server.url };
  const failed = new Map(Object.keys(phases).map(phase => [phase, 0]));
  let requests = 0;
  server.fault = seen => {
    const phase = Object.keys(phases).find(name => phases[name](seen));
    // Every third request of a phase is let through.
    if (phase === undefined || ++requests % 3 === 0) return undefined;
    failed.set(phase, failed.get(phase)! + 1);
    return faults[requests % faults.length];
  };
  const run = out('faulty');
  const trained = await segfleet(['train', job(), '--out', run, '--workers', '2', '--set', 'checkpoint.url=s3://bucket/faulty'], { env });
  server.fault = () => undefined;
  expect(trained).toMatchObject({ code: 0, stderr: '' });
  expect(resultOf(run)).toEqual(undisturbed);
  for (const [phase, count] of failed) expect([phase, count > 0]).toEqual([phase, true]);
  expect(await segfleet(['checkpoint', 'verify', 's3://bucket/faulty'], { env })).toMatchObject({ code: 0 });
});

/** Together: most of their time is patience with a store that is down. */
describe.concurrent('the storage is down', () => {
  const prefixOf = (phase: string) => `down-${phase.replaceAll(' ', '-')}`;
  const isDown = new Map<string, boolean>();

  beforeAll(() => {
    // The first checkpoint of a run passes: it is the second one, after six steps and more, that fails.
    server.fault = seen => {
      const phase = Object.keys(phases).find(phase => seen.key.startsWith(`${prefixOf(phase)}/`));
      if (phase === undefined) return undefined;
      const begins =
        !isDown.has(phase) && server.objects.has(`bucket/${prefixOf(phase)}/manifests/000001-000000000004.json`) && phases[phase](seen);
      if (begins) isDown.set(phase, true);
      return isDown.get(phase) ? { status: 503, code: 'SlowDown' } : undefined;
    };
  });
  afterAll(() => {
    server.fault = () => undefined;
  });

  test.each(Object.keys(phases).slice(0, 4))('from the moment when %s: exit 6, and the run goes on when it is back', async phase => {
    const env = { AWS_ENDPOINT_URL_S3: server.url };
    const url = `s3://bucket/${prefixOf(phase)}`;
    const run = out(phase);
    const settings = ['--workers', '2', '--set', `checkpoint.url=${url}`];
    const failed = await segfleet(['train', job(), '--out', run, ...settings, '--json'], { env });
    isDown.set(phase, false);
    expect(failed.code).toBe(6);
    expect(eventsOf(failed).at(-1)!.error).toMatchObject({ code: 'unavailable', message: expect.stringContaining(url) });
    expect(await segfleet(['train', job(), '--out', run, ...settings, '--resume'], { env })).toMatchObject({ code: 0, stderr: '' });
    expect(resultOf(run)).toEqual(undisturbed);
  });
});

test('a disk that is full ends the run of two workers with what is on it whole, and it goes on when there is room', async () => {
  const disk = out('disk');
  const run = join(disk, 'run');
  const copy = out('rescued');
  const under = onSmallDisk(disk, 60, run, copy);
  const { code, stderr } = await segfleet(['train', job(), '--out', run, '--workers', '2'], { under });
  expect(stderr).toMatch(/^error: .*no space left on the disk; free some space or choose another --out folder\n$/);
  expect(code).toBe(11);
  expect(readdirSync(copy, { recursive: true }).filter(name => String(name).includes('.partial'))).toEqual([]);
  expect(hasCheckpoint(copy)).toBe(true);
  const moved = out('moved');
  cpSync(copy, moved, { recursive: true });
  expect(await segfleet(['train', job(), '--out', moved, '--resume', '--workers', '2'])).toMatchObject({ code: 0, stderr: '' });
  expect(resultOf(moved)).toEqual(undisturbed);
});
