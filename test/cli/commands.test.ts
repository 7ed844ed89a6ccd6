/**
 * The commands that need no training, as a user calls them.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { errorCodes } from '../../trainer/errors.ts';
import { losses } from '../../trainer/losses/catalogue.ts';
import { parseJob } from '../../trainer/spec.ts';
import { segfleet } from '../tools/cli.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-cli-'));
beforeAll(() => drawDataSet(join(folder, 'data'), 3, 60, 40));
afterAll(() => rmSync(folder, { recursive: true }));

const commands = ['compare', 'demo', 'doctor', 'evaluate', 'export', 'init', 'losses', 'predict', 'reproduce', 'setup', 'train', 'ui'];
const onClusters = ['cancel', 'events', 'list', 'logs', 'resume', 'scale', 'status', 'submit', 'suspend', 'wait'];

describe('help', () => {
  test('lists the commands', async () => {
    const { code, stdout, stderr } = await segfleet(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const command of [...commands, ...onClusters, 'cluster', 'dataset', 'sweep'])
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
  });

  const data = ['import', 'shard', 'show', 'split', 'stats', 'verify'].map(verb => ['dataset', verb]);
  test.each([
    ...[...commands, ...onClusters].map(command => [command]),
    ['cluster', 'check'],
    ['losses', 'explain'],
    ['losses', 'value'],
    ['sweep', 'plan'],
    ['sweep', 'run'],
    ...data,
  ])('of %s %s says what it does and how to call it', async (...words) => {
    const { code, stdout } = await segfleet([...words.filter(Boolean), '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`$ segfleet ${words.filter(Boolean).join(' ')}`);
    expect(stdout).toContain('--json');
  });
});

describe('losses', () => {
  const pixels = ['--prediction', '0.9,0.2,0.7,0.1', '--target', '1,0,1,0'];

  test('lists all with formula and source', async () => {
    const { stdout } = await segfleet(['losses', '--json']);
    const list = JSON.parse(stdout);
    expect(list.map(({ name }: { name: string }) => name)).toEqual(Object.keys(losses));
    for (const loss of list) expect(Object.keys(loss)).toEqual(['name', 'summary', 'formula', 'source', 'defaults']);
  });

  test.each([
    ['dice', ['--set', 'smooth=1'], 0.1428571429],
    ['dice', ['--set', 'smooth=0'], 0.1794871795],
    ['adaptiveLog', [], 1.8660727108],
    ['adaptiveLog', ['--set', 'of.name=jaccard', '--set', 'gamma=0.3'], 10 * Math.log1p(0.2121212121 / 0.5)],
    ['combo', [], -0.3791627082],
    ['sum', ['--set', 'terms=[{name: dice, weight: 2}, {name: crossEntropy, weight: 0.5}]'], 0.3845317265],
  ])('value %s %j', async (name, settings, expected) => {
    const { stdout, code } = await segfleet(['losses', 'value', name, ...pixels, ...settings, '--json']);
    expect(code).toBe(0);
    const { value, gradient } = JSON.parse(stdout);
    expect(value).toBeCloseTo(expected, 6);
    expect(gradient.probability).toHaveLength(4);
    expect(gradient.logit[0]).toBeCloseTo(gradient.probability[0] * 0.9 * 0.1, 7);
  });

  test('value in text shows the number and a row a pixel', async () => {
    const { stdout } = await segfleet(['losses', 'value', 'dice', ...pixels]);
    expect(stdout).toMatch(/^dice = 0.142857/);
    expect(stdout.split('\n').filter(line => /0\.[0-9]/.test(line))).toHaveLength(5);
  });

  test('explain gives formula, slopes and curve; the plot is an SVG that opens', async () => {
    const svg = join(folder, 'figure1.svg');
    const { stdout } = await segfleet(['losses', 'explain', 'adaptiveLog', '--svg', svg, '--json']);
    const { slopes, curve, formula } = JSON.parse(stdout);
    expect(formula).toContain('omega ln(1 + d/epsilon)');
    expect(slopes.map(({ slope }: { slope: number }) => Number(slope.toFixed(2)))).toEqual([20, 16.67, 1, 1]);
    expect(curve[0]).toEqual({ x: 0, value: 0, derivative: 20 });
    expect(curve.at(-1).value).toBeCloseTo(2.7232156, 6);
    expect((await sharp(svg).metadata()).format).toBe('svg');
    const { stdout: text } = await segfleet(['losses', 'explain', 'focal']);
    expect(text).toMatch(/slope at 0.001: .*\nslope at 0.999: /);
  });

  test.each([
    [['losses', 'value', 'dise', ...pixels], 'there is no loss dise; did you mean dice?'],
    [['losses', 'explain', 'frobnication'], 'there is no loss frobnication; known are crossEntropy, focal,'],
    [['losses', 'value', 'dice', ...pixels, '--set', 'smoth=1'], 'unknown field smoth'],
    [['losses', 'value', 'dice', ...pixels, '--set', 'smooth'], '--set smooth: field=value is expected'],
    [['losses', 'value', 'dice', '--prediction', '0.9,x', '--target', '1,0'], '--prediction 0.9,x: "x" is not a number from 0 to 1'],
    [['losses', 'value', 'dice', '--prediction', '0.9', '--target', '1,0'], '--prediction has 1 numbers and --target 2'],
    [['losses', 'explain', 'adaptiveLog', '--set', 'gamma=-1'], 'gamma'],
  ])('%j is refused', async (arguments_, sentence) => {
    const { code, stderr } = await segfleet(arguments_);
    expect(code).toBe(2);
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(stderr).toContain(sentence);
  });
});

describe('init', () => {
  test('writes a job that is valid, fitted to the data set', async () => {
    const file = join(folder, 'My Job.yaml');
    const { code, stdout } = await segfleet(['init', file, '--data', join(folder, 'data')]);
    expect(code).toBe(0);
    expect(stdout).toContain(`train ${file}`);
    const { job } = parseJob(readFileSync(file, 'utf8'), file);
    expect(job.metadata.name).toBe('my-job');
    expect(job.spec.data).toMatchObject({ path: 'data', size: { height: 48, width: 64 } }); // 40x60 rounded to sixteens
  });

  test('does not replace a file unless told to', async () => {
    const file = join(folder, 'there.yaml');
    writeFileSync(file, 'mine');
    expect(await segfleet(['init', file])).toMatchObject({ code: 7, stderr: expect.stringContaining('is there already') });
    expect(readFileSync(file, 'utf8')).toBe('mine');
    expect(await segfleet(['init', file, '--force'])).toMatchObject({ code: 0 });
    expect(readFileSync(file, 'utf8')).toContain('kind: TrainingJob');
  });
});

describe('doctor', () => {
  test('on a machine that can train finds all in order', async () => {
    const { code, stdout } = await segfleet(['doctor', '--json']);
    expect(code).toBe(0);
    const { checks } = JSON.parse(stdout);
    expect(checks.filter(({ ok }: { ok: boolean }) => !ok)).toEqual([]);
    expect(checks.map(({ name }: { name: string }) => name)).toContain('a training step');
  });

  test('without a library says so, and ends with 12', async () => {
    const { code, stdout, stderr } = await segfleet(['doctor'], { env: { SEGFLEET_TENSORFLOW: folder } });
    expect(code).toBe(errorCodes.checkFailed.exitCode);
    expect(stdout).toMatch(/^FAIL {2}TensorFlow .*cannot be read; the folder must hold/m);
    expect(stderr).toBe('error: 2 of 10 checks failed: TensorFlow, a training step\n');
  });
});

describe('a wrong command line', () => {
  test.each([
    [['trian'], 'there is no command trian; did you mean train?'],
    [['frobnicate'], 'there is no command frobnicate; known are audit, cancel, checkpoint fetch, '],
    [['losses', 'explian', 'dice'], 'there is no command losses explian; did you mean losses explain?'],
    [['train'], 'Missing 1 required arg: job'],
    [['train', 'job.yaml', '--epochs', '3'], 'Nonexistent flag: --epochs'],
    [['evaluate', 'run', '--select', 'worst'], 'Expected --select=worst to be one of: best, last'],
  ])('%j ends with 2 and one sentence', async (arguments_, sentence) => {
    const { code, stderr } = await segfleet(arguments_);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toContain(sentence);
    const json = await segfleet([...arguments_, '--json']);
    expect(json.code).toBe(2);
    expect(JSON.parse(json.stdout).error).toMatchObject({ code: 'usage', exitCode: 2 });
  });
});

test('a reader that has seen enough is not an error', async () => {
  const under = ['bash', '-c', '"$@" | head -1; exit $PIPESTATUS', 'bash'];
  expect(await segfleet(['losses'], { under })).toMatchObject({ code: 0, stderr: '' });
});
