/**
 * Workers that die or stand still, at any step and several at once: the run ends in the weights of an undisturbed one. Real processes
 * of real training.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { segfleet } from '../tools/cli.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { type Result, resultOf } from '../tools/result.ts';
import { workersOf } from '../tools/workers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-kills-'));
const out = (name: string) => join(folder, name);
const job = () => out('job.yaml');
const epochs = (count: number) => ['--set', `training.epochs=${count}`];
/** Whoever is lost is started again, and the run waits for it: so there is somebody to kill at every step. */
const three = ['--workers', '3', '--set', 'workers={replicas: 3, min: 3}', '--json'];
let undisturbed: Result;

beforeAll(async () => {
  // Sixteen training images in batches of four.
  await drawDataSet(out('data'), 20, 16, 16);
  writeJob(folder, sharedJob('data', 4));
  expect(await segfleet(['train', job(), '--out', out('undisturbed'), ...epochs(5)])).toMatchObject({ code: 0, stderr: '' });
  undisturbed = resultOf(out('undisturbed'));
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Event {
  readonly event: string;
  readonly step: number;
  readonly worker: string;
  readonly workers: readonly { readonly id: string; readonly rank?: number; readonly lateMs?: number }[];
}

/** A run that something is done to as its events come. */
async function disturbed(name: string, arguments_: readonly string[], disturb: (event: Event, pidOf: (id: string) => number) => void) {
  const run = out(name);
  const events: Event[] = [];
  const { code, stderr } = await segfleet(['train', job(), '--out', run, ...arguments_], {
    onLine: (line, child) => {
      const event = JSON.parse(line);
      events.push(event);
      disturb(event, id => workersOf(child.pid!).get(id)!);
    },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return { run, events, lost: events.filter(({ event }) => event === 'lost').map(({ worker }) => worker) };
}

test('one worker is killed in each of twelve steps, another one every time, early and late in the step', async () => {
  const killed: string[] = [];
  const { run, lost } = await disturbed('every step', [...three, ...epochs(5)], ({ event, step }, pidOf) => {
    if (event !== 'step' || step > 12 || killed.length >= step) return;
    const id = `w${1 + (step % 3)}`;
    killed.push(id);
    const pid = pidOf(id);
    // The delay is what is being varied; nothing waits for it.
    setTimeout(() => process.kill(pid, 'SIGKILL'), (step * 37) % 150);
  });
  expect(resultOf(run)).toEqual(undisturbed);
  expect(killed).toHaveLength(12);
  expect(lost).toHaveLength(12);
});

test('two die at once, one dies while the run recovers from another, all three die, one stands still for longer than the time-out', async () => {
  const kill = (pid: number) => process.kill(pid, 'SIGKILL');
  // Steps come again after all have died: each fault strikes once.
  const struck = new Set<string>();
  const once = (fault: string, isDue: boolean, strike: () => void) => {
    if (!isDue || struck.has(fault)) return;
    struck.add(fault);
    strike();
  };
  let stopped: number | undefined;
  const { run, lost, events } = await disturbed('several', [...three, ...epochs(5)], ({ event, step, worker }, pidOf) => {
    const after = (which: number) => event === 'step' && step === which;
    once('two at once', after(3), () => ['w1', 'w3'].map(pidOf).forEach(kill));
    once('one', after(7), () => kill(pidOf('w2')));
    once('another meanwhile', event === 'lost' && worker === 'w2' && struck.has('one'), () => kill(pidOf('w1')));
    once('all', after(11), () => ['w1', 'w2', 'w3'].map(pidOf).forEach(kill));
    once('still', after(15), () => {
      stopped = pidOf('w3');
      process.kill(stopped, 'SIGSTOP');
    });
    once('on again', event === 'lost' && struck.has('still'), () => process.kill(stopped!, 'SIGCONT'));
  });
  expect(resultOf(run)).toEqual(undisturbed);
  expect(lost.toSorted()).toEqual(['w1', 'w1', 'w1', 'w2', 'w2', 'w3', 'w3', 'w3']);
  // Who stood still computes again.
  const later = events.slice(events.findLastIndex(({ event }) => event === 'lost'));
  expect(later.some(({ event, workers }) => event === 'workers' && workers.find(({ id }) => id === 'w3')?.rank !== undefined)).toBe(true);
  const { fleet } = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
  expect(fleet.lost.length).toBe(lost.length);
});

test('a slow worker holds the others up, and nothing else; every epoch says how late each worker is', async () => {
  let pulse: NodeJS.Timeout | undefined;
  const { run, lost, events } = await disturbed('slow', [...three, ...epochs(5)], ({ event, step }, pidOf) => {
    if (event !== 'step' || step !== 2) return;
    const pid = pidOf('w2');
    let isStopped = false;
    pulse = setInterval(() => {
      isStopped = !isStopped;
      process.kill(pid, isStopped ? 'SIGSTOP' : 'SIGCONT');
    }, 200);
    setTimeout(() => {
      clearInterval(pulse);
      process.kill(pid, 'SIGCONT');
    }, 6000);
  });
  clearInterval(pulse);
  expect(lost).toEqual([]);
  expect(resultOf(run)).toEqual(undisturbed);
  const atEpochs = events.filter(({ event }, i) => event === 'workers' && events[i - 1].event === 'epoch');
  expect(atEpochs).toHaveLength(5);
  for (const { workers } of atEpochs) for (const { lateMs } of workers) expect(lateMs).toBeGreaterThanOrEqual(0);
});

test('clocks that jump by an hour, back and forth, in every process: nobody is lost, and nothing is timed by them', async () => {
  const run = out('clocks');
  const clock = new URL('../tools/jumpingClock.mjs', import.meta.url).pathname;
  const { code, stderr, stdout } = await segfleet(['train', job(), '--out', run, '--workers', '2', '--json', ...epochs(5)], {
    env: { NODE_OPTIONS: `--import=${clock}` },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const events: { event: string; time: string; seconds?: number }[] = stdout.split('\n').map(line => JSON.parse(line));
  expect(events.filter(({ event }) => event === 'lost')).toEqual([]);
  expect(resultOf(run)).toEqual(undisturbed);
  // They did jump.
  const times = events.map(({ time }) => Date.parse(time));
  expect(Math.min(...times.slice(1).map((time, i) => time - times[i]))).toBeLessThan(-3_000_000);
  expect(Math.max(...events.map(({ seconds = 0 }) => seconds))).toBeLessThan(1000);
});
