/**
 * The exchange between real processes, over real sockets.
 */
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { curveKeyPair, Push } from 'zeromq';
import { encodeHeader, type Header, runTag } from '../../../coordinator/exchange/frame.ts';
import { openMesh } from '../../../coordinator/exchange/mesh.ts';
import type { BucketOptions } from '../../../coordinator/exchange/plan.ts';
import { bucketsOf, evenly, laneValues, partition, referenceSum } from '../../tools/lanes.ts';
import { type State, startFleet } from '../../tools/meshes.ts';
import { digestOf } from '../../tools/meshWorker.ts';

const keys = curveKeyPair();
const buckets = bucketsOf(5000, 17, 70_000);
const chunkLength = 4096;

const reference = (lanes: number, buckets: readonly BucketOptions[], step: number) =>
  buckets.map(({ length, wire }, bucket) =>
    digestOf(
      referenceSum(
        Array.from({ length: lanes }, (_, lane) => laneValues(lane, bucket, step, length)),
        wire,
      ),
    ),
  );

describe('sums', () => {
  const lanes = 5;
  test.each(['ipc', 'shm', 'tcp'] as const)(
    'have the same bits with 1, 2, 3 and 4 workers and whatever ranges, some buckets rounded (%s)',
    async transport => {
      await using fleet = startFleet(4);
      const buckets: BucketOptions[] = [
        { length: 17 },
        { length: 70_000, wire: 'bfloat16' },
        { length: 33, wire: 'bfloat16' },
        { length: 5000 },
      ];
      const expected = [7, 8, 9].map(step => reference(lanes, buckets, step));
      const cuts = [[], [false, false, true], [true, false, true], [true, true, false, true]];
      for (const [generation, cut] of cuts.entries()) {
        const ranges = partition(lanes, [...cut, false, false, false, false]);
        await fleet.open({ generation, ranges, buckets, chunkLength, transport, keys, firstStep: 7 });
        const members = fleet.workers.slice(0, ranges.length);
        const digests = await Promise.all(members.map(worker => worker.ask({ do: 'sum', from: 7, to: 10 })));
        for (const digest of digests) expect(digest).toEqual(expected);
        await Promise.all(members.map(worker => worker.ask({ do: 'close' })));
      }
    },
  );

  test.each([1, 2])('round what is told to be, also on one worker, and keep whole numbers beside it (%i workers)', async workers => {
    const buckets: BucketOptions[] = [{ length: 3, wire: 'bfloat16' }, { length: 3 }];
    const open = (rank: number) =>
      openMesh({
        ...{ run: 'test', generation: 1, rank, ranges: evenly(2, workers), buckets },
        ...{ listen: 'tcp://127.0.0.1:*', trustNetwork: true },
      });
    const meshes = await Promise.all(Array.from({ length: workers }, (_, rank) => open(rank)));
    await Promise.all(meshes.map(mesh => mesh.connect(meshes.map(({ endpoint }) => endpoint))));
    const sums = await Promise.all(
      evenly(2, workers).map(({ start, end }, rank) => {
        const step = meshes[rank].begin(0);
        for (let lane = start; lane < end; lane++) {
          for (const bucket of [0, 1]) step.add(lane, bucket, Float32Array.of(2 ** 23 - lane, 257, lane));
        }
        return step.total();
      }),
    );
    // bfloat16 has 8 bits: 2^23 - 1 becomes 2^23 and 257 becomes 256.
    const expected = [Float32Array.of(2 ** 24, 512, 1), Float32Array.of(2 ** 24 - 1, 514, 1)];
    for (const sum of sums) expect(sum).toEqual(expected);
    await Promise.all(meshes.map(mesh => mesh.close()));
  });

  test('of one bucket are there while others are still computed; a bucket that nobody adds takes no part', async () => {
    await using fleet = startFleet(2);
    const ranges = evenly(2, 2);
    await fleet.open({ generation: 1, ranges, buckets, chunkLength });
    const all = <T>(order: Parameters<(typeof fleet.workers)[number]['ask']>[0]) =>
      Promise.all(fleet.workers.map(worker => worker.ask<T>(order)));
    await all({ do: 'begin', step: 0, buckets: [2] });
    const [first, , third] = reference(2, buckets, 0);
    expect(await all({ do: 'wait', bucket: 2 })).toEqual([third, third]);
    await all({ do: 'add', buckets: [0] });
    expect(await all({ do: 'wait', bucket: 0 })).toEqual([first, first]);
    // Bucket 1 was left out, and the next step begins all the same.
    expect(await all({ do: 'sum', from: 1, to: 2 })).toEqual([[reference(2, buckets, 1)], [reference(2, buckets, 1)]]);
  });

  test('name the slow worker, and nobody else', async () => {
    await using fleet = startFleet(3);
    await fleet.open({ generation: 1, ranges: evenly(3, 3), buckets: bucketsOf(3000) });
    await Promise.all(fleet.workers.map(worker => worker.ask({ do: 'sum', from: 0, to: 2 }))); // all have compiled what they run
    const delayMs = 400;
    await Promise.all(
      fleet.workers.map((worker, rank) => worker.ask({ do: 'sum', from: 2, to: 3, delayMs: rank === 1 ? delayMs : undefined })),
    );
    for (const worker of fleet.workers) {
      const { ranks } = (await worker.ask<State>({ do: 'state' })).stats;
      const slowest = ranks.toSorted((a, b) => b.contributionMs + b.sumMs - a.contributionMs - a.sumMs)[0];
      expect(slowest).toMatchObject({ rank: 1, contributionMs: expect.toSatisfy((ms: number) => ms > delayMs / 2) });
      for (const { sumMs } of ranks) expect(sumMs).toBeLessThan(delayMs / 2); // its lateness is not charged to the owners that waited for it
    }
  });
});

describe('a generation ends', () => {
  const ranges = evenly(4, 3);
  const large = bucketsOf(400_000, 400_000);

  test('at once when a worker is killed in the middle of a sum, and leaves nothing; those that are left sum the step again', async () => {
    await using fleet = startFleet(3);
    const survivors = fleet.workers.slice(0, 2);
    const before = await Promise.all(survivors.map(worker => worker.ask<State>({ do: 'state' })));
    await fleet.open({ generation: 1, ranges, buckets: large, chunkLength, transport: 'shm' });
    for (const [rank, worker] of fleet.workers.entries()) await worker.ask({ do: 'begin', step: 0, buckets: rank === 2 ? [0] : [0, 1] });
    await Promise.all(fleet.workers.map(worker => worker.ask({ do: 'wait', bucket: 0 })));
    const waiting = survivors.map(worker => worker.ask({ do: 'wait', bucket: 1 }).catch(error => error));
    const missing = async () => (await survivors[0].ask<State>({ do: 'state' })).stats.ranks.map(({ framesMissing }) => framesMissing > 0);
    await vi.waitFor(async () => expect(await missing()).toEqual([false, true, true]), 10_000); // worker 1 has to wait for 2 as well
    await fleet.workers[2].kill();
    const killed = performance.now();
    expect(await Promise.all(waiting)).toEqual(
      Array(2).fill(expect.objectContaining({ code: 'unavailable', details: { rank: 2, step: 0 } })),
    );
    expect(performance.now() - killed).toBeLessThan(2000);
    await Promise.all(survivors.map(worker => worker.ask({ do: 'close' })));
    expect(readdirSync(fleet.folder)).toEqual(['1.2']); // the socket of the one that was killed; shared memory went from the folder when all had connected
    await fleet.open({ generation: 2, ranges: evenly(4, 2), buckets: large, chunkLength });
    const expected = [reference(4, large, 0)];
    expect(await Promise.all(survivors.map(worker => worker.ask({ do: 'sum', from: 0, to: 1 })))).toEqual([expected, expected]);
    await Promise.all(survivors.map(worker => worker.ask({ do: 'close' })));
    const after = await Promise.all(survivors.map(worker => worker.ask<State>({ do: 'state' })));
    // What libzmq keeps for the process (a mailbox or two) comes once.
    for (const [rank, { descriptors }] of after.entries()) expect(descriptors - before[rank].descriptors).toBeLessThanOrEqual(8);
  });

  test('at once when it is aborted, also while a peer has stopped reading', async () => {
    await using fleet = startFleet(2);
    const [one, other] = fleet.workers;
    await fleet.open({ generation: 1, ranges: evenly(2, 2), buckets: bucketsOf(8_000_000) });
    other.process.kill('SIGSTOP');
    await one.ask({ do: 'begin', step: 0, buckets: [0] });
    const waiting = one.ask({ do: 'wait', bucket: 0 }).catch(error => error);
    // 16 MB are on their way, and not all of it fits between the two.
    await vi.waitFor(async () => expect((await one.ask<State>({ do: 'state' })).stats.bytesSent).toBeGreaterThan(2 ** 20), 10_000);
    await one.ask({ do: 'abort', reason: 'generation 2 has begun' });
    const aborted = performance.now();
    expect(await waiting).toMatchObject({ message: 'generation 2 has begun' });
    await one.ask({ do: 'close' });
    expect(performance.now() - aborted).toBeLessThan(2000);
    expect(readdirSync(fleet.folder)).toEqual(['1.1']);
    await expect(one.ask({ do: 'begin', step: 0, buckets: [0] })).rejects.toThrow('generation 2 has begun');
  });

  test('when a process exits without closing, with the code that it exits with', async () => {
    await using fleet = startFleet(2);
    await fleet.open({ generation: 1, ranges: evenly(2, 2), buckets: large, keys });
    await fleet.workers[0].ask({ do: 'begin', step: 0, buckets: [0, 1] });
    const codes = fleet.workers.map(async ({ process: child }) => (await once(child, 'exit'))[0]);
    for (const worker of fleet.workers) worker.ask({ do: 'exit', code: 75 }).catch(() => {});
    expect(await Promise.all(codes)).toEqual([75, 75]);
  });

  test('sixteen times over, with no more memory or descriptors than at first', async () => {
    await using fleet = startFleet(2);
    const states: State[] = [];
    for (let generation = 1; generation <= 16; generation++) {
      await fleet.open({ generation, ranges: evenly(2, 2), buckets: bucketsOf(200_000), chunkLength, transport: 'tcp', keys });
      await Promise.all(fleet.workers.map(worker => worker.ask({ do: 'sum', from: 0, to: 2 })));
      await Promise.all(fleet.workers.map(worker => worker.ask({ do: 'close' })));
      states.push(await fleet.workers[0].ask<State>({ do: 'state' }));
    }
    expect(states.at(-1)!.descriptors).toBeLessThanOrEqual(states[3].descriptors);
    // A generation has 4 MB; kept by mistake they would be 48.
    expect(states.at(-1)!.residentKilobytes - states[3].residentKilobytes).toBeLessThan(40_000);
  });
});

test('a thousand steps need no more memory than two hundred', async () => {
  await using fleet = startFleet(2);
  await fleet.open({ generation: 1, ranges: evenly(2, 2), buckets: bucketsOf(60_000, 1000), chunkLength });
  const resident: number[] = [];
  for (const [from, to] of [
    [0, 200],
    [200, 1000],
  ]) {
    await Promise.all(fleet.workers.map(worker => worker.ask({ do: 'sumZeros', from, to })));
    resident.push((await fleet.workers[0].ask<State>({ do: 'state' })).residentKilobytes);
  }
  expect(resident[1] - resident[0]).toBeLessThan(30_000); // 800 steps received 195 MB
});

describe('strangers', () => {
  const opened = async (fleet: ReturnType<typeof startFleet>) => {
    const endpoints = await fleet.open({ generation: 1, ranges: evenly(2, 2), buckets, chunkLength, transport: 'tcp', keys });
    const [worker] = fleet.workers;
    const stats = async () => (await worker.ask<State>({ do: 'state' })).stats;
    const sums = async (step: number) => {
      const expected = [reference(2, buckets, step)];
      expect(await Promise.all(fleet.workers.map(one => one.ask({ do: 'sum', from: step, to: step + 1 })))).toEqual([expected, expected]);
    };
    return { endpoint: endpoints[0], worker, stats, sums };
  };

  test('with an unknown key or none are refused and counted, and the sums go on', async () => {
    await using fleet = startFleet(2);
    const { endpoint, stats, sums } = await opened(fleet);
    const stranger = curveKeyPair();
    const client = { curvePublicKey: stranger.publicKey, curveSecretKey: stranger.secretKey, curveServerKey: keys.publicKey };
    const unknown = new Push({ linger: 0, ...client });
    unknown.connect(endpoint);
    await vi.waitFor(async () => expect((await stats()).connectionsRefused.auth).toBeGreaterThan(0), 10_000);
    unknown.close();
    const without = new Push({ linger: 0 });
    without.connect(endpoint);
    // Either side may be the first to see that the other speaks without keys; the other one then sees an end without a reason.
    const refused = async () => (await stats()).connectionsRefused;
    await vi.waitFor(async () => expect(await refused()).toSatisfy(({ protocol, other }) => protocol + other > 0), 10_000);
    without.close();
    await sums(0);
    expect(Object.values((await stats()).framesDropped).every(count => count === 0)).toBe(true);
  });

  test('that send garbage reach nothing, and hold no descriptors', async () => {
    await using fleet = startFleet(2);
    const { endpoint, worker, stats, sums } = await opened(fleet);
    const port = Number(endpoint.split(':').at(-1));
    const { descriptors } = await worker.ask<State>({ do: 'state' });
    const legacy = Buffer.from([0x01, 0x00, 0x05, 0x00, 1, 2, 3, 4]); // ZMTP 1.0: a message without any handshake
    const greetings = [Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'), Buffer.alloc(20_000, 0xa5), legacy, Buffer.alloc(0)];
    const sockets: Socket[] = [];
    for (let i = 0; i < 60; i++) {
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {}); // it may be closed while we write
      socket.write(greetings[i % greetings.length]);
      sockets.push(socket);
    }
    await sums(0);
    // The silent ones too are dropped, when the time for a handshake is over.
    await Promise.all(sockets.map(socket => socket.closed || once(socket.resume(), 'close')));
    await vi.waitFor(async () => expect((await worker.ask<State>({ do: 'state' })).descriptors).toBeLessThanOrEqual(descriptors), 20_000);
    await sums(1);
    const { framesDropped } = await stats();
    expect(Object.values(framesDropped).every(count => count === 0)).toBe(true);
  });

  test('that know the key but send no frames of this generation are counted by the reason; too large ones end their connection', async () => {
    await using fleet = startFleet(2);
    const { endpoint, stats, sums } = await opened(fleet);
    const push = new Push({ linger: 0, curvePublicKey: keys.publicKey, curveSecretKey: keys.secretKey, curveServerKey: keys.publicKey });
    push.connect(endpoint);
    const header: Header = {
      ...{ kind: 'contribution', wire: 'float32', run: runTag('test'), generation: 1, step: 0, bucket: 1, from: 1, slice: 0 },
      ...{ node: { start: 1, end: 2 }, offset: 0, length: 16, checksum: 0 },
    };
    const numbers = new Uint8Array(64);
    await push.send(['hello']);
    await push.send([encodeHeader({ ...header, generation: 0 }), numbers]);
    await push.send([encodeHeader({ ...header, run: runTag('another') }), numbers]);
    await push.send([encodeHeader({ ...header, step: 5 }), numbers]);
    await push.send([encodeHeader({ ...header, offset: 2 ** 31 }), numbers]);
    await push.send([encodeHeader({ ...header, wire: 'bfloat16' }), new Uint8Array(32)]); // the bucket is float32
    await push.send([encodeHeader(header), new Uint8Array(63)]);
    const counted = { parts: 1, otherGeneration: 1, otherRun: 1, otherStep: 1, notPlanned: 2, numbersSize: 1, duplicate: 0 };
    await vi.waitFor(async () => expect((await stats()).framesDropped).toMatchObject(counted), 10_000);
    const ended = new Promise(resolve => push.events.on('disconnect', resolve));
    await push.send([encodeHeader(header), new Uint8Array(4 * 4096 + 2048)]);
    await ended;
    push.close();
    await sums(0);
  });
});

describe('a mesh of one worker', () => {
  const open = async (signal?: AbortSignal, listen = 'tcp://127.0.0.1:*') => {
    const options = {
      run: 'test',
      generation: 1,
      rank: 0,
      ranges: evenly(2, 1),
      buckets: bucketsOf(3),
      listen,
      trustNetwork: true,
      signal,
    };
    const mesh = await openMesh(options);
    await mesh.connect([mesh.endpoint]);
    return mesh;
  };
  const pair = (a: number, b: number) => [Float32Array.of(a, a, a), Float32Array.of(b, b, b)];

  test('leaves nothing of the memory that nobody came to share', async () => {
    const folder = mkdtempSync('/dev/shm/segfleet-mesh-');
    const mesh = await open(undefined, `shm://${folder}/alone`);
    await mesh.close();
    expect(readdirSync(folder)).toEqual([]);
    rmSync(folder, { recursive: true });
  });

  test('adds its lanes; a total stays as it is while the next step is summed, and may be written where it belongs', async () => {
    const mesh = await open();
    const totals: Float32Array[] = [];
    for (const step of [0, 1]) {
      const [first, second] = pair(step + 1, 10);
      const begun = mesh.begin(step);
      begun.add(1, 0, second); // in whatever order
      begun.place(0, 0).set(first);
      begun.add(0, 0);
      totals.push(...(await begun.total()));
    }
    expect(totals.map(total => [...total])).toEqual([
      [11, 11, 11], // 1 + 10
      [12, 12, 12], // 2 + 10
    ]);
    await mesh.close();
  });

  test('holds its caller to the order of steps, lanes and lengths', async () => {
    const mesh = await open();
    const [first, second] = pair(1, 2);
    expect(() => mesh.begin(1)).toThrow('step 1 begins where 0 is the next one');
    const step = mesh.begin(0);
    step.add(0, 0, first);
    expect(() => mesh.begin(1)).toThrow('step 1 begins while bucket 0 of step 0 is being summed');
    expect(() => step.add(0, 0, first)).toThrow('lane 0 of bucket 0 in step 0 is there already');
    expect(() => step.add(2, 0, first)).toThrow('lane 2 of bucket 0 in step 0: this worker has lanes 0 to 1');
    expect(() => step.add(1, 0, new Float32Array(4))).toThrow('4 values for bucket 0, which has 3');
    step.add(1, 0, second);
    await step.total();
    mesh.begin(1);
    expect(() => step.add(1, 0, second)).toThrow('lane 1 of bucket 0 in step 0: the step is over');
    await mesh.close();
    expect(() => mesh.begin(2)).toThrow('the mesh was closed');
  });

  test('rejects with the reason of its signal', async () => {
    const controller = new AbortController();
    const mesh = await open(controller.signal);
    const total = mesh.begin(0).total();
    controller.abort(new Error('generation 2 has begun'));
    await expect(total).rejects.toThrow('generation 2 has begun');
    await mesh.close();
  });
});

describe('openMesh says what is wrong:', () => {
  const options = { run: 'test', generation: 1, rank: 0, ranges: evenly(1, 1), buckets: bucketsOf(10) };
  test.each([
    ['tcp://127.0.0.1:*', 'usage', 'tcp://127.0.0.1:* needs keys: without them anyone who can connect can send gradients'],
    ['udp://x', 'usage', 'udp://x: a mesh listens on tcp://address:port, ipc:///folder/name or shm:///folder/name'],
    [`ipc:///tmp/${'x'.repeat(110)}/a`, 'usage', 'is too long for a socket (107 bytes); choose a shorter folder'],
    ['ipc:///tmp/no-such-folder/a', 'notFound', 'opening a socket in /tmp/no-such-folder: no such file or folder'],
  ])('%s', async (listen, code, sentence) => {
    await expect(openMesh({ ...options, listen })).rejects.toMatchObject({ code, message: expect.stringContaining(sentence) });
  });

  test('a folder that others can enter', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'mesh-'));
    mkdirSync(join(folder, 'open'));
    chmodSync(join(folder, 'open'), 0o755);
    await expect(openMesh({ ...options, listen: `ipc://${folder}/open/a` })).rejects.toMatchObject({ code: 'notAllowed' });
    rmSync(folder, { recursive: true });
  });

  test('a port in use, a second mesh with keys in one process, an address of another machine', async () => {
    const mesh = await openMesh({ ...options, listen: 'tcp://127.0.0.1:*', keys });
    await expect(openMesh({ ...options, listen: mesh.endpoint, trustNetwork: true })).rejects.toMatchObject({ code: 'conflict' });
    await expect(openMesh({ ...options, listen: 'tcp://127.0.0.1:*', keys })).rejects.toMatchObject({ code: 'conflict' });
    await expect(openMesh({ ...options, listen: 'tcp://192.0.2.1:*', trustNetwork: true })).rejects.toMatchObject({ code: 'usage' });
    await mesh.close();
  });
});
