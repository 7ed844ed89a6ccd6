/**
 * A report of real runs, as a reader has it: opened in Chromium from a file.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AxeResults, RunOptions } from 'axe-core';
import { parse } from 'csv-parse/sync';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compareRuns } from '../../trainer/compareRuns.ts';
import { makeReport, type ReportOptions } from '../../trainer/makeReport.ts';
import { readJob, train } from '../../trainer/train.ts';
import { openChromium } from '../tools/chromium.ts';
import { segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-report-'));
const at = (...parts: string[]) => join(folder, ...parts);
/** Markup where a user may put it: in the names of runs, images and the page. */
const markup = `<script>document.title='run'<b>&amp;"`;
const imagePrefix = '<img src=x onerror=document.title=1>';
const [all1, all2, dice, focal, broken] = ['all-1', 'all-2', 'dice', markup, 'broken'].map(name => at('runs', name));
const runs = [all1, all2, dice, focal, broken];
const options: ReportOptions = {
  out: at('report.html'),
  tables: at('tables'),
  title: markup,
  metrics: ['jaccard', 'recall'],
  delta: 0.02,
  part: 'validation',
  select: 'best',
};

async function trainInto(out: string, ...settings: string[]): Promise<void> {
  const events = train({ ...readJob(at('job.yaml'), ['training.epochs=2', ...settings]), out });
  for (let next = await events.next(); !next.done; ) next = await events.next();
}

beforeAll(async () => {
  await drawDataSet(at('data'), 20, 16, 16);
  for (const part of ['images', 'masks']) {
    for (const name of readdirSync(at('data', part))) renameSync(at('data', part, name), at('data', part, `${imagePrefix}${name}`));
  }
  writeJob(folder, smallJob('data').replace('validation: 0.2', 'validation: 8'));
  await trainInto(all1, 'seed=1');
  await trainInto(all2, 'seed=2');
  await trainInto(dice, 'loss.name=dice');
  await trainInto(focal, 'loss.name=focal');
  mkdirSync(broken);
  const record = JSON.parse(readFileSync(join(all1, 'run.json'), 'utf8'));
  const exit = { code: 8, error: 'diverged', message: 'the loss is NaN in step 3' };
  writeFileSync(join(broken, 'run.json'), JSON.stringify({ ...record, status: 'failed', exit }));
  await makeReport(runs, options);
});
afterAll(() => rmSync(folder, { recursive: true }));

const table = (name: string): Record<string, string>[] => parse(readFileSync(at('tables', `${name}.csv`)), { columns: true });

describe('the numbers', () => {
  test('of two runs are those of compare, to the last digit', async () => {
    await makeReport([all1, dice, focal], { ...options, out: at('single.html'), tables: at('single tables') });
    const { comparisons } = await compareRuns([all1, dice, focal], options);
    const shown = ['jaccard', 'recall'].flatMap(
      metric => parse(readFileSync(at('single tables', `study-1-pairs-${metric}.csv`)), { columns: true }) as Record<string, string>[],
    );
    expect(shown).toHaveLength(6);
    const nameOf = (run: string | null) =>
      ({ [all1]: 'adaptiveLog(dice)', [dice]: 'dice', [focal]: 'focal' })[run ?? ''] ?? 'not told apart';
    expect(shown).toEqual(
      comparisons.map(({ first, second, difference, interval, effect, pValue, adjustedP, images, better }) => ({
        First: nameOf(first),
        Second: nameOf(second),
        Difference: String(difference),
        '95 % low': String(interval.low),
        '95 % high': String(interval.high),
        Effect: String(effect),
        p: String(pValue),
        'p, Holm': String(adjustedP),
        Images: String(images),
        Better: nameOf(better),
      })),
    );
    expect(readFileSync(at('single.html'), 'utf8')).toContain('Each is one run: how much another seed would change is not known.');
  });

  test('of an arm are the mean and deviation of its runs; of one run there is no deviation', () => {
    const scores = [all1, all2, dice].map(run => JSON.parse(readFileSync(join(run, 'evaluation', 'best', 'scores.json'), 'utf8')).scores);
    const [a, b] = scores.map(({ pooled }) => pooled.jaccard);
    const [all, ofDice] = table('study-1-pooled');
    expect(all).toMatchObject({ Loss: 'adaptiveLog(dice)', Runs: '2', 'Jaccard n': '2' });
    expect(Number(all.Jaccard)).toBeCloseTo((a + b) / 2, 12);
    expect(Number(all['Jaccard sd'])).toBeCloseTo(Math.abs(a - b) / Math.SQRT2, 12);
    expect(ofDice).toMatchObject({ Loss: 'dice', Runs: '1', Jaccard: String(scores[2].pooled.jaccard), 'Jaccard sd': '' });
  });

  test('of each image stand in the order of difficulty', () => {
    const rows = table('study-1-images');
    expect(rows).toHaveLength(8);
    const means = rows.map(row => (Number(row['adaptiveLog(dice)']) + Number(row.dice) + Number(row.focal)) / 3);
    expect(means).toEqual(means.toSorted((x, y) => x - y));
  });

  test('of a run that failed are in no table but that of failures, with its own words', () => {
    expect(table('failures')).toEqual([
      {
        Run: 'broken',
        Loss: 'adaptiveLog(dice)',
        Status: 'failed',
        Epochs: '0',
        'Exit code': '8',
        Error: 'diverged',
        Why: 'the loss is NaN in step 3',
      },
    ]);
  });
});

test('the same training twice is one run, and said to be there twice', async () => {
  cpSync(dice, at('again', 'copy'), { recursive: true });
  const { arms, left, scored } = await makeReport([dice, at('again')], { ...options, out: at('twice.html'), tables: undefined });
  expect(scored).toBe(1);
  expect(arms).toEqual(['dice']);
  expect(left).toEqual([{ run: at('again', 'copy'), why: 'it is the same training as runs/dice: job, seed, data and weights' }]);
});

test('the same runs give the same bytes', async () => {
  const first = readFileSync(options.out);
  await makeReport(runs, { ...options, out: at('again.html'), tables: undefined });
  expect(readFileSync(at('again.html')).equals(first)).toBe(true);
});

test('of a folder with a sweep in it are the runs that the sweep names, and what it says of those that failed or have not begun', async () => {
  const runOf = (folder: string, state: string, more: object = {}) => [{ replicate: 1, folder, state, epochs: 2, ...more }];
  const trials = [
    { number: 0, parameters: { 'loss.name': 'dice' }, state: 'succeeded', value: 0.4, n: 1, runs: runOf('trials/0000', 'succeeded') },
    { number: 1, parameters: { 'loss.name': 'focal' }, state: 'succeeded', value: 0.3, n: 1, runs: runOf('trials/0001', 'succeeded') },
    {
      number: 2,
      parameters: { 'loss.name': 'lovasz' },
      state: 'failed',
      n: 0,
      runs: runOf('trials/0002', 'failed', { error: { code: 'resources', message: 'the disk was full' } }),
    },
    { number: 3, parameters: { 'loss.name': 'combo' }, state: 'waiting', n: 0, runs: runOf('trials/0003', 'waiting') },
  ];
  const spec = {
    objective: { metric: 'validation/jaccard', goal: 'maximize' },
    method: 'grid',
    seed: 0,
    replicates: { count: 1, vary: ['seed'] },
    parameters: { 'loss.name': { values: ['dice', 'focal', 'lovasz', 'combo'] } },
  };
  const counts = { waiting: 1, running: 0, paused: 0, succeeded: 2, stopped: 0, failed: 1 };
  const folder = at('searches', 'losses');
  mkdirSync(join(folder, 'trials'), { recursive: true });
  writeFileSync(join(folder, 'journal.ndjson'), '');
  writeFileSync(
    join(folder, 'sweep.json'),
    JSON.stringify({ schema: 'segfleet/sweep/1', name: 'losses', status: 'running', spec, trials, best: 0, counts }),
  );
  for (const [i, run] of [dice, focal].entries()) cpSync(run, join(folder, 'trials', `000${i}`), { recursive: true });
  const written = await makeReport([at('searches')], { ...options, out: at('sweep.html'), tables: at('sweep tables'), title: undefined });
  expect(written).toMatchObject({ runs: 4, scored: 2, arms: ['dice', 'focal'] });
  expect(readFileSync(at('sweep.html'), 'utf8')).toContain('<title>losses</title>');
  const failures = parse(readFileSync(at('sweep tables', 'failures.csv')), { columns: true });
  expect(failures).toMatchObject([{ Run: '0002', Status: 'failed', Why: 'the disk was full' }]);
  const [head, ...rows] = parse(readFileSync(at('sweep tables', 'sweep-1-trials.csv'))) as string[][];
  expect(head.slice(0, 3)).toEqual(['Trial', 'loss', 'validation/jaccard']);
  expect(rows.map(row => row.slice(0, 3))).toEqual([
    ['0', 'dice', '0.4'],
    ['1', 'focal', '0.3'],
    ['2', 'lovasz', ''],
    ['3', 'combo', ''],
  ]);
});

describe('in a browser', () => {
  let chromium: Awaited<ReturnType<typeof openChromium>>;
  let page: Page;
  const troubles: string[] = [];
  const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

  beforeAll(async () => {
    chromium = await openChromium();
    page = await chromium.browser.newPage({ viewport: { width: 1100, height: 900 } });
    page.on('pageerror', error => troubles.push(error.message));
    page.on('console', message => troubles.push(message.text()));
    page.on('request', request => {
      if (!/^(file|data):/.test(request.url())) troubles.push(`asked for ${request.url()}`);
    });
  });
  afterAll(() => chromium.close());
  beforeEach(async () => {
    await page.emulateMedia({ colorScheme: 'light' });
    await page.goto(`file://${options.out}`);
  });

  /** What axe has against the page with everything unfolded. Programs for the page are text: it has other globals than this one. */
  async function violations(options: RunOptions): Promise<string[]> {
    await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
    await page.evaluate(axeSource);
    const { violations, passes }: AxeResults = await page.evaluate(`axe.run(${JSON.stringify(options)})`);
    expect(passes.map(({ id }) => id)).toContain('color-contrast');
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
  }

  test('axe finds nothing, in light and in dark colours', async () => {
    expect(await violations({})).toEqual([]);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.reload();
    expect(await violations({ runOnly: ['color-contrast', 'link-in-text-block'] })).toEqual([]);
  });

  test('it asks for nothing from elsewhere, says nothing on the console, and names are no markup', async () => {
    expect(await page.title()).toBe(markup);
    expect(await page.locator('h1').textContent()).toBe(markup);
    expect(await page.locator('main script, main b').count()).toBe(0);
    const ids: string[] = await page.evaluate("[...document.querySelectorAll('[id]')].map(({ id }) => id)");
    expect(new Set(ids).size).toBe(ids.length);
    expect(await page.locator('main img:not([src^="data:image/webp;base64,"])').count()).toBe(0);
    expect(await page.evaluate('[...document.images].map(({ naturalWidth }) => naturalWidth)')).toEqual(new Array(12).fill(192)); // 3 cases: image and 3 arms
    expect(await page.getByRole('rowheader', { name: `${imagePrefix}case` }).count()).toBe(8);
    expect(await page.getByRole('rowheader', { name: markup }).count()).toBeGreaterThan(0);
    expect(troubles).toEqual([]);
  });

  test('the keyboard reaches every link, button and table, and sorts one', async () => {
    const all: number = await page.evaluate(`{
      const reachable = [...document.querySelectorAll('a[href], button, summary, [tabindex="0"]')].filter(element => element.checkVisibility());
      reachable.forEach((element, i) => { element.dataset.place = i; });
      reachable.length;
    }`);
    const reached = new Set<string>();
    for (let i = 0; i < all; i++) {
      await page.keyboard.press('Tab');
      reached.add(await page.evaluate('document.activeElement.dataset.place'));
    }
    expect(all).toBeGreaterThan(50);
    expect(reached.size).toBe(all);

    const pooled = page.getByRole('group', { name: 'Pooled over all pixels' });
    await pooled.getByRole('button', { name: 'Loss' }).focus();
    await page.keyboard.press('Enter');
    await page.keyboard.press('Enter');
    expect(await pooled.getByRole('rowheader').allTextContents()).toEqual(['focal', 'dice', 'adaptiveLog(dice)']);
    expect(await pooled.getByRole('columnheader', { name: 'Loss' }).getAttribute('aria-sort')).toBe('descending');
    await pooled.getByRole('button', { name: 'Jaccard' }).press('Enter');
    const sorted = (await pooled.locator('tbody td:nth-child(3)').allTextContents()).map(Number.parseFloat);
    expect(sorted).toEqual(sorted.toSorted((a, b) => a - b));
  });

  test('the switch turns it dark and back', async () => {
    const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
    const light = await background();
    await page.getByRole('button', { name: 'Dark colours' }).press('Enter');
    expect(await background()).not.toBe(light);
    await page.getByRole('button', { name: 'Light colours' }).press('Enter');
    expect(await background()).toBe(light);
  });

  test('what a link takes away is what lies beside it', async () => {
    const links: [file: string, href: string][] = await page.evaluate(
      "[...document.querySelectorAll('.take a')].map(({ download, href }) => [download, href])",
    );
    const tables = links.filter(([file]) => !file.endsWith('.svg'));
    expect(tables.map(([file]) => file).sort()).toEqual(readdirSync(at('tables')).sort());
    for (const [file, href] of tables) {
      expect(Buffer.from(href.split(',')[1], 'base64').toString(), file).toBe(readFileSync(at('tables', file), 'utf8'));
    }
    expect(links.length - tables.length).toBe(4); // two curves, two of the ROC
  });
});

describe('the command', () => {
  test('writes the page, and says what is not in it', async () => {
    const { code, stdout } = await segfleet(['report', all1, broken, '--out', at('by command.html'), '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      runs: 2,
      scored: 1,
      arms: ['adaptiveLog(dice)'],
      left: [{ run: broken, why: 'the loss is NaN in step 3' }],
    });
  });

  const refusal = (paths: readonly string[], more: Partial<ReportOptions> = {}) =>
    makeReport(paths, { ...options, ...more }).catch(error => [error.code, error.message.replaceAll(folder, 'F')]);

  test.each([
    ['no run', () => refusal([at('data')]), ['notFound', expect.stringContaining('F/data is not a run folder')]],
    ['a run twice', () => refusal([dice, `${dice}/`]), ['usage', 'F/runs/dice/ is there twice; name each run and each sweep once']],
    [
      'an unknown metric',
      () => refusal([dice], { metrics: ['jacard'] }),
      ['usage', expect.stringMatching(/^--metric jacard: .* known are jaccard, dice/)],
    ],
    ['a delta of nothing', () => refusal([dice], { delta: 0 }), ['usage', expect.stringMatching(/^--delta must be a number above 0/)]],
  ])('refuses %s', async (_, refused, expected) => {
    expect(await refused()).toEqual(expected);
  });
});
