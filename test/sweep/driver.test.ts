/**
 * Sweeps with real processes, journals and folders, and trials that answer at once.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeWish } from '../../trainer/sweep/control.ts';
import { SweepFolder, type SweepRecord } from '../../trainer/sweep/sweepFolder.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { drive, driveAndKill, toySweep } from './toySweep.ts';
import { misbehaviour, objectiveAt } from './toyTrial.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-sweep-'));
const at = (...parts: string[]) => join(folder, ...parts);
const data = at('data');
beforeAll(() => drawDataSet(data, 10, 16, 16));
afterAll(() => rmSync(folder, { recursive: true }));

/** What of a record does not depend on when and how often it was run. */
const outcome = ({ trials, best, status, counts }: SweepRecord) => ({
  ...{ best, status, counts },
  trials: trials.map(({ runs, ...trial }) => ({ ...trial, runs: runs.map(({ seconds: _, ...run }) => run) })),
});
const events = (ran: { events: readonly { event: string }[] }, name: string) => ran.events.filter(({ event }) => event === name) as never[];
const clip = (...values: (keyof typeof misbehaviour | number)[]) => ({
  parameters: { 'training.clipNorm': { values: values.map(value => (typeof value === 'number' ? value : misbehaviour[value])) } },
});

test('a grid is run whole, means over replicates are taken, and the best is known', async () => {
  const { record, error } = await drive(toySweep(data, { replicates: { count: 2 } }), at('grid', 'a'));
  expect(error).toBeUndefined();
  expect(record).toMatchObject({ status: 'succeeded', best: 1, counts: { succeeded: 3, failed: 0 }, threads: 2 });
  expect(record!.trials.map(({ parameters }) => parameters)).toEqual(
    [0.0001, 0.001, 0.01].map(rate => ({ 'training.optimizer.learningRate': rate })),
  );
  // Seeds 1 and 2, at the last epoch of three.
  const values = [1, 2].map(seed => objectiveAt(0.001, seed, 3));
  expect(record!.trials[1].value).toBeCloseTo((values[0] + values[1]) / 2, 12);
  expect(record!.trials[1].deviation).toBeCloseTo(Math.abs(values[0] - values[1]) / Math.SQRT2, 12);
  expect(record!.trials[1].runs.map(({ folder, epoch, state }) => [folder, epoch, state])).toEqual([
    ['trials/0001-r1', 3, 'succeeded'],
    ['trials/0001-r2', 3, 'succeeded'],
  ]);
  const jobs = record!.trials[1].runs.map(run => JSON.parse(readFileSync(at('grid', 'a', run.folder, 'run.json'), 'utf8')).job);
  expect(jobs.map(({ metadata, spec }) => [metadata.name, spec.seed, spec.training.threads])).toEqual([
    ['toy-0001-r1', 1, 2],
    ['toy-0001-r2', 2, 2],
  ]);
});

test('run again it runs nothing; in another folder beside it takes the results over; a longer list runs what is new', async () => {
  const text = toySweep(data, { replicates: { count: 2 } });
  const again = await drive(text, at('grid', 'a'));
  expect(events(again, 'run')).toEqual([]);
  expect(again.record!.status).toBe('succeeded');

  const beside = await drive(text, at('grid', 'b'));
  expect(events(beside, 'run').map(({ status, from }: { status: string; from: string }) => [status, from])).toEqual(
    ['0000-r1', '0000-r2', '0001-r1', '0001-r2', '0002-r1', '0002-r2'].map(name => ['reused', `../a/trials/${name}`]),
  );
  expect(beside.record!.trials[2].value).toBe(again.record!.trials[2].value);
  // One file, two names.
  expect(statSync(at('grid', 'b', 'trials', '0002-r1', 'metrics.ndjson')).nlink).toBe(2);

  const longer = toySweep(data, {
    replicates: { count: 2 },
    parameters: { 'training.optimizer.learningRate': { values: [0.1, 0.001] } },
  });
  const changed = await drive(longer, at('grid', 'a'));
  expect(events(changed, 'run').map(({ trial, replicate, status }: Record<string, unknown>) => `${trial}.${replicate} ${status}`)).toEqual([
    ...['0.1 begins', '0.1 succeeded', '0.2 begins', '0.2 succeeded', '1.1 reused', '1.2 reused'],
  ]);
  expect(readdirSync(at('grid', 'a', 'earlier', '1')).sort()).toEqual(['journal.ndjson', 'trials']);
});

test('what fails does not stop the others, and ends with 9; another attempt only where it may help', async () => {
  const text = toySweep(data, clip(1, 'diverges', 'crashes', 'crashesOnce', 'isUnavailableOnce', 2));
  const ran = await drive(text, at('failing', 'sweep'));
  expect(ran.error).toMatchObject({ code: 'partial', exitCode: 9 });
  expect(ran.error!.message).toBe('2 of 6 runs failed, the first of them trial 1 (training.clipNorm=13): the loss is NaN at step 1');
  const record = new SweepFolder(at('failing', 'sweep')).readRecord();
  expect(record).toMatchObject({ status: 'partial', counts: { succeeded: 4, failed: 2 } });
  const told = events(ran, 'run').map(({ trial, status }: { trial: number; status: string }) => `${trial} ${status}`);
  expect(told.filter(line => /failed|tried/.test(line))).toEqual(['1 failed', '2 tried', '2 failed', '3 tried', '4 tried']);
  expect(record.trials[2].runs[0].error).toEqual({ code: 'bug', message: 'its process ended (exit code 3): Error: what a bug says' });

  const again = await drive(text, at('failing', 'sweep'));
  expect(again.error).toMatchObject({ code: 'partial' });
  expect(events(again, 'run')).toEqual([]);
  const rerun = await drive(text, at('failing', 'sweep'), { rerunFailed: true });
  expect(events(rerun, 'run').map(({ trial, status }: { trial: number; status: string }) => `${trial} ${status}`)).toEqual([
    ...['1 begins', '1 failed', '2 begins', '2 tried', '2 begins', '2 failed'],
  ]);
});

test('with more failures than limits.maxFailedTrials it ends', async () => {
  const ran = await drive(toySweep(data, { ...clip('diverges', 1, 2), limits: { maxFailedTrials: 0 } }), at('too many', 'sweep'));
  expect(ran.error).toMatchObject({ code: 'partial' });
  expect(new SweepFolder(at('too many', 'sweep')).readRecord().trials).toHaveLength(1);
});

test('a full disk ends it with 11, and then it goes on', async () => {
  const text = toySweep(data, clip(1, 'diskIsFull', 2));
  const full = await drive(text, at('full', 'sweep'));
  expect(full.error).toMatchObject({ code: 'resources', exitCode: 11 });
  expect(full.error!.message).toBe('writing: no space left on the disk; free some space; then run the sweep again: it goes on');
  const after = await drive(text, at('full', 'sweep'));
  expect(after.record).toMatchObject({ status: 'succeeded', counts: { succeeded: 3 } });
});

test('a second driver looks on, and ends as the first does', async () => {
  const text = toySweep(data, clip(1, 'diverges', 2));
  let second: ReturnType<typeof drive> | undefined;
  const first = await drive(text, at('two', 'sweep'), {}, async event => {
    if (event.event !== 'start' || second) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    second = drive(text, at('two', 'sweep'), {}, () => resolve());
    await promise;
  });
  const followed = await second!;
  expect(followed.events[0]).toMatchObject({ event: 'attached' });
  expect(followed.events.at(-1)).toEqual(first.events.at(-1));
  expect(events(followed, 'run').length).toBeGreaterThan(0);
  expect([followed.error!.message, first.error!.message]).toEqual(Array(2).fill(first.error!.message));
  const refused = await drive(text, at('two', 'sweep'), {}, async event => {
    if (event.event !== 'driver') return;
    expect((await drive(text, at('two', 'sweep'), { rerunFailed: true })).error).toMatchObject({ code: 'conflict' });
  });
  expect(refused.error).toMatchObject({ code: 'partial' });
});

test('who looks on is told when the driver ends without a word', async () => {
  const text = toySweep(data, {}, { epochs: 500 });
  const out = at('forsaken', 'sweep');
  let follower: ReturnType<typeof drive> | undefined;
  const { killed } = await driveAndKill(text, out, child => {
    follower ??= drive(text, out, {}, event => {
      if (event.event === 'report') child.kill('SIGKILL');
    });
  });
  expect(killed).toBe(true);
  expect((await follower!).error).toMatchObject({
    code: 'unavailable',
    message: `the process that drove ${out} has ended without a word; run the sweep again to go on`,
  });
});

describe('asked from elsewhere', () => {
  const text = toySweep(data, {}, { epochs: 6 });

  test('it pauses with the trials where they are, and goes on', async () => {
    const sweep = new SweepFolder(at('paused', 'sweep'));
    const ran = await drive(text, sweep.path, {}, async event => {
      if (event.event === 'report' && event.trial === 1 && event.epoch === 2) await writeWish(sweep, 'pause', new Date());
      if (event.event !== 'paused') return;
      // Trial 1 has its checkpoint of epoch 2 or 3, and waits; trial 2 was not begun.
      expect(sweep.readRecord()).toMatchObject({ status: 'paused', counts: { succeeded: 1, running: 1 } });
      await writeWish(sweep, 'run', new Date());
    });
    expect(ran.error).toBeUndefined();
    const told = ran.events.filter(({ event }) => ['paused', 'resumed'].includes(event)).map(({ event }) => event);
    expect(told).toEqual(['paused', 'resumed']);
    const plain = await drive(text, at('plain', 'sweep'));
    expect(outcome(ran.record!)).toEqual(outcome(plain.record!));
  });

  test('it stops with 75, and goes on when it is run again', async () => {
    const sweep = new SweepFolder(at('stopped', 'sweep'));
    const ran = await drive(text, sweep.path, {}, async event => {
      if (event.event === 'report' && event.trial === 1 && event.epoch === 2) await writeWish(sweep, 'stop', new Date());
    });
    expect(ran.error).toMatchObject({ code: 'preempted', message: 'stopped as sweep stop asked; run it again to go on' });
    expect(sweep.readRecord()).toMatchObject({ status: 'stopped', counts: { succeeded: 1 } });
    const after = await drive(text, sweep.path);
    expect(after.record).toMatchObject({ status: 'succeeded', counts: { succeeded: 3 } });
    const reports = events({ events: [...ran.events, ...after.events] }, 'report').map(
      ({ trial, epoch }: { trial: number; epoch: number }) => `${trial} ${epoch}`,
    );
    expect(reports).toEqual([0, 1, 2].flatMap(trial => [1, 2, 3, 4, 5, 6].map(epoch => `${trial} ${epoch}`)));
  });

  test('by a signal it ends with the code of the signal', async () => {
    const controller = new AbortController();
    const ran = await drive(text, at('signal', 'sweep'), { signal: controller.signal }, event => {
      if (event.event === 'report') controller.abort('interrupted');
    });
    expect(ran.error).toMatchObject({ code: 'interrupted', exitCode: 130 });
    expect((await drive(text, at('signal', 'sweep'))).record).toMatchObject({ status: 'succeeded' });
  });
});

test('a deadline ends it with what there is', async () => {
  let time = new Date('2026-01-01T00:00:00Z').getTime();
  const text = toySweep(data, { limits: { deadline: '1h' } });
  const ran = await drive(text, at('deadline', 'sweep'), { now: () => new Date(time) }, event => {
    if (event.event === 'run' && event.status === 'succeeded') time += 40 * 60 * 1000;
  });
  expect(ran.error).toMatchObject({ code: 'partial', message: 'limits.deadline, 1h, has passed; run it again to go on' });
  expect(new SweepFolder(at('deadline', 'sweep')).readRecord().counts.succeeded).toBe(2);
});

describe('killed with SIGKILL and run again it comes to the same', () => {
  const searches = {
    'successive halving, two runs a trial': {
      method: 'asha',
      replicates: { count: 2 },
      parameters: { 'training.optimizer.learningRate': { distribution: 'logUniform', min: 1e-5, max: 1 } },
      earlyStop: { type: 'asha', minTime: 1, reductionFactor: 2 },
      limits: { maxTrials: 4 },
    },
    'Parzen estimators that stop below the median': {
      method: 'tpe',
      parameters: { 'training.optimizer.learningRate': { distribution: 'logUniform', min: 1e-5, max: 1 } },
      earlyStop: { type: 'median', minTime: 1 },
      limits: { maxTrials: 6 },
    },
  };
  test.each(Object.entries(searches))('%s', async (name, spec) => {
    const text = toySweep(data, spec, { epochs: 4 });
    const undisturbed = await drive(text, at(name, 'undisturbed'));
    expect(undisturbed.error).toBeUndefined();
    const lines = undisturbed.events.length;
    // In a folder of its own, so that nothing is taken over.
    const out = at(`${name} killed`, 'sweep');
    let kills = 0;
    for (let after = 4; ; after += Math.ceil(lines / 3)) {
      const { killed, stderr } = await driveAndKill(text, out, (child, line) => {
        if (line === after) child.kill('SIGKILL');
      });
      expect(stderr).toBe('');
      if (!killed) break;
      kills++;
    }
    expect(kills).toBeGreaterThan(1);
    const record = new SweepFolder(out).readRecord();
    expect(outcome(record)).toEqual(outcome(undisturbed.record!));
    const chosen = readFileSync(join(out, 'journal.ndjson'), 'utf8')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    expect(chosen.filter(({ event }) => event === 'start')).toHaveLength(record.trials.length);
  });
});

test('runs take no more processors than there are', async () => {
  const running = new Set<string>();
  let most = 0;
  const ran = await drive(toySweep(data, { limits: { parallelTrials: 3 } }), at('parallel', 'sweep'), { cores: 2 }, event => {
    if (event.event !== 'run') return;
    const id = `${event.trial}`;
    if (event.status === 'begins') running.add(id);
    else running.delete(id);
    most = Math.max(most, running.size);
  });
  expect(ran.record).toMatchObject({ status: 'succeeded', threads: 1 });
  expect(most).toBe(2);
  const threads = await drive(toySweep(data, { limits: { parallelTrials: 3 } }, { threads: 2 }), at('threads', 'sweep'), { cores: 2 });
  expect(events(threads, 'driver')[0]).toMatchObject({ parallel: 1 });
  expect(existsSync(at('threads', 'sweep', '.driver'))).toBe(true);
});
