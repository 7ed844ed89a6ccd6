/**
 * The control plane with real processes over real sockets. Each process is a toy worker; whatever befalls them, the number that they
 * train must come out as undisturbed.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { curveKeyPair, Dealer } from 'zeromq';
import { createRunKeys } from '../../coordinator/exchange/keys.ts';
import { defaultTiming } from '../../coordinator/round.ts';
import { Coordinator } from '../../coordinator/server.ts';
import { undisturbed } from './toy.ts';
import { type ToyEvent, ToyFleet, type ToyFleetOptions } from './toyFleet.ts';

let fleet: ToyFleet;
afterEach(async () => fleet.close());

const start = async (options: ToyFleetOptions = {}) => {
  fleet = await ToyFleet.start(options);
  return fleet;
};

/** The end that every recoverable fault must come to: all steps once and in order, weights as without the fault. */
async function expectUndisturbed(): Promise<void> {
  const { steps, lanes } = fleet.options;
  expect(await fleet.end()).toMatchObject({ code: 'ok' });
  const all = Array.from({ length: steps }, (_, index) => index + 1);
  expect(fleet.committed()).toEqual(all);
  const expected = undisturbed(steps, lanes);
  expect([...fleet.weights()].sort(([a], [b]) => a - b)).toEqual(all.map(step => [step, expected[step]]));
}

/** Does something the first time that a worker says this. */
function onFirst(matches: (event: ToyEvent) => boolean, act: (event: ToyEvent) => void) {
  let done = false;
  return (event: ToyEvent) => {
    if (done || !matches(event)) return;
    done = true;
    act(event);
  };
}

const worker = (id: string) => fleet.processes.findLast(process => process.id === id)!;
const lost = () => fleet.history.filter(event => event.do === 'lost').map(({ id }) => id);
const generationsOf = (step: number) =>
  new Set(fleet.processes.flatMap(({ events }) => events.filter(e => e.event === 'computing' && e.step === step).map(e => e.generation)));

test('three workers, nobody disturbed, encrypted', async () => {
  await start({ encrypted: true });
  for (const id of ['a', 'b', 'c']) fleet.add(id);
  await expectUndisturbed();
  expect(lost()).toEqual([]);
});

const phases = ['computing', 'prepared', 'applied'] as const;
test.each([0, 1, 2])(
  'a worker is killed at every one of 20 steps and replaced at once: rank %i first, in every phase of a step',
  async offset => {
    const killed = new Set<number>();
    // Three are needed: else the others would be through before a replacement has started.
    await start({
      min: 3,
      onEvent: ({ event, step }, process) => {
        // Step k: the victim is worker (k + offset) mod 3, in another phase every third step.
        if (event !== phases[Math.floor(step / 3) % 3] || killed.has(step)) return;
        if (process.id !== 'abc'[(step + offset) % 3] || process !== worker(process.id)) return;
        killed.add(step);
        process.child.kill('SIGKILL');
        fleet.add(process.id, { incarnation: step });
      },
    });
    for (const id of 'abc') fleet.add(id);
    await expectUndisturbed();
    expect(killed.size).toBe(20);
  },
);

test('two of three die at the same moment: one new generation for both, the third goes on alone', async () => {
  await start({
    onEvent: onFirst(
      ({ event, step }) => event === 'computing' && step === 7,
      () => {
        worker('a').child.kill('SIGKILL');
        worker('b').child.kill('SIGKILL');
      },
    ),
  });
  for (const id of 'abc') fleet.add(id);
  await expectUndisturbed();
  expect(lost().slice(0, 2).sort()).toEqual(['a', 'b']);
  // Heard last within the same tick or the next one.
  expect(generationsOf(7).size).toBeLessThanOrEqual(3);
});

test('a second worker dies while the run recovers from the first', async () => {
  const second = onFirst(
    ({ event, generation, step }) => event === 'computing' && generation === 2 && step === 9,
    ({ id }) => worker(id).child.kill('SIGKILL'),
  );
  const first = onFirst(
    ({ event, step }) => event === 'prepared' && step === 8,
    ({ id }) => worker(id).child.kill('SIGKILL'),
  );
  await start({
    onEvent: event => {
      second(event);
      first(event);
    },
  });
  for (const id of 'abc') fleet.add(id);
  await expectUndisturbed();
});

test('all die: replacements begin again from what they hold, to the same number', async () => {
  await start({
    onEvent: onFirst(
      ({ event, step }) => event === 'applied' && step === 12,
      () => {
        for (const id of 'abc') worker(id).child.kill('SIGKILL');
        for (const id of 'abc') fleet.add(id, { incarnation: 1 });
      },
    ),
  });
  for (const id of 'abc') fleet.add(id);
  expect(await fleet.end()).toMatchObject({ code: 'ok' });
  expect(fleet.weights().get(20)).toBe(undisturbed(20, 4)[20]);
  expect(fleet.history.filter(event => event.do === 'position').map(({ step }) => step)).toEqual([0, 0]);
});

test('a worker that is stopped for longer than the time-out is put out, and comes back as a newcomer', async () => {
  await start({
    steps: 40,
    stepMs: 60,
    onEvent: onFirst(
      ({ event, step, id }) => event === 'computing' && step === 5 && id === 'b',
      () => {
        worker('b').child.kill('SIGSTOP');
        setTimeout(() => worker('b').child.kill('SIGCONT'), 2000);
      },
    ),
  });
  for (const id of 'abc') fleet.add(id);
  await expectUndisturbed();
  expect(lost()[0]).toBe('b');
  expect(worker('b').events.some(({ event }) => event === 'imported')).toBe(true);
  expect(worker('b').events.at(-1)).toMatchObject({ event: 'end', code: 'ok' });
});

test('a worker that is stopped for less than the time-out costs nothing but time', async () => {
  await start({
    timing: { deadAfterMs: 10_000 },
    onEvent: onFirst(
      ({ event, step, id }) => event === 'computing' && step === 5 && id === 'b',
      () => {
        worker('b').child.kill('SIGSTOP');
        setTimeout(() => worker('b').child.kill('SIGCONT'), 500);
      },
    ),
  });
  for (const id of 'abc') fleet.add(id);
  await expectUndisturbed();
  expect(lost()).toEqual([]);
});

test('a worker whose main thread hangs is seen although its heartbeats go on', async () => {
  await start({ timing: { deadAfterMs: 4000, hungAfterMs: 1500, quarantineMs: 60_000 }, expected: 3 });
  fleet.add('a');
  fleet.add('b', { hangAt: 6 });
  fleet.add('c');
  const b = worker('b');
  void ended().then(() => b.child.kill('SIGKILL'));
  await expectUndisturbed();
  expect(fleet.history.find(event => event.do === 'lost')).toMatchObject({ id: 'b', why: expect.stringMatching(/^hung for \d+ ms$/) });
});

/** When the coordinator has said how the run ends, before all processes have gone. */
async function ended(): Promise<void> {
  while (!fleet.history.some(event => event.do === 'end')) await new Promise(resolve => setTimeout(resolve, 50));
}

test('a worker that joins takes the state over and computes with the others from the next step on', async () => {
  await start({
    expected: 1,
    steps: 60,
    stepMs: 50,
    encrypted: true,
    onEvent: onFirst(
      ({ event, step }) => event === 'computing' && step === 3,
      () => void fleet.add('b'),
    ),
  });
  fleet.add('a');
  await expectUndisturbed();
  const steps = worker('b').events.filter(({ event }) => event === 'computing');
  expect(steps.length).toBeGreaterThan(0);
  expect(steps[0].step).toBe(worker('b').events.find(({ event }) => event === 'imported')!.step + 1);
});

test('a worker beyond the lanes waits, and takes the place of one that dies', async () => {
  await start({
    lanes: 2,
    steps: 60,
    stepMs: 50,
    onEvent: onFirst(
      ({ event, step }) => event === 'computing' && step === 10,
      ({ id }) => worker(id).child.kill('SIGKILL'),
    ),
  });
  for (const id of 'abc') fleet.add(id);
  await expectUndisturbed();
  const computing = (id: string) =>
    worker(id)
      .events.filter(({ event }) => event === 'computing')
      .map(({ step }) => step);
  const spare = [...'abc'].find(id => computing(id)[0] >= 10)!;
  expect(worker(spare).events.some(({ event }) => event === 'imported')).toBe(true);
});

test('SIGTERM: the worker leaves between two steps, and no step is computed twice', async () => {
  await start({
    steps: 30,
    onEvent: onFirst(
      ({ event, step, id }) => event === 'computing' && step === 10 && id === 'b',
      () => worker('b').child.kill('SIGTERM'),
    ),
  });
  for (const id of 'abc') fleet.add(id);
  await expectUndisturbed();
  expect(worker('b').events.at(-1)).toMatchObject({ event: 'end', code: 'left' });
  for (let step = 1; step <= 30; step++) expect([step, generationsOf(step).size]).toEqual([step, 1]);
});

test('the run is asked to stop: every share of a checkpoint is stored before it ends as preempted', async () => {
  await start({
    steps: 1000,
    onEvent: onFirst(
      ({ event, step }) => event === 'applied' && step === 7,
      () => fleet.coordinator.stop('preempted'),
    ),
  });
  for (const id of 'abc') fleet.add(id);
  expect(await fleet.end()).toMatchObject({ code: 'preempted' });
  const saved = fleet.history.filter(event => event.do === 'checkpointed').at(-1)!;
  expect(saved.step).toBe(fleet.committed().at(-1));
  const weights = undisturbed(saved.step, 4)[saved.step];
  expect(saved.shares.map(share => JSON.parse(share))).toEqual([0, 1, 2].map(rank => ({ step: saved.step, rank, size: 3, weights })));
});

test('the coordinator dies: its successor goes on from what the workers hold', async () => {
  await start({ steps: 30 });
  for (const id of 'abc') fleet.add(id);
  await until(() => fleet.committed().length >= 10);
  await fleet.coordinator.close();
  const before = fleet.history.length;
  const { savedStep } = fleet;
  await fleet.coordinate(2);
  expect(await fleet.end()).toMatchObject({ code: 'ok' });
  expect([...fleet.weights()].sort(([a], [b]) => a - b)).toEqual(
    undisturbed(30, 4)
      .map((weights, step) => [step, weights])
      .slice(1),
  );
  // No worker was sent back by more than the step that was under way.
  const positions = fleet.history.filter(event => event.do === 'position').map(({ step }) => step);
  expect(positions[0]).toBe(0);
  expect(positions[1]).toBeGreaterThanOrEqual(10);
  // The second one hears of all steps since the last checkpoint, also of those that only the first one was told of.
  const told = fleet.history.slice(before).filter(event => event.do === 'applied');
  const expected = undisturbed(30, 4).map((weights, step) => ({ do: 'applied', step, report: String(weights) }));
  expect(told).toEqual(expected.slice(savedStep + 1));
});

test('the coordinator dies before the manifest of a checkpoint is written: its successor has that step saved again before it goes on', async () => {
  await start({ unwritten: 10 });
  for (const id of 'abc') fleet.add(id);
  await until(() => fleet.history.some(event => event.do === 'checkpointed' && event.step === 10));
  await fleet.coordinator.close();
  expect(fleet.savedStep).toBe(5);
  await fleet.coordinate(2);
  await expectUndisturbed();
  const steps = fleet.history.filter(event => event.do === 'committed' || event.do === 'checkpointed' || event.do === 'position');
  const told = steps.map(event => `${event.do} ${event.step}`);
  expect(told.slice(told.indexOf('committed 10'), told.indexOf('committed 11'))).toEqual([
    'committed 10',
    'checkpointed 10',
    'position 10',
    'checkpointed 10',
  ]);
});

test('a loss that is not a number stops all before anything is applied, and names the images', async () => {
  await start();
  fleet.add('a');
  fleet.add('b', { nanAt: 6 });
  fleet.add('c');
  expect(await fleet.end()).toMatchObject({ code: 'diverged', sentence: expect.stringContaining('a.png'), images: ['a.png'] });
  expect(Math.max(...fleet.weights().keys())).toBe(5);
  for (const id of 'abc') expect(worker(id).events.at(-1)).toMatchObject({ event: 'end', code: 'diverged' });
});

test('workers that prepare something different stop before anything is applied', async () => {
  await start();
  fleet.add('a');
  fleet.add('b', { wrongAt: 6 });
  fleet.add('c');
  const end = await fleet.end();
  expect(end).toMatchObject({ code: 'integrity', sentence: expect.stringMatching(/^the workers do not agree on step 6: /) });
  expect(Math.max(...fleet.weights().keys())).toBe(5);
});

test('a worker with other data is refused with both digests; the run goes on', async () => {
  await start({ expected: 2 });
  fleet.add('a');
  fleet.add('b');
  const other = fleet.add('x', { digests: { job: 'j', code: 'c', data: 'other', library: 'l' } });
  await expectUndisturbed();
  expect(other.events).toEqual([
    { event: 'end', id: 'x', code: 'conflict', sentence: 'the data of x is other, that of the run is d; every worker needs the same data' },
  ]);
});

test('a second process of the same name is refused while the first is there, and the first goes on', async () => {
  await start({ expected: 2, steps: 100_000 });
  fleet.add('a');
  const first = fleet.add('b');
  await until(() => fleet.committed().length > 0);
  const second = fleet.add('b', { duplicateMs: 300 });
  await second.exited;
  expect(second.events).toEqual([
    { event: 'end', id: 'b', code: 'conflict', sentence: 'another worker is called b; give this one another name, or end the other' },
  ]);
  fleet.coordinator.stop('preempted');
  expect(await fleet.end()).toMatchObject({ code: 'preempted' });
  expect(first.events.at(-1)).toMatchObject({ code: 'preempted' });
  expect(lost()).toEqual([]);
});

test('garbage on the port, foreign keys and malformed messages are counted; the run takes no notice', async () => {
  await start({ encrypted: true, steps: 100_000 });
  for (const id of 'abc') fleet.add(id);
  await until(() => fleet.committed().length > 0);
  const port = Number(new URL(fleet.coordinator.endpoint).port);
  const garbage = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.from([1, 0, 5, 0, 104, 101, 108, 108, 111]),
    Buffer.alloc(20_000, 7),
    Buffer.alloc(0),
  ];
  const sockets = garbage.map(bytes => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    return socket.on('error', () => {});
  });
  const serverKey = { curveServerKey: fleet.keys!.coordinator.publicKey };
  const stranger = new Dealer({ linger: 0, ...serverKey, ...named(curveKeyPair()) });
  stranger.connect(fleet.coordinator.endpoint);
  const plain = new Dealer({ linger: 0 });
  plain.connect(fleet.coordinator.endpoint);
  const member = new Dealer({ linger: 0, ...serverKey, ...named(fleet.keys!.worker) });
  member.connect(fleet.coordinator.endpoint);
  for (const frames of [['x'], ['{}'], ['{"version":1,"run":"other"}'], ['{"version":1,"run":"toy"}'], ['a', 'b']]) {
    await member.send(frames);
  }
  await until(() => fleet.status?.dropped.parts === 1 && fleet.status.refused.auth > 0 && fleet.status.refused.protocol > 0);
  expect(fleet.status!.dropped).toEqual({ json: 1, version: 1, run: 1, shape: 1, parts: 1 });
  const before = fleet.committed().length;
  await until(() => fleet.committed().length > before + 5);
  fleet.coordinator.stop('preempted');
  expect(await fleet.end()).toMatchObject({ code: 'preempted' });
  expect(lost()).toEqual([]);
  for (const socket of [stranger, plain, member]) socket.close();
  for (const socket of sockets) socket.destroy();
});

test('a step that always kills ends the run with the first cause', async () => {
  let killed = 0;
  await start({
    attempts: 3,
    expected: 1,
    onEvent: ({ event, step }, process) => {
      if (event !== 'computing' || step !== 5) return;
      process.child.kill('SIGKILL');
      killed++;
      if (killed < 4) fleet.add('a', { incarnation: killed });
    },
  });
  fleet.add('a');
  expect(await fleet.end()).toMatchObject({
    code: 'bug',
    sentence: expect.stringMatching(/^step 5 lost workers 4 times, the first because a /),
  });
});

test.each([
  ['tcp://127.0.0.1:*', 'usage', /needs keys/],
  ['http://127.0.0.1', 'usage', /listen on tcp/],
  ['ipc:///tmp/toy-coordinator', 'notAllowed', /can be entered by others/],
])('a coordinator does not listen on %s without keys', async (listen, code, sentence) => {
  await start();
  const { lanes } = fleet.options;
  const round = { term: 1, lanes, workers: { min: 1, expected: 1 }, attempts: 1, savedStep: 0, timing: defaultTiming };
  await expect(Coordinator.start({ run: 'toy', listen, round })).rejects.toMatchObject({ code, message: expect.stringMatching(sentence) });
});

test('a port in use is said as such', async () => {
  await start();
  const keys = await createRunKeys(join(fleet.folder, 'other.json'), 'toy');
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const listen = `tcp://127.0.0.1:${(other.address() as AddressInfo).port}`;
  const round = { term: 1, lanes: 1, workers: { min: 1, expected: 1 }, attempts: 1, savedStep: 0, timing: defaultTiming };
  await expect(Coordinator.start({ run: 'toy', listen, keys, round })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringMatching(/is in use/),
  });
  other.close();
});

const named = ({ publicKey, secretKey }: { publicKey: string; secretKey: string }) => ({
  curvePublicKey: publicKey,
  curveSecretKey: secretKey,
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, 20));
}
