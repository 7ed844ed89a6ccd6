/**
 * Coordinator and workers as in pods, whose disks go with them: the coordinator comes back on another machine, under the name that it
 * had and with another address; all or some are asked to go. The run goes on exactly, and its record is that of an undisturbed one.
 */

import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { createRunKeys } from '../../coordinator/exchange/keys.ts';
import { type Progress, progressSchema } from '../../coordinator/progress.ts';
import { eventsOf, type Finished, segfleet } from '../tools/cli.ts';
import { canHaveHosts, withHosts, writeHosts } from '../tools/hosts.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { freePort } from '../tools/ports.ts';
import { type Result, resultOf } from '../tools/result.ts';
import { type Gateway, setCredentials, startGateway } from '../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-pods-'));
const out = (name: string) => join(folder, name);
const job = () => out('job.yaml');
const keys = () => out('keys.json');
const name = 'coordinator.segfleet.test';
const stepsPerEpoch = 4;
const children: ChildProcess[] = [];
let undisturbed: Result;
let gateway: Gateway;

beforeAll(async () => {
  setCredentials();
  gateway = await startGateway('bucket');
  await drawDataSet(out('data'), 20, 16, 16);
  // Four epochs of four steps.
  writeJob(folder, sharedJob('data', 4).replace('epochs: 3', 'epochs: 4'));
  await createRunKeys(keys(), 'small');
  expect(await segfleet(['train', job(), '--out', out('undisturbed')])).toMatchObject({ code: 0, stderr: '' });
  undisturbed = resultOf(out('undisturbed'));
});
afterAll(async () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
  await gateway[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

interface Event {
  readonly event: string;
  readonly endpoint: string;
  readonly step: number;
}

interface Pod {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** What it left for whoever runs it. */
  readonly lastWord: () => unknown;
}

let pods = 0;
function start(
  words: readonly string[],
  onEvent: (event: Event, child: ChildProcess) => void = () => {},
  under: readonly string[] = [],
): Pod {
  const log = out(`termination${pods++}`);
  let child: ChildProcess | undefined;
  const finished = segfleet(words, {
    env: { SEGFLEET_TERMINATION_LOG: log, AWS_ENDPOINT_URL_S3: gateway.url },
    under,
    onStart: started => {
      child = started;
      children.push(started);
    },
    onLine: (line, one) => {
      if (words[0] === 'coordinator') onEvent(JSON.parse(line), one);
    },
  });
  return { child: child!, finished, lastWord: () => JSON.parse(readFileSync(log, 'utf8')) };
}

interface Place {
  /** Where the checkpoints go, and the copy of the run folder with them. */
  readonly store: string;
  readonly address: string;
  readonly port: number;
}

const settings = ({ store }: Place) => ['--keys', keys(), '--set', `checkpoint.url=${store}`, '--set', 'workers={replicas: 2, min: 1}'];

const coordinate = (run: string, place: Place, onEvent?: (event: Event, child: ChildProcess) => void, more: readonly string[] = []) =>
  start(
    [
      'coordinator',
      job(),
      '--out',
      run,
      '--listen',
      `tcp://${place.address}:${place.port}`,
      '--continue',
      '--mirror',
      '--json',
      ...settings(place),
      ...more,
    ],
    onEvent,
  );

const work = (id: string, place: Place, host = place.address, under?: readonly string[]) =>
  start(
    ['worker', job(), '--join', `tcp://${host}:${place.port}`, '--host', '127.0.0.1', '--id', id, ...settings(place)],
    undefined,
    under,
  );

const placeOf = async (store: string, address = '127.0.0.1'): Promise<Place> => ({ store, address, port: await freePort() });

/** What the log tells, in order, without times, how often it was begun, and checkpoints in the middle of an epoch: a successor begins with one. */
const taleOf = (run: string): string[] =>
  readFileSync(join(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .filter(({ event }) => event !== 'start')
    .filter(({ event, step }, i, all) => event !== 'checkpoint' || all.slice(0, i).some(one => one.event === 'epoch' && one.step === step))
    .map(({ event, step, epoch }) => [event, step, epoch].filter(value => value !== undefined).join(' '));

/** What each epoch has shown, as whoever compares runs by it is told. */
const dicesOf = (run: string) =>
  readFileSync(join(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
    .filter(({ event }) => event === 'epoch')
    .map(({ epoch, step, validation: { pooled } }) => ({ epoch, step, value: pooled.dice, jaccard: pooled.jaccard }));

const recordOf = (run: string) => JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));

/** The run folder is that of an undisturbed run; the copy in the store is the same, to the byte. */
async function expectUndisturbed(run: string, store: string): Promise<void> {
  expect(resultOf(run)).toEqual(undisturbed);
  expect(taleOf(run)).toEqual(taleOf(out('undisturbed')));
  expect(recordOf(run)).toMatchObject({ status: 'succeeded', exit: { code: 0 } });
  const copy = store.startsWith('s3://') ? join(gateway.folder, store.slice('s3://'.length), 'run') : join(store, 'run');
  const filesOf = (place: string) =>
    readdirSync(place, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
      .map(({ parentPath, name }) => join(parentPath, name).slice(place.length))
      .sort();
  expect(filesOf(copy)).toEqual(filesOf(run));
  for (const file of filesOf(run)) expect([file, readFileSync(join(copy, file))]).toEqual([file, readFileSync(join(run, file))]);
  expect(await segfleet(['checkpoint', 'verify', store], { env: { AWS_ENDPOINT_URL_S3: gateway.url } })).toMatchObject({
    code: 0,
    stdout: expect.stringContaining('2 of 2 checkpoints are whole'),
  });
}

const when = (matches: (event: Event) => boolean, act: (child: ChildProcess) => void) => {
  let done = false;
  return (event: Event, child: ChildProcess) => {
    if (done || !matches(event)) return;
    done = true;
    act(child);
  };
};
const atStep = (step: number) => (event: Event) => event.event === 'step' && event.step === step;

describe.skipIf(!canHaveHosts())('under a name that is not there at first, and then moves', () => {
  test('the coordinator is killed three times and comes back with an empty folder and another address: workers go on, every step is told once', async () => {
    const place = await placeOf('s3://bucket/replaced');
    const hosts = out('hosts');
    writeHosts(hosts, {});
    const workers = ['a', 'b'].map(id => work(id, place, name, withHosts(hosts)));
    let last = 0;
    let run = '';
    const kills = [atStep(2), atStep(7), ({ event, step }: Event) => event === 'checkpoint' && step === 12, () => false];
    for (const [attempt, kill] of kills.entries()) {
      run = out(`node${attempt}`);
      const address = `127.0.0.${2 + attempt}`;
      writeHosts(hosts, { [name]: address });
      const killed = when(kill, child => child.kill('SIGKILL'));
      // Rounds: the steps of each epoch, and one of its validation.
      let from: number | undefined;
      const before = last + Math.floor(last / stepsPerEpoch);
      const { finished } = coordinate(run, { ...place, address }, (event, child) => {
        if (event.event === 'workers') from ??= event.step;
        if (event.event === 'step') last = event.step;
        killed(event, child);
      });
      const isLast = attempt === kills.length - 1;
      expect(await finished).toMatchObject(isLast ? { code: 0, stderr: '' } : { signal: 'SIGKILL' });
      // No step is computed once more.
      expect(from).toBeGreaterThanOrEqual(before);
      if (!isLast) rmSync(run, { recursive: true });
    }
    for (const { finished } of workers) expect(await finished).toMatchObject({ code: 0, stderr: '' });
    await expectUndisturbed(run, place.store);
    const { resumed, fleet } = recordOf(run);
    expect(resumed.map(({ step }: { step: number }) => step)).toEqual([0, expect.any(Number), 12]);
    expect(fleet.lost).toEqual([]);
  });

  test('one that stands still is left by its workers; when it wakes up it ends, and the copy is that of its successor', async () => {
    const place = await placeOf(out('paused store'));
    const hosts = out('hosts of the paused');
    writeHosts(hosts, { [name]: '127.0.0.2' });
    const workers = ['a', 'b'].map(id => work(id, place, name, withHosts(hosts)));
    const stopped = Promise.withResolvers<void>();
    const old = coordinate(
      out('paused'),
      { ...place, address: '127.0.0.2' },
      when(atStep(6), child => {
        child.kill('SIGSTOP');
        stopped.resolve();
      }),
    );
    await stopped.promise;
    writeHosts(hosts, { [name]: '127.0.0.3' });
    const next = coordinate(
      out('successor'),
      { ...place, address: '127.0.0.3' },
      when(atStep(9), () => old.child.kill('SIGCONT')),
    );
    expect((await old.finished).code).toBe(7);
    expect(old.lastWord()).toMatchObject({
      error: { code: 'conflict', message: expect.stringContaining('another writer has taken it over') },
    });
    expect(await next.finished).toMatchObject({ code: 0, stderr: '' });
    for (const { finished } of workers) expect(await finished).toMatchObject({ code: 0, stderr: '' });
    await expectUndisturbed(out('successor'), place.store);
  });
});

test.each([30, 5])(
  'all are asked to go at once, with %i s to do so: a checkpoint is written, and another day the run goes on',
  async seconds => {
    const place = await placeOf(out(`suspended store ${seconds}`));
    const [first, second] = [out(`suspended ${seconds}`), out(`resumed ${seconds}`)];
    const workers = ['a', 'b'].map(id => work(id, place));
    const all: Pod[] = [...workers];
    const killAll = () => {
      for (const { child } of all) child.kill('SIGKILL');
    };
    let timer: NodeJS.Timeout | undefined;
    const coordinator = coordinate(
      first,
      place,
      when(atStep(6), () => {
        for (const { child } of all) child.kill('SIGTERM');
        // As a kubelet does.
        timer = setTimeout(killAll, seconds * 1000);
      }),
    );
    all.push(coordinator);
    const ended = await Promise.all(all.map(({ finished }) => finished));
    clearTimeout(timer);
    // Where this machine is too busy for five seconds to do, they are killed: what is stored is whole all the same.
    const isKilled = seconds === 5 && ended.some(({ signal }) => signal === 'SIGKILL');
    if (!isKilled) {
      expect(ended.map(({ code }) => code)).toEqual([75, 75, 75]);
      for (const { lastWord } of all) expect(lastWord()).toMatchObject({ error: { code: 'preempted', exitCode: 75 } });
      const { step } = (eventsOf(ended[2]).at(-1)!.error as { details: { step: number } }).details;
      expect(step).toBeGreaterThanOrEqual(6);
      expect(step).toBeLessThanOrEqual(8);
    }

    rmSync(first, { recursive: true });
    const again = ['c', 'd'].map(id => work(id, place));
    const resumed = coordinate(second, place, undefined, ['--objective', 'validation/dice']);
    expect(await resumed.finished).toMatchObject({ code: 0, stderr: '' });
    for (const { finished } of again) expect(await finished).toMatchObject({ code: 0, stderr: '' });
    const { weights, best } = recordOf(second);
    expect(resumed.lastWord()).toEqual({
      result: {
        ...{ steps: 16, bestEpoch: best.epoch, jaccard: best.validation.pooled.jaccard, weightsDigest: weights.digest },
        // Of epochs before it was resumed too.
        objective: { metric: 'validation/dice', reports: dicesOf(out('undisturbed')) },
      },
    });
    expect(resultOf(second)).toEqual(undisturbed);
    expect(taleOf(second)).toEqual(taleOf(out('undisturbed')));
  },
);

test('all workers are asked to go, the coordinator is not: it waits with what they stored, others go on from there; when it is over nobody is needed', async () => {
  const place = await placeOf(out('drained store'));
  const port = await freePort();
  const run = out('drained');
  const progress = async (): Promise<Progress | undefined> => {
    const answer = await fetch(`http://127.0.0.1:${port}/progress`).catch(() => undefined);
    return answer && progressSchema.parse(await answer.json());
  };
  const steps: number[] = [];
  const leave = when(atStep(6), () => {
    for (const { child } of workers) child.kill('SIGTERM');
  });
  const coordinator = coordinate(
    run,
    place,
    (event, child) => {
      if (event.event === 'step') steps.push(event.step);
      leave(event, child);
    },
    ['--progress', `127.0.0.1:${port}`, '--objective', 'validation/dice'],
  );
  await vi.waitFor(async () => expect(await progress()).toMatchObject({ phase: 'waiting', workers: 0, expected: 2 }), 60_000);
  const workers = ['a', 'b'].map(id => work(id, place));
  for (const worker of workers) {
    expect((await worker.finished).code).toBe(75);
    expect(worker.lastWord()).toMatchObject({ error: { code: 'preempted' } });
  }
  await vi.waitFor(async () => expect(await progress()).toMatchObject({ phase: 'waiting', workers: 0, step: steps.at(-1) }), 60_000);
  const { checkpoint, step } = (await progress())!;
  expect(checkpoint!.step).toBe(step);
  const others = ['c', 'd'].map(id => work(id, place));
  await vi.waitFor(
    async () =>
      expect(await progress()).toMatchObject({
        ...{ phase: 'training', workers: 2, metric: { best: expect.any(Number) } },
        objective: { metric: 'validation/dice', reports: expect.arrayContaining([expect.objectContaining({ epoch: 1 })]) },
      }),
    60_000,
  );
  expect(await coordinator.finished).toMatchObject({ code: 0, stderr: '' });
  for (const { finished } of others) expect(await finished).toMatchObject({ code: 0, stderr: '' });
  expect(resultOf(run)).toEqual(undisturbed);
  expect(coordinator.lastWord()).toMatchObject({ result: { objective: { reports: dicesOf(run) } } });
  expect(steps).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));

  // Its pod is gone before anybody knew that it had succeeded. A worker has not heard of it either.
  const late = work('late', place);
  const again = coordinate(out('over'), place, undefined, ['--objective', 'validation/dice']);
  expect(await again.finished).toMatchObject({ code: 0, stderr: '' });
  expect(again.lastWord()).toEqual(coordinator.lastWord());
  expect(resultOf(out('over'))).toEqual(undisturbed);
  late.child.kill('SIGTERM');
  expect([0, 75]).toContain((await late.finished).code);
});

test('a coordinator that is asked to go hands over to its successor, and one whose container is killed goes on in its folder: workers notice neither', async () => {
  const place = await placeOf(out('container store'));
  const workers = ['a', 'b'].map(id => work(id, place));
  const drained = coordinate(
    out('drained node'),
    place,
    when(atStep(3), child => child.kill('SIGTERM')),
  );
  expect((await drained.finished).code).toBe(75);
  expect(drained.lastWord()).toMatchObject({ error: { code: 'preempted', message: expect.stringContaining('checkpoint') } });
  const run = out('container');
  const killed = coordinate(
    run,
    place,
    when(atStep(9), child => child.kill('SIGKILL')),
  );
  expect(await killed.finished).toMatchObject({ signal: 'SIGKILL' });
  expect(await coordinate(run, place).finished).toMatchObject({ code: 0, stderr: '' });
  for (const { finished } of workers) expect(await finished).toMatchObject({ code: 0, stderr: '' });
  await expectUndisturbed(run, place.store);
  const { resumed, fleet } = recordOf(run);
  expect(resumed[0].step).toBeLessThanOrEqual(6);
  expect(fleet.lost).toEqual([]);
});

test('a worker that is asked to go while nobody answers goes', async () => {
  const place = await placeOf(out('nobody'));
  const words = ['worker', job(), '--join', `tcp://${name}:${place.port}`, '--id', 'a', ...settings(place)];
  const { code, stderr } = await segfleet(words, {
    onLine: (line, child) => void (line.includes('joins the run') && child.kill('SIGTERM')),
  });
  expect({ code, stderr }).toEqual({ code: 75, stderr: 'error: a left before the run let it in\n' });
});

describe('is refused', () => {
  const call = async (words: readonly string[], ...set: string[]) => {
    const { code, stderr } = await segfleet(['coordinator', job(), '--listen', 'tcp://127.0.0.1:*', '--keys', keys(), ...words, ...set]);
    return { code, stderr };
  };

  test('a copy of a run whose checkpoints lie in the run folder', async () => {
    const { code, stderr } = await call(['--out', out('without url'), '--mirror']);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: --mirror keeps a copy .* the job names no place for them; set checkpoint.url /);
  });

  test('a new run where the copy of another one is', async () => {
    const { code, stderr } = await call(['--out', out('second'), '--mirror'], '--set', `checkpoint.url=${out('container store')}`);
    expect(code).toBe(7);
    expect(stderr).toMatch(
      /container store\/run holds a run already; continue it with --resume, or name another place in checkpoint.url\n$/,
    );
  });
});
