import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { float32 } from '../../../trainer/engine/tensor.ts';
import { Checkpoints, restore, writeChunks } from '../../../trainer/storage/checkpoints.ts';
import { chunkPrefix, manifestPrefix, planChunks, pointerKey, shareOf } from '../../../trainer/storage/manifest.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { s3Store } from '../../../trainer/storage/s3Store.ts';
import type { Store } from '../../../trainer/storage/store.ts';
import { options, scoreAt, stateAt } from '../../tools/checkpointRun.ts';
import { hookedStore } from '../../tools/hookedStore.ts';
import { type S3Server, startS3Server } from '../../tools/s3Server.ts';
import { setCredentials } from '../../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-checkpoints-'));
let store: Store;
let places = 0;
beforeEach(async () => {
  store = await openStore(`file:${join(folder, String(places++))}`);
});
afterAll(() => rmSync(folder, { recursive: true }));

const claim = (to = store, run = options.run, keep = { last: 9, best: 0 }) => Checkpoints.claim(to, { ...options, run, keep });
const snapshot = (step: number) => ({ state: stateAt(step), step, score: scoreAt(step), position: { step, sums: [0.1, step] } });
const stepsOf = async (from = store) => (await from.list(manifestPrefix)).map(key => Number(/-(\d+)\.json/.exec(key)![1]));

describe('a checkpoint', () => {
  test('gives back what was saved, bit for bit', async () => {
    const state = new Map([
      ...stateAt(1),
      ['odd', float32(Float32Array.of(Number.NaN, -0, Number.POSITIVE_INFINITY, 1e-45))],
      ['empty', float32(new Float32Array(0), [0, 3])],
    ]);
    const manifest = await (await claim()).save({ ...snapshot(1), state });
    const found = (await restore(store))!;
    expect(found.state).toEqual(state);
    expect([...found.state.get('odd')!.data].map(value => Object.is(value, -0))).toEqual([false, true, false, false]);
    expect(found.manifest).toEqual(manifest);
    expect(found.manifest).toMatchObject({ run: 'test', term: 1, step: 1, score: 0.1, position: { step: 1, sums: [0.1, 1] } });
  });

  test('is not there before there is one', async () => {
    expect(await restore(store)).toBeUndefined();
    await claim();
    expect(await restore(store)).toBeUndefined();
  });

  test('writes no chunk again that has not changed', async () => {
    const puts: string[] = [];
    const checkpoints = await claim(hookedStore(store, { before: (operation, key) => void (operation === 'put' && puts.push(key)) }));
    await checkpoints.save(snapshot(1));
    expect(puts).toHaveLength(3);
    await checkpoints.save(snapshot(2)); // "constant" is one of the three
    expect(puts).toHaveLength(5);
    await checkpoints.save({ ...snapshot(2), step: 3 });
    expect(puts).toHaveLength(5);
  });

  test('is written by several ranks, each its share, and committed by one', async () => {
    const checkpoints = await claim();
    const { state, ...rest } = snapshot(4);
    const plan = planChunks(state, options.chunkBytes);
    const shares = await Promise.all([0, 1].map(rank => writeChunks(store, state, shareOf(plan, rank, 2))));
    await checkpoints.commit({ ...rest, chunks: shares.flat() });
    expect((await restore(store))!.state).toEqual(state);
  });

  test('saved twice, after an answer that was lost, is one', async () => {
    let isLost = true;
    const losing = hookedStore(store, {
      after: (operation, key) => {
        if (operation === 'putIfAbsent' && key.startsWith(manifestPrefix) && isLost) {
          isLost = false;
          throw new Error('the answer was lost');
        }
      },
    });
    const checkpoints = await claim(losing);
    await expect(checkpoints.save(snapshot(1))).rejects.toThrow('the answer was lost');
    await checkpoints.save(snapshot(1));
    expect(await stepsOf()).toEqual([1]);
  });

  test('stops when told to, and the one before stays', async () => {
    const checkpoints = await claim();
    await checkpoints.save(snapshot(1));
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(checkpoints.save(snapshot(2), { signal })).rejects.toThrow('enough');
    expect((await restore(store))!.manifest.step).toBe(1);
  });
});

describe('retention', () => {
  test('keeps the last and the best, and no chunk that none of them names', async () => {
    const checkpoints = await claim(store, 'test', { last: 2, best: 1 });
    for (const step of [1, 2, 3, 4, 5]) await checkpoints.save(snapshot(step)); // 2 is the best
    expect(await stepsOf()).toEqual([2, 4, 5]);
    expect(await store.list(chunkPrefix)).toHaveLength(1 + 3 * 2); // one that all share, two of each
  });

  test('a store that cannot delete now makes no checkpoint fail', async () => {
    const server = await startS3Server();
    setCredentials();
    const there = s3Store('s3://bucket/run', { endpoint: server.url, attempts: 1 });
    const checkpoints = await claim(there, 'test', { last: 1, best: 0 });
    server.fault = ({ method }) => (method === 'DELETE' ? { status: 503, code: 'SlowDown' } : undefined);
    for (const step of [1, 2]) await checkpoints.save(snapshot(step));
    expect(await stepsOf(there)).toEqual([1, 2]);
    server.fault = () => undefined;
    await checkpoints.save(snapshot(3));
    expect(await stepsOf(there)).toEqual([3]);
    expect(await there.list(chunkPrefix)).toHaveLength(3);
    await server[Symbol.asyncDispose]();
  });
});

describe('damage', () => {
  /** Objects that only the newest checkpoint has. */
  async function twoCheckpoints(): Promise<string[]> {
    const checkpoints = await claim();
    await checkpoints.save(snapshot(1));
    const before = await store.list();
    await checkpoints.save(snapshot(2));
    return (await store.list()).filter(key => !before.includes(key));
  }

  const damages: Record<string, (bytes: Buffer) => Buffer | undefined> = {
    'a bit flipped': bytes => Buffer.from(bytes.map((byte, i) => (i === bytes.length >> 1 ? byte ^ 4 : byte))),
    'the end cut off': bytes => bytes.subarray(0, -2),
    'nothing left': () => Buffer.alloc(0),
    'a header that claims 2^60 bytes': bytes => Buffer.concat([Buffer.from('0000000000000010', 'hex'), bytes.subarray(8)]),
    gone: () => undefined,
  };

  test.each(Object.entries(damages))('of any object of the newest, %s: the one before is restored', async (_, damage) => {
    const objects = await twoCheckpoints();
    expect(objects).toHaveLength(3); // a manifest, two chunks
    for (const key of objects) {
      const bytes = await store.get(key);
      const damaged = damage(bytes);
      await (damaged ? store.put(key, damaged) : store.delete(key));
      const found = (await restore(store))!;
      expect([key, found.manifest.step, found.state]).toEqual([key, 1, stateAt(1)]);
      expect(found.passedOver).toEqual([expect.stringContaining(key)]);
      await store.put(key, bytes);
      expect((await restore(store))!.manifest.step).toBe(2);
    }
  });

  test('chunks that were swapped are found out by their names', async () => {
    const [one, other] = (await twoCheckpoints()).filter(key => key.startsWith(chunkPrefix));
    const [bytes, otherBytes] = [await store.get(one), await store.get(other)];
    await store.put(one, otherBytes);
    await store.put(other, bytes);
    expect((await restore(store))!.manifest.step).toBe(1);
  });

  test('of what all share leaves nothing to restore, which is said with each reason', async () => {
    await twoCheckpoints();
    for (const key of await store.list(chunkPrefix)) await store.put(key, Buffer.from('x'));
    await expect(restore(store)).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringMatching(/no checkpoint of 2 is whole: .*chunks\/[0-9a-f]{64}\.safetensors is damaged: its 1 bytes/),
    });
  });

  test('is mended by the next checkpoint: chunks written again, damaged manifests cleared away', async () => {
    const objects = await twoCheckpoints();
    for (const key of objects) await store.put(key, Buffer.from('x'));
    await (await claim()).save(snapshot(2));
    expect((await restore(store))!.state).toEqual(stateAt(2));
    expect(await store.list(manifestPrefix)).toEqual(['manifests/000001-000000000001.json', 'manifests/000002-000000000002.json']);
  });

  test('of the pointer, or its loss, loses nothing', async () => {
    await twoCheckpoints();
    await store.put(pointerKey, Buffer.from('{'));
    expect((await restore(store))!.manifest.step).toBe(2);
    await (await claim()).save(snapshot(3));
    await store.delete(pointerKey);
    expect((await restore(store))!.manifest.step).toBe(3);
    await (await claim()).save(snapshot(4));
    expect((await restore(store))!.manifest).toMatchObject({ step: 4, term: 3 });
  });

  test('a listing that lags behind does not hide the newest', async () => {
    await twoCheckpoints();
    const lagging = { ...store, list: async (prefix?: string) => (await store.list(prefix)).filter(key => !key.endsWith('2.json')) };
    expect((await restore(lagging))!.manifest.step).toBe(2);
  });

  test('whatever is damaged, what is restored is a checkpoint that was saved, and the newest that is whole', async () => {
    const checkpoints = await claim();
    for (const step of [1, 2, 3]) await checkpoints.save(snapshot(step));
    const all = new Map(await Promise.all((await store.list()).map(async key => [key, await store.get(key)] as const)));
    const hit = fc.uniqueArray(fc.record({ key: fc.constantFrom(...all.keys()), how: fc.constantFrom(...Object.values(damages)) }), {
      selector: ({ key }) => key,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(hit, async hits => {
        for (const { key, how } of hits) {
          const damaged = how(all.get(key)!);
          await (damaged ? store.put(key, damaged) : store.delete(key));
        }
        try {
          const isHit = (key: string) => hits.some(({ key: other }) => other === key);
          const whole = [3, 2, 1].filter(step => {
            const manifest = `manifests/000001-${String(step).padStart(12, '0')}.json`;
            const { chunks } = JSON.parse(all.get(manifest)!.toString());
            return !isHit(manifest) && !chunks.some(({ sha256 }: { sha256: string }) => isHit(`chunks/${sha256}.safetensors`));
          });
          const found = await restore(store).catch(error => error);
          if (whole.length > 0) expect([found.manifest.step, found.state]).toEqual([whole[0], stateAt(whole[0])]);
          else expect(found).toMatchObject({ code: 'integrity' });
        } finally {
          for (const { key } of hits) await store.put(key, all.get(key)!);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe('a store that gives back other bytes than it was given', () => {
  /** Writes the first `times` chunks wrong. */
  const careless = (times: number): Store => ({
    ...store,
    put: (key, bytes) => store.put(key, key.startsWith(chunkPrefix) && times-- > 0 ? bytes.subarray(0, -1) : bytes),
  });

  test('once: the chunk is written again', async () => {
    await (await claim(careless(1))).save(snapshot(1));
    expect((await restore(store))!.state).toEqual(stateAt(1));
  });

  test('always: the checkpoint fails, and the one before stays', async () => {
    await (await claim(store, 'test', { last: 1, best: 0 })).save(snapshot(1));
    const checkpoints = await claim(careless(1000), 'test', { last: 1, best: 0 });
    await expect(checkpoints.save(snapshot(2))).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringContaining('is damaged'),
    });
    expect((await restore(store))!.state).toEqual(stateAt(1));
  });
});

describe('two writers', () => {
  test('the later one has the store; the earlier one stops before it changes anything', async () => {
    const earlier = await claim();
    const { chunks } = await earlier.save(snapshot(1));
    const later = await claim();
    const before = await store.list();
    await expect(earlier.save(snapshot(5))).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('another writer has taken it over (term 2), and this one (term 1) stops'),
    });
    await expect(earlier.commit({ step: 5, position: {}, chunks })).rejects.toMatchObject({ code: 'conflict' });
    expect(await store.list()).toEqual(before);
    await later.save(snapshot(2));
    expect((await restore(store))!.manifest).toMatchObject({ step: 2, term: 2 });
  });

  test('an earlier one that sleeps anywhere in its save never moves the pointer back, nor deletes what the later one needs', async () => {
    // The later writer comes after each operation in turn.
    for (let at = 1; at < 40; at++) {
      const here = await openStore(`file:${join(folder, `sleeper-${at}`)}`);
      await (await claim(here)).save(snapshot(1));
      let isClaimed = false;
      let isOver = false;
      let begin = Number.POSITIVE_INFINITY;
      const slow = hookedStore(here, {
        after: async (_operation, _key, count) => {
          begin = Math.min(begin, isClaimed ? count : begin);
          if (count !== begin + at - 1 || isOver) return;
          isOver = true;
          const later = await claim(here, 'test', { last: 2, best: 0 });
          await later.save(snapshot(3));
        },
      });
      const sleeper = await claim(slow, 'test', { last: 2, best: 0 });
      isClaimed = true;
      await sleeper.save(snapshot(2)).catch(error => expect(error).toMatchObject({ code: 'conflict' }));
      if (!isOver) return;
      const { key, state } = (await restore(here))!;
      expect([at, state]).toEqual([at, stateAt(3)]);
      expect([at, JSON.parse((await here.get(pointerKey)).toString()).manifest]).toEqual([at, key]);
    }
    throw new Error('the save never ended');
  });

  test('that begin together get terms of their own', async () => {
    const both = await Promise.all([claim(), claim()]);
    const saved = await Promise.allSettled(both.map((one, i) => one.save(snapshot(i + 1))));
    expect(saved.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test('of different runs do not share a store', async () => {
    await (await claim()).save(snapshot(1));
    await expect(claim(store, 'other')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('holds the checkpoints of the run test, and this one is other'),
    });
  });
});

describe('in S3 that fails', () => {
  let server: S3Server;
  beforeAll(async () => {
    setCredentials();
    server = await startS3Server();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  test('in every request of a checkpoint once: it is saved all the same', async () => {
    for (const fault of [
      'reset',
      'cutBody',
      'errorBody',
      { status: 503, code: 'SlowDown' },
      { status: 500, code: 'InternalError', done: true },
    ] as const) {
      const failed = new Set<string>();
      server.fault = ({ method, key, query }) => {
        const request = `${method} ${key} ${query}`;
        if (failed.has(request)) return undefined;
        failed.add(request);
        return fault;
      };
      const there = s3Store(`s3://bucket/${JSON.stringify(fault)}`, { endpoint: server.url });
      const checkpoints = await claim(there);
      await checkpoints.save(snapshot(1));
      expect((await restore(there))!.state).toEqual(stateAt(1));
    }
  });

  test('for good, at any request: the checkpoint before is still there', async () => {
    for (let at = 0, isReached = true; isReached; at++) {
      const there = s3Store(`s3://bucket/down-${at}`, { endpoint: server.url, attempts: 1 });
      server.fault = () => undefined;
      const checkpoints = await claim(there, 'test', { last: 1, best: 0 });
      await checkpoints.save(snapshot(1));
      server.requests.length = 0;
      server.fault = () => (server.requests.length > at ? { status: 503, code: 'ServiceUnavailable' } : undefined);
      const saved = checkpoints.save(snapshot(2));
      const isSaved = await saved.then(() => true).catch(error => error.code !== 'unavailable');
      isReached = server.requests.length > at;
      server.fault = () => undefined;
      const found = (await restore(there))!;
      expect([at, found.state]).toEqual([at, stateAt(found.manifest.step)]);
      if (isSaved) expect([at, found.manifest.step]).toEqual([at, 2]);
      await checkpoints.save(snapshot(3));
      expect([at, await stepsOf(there), (await there.list(chunkPrefix)).length]).toEqual([at, [3], 3]);
    }
  });
});
