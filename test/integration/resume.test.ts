/**
 * A run that is stopped at any moment, in any way, goes on to the same bits. Real processes, real signals.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSafetensors } from '../../trainer/storage/safetensors.ts';
import { hasCheckpoint, newestCheckpoint } from '../tools/checkpoints.ts';
import { eventsOf, segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-resume-'));
const job = () => join(folder, 'job.yaml');
const out = (name: string) => join(folder, name);
let undisturbed: { digest: string; results: string };

/** Times and speeds differ from run to run. */
function resultsOf(run: string): string {
  const rows = readFileSync(join(run, 'results.csv'), 'utf8')
    .trim()
    .split('\n')
    .map(row => row.split(','));
  const timed = ['seconds', 'images_per_second', 'wait_share'].map(name => rows[0].indexOf(name));
  return rows.map(row => row.filter((_, i) => !timed.includes(i)).join(',')).join('\n');
}

const digestOf = (run: string): string => JSON.parse(readFileSync(join(run, 'run.json'), 'utf8')).weights.digest;

/** All files of weights there are must be whole, at any moment. */
async function weightsAreWhole(run: string): Promise<void> {
  const weights = join(run, 'weights');
  const files = existsSync(weights)
    ? readdirSync(weights)
        .filter(name => !name.startsWith('.'))
        .map(name => join(weights, name))
    : [];
  for (const file of files) await readSafetensors(file);
  if (hasCheckpoint(run)) await newestCheckpoint(run);
}

beforeAll(async () => {
  await drawDataSet(join(folder, 'data'), 10, 16, 16);
  writeJob(folder, smallJob('data', 16));
  const { code, stderr } = await segfleet(['train', job(), '--out', out('undisturbed')]);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  undisturbed = { digest: digestOf(out('undisturbed')), results: resultsOf(out('undisturbed')) };
});
afterAll(() => rmSync(folder, { recursive: true }));

async function resumes(run: string): Promise<void> {
  await weightsAreWhole(run);
  const { code, stderr } = await segfleet(['train', job(), '--out', run, '--resume']);
  expect(stderr).toBe('');
  expect(code).toBe(0);
  expect(digestOf(run)).toBe(undisturbed.digest);
  expect(resultsOf(run)).toBe(undisturbed.results);
  const steps = readFileSync(join(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  expect(steps.filter(({ event }) => event === 'step').map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const rows = readFileSync(join(run, 'steps.csv'), 'utf8').trim().split('\n').slice(1);
  expect(rows.map(row => Number(row.split(',')[0]))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

test('the same job, run again, gives the same digest', async () => {
  await segfleet(['train', job(), '--out', out('again')]);
  expect(digestOf(out('again'))).toBe(undisturbed.digest);
});

test('patches of the size of the images, one of each, are the same training as whole images, to the bit', async () => {
  await segfleet(['train', job(), '--out', out('whole patches'), '--set', 'data.patches={height: 16, width: 16, perImage: 1}']);
  expect(digestOf(out('whole patches'))).toBe(undisturbed.digest);
  expect(resultsOf(out('whole patches'))).toBe(undisturbed.results);
});

describe('killed with SIGKILL', () => {
  test.each([
    ['in the first epoch, before any checkpoint', { event: 'step', step: 2 }],
    ['as the first epoch ends, before its checkpoint', { event: 'epoch', epoch: 1 }],
    ['right after the first checkpoint', { event: 'checkpoint', epoch: 1 }],
    ['in the middle of the second epoch', { event: 'step', step: 5 }],
    ['as the second epoch ends', { event: 'epoch', epoch: 2 }],
    ['in the last step', { event: 'step', step: 9 }],
    ['after the last checkpoint', { event: 'checkpoint', epoch: 3 }],
  ])('%s', async (name, when) => {
    const run = out(`kill ${name}`);
    const { signal } = await segfleet(['train', job(), '--out', run, '--json'], {
      onLine: (line, child) => {
        const event = JSON.parse(line);
        if (Object.entries(when).every(([key, value]) => event[key] === value)) child.kill('SIGKILL');
      },
    });
    expect(signal).toBe('SIGKILL');
    if (hasCheckpoint(run)) await resumes(run);
    else {
      const refused = await segfleet(['train', job(), '--out', run, '--resume']);
      expect(refused.code).toBe(4);
      expect(refused.stderr).toContain('there is no checkpoint to resume from');
    }
  });

  test('again and again, a few milliseconds later each time', async () => {
    const run = out('often');
    for (let attempt = 0; ; attempt++) {
      const arguments_ = ['train', job(), '--out', run, '--json', ...(hasCheckpoint(run) ? ['--resume'] : [])];
      if (!arguments_.includes('--resume')) rmSync(run, { recursive: true, force: true });
      let timer: NodeJS.Timeout | undefined;
      const { signal } = await segfleet(arguments_, {
        onLine: (line, child) => {
          // From the moment a checkpoint may be on its way: the delay is what is being varied, nothing waits for it.
          if (JSON.parse(line).event === 'epoch' && attempt < 12) timer ??= setTimeout(() => child.kill('SIGKILL'), attempt * 4);
        },
      });
      clearTimeout(timer);
      await weightsAreWhole(run);
      if (signal === null) break;
    }
    expect(digestOf(run)).toBe(undisturbed.digest);
  });
});

describe('asked to stop', () => {
  test.each([
    ['SIGTERM', 4, 75, 'preempted'],
    ['SIGINT', 4, 130, 'interrupted'],
    ['SIGTERM', 6, 75, 'preempted'], // the last step of an epoch: its validation is still to come
  ] as const)('by %s in step %i it writes a checkpoint at the next step and exits with %i', async (name, when, exitCode, word) => {
    const run = out(`${name} ${when}`);
    const stoppedRun = await segfleet(['train', job(), '--out', run, '--json'], {
      onLine: (line, child) => {
        const { event, step } = JSON.parse(line);
        if (event === 'step' && step === when) child.kill(name);
      },
    });
    expect(stoppedRun.code).toBe(exitCode);
    const last = eventsOf(stoppedRun).at(-1)!;
    expect(last.error).toMatchObject({ code: word, exitCode });
    const { step } = (last.error as { details: { step: number } }).details;
    expect(step).toBeGreaterThanOrEqual(when);
    expect(step).toBeLessThan(9);
    expect(JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'))).toMatchObject({ status: 'stopped', exit: { code: exitCode } });
    await resumes(run);
  });

  test('by a reader of its output that has seen enough', async () => {
    const run = out('read');
    const under = ['bash', '-c', '"$@" | head -1; exit $PIPESTATUS', 'bash'];
    expect(await segfleet(['train', job(), '--out', run, '--json'], { under })).toMatchObject({ code: 130, stderr: '' });
    expect(JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'))).toMatchObject({ status: 'stopped', exit: { code: 130 } });
    await resumes(run);
  });

  test('by a second signal it ends at once, and still resumes', async () => {
    const run = out('twice');
    const { code } = await segfleet(['train', job(), '--out', run, '--json'], {
      onLine: (line, child) => {
        const { event, step } = JSON.parse(line);
        if (event === 'step' && step === 4) {
          child.kill('SIGINT');
          child.kill('SIGTERM');
        }
      },
    });
    expect(code).toBe(130);
    await resumes(run);
  });
});

test('a run may be made longer when it is resumed, and nothing else of it may change', async () => {
  const run = out('longer');
  await segfleet(['train', job(), '--out', run, '--set', 'training.epochs=2']);
  const changed = await segfleet(['train', job(), '--out', run, '--resume', '--set', 'training.batch=4']);
  expect(changed).toMatchObject({ code: 2 });
  expect(changed.stderr).toMatch(/^error: training is .* only training.epochs may change/);
  await resumes(run);
});

test('on random patches, augmented, and killed in the middle of an epoch it ends in the same bits', async () => {
  await drawDataSet(out('wide'), 10, 40, 28);
  const settings = [
    'data.path=wide',
    'data.patches={height: 16, width: 16, perImage: 2}',
    'data.augmentation={flip: {}, quarterTurn: {}, rotation: {}, elastic: {pixels: 3, spacing: 8}, colour: {}}',
    'training.batch=6',
  ].flatMap(setting => ['--set', setting]);
  const whole = await segfleet(['train', job(), '--out', out('patches whole'), ...settings]);
  expect(whole).toMatchObject({ code: 0, stderr: '' });
  expect(whole.stdout).toContain('8 training (2 patches each) and 2 validation images, 3 epochs of 3 steps, batch 6');
  const run = out('patches killed');
  const { signal } = await segfleet(['train', job(), '--out', run, ...settings, '--json'], {
    onLine: (line, child) => {
      const { event, step } = JSON.parse(line);
      if (event === 'step' && step === 5) child.kill('SIGKILL');
    },
  });
  expect(signal).toBe('SIGKILL');
  expect(await segfleet(['train', job(), '--out', run, ...settings, '--resume'])).toMatchObject({ code: 0, stderr: '' });
  expect(digestOf(run)).toBe(digestOf(out('patches whole')));
  expect(resultsOf(run)).toBe(resultsOf(out('patches whole')));
  const plain = await segfleet(['train', job(), '--out', out('patches plain'), ...settings, '--set', 'data.augmentation={}']);
  expect(plain.code).toBe(0);
  expect(digestOf(out('patches plain'))).not.toBe(digestOf(run));
});

test('a run that stopped early stays stopped when it is resumed, however many epochs it may have', async () => {
  const run = out('early');
  // No epoch is better than the first by 0.99: patience 1 ends the run after the second.
  const early = ['--set', 'training.earlyStopping={patience: 1, minDelta: 0.99}'];
  const first = await segfleet(['train', job(), '--out', run, ...early]);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toContain('stopped early after epoch 2');
  const digest = digestOf(run);
  expect(JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'))).toMatchObject({ status: 'succeeded', stoppedEarly: true, steps: 6 });
  const again = await segfleet(['train', job(), '--out', run, ...early, '--set', 'training.epochs=9', '--resume', '--json']);
  expect(again.code).toBe(0);
  expect(eventsOf(again).at(-1)).toMatchObject({ event: 'done', steps: 6, stoppedEarly: true, weightsDigest: digest });
  expect(JSON.parse(readFileSync(join(out('undisturbed'), 'run.json'), 'utf8'))).toMatchObject({ stoppedEarly: false });
});

test('two processes do not write to one folder', async () => {
  const run = out('shared');
  let second: Promise<{ code: number | null; stderr: string }> | undefined;
  await segfleet(['train', job(), '--out', run, '--json', '--set', 'training.epochs=20'], {
    onLine: (line, child) => {
      if (JSON.parse(line).event !== 'checkpoint' || second) return;
      second = segfleet(['train', job(), '--out', run, '--resume', '--set', 'training.epochs=20']);
      void second.then(() => child.kill('SIGTERM'));
    },
  });
  const { code, stderr } = await second!;
  expect(code).toBe(7);
  expect(stderr).toMatch(/^error: process \d+ is writing to /);
});
