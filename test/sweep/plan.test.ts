/**
 * What is said of a sweep before anything of it starts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planSweep } from '../../trainer/sweep/plan.ts';
import { identityOf } from '../../trainer/sweep/prepare.ts';
import { loadSweep, parseSweep, renderSweep, specFrom } from '../../trainer/sweep/sweepFile.ts';
import { segfleet } from '../tools/cli.ts';
import { writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { drive, toySweep } from './toySweep.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-sweep-plan-'));
const at = (...parts: string[]) => join(folder, ...parts);
beforeAll(() => drawDataSet(at('data'), 10, 16, 16));
afterAll(() => rmSync(folder, { recursive: true }));

const plan = async (spec: object = {}, training: object = {}, out = 'sweep') =>
  planSweep({ sweep: parseSweep(toySweep(at('data'), spec, training), at('sweep.yaml')), out: at('plans', out), cores: 2 });
const values = (...given: unknown[]) => ({ values: given });

test('counts trials and runs, and what of them is there already', async () => {
  const text = { parameters: { 'training.optimizer.learningRate': values(0.001, 0.01) }, replicates: { count: 2 } };
  const before = await plan(text);
  expect(before).toMatchObject({
    method: 'grid',
    isComplete: true,
    counts: { runs: 4, toRun: 4, done: 0, failed: 0, reused: 0 },
    threads: 2,
    parallel: 1,
    time: { basis: 'unknown: no run of this sweep has come to its end yet' },
  });
  expect(before.trials.map(({ parameters }) => parameters)).toEqual(
    [0.001, 0.01].map(rate => ({ 'training.optimizer.learningRate': rate })),
  );
  // Four runs of a U-Net of width 16: weights of the best and the last epoch, four bytes each.
  const parameters = before.bytes.kept / 4 / 2 / 4;
  expect(Number.isInteger(parameters)).toBe(true);
  expect(before.bytes.checkpoints).toBe(parameters * 4 * 3 * 4);

  await drive(toySweep(at('data'), text), at('plans', 'sweep'));
  const after = await plan(text);
  expect(after.counts).toEqual({ runs: 4, toRun: 0, done: 4, failed: 0, reused: 0 });
  expect(after.time.hours).toBe(0);
  expect(after.time.basis).toMatch(/^\d+\.\d s an epoch in 4 runs of this sweep that have come to their end$/);
  const longer = { ...text, parameters: { 'training.optimizer.learningRate': values(0.1, 0.001) } };
  expect((await plan(longer)).counts).toEqual({ runs: 4, toRun: 2, done: 0, failed: 0, reused: 2 });
  expect((await plan(text, {}, 'other')).counts).toMatchObject({ reused: 4 });
  // Other data, other results: nothing is taken over.
  await drawDataSet(at('data'), 11, 16, 16);
  expect((await plan(text, {}, 'other')).counts).toMatchObject({ reused: 0 });
});

test('names of losses come before their fields, and a field of what is there by default is one of that', async () => {
  const { trials } = await plan({
    parameters: { 'loss.smooth': values(0.5), 'loss.name': values('dice'), 'training.optimizer.beta1': values(0.8) },
  });
  expect(trials).toHaveLength(1);
});

test('the file that a sweep leaves is the same sweep', () => {
  const sweep = parseSweep(toySweep(at('data'), { replicates: { count: 2 } }), at('sweep.yaml'));
  const again = parseSweep(renderSweep(sweep, at('elsewhere')), at('elsewhere', 'sweep.yaml'));
  expect(identityOf(again)).toBe(identityOf(sweep));
  expect(again.spec).toEqual(specFrom(sweep, at('elsewhere')));
});

describe('refused', () => {
  test.each<[string, object, RegExp]>([
    [
      'a parameter that no job has',
      { parameters: { 'training.epocs': values(1) } },
      /sweep\.yaml, the trial with training\.epocs=1: unknown field training\.epocs; did you mean epochs\?$/,
    ],
    [
      'a trial that is no valid job',
      { parameters: { 'training.batch': values(4, 0) } },
      /the trial with training\.batch=0: training\.batch is 0; at least 1 is expected$/,
    ],
    [
      'an end of a range that is not',
      { method: 'random', parameters: { 'model.dropout': { distribution: 'uniform', min: 0, max: 1.5 } }, limits: { maxTrials: 2 } },
      /the trial with model\.dropout=1\.\d+: model\.dropout is 1\.\d+; /,
    ],
    [
      'a batch that is larger than the data',
      { parameters: { 'training.batch': values(4, 64) } },
      /training\.batch is 64, more than the \d training images/,
    ],
    [
      'a grid over a range',
      { parameters: { 'loss.gamma': { distribution: 'uniform', min: 0, max: 1 } } },
      /sweep\.yaml, line \d+, column \d+: parameters\.loss\.gamma has numbers without end, and a grid takes all of them/,
    ],
    [
      'an objective that no run reports',
      { objective: { metric: 'validation/jacard' } },
      /^objective\.metric is validation\/jacard, which no run reports; did you mean validation\/jaccard\?$/,
    ],
    [
      'an objective that nobody knows',
      { objective: { metric: 'speed' } },
      /^objective\.metric is speed, which no run reports; known are validation\/jaccard, validation\/jaccard@perImage, /,
    ],
    [
      'a choice by the test part',
      { objective: { metric: 'test/jaccard' } },
      /is not tested by it any more; choose by validation\/jaccard$/,
    ],
    [
      'a loss that is to be large',
      { objective: { metric: 'val/loss' } },
      /^objective\.goal is maximize, and of val\/loss the lower is the better one; write goal: minimize$/,
    ],
    [
      'conditions that go round',
      { parameters: { 'loss.gamma': { values: [1], when: 'loss.omega == 1' }, 'loss.omega': { values: [1], when: 'loss.gamma == 1' } } },
      /the conditions of loss\.gamma and loss\.omega read one another in a circle/,
    ],
    [
      'replicates of what is no seed',
      { replicates: { count: 2, vary: ['loss.name'] } },
      /^replicates\.vary names loss\.name, which is "adaptiveLog"; name seeds/,
    ],
    ['a field that there is not', { paralel: 2 }, /sweep\.yaml, line \d+, column \d+: unknown field paralel/],
    ['longer trials than there are', { earlyStop: { type: 'median', maxTime: 9 } }, /^earlyStop\.maxTime is 9, and the job has 3 epochs/],
  ])('%s', async (_, spec, sentence) => {
    await expect(plan(spec)).rejects.toMatchObject({ code: 'usage', message: expect.stringMatching(sentence) });
  });

  test('a job file that is not there, and a job where a sweep is expected', () => {
    writeJob(folder, toySweep(at('data'), { base: 'nothing.yaml' }), 'lost.yaml');
    expect(() => loadSweep(at('lost.yaml'))).toThrow(/lost\.yaml: base .*nothing\.yaml: no such file or folder$/);
    writeJob(folder, toySweep(at('data')).replace('kind: Sweep', 'kind: TrainingJob'), 'job.yaml');
    expect(() => loadSweep(at('job.yaml'))).toThrow(/job\.yaml, line 2, column 1: kind is "TrainingJob"; it must be "Sweep"$/);
  });
});

describe('from the command line', () => {
  test('plan says the same in words and in JSON', async () => {
    writeJob(folder, toySweep('data', { limits: { parallelTrials: 2 } }), 'cli.yaml');
    const text = await segfleet(['sweep', 'plan', at('cli.yaml'), '--out', at('cli', 'sweep')]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(/^toy, grid: 3 trials, 3 runs\n3 to run, 0 done, 0 reused, 0 failed\n/);
    const json = await segfleet(['sweep', 'plan', at('cli.yaml'), '--out', at('cli', 'sweep'), '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ name: 'toy', counts: { runs: 3, toRun: 3 } });
  });

  test('commands on a sweep that is not there end with 4, and those on one that nobody runs note what is asked', async () => {
    const missing = await segfleet(['sweep', 'status', at('nowhere')]);
    expect(missing.code).toBe(4);
    expect(missing.stderr).toMatch(/^error: there is no sweep in .*nowhere; name its folder as sweep run printed it, or run it first\n$/);
    const text = toySweep(at('data'), { parameters: { 'training.clipNorm': values(1, 13) } });
    await drive(text, at('asked', 'sweep'));
    const status = await segfleet(['sweep', 'status', at('asked', 'sweep')]);
    expect(status.stdout).toMatch(
      /^toy: partial \(1 runs failed\)\ntrials: .* 1 succeeded, 0 stopped, 1 failed\nbest: trial 0 \(training\.clipNorm=1\)/,
    );
    expect(status.stdout).toContain('failed: 1.1: the loss is NaN at step 1');
    const paused = await segfleet(['sweep', 'pause', at('asked', 'sweep'), '--json']);
    expect(JSON.parse(paused.stdout)).toMatchObject({ isDriven: false, wish: 'pause' });
    const neither = await segfleet(['sweep', 'rerun', at('asked', 'sweep')]);
    expect(neither.code).toBe(2);
  });
});
