/**
 * Runs compared image by image. The runs are trained; where a number is expected, their table of cases is written by hand.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareRuns } from '../../trainer/compareRuns.ts';
import { SegfleetError } from '../../trainer/errors.ts';
import { evaluateRun } from '../../trainer/evaluateRun.ts';
import { readJob, train } from '../../trainer/train.ts';
import { segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet, pngOf } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-compare-'));
const at = (...parts: string[]) => join(folder, ...parts);
const [first, second] = [at('dice'), at('focal')];
const table = (run: string) => join(run, 'evaluation', 'best', 'cases.csv');
const options = { select: 'best', part: 'validation', metrics: ['jaccard'] } as const;

async function trainInto(out: string, ...settings: string[]): Promise<void> {
  const events = train({ ...readJob(at('job.yaml'), ['training.epochs=1', ...settings]), out });
  for (let next = await events.next(); !next.done; ) next = await events.next();
}

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  // Masks of 0 and 1 are labels too, where there are several classes.
  for (const name of readdirSync(at('data', 'masks'))) {
    const file = at('data', 'masks', name);
    const mask = await sharp(file).extractChannel(0).raw().toBuffer();
    writeFileSync(
      file,
      await pngOf(
        mask.map(value => value / 255),
        16,
        16,
      ),
    );
  }
  writeJob(folder, smallJob('data'));
  await trainInto(first, 'loss.name=dice');
  await trainInto(second, 'loss.name=focal');
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Gives both runs these Jaccard indices; undefined where an image has none. */
function score(...images: readonly (readonly [number | undefined, number | undefined])[]): void {
  for (const [i, run] of [first, second].entries()) {
    const rows = images.map((pair, k) => `"image${k}",${pair[i] ?? ''}`);
    writeFileSync(table(run), `${['id,jaccard', ...rows].join('\n')}\n`);
  }
}

describe('runs that were not evaluated', () => {
  test('are evaluated first, and not again until their weights change', async () => {
    const { runs, images } = await compareRuns([first, second], { ...options, metrics: ['jaccard', 'recall'] });
    expect(images).toBe(2);
    expect(runs.map(({ loss }) => loss)).toEqual(['dice', 'focal']);
    const scores = JSON.parse(readFileSync(join(first, 'evaluation', 'best', 'scores.json'), 'utf8'));
    expect(runs[0].means).toEqual({
      jaccard: expect.closeTo(scores.scores.perImage.jaccard, 12),
      recall: expect.closeTo(scores.scores.perImage.recall, 12),
    });
    const written = statSync(table(first)).mtimeMs;
    await compareRuns([first, second], options);
    expect(statSync(table(first)).mtimeMs).toBe(written);

    const scoresFile = join(first, 'evaluation', 'best', 'scores.json');
    writeFileSync(scoresFile, JSON.stringify({ ...scores, weights: 'those of an earlier epoch' }));
    await compareRuns([first, second], options);
    expect(JSON.parse(readFileSync(scoresFile, 'utf8'))).toEqual(scores);
  });
});

describe('the comparison', () => {
  test('of eight images that all gained: mean 0.045, p = 2/2^8, and which is better', async () => {
    score(...[1, 2, 3, 4, 5, 6, 7, 8].map(k => [0.5 + k / 100, 0.5] as const));
    const { comparisons } = await compareRuns([first, second], options);
    expect(comparisons).toHaveLength(1);
    expect(comparisons[0]).toMatchObject({
      metric: 'jaccard',
      first,
      second,
      images: 8,
      difference: expect.closeTo(0.045, 12),
      pValue: 2 / 256,
      adjustedP: 2 / 256,
      test: 'exact',
      better: first,
    });
    const { interval } = comparisons[0];
    expect(interval.low).toBeGreaterThan(0.01);
    expect(interval.high).toBeLessThan(0.08);
    expect((await compareRuns([second, first], options)).comparisons[0]).toMatchObject({
      difference: expect.closeTo(-0.045, 12),
      better: first,
    });
  });

  test('of distances calls the lower one better', async () => {
    for (const [run, add] of [
      [first, 1],
      [second, 0],
    ] as const) {
      writeFileSync(table(run), `id,hd95,penalised\n${Array.from({ length: 8 }, (_, k) => `"${k}",${k + add},false`).join('\n')}\n`);
    }
    const { comparisons } = await compareRuns([first, second], { ...options, metrics: ['hd95'] });
    expect(comparisons[0]).toMatchObject({ difference: 1, interval: { low: 1, high: 1 }, better: second });
  });

  test('claims nothing where the interval holds 0, whatever the test says', async () => {
    // Twenty small gains and one large loss: the signs are uneven, the mean is not told from 0.
    score(...Array.from({ length: 20 }, (_, k) => [0.801 + k / 1000, 0.8] as const), [0, 0.9]);
    const { comparisons } = await compareRuns([first, second], options);
    const [{ interval, adjustedP, better }] = comparisons;
    expect(adjustedP).toBeLessThan(0.01);
    expect(interval.low).toBeLessThan(0);
    expect(interval.high).toBeGreaterThan(0);
    expect(better).toBeNull();
  });

  test('claims nothing where the corrected p-value is not small, whatever the interval says', async () => {
    score([0.6, 0.5], [0.7, 0.5], [0.8, 0.5]);
    const { comparisons } = await compareRuns([first, second], options);
    expect(comparisons[0]).toMatchObject({ pValue: 2 / 8, better: null });
    expect(comparisons[0].interval.low).toBeGreaterThan(0);
    const { stdout } = await segfleet(['compare', first, second, '--metric', 'jaccard']);
    expect(stdout).toContain('With 3 images no p-value can be below 0.250');
    expect(stdout).toContain('not told apart');
  });

  test('leaves out the images on which either has no value', async () => {
    score([0.6, 0.5], [undefined, 0.5], [0.8, undefined], [0.8, 0.5]);
    const { comparisons, images } = await compareRuns([first, second], options);
    expect(images).toBe(4);
    expect(comparisons[0]).toMatchObject({ images: 2, difference: expect.closeTo(0.2, 12) });
  });

  test('of three runs is of three pairs, and corrects for three', async () => {
    const third = at('third');
    await trainInto(third, 'loss.name=jaccard');
    score(...[1, 2, 3, 4, 5, 6, 7, 8].map(k => [0.5 + k / 100, 0.5] as const));
    await evaluateRun(third, { select: 'best' });
    writeFileSync(table(third), readFileSync(table(second)));
    const { comparisons } = await compareRuns([first, second, third], options);
    expect(comparisons.map(({ first, second }) => [first, second])).toEqual([
      [first, second],
      [first, third],
      [second, third],
    ]);
    // 2/256 twice: 3 * 2/256, and no less for the second. The last two are equal.
    expect(comparisons.map(({ adjustedP }) => adjustedP)).toEqual([6 / 256, 6 / 256, 1]);
    const { stdout, code } = await segfleet(['compare', first, '--metric', 'jaccard', second, third, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout).comparisons).toEqual(comparisons);
  });
});

test('the test part is compared where there is one, beside the validation part', async () => {
  const runs = [at('tested dice'), at('tested focal')];
  for (const [i, loss] of ['dice', 'focal'].entries()) await trainInto(runs[i], `loss.name=${loss}`, 'data.split.test=3');
  const { stdout } = await segfleet(['compare', ...runs, '--part', 'test', '--json']);
  expect(JSON.parse(stdout)).toMatchObject({ part: 'test', images: 3, comparisons: [{ images: 3 }, { images: 3 }] });
  expect(await compareRuns(runs, options)).toMatchObject({ part: 'validation', images: 2 });
});

describe('what cannot be compared is refused', () => {
  const refusal = async (runs: string[], metrics: string[] = ['jaccard']): Promise<{ code: string; sentence: string }> => {
    const error = await compareRuns(runs, { ...options, metrics }).then(
      () => undefined,
      caught => caught,
    );
    expect(error).toBeInstanceOf(SegfleetError);
    return { code: error.code, sentence: error.message.replaceAll(folder, 'F') };
  };

  beforeAll(async () => {
    for (const run of [first, second]) rmSync(join(run, 'evaluation'), { recursive: true });
    cpSync(at('data'), at('other data'), { recursive: true });
    cpSync(at('data', 'images', 'case00.png'), at('other data', 'images', 'case01.png'));
  });

  test.each([
    ['split', 'data.split.seed=1', /^F\/dice and F\/other split cannot be compared: they held out different images \(case0\d is only/],
    ['files', 'data.path=other data', /run.json records another data digest/],
    ['size', 'data.size.width=32', /they are scored by different rules \("at 16x16 .*" and "at 32x16 /],
    ['classes', 'data.classes=2', /their classes differ \(1 and 2\)/],
  ])('other %s', async (what, setting, sentence) => {
    const other = at(`other ${what}`);
    await trainInto(other, setting);
    const result = await refusal([first, other]);
    expect(result.code).toBe('conflict');
    expect(result.sentence).toMatch(sentence);
  });

  test('an unknown metric, one run, the same run twice', async () => {
    expect(await refusal([first, second], ['jacard'])).toEqual({
      code: 'usage',
      sentence: expect.stringMatching(/^there is no metric jacard in the evaluation of F\/dice; known are jaccard, dice, precision/),
    });
    expect(await refusal([first])).toEqual({ code: 'usage', sentence: 'compare needs at least two run folders, and 1 is given' });
    expect(await refusal([first, second, first])).toEqual({ code: 'usage', sentence: 'F/dice is named twice; compare different runs' });
  });

  test('a test part that there is none of', async () => {
    const { code, stderr } = await segfleet(['compare', first, second, '--part', 'test']);
    expect(code).toBe(2);
    expect(stderr).toContain('held no cases out for a test');
  });

  test('a table that was cut', async () => {
    writeFileSync(table(first), '"id');
    const { code, sentence } = await refusal([first, second]);
    expect(code).toBe('integrity');
    expect(sentence).toBe('F/dice/evaluation/best/cases.csv cannot be read as the table that evaluate writes; run evaluate again');
  });
});
