/**
 * The copy of a run folder beside its checkpoints, in a folder and in S3.
 */
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Checkpoints, restore } from '../../../trainer/storage/checkpoints.ts';
import { writeAtomically } from '../../../trainer/storage/files.ts';
import { listCheckpoints, pruneCheckpoints, verifyCheckpoints } from '../../../trainer/storage/inspectCheckpoints.ts';
import { Mirror } from '../../../trainer/storage/mirror.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { RunFolder } from '../../../trainer/storage/runFolder.ts';
import type { Store } from '../../../trainer/storage/store.ts';
import { options, stateAt } from '../../tools/checkpointRun.ts';
import { hookedStore } from '../../tools/hookedStore.ts';
import { type S3Server, startS3Server } from '../../tools/s3Server.ts';
import { setCredentials } from '../../tools/versitygw.ts';

const root = mkdtempSync(join(tmpdir(), 'segfleet-mirror-'));
let server: S3Server;
beforeAll(async () => {
  setCredentials();
  server = await startS3Server();
  process.env.AWS_ENDPOINT_URL_S3 = server.url;
});
afterAll(async () => {
  delete process.env.AWS_ENDPOINT_URL_S3;
  await server[Symbol.asyncDispose]();
  rmSync(root, { recursive: true });
});

let numbers = 0;
const files = {
  'job.yaml': 'kind: TrainingJob\n',
  'metrics.ndjson': '{"event":"start"}\n',
  'results.csv': 'epoch\n1\n',
  'run.json': '{"name":"test","resumed":[]}\n',
  'weights/best.safetensors': 'best',
  'weights/last.safetensors': 'last',
  'curves/loss.svg': '<svg/>',
  'evaluation/best/cases.csv': 'case\n',
};
/** What is no part of the copy. */
const others = { 'checkpoints/latest.json': 'not copied', '.lock': '1', 'weights/.best.safetensors.1.partial': 'half' };

function folderOf(contents: Record<string, string> = {}): RunFolder {
  const folder = new RunFolder(join(root, `run${numbers++}`));
  mkdirSync(folder.path);
  for (const [name, text] of Object.entries(contents)) {
    mkdirSync(dirname(join(folder.path, name)), { recursive: true });
    writeFileSync(join(folder.path, name), text);
  }
  return folder;
}

const contentsOf = ({ path }: RunFolder): Record<string, string> =>
  Object.fromEntries(
    readdirSync(path, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
      .map(file => [file.slice(path.length + 1), readFileSync(file, 'utf8')]),
  );

const mayWrite = async () => {};

describe.each([
  ['a folder', () => `file:${join(root, `store${numbers++}`)}`],
  ['S3', () => `s3://bucket/store${numbers++}`],
])('in %s', (_, urlOf) => {
  let url: string;
  let store: Store;
  const puts: string[] = [];
  beforeEach(async () => {
    url = urlOf();
    puts.length = 0;
    store = hookedStore(await openStore(url), {
      before: (operation, key) => void (operation.startsWith('put') && puts.push(key)),
    });
  });

  test('another folder is filled with what the first one held', async () => {
    const mirror = new Mirror(store, folderOf({ ...files, ...others }));
    expect(await mirror.readRecord()).toBeUndefined();
    await mirror.write(mayWrite);
    expect(await store.list()).toEqual(
      Object.keys(files)
        .map(name => `run/${name}`)
        .sort(),
    );
    const other = folderOf();
    const copy = new Mirror(store, other);
    expect(await copy.readRecord()).toEqual({ name: 'test', resumed: [] });
    await copy.fill();
    expect(contentsOf(other)).toEqual(files);
  });

  test('the record is written last, there and here: half a copy is no run', async () => {
    await new Mirror(store, folderOf(files)).write(mayWrite);
    expect(puts).toHaveLength(8);
    expect(puts.at(-1)).toBe('run/run.json');
    const other = folderOf();
    let isRun: boolean | undefined;
    const watched = hookedStore(store, {
      before: (operation, key) => {
        if (operation === 'getVersioned' && key === 'run/run.json') isRun = other.isRun || !existsSync(other.weights('last'));
      },
    });
    await new Mirror(watched, other).fill();
    expect([isRun, other.isRun]).toEqual([false, true]);
  });

  test('only what has changed is written again, whoever has filled or written the folder', async () => {
    const folder = folderOf(files);
    const mirror = new Mirror(store, folder);
    await mirror.write(mayWrite);
    const other = folderOf();
    const copy = new Mirror(store, other);
    await copy.fill();
    for (const [own, its] of [
      [mirror, folder],
      [copy, other],
    ] as const) {
      puts.length = 0;
      await own.write(mayWrite);
      expect(puts).toEqual([]);
      appendFileSync(its.events, '{"event":"step"}\n');
      await writeAtomically(its.weights('best'), 'BEST');
      await own.write(mayWrite);
      expect(puts).toEqual(['run/metrics.ndjson', 'run/weights/best.safetensors']);
      // The other one has not seen that.
      if (own === mirror) await copy.fill();
    }
    const third = folderOf();
    await new Mirror(store, third).fill();
    expect(contentsOf(third)).toEqual(contentsOf(other));
  });

  test('checkpoints beside it are listed, verified, pruned and restored as if it were not there', async () => {
    const checkpoints = await Checkpoints.claim(store, { ...options, keep: { last: 9, best: 0 } });
    const save = (step: number) => checkpoints.save({ state: stateAt(step), step, position: { step } });
    await save(1);
    await new Mirror(store, folderOf(files)).write(() => checkpoints.check());
    for (const step of [2, 3]) await save(step);
    expect((await listCheckpoints(url)).checkpoints.map(({ manifest }) => manifest?.step)).toEqual([1, 2, 3]);
    expect((await verifyCheckpoints(url)).checkpoints.flatMap(({ problems }) => problems)).toEqual([]);
    expect((await pruneCheckpoints(url, { last: 1, best: 0 }, { dryRun: false })).keep).toHaveLength(1);
    // And what the run itself prunes.
    const strict = await Checkpoints.claim(store, { ...options, keep: { last: 1, best: 0 } });
    await strict.save({ state: stateAt(4), step: 4, position: { step: 4 } });
    expect((await restore(store))!.manifest.step).toBe(4);
    const other = folderOf();
    await new Mirror(store, other).fill();
    expect(contentsOf(other)).toEqual(files);
  });

  test('a writer whose checkpoints were taken over writes nothing more', async () => {
    const old = await Checkpoints.claim(store, options);
    const folder = folderOf(files);
    const mirror = new Mirror(store, folder);
    await mirror.write(() => old.check());
    await Checkpoints.claim(store, options);
    appendFileSync(folder.events, 'late\n');
    puts.length = 0;
    await expect(mirror.write(() => old.check())).rejects.toMatchObject({ code: 'conflict' });
    expect(puts).toEqual([]);
  });

  test('a writer that stood still after it had looked overwrites nothing of its successor', async () => {
    const old = await Checkpoints.claim(store, options);
    const oldFolder = folderOf(files);
    const oldMirror = new Mirror(store, oldFolder);
    await oldMirror.write(() => old.check());
    // While it stands still, between its look and its write:
    let looks = 0;
    const check = async () => {
      await old.check();
      if (looks++ > 0) return;
      const next = await Checkpoints.claim(store, options);
      const folder = folderOf();
      const mirror = new Mirror(store, folder);
      await mirror.fill();
      appendFileSync(folder.events, 'new\n');
      await mirror.write(() => next.check());
    };
    appendFileSync(oldFolder.events, 'old\n');
    await expect(oldMirror.write(check)).rejects.toMatchObject({ code: 'conflict' });
    const third = folderOf();
    await new Mirror(store, third).fill();
    expect(contentsOf(third)['metrics.ndjson']).toBe(`${files['metrics.ndjson']}new\n`);
  });

  test('what such a writer wrote before its successor did is overwritten by that', async () => {
    const old = await Checkpoints.claim(store, options);
    const oldFolder = folderOf(files);
    const oldMirror = new Mirror(store, oldFolder);
    await oldMirror.write(() => old.check());
    const next = await Checkpoints.claim(store, options);
    const folder = folderOf();
    const mirror = new Mirror(store, folder);
    await mirror.fill();
    // It had looked before the other one came.
    appendFileSync(oldFolder.events, 'old\n');
    await oldMirror.write(mayWrite);
    appendFileSync(folder.events, 'new\n');
    await mirror.write(() => next.check());
    const third = folderOf();
    await new Mirror(store, third).fill();
    expect(contentsOf(third)['metrics.ndjson']).toBe(`${files['metrics.ndjson']}new\n`);
  });
});

test('keys below run/ that are no part of a run folder are left where they are', async () => {
  const store = await openStore(`file:${join(root, `store${numbers++}`)}`);
  await new Mirror(store, folderOf(files)).write(mayWrite);
  for (const key of ['run/elsewhere/passwd', 'run/checkpoints/latest.json', 'run/notes.txt']) await store.put(key, Buffer.from('x'));
  const folder = folderOf();
  await new Mirror(store, folder).fill();
  expect(contentsOf(folder)).toEqual(files);
});

test('a second checkpoint of a step has a name of its own, but not of a writer that was replaced', async () => {
  const store = await openStore(`file:${join(root, `store${numbers++}`)}`);
  const first = await Checkpoints.claim(store, { ...options, keep: { last: 9, best: 0 } });
  await first.save({ state: stateAt(1), step: 1, position: 'before' });
  const renewed = await first.renew();
  await renewed.save({ state: stateAt(2), step: 1, position: 'after' });
  expect((await restore(store))!.manifest).toMatchObject({ term: 2, step: 1, position: 'after' });
  await Checkpoints.claim(store, options);
  await expect(renewed.renew()).rejects.toMatchObject({ code: 'conflict' });
});
