/**
 * The live page as a reader has it, in Chromium: what is appended to a log appears, what it draws can be taken away, and who sees or points differently is not
 * left out.
 */
import { appendFileSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { serveUi, type Ui } from '../../trainer/ui/serveUi.ts';
import { openChromium } from '../tools/chromium.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { temporaryFolder } from '../tools/temporaryFolder.ts';
import { makeOverlays, makeRun } from '../tools/uiRuns.ts';
import { drive, toySweep } from '../trainer/sweep/toySweep.ts';

const folder = temporaryFolder('ui-page');
const at = (...parts: string[]) => join(folder.path, ...parts);
const markup = `<img src=x onerror="document.title='run'">`;
const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const troubles: string[] = [];
let ui: Ui;
let chromium: Awaited<ReturnType<typeof openChromium>>;
let page: Page;

beforeAll(async () => {
  const now = Date.now();
  const fleet = {
    sizes: [{ fromStep: 0, workers: 2 }],
    lost: [{ worker: 'w1', afterStep: 70, at: '2026-11-26T10:00:31Z', why: 'not heard' }],
  };
  await makeRun(at('runs', 'dice'), { name: 'dice', epochs: 5, stepsPerEpoch: 40, at: now - 3_600_000, more: { fleet } });
  await makeRun(at('runs', 'all'), { name: markup, loss: 'adaptiveLog', epochs: 5, done: 3, stepsPerEpoch: 40, at: now - 40_000 });
  await makeOverlays(at('runs', 'dice'));
  await drawDataSet(at('data'), 10, 16, 16);
  const parameters = { 'training.optimizer.learningRate': { values: [0.0001, 0.001] }, 'training.optimizer.beta1': { values: [0.8, 0.9] } };
  await drive(toySweep(at('data'), { parameters }, { optimizer: { name: 'adam' } }), at('runs', 'sweep'));
  ui = await serveUi({ place: at('runs'), port: 0, everyMs: 50 });
  chromium = await openChromium();
  const context = await chromium.browser.newContext({ viewport: { width: 1300, height: 900 }, locale: 'en-US' });
  page = await context.newPage();
  page.on('pageerror', error => troubles.push(error.message));
  page.on('console', message => troubles.push(message.text()));
  page.on('request', request => {
    if (!request.url().startsWith(new URL(ui.url).origin)) troubles.push(`asked for ${request.url()}`);
  });
  await page.goto(ui.url);
});
afterAll(async () => {
  await chromium?.close();
  await ui?.close();
  await folder[Symbol.asyncDispose]();
});
beforeEach(() => page.emulateMedia({ colorScheme: 'light' }));

const open = (path: string) => page.goto(new URL(path, ui.url).href);
const runPage = (id: string) => open(`/run?id=${id}`);

async function violations(options: RunOptions): Promise<string[]> {
  await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
  await page.evaluate(axeSource);
  const { violations, passes }: AxeResults = await page.evaluate(`axe.run(${JSON.stringify(options)})`);
  expect(passes.map(({ id }) => id)).toContain('color-contrast');
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
}

describe.each([
  ['the overview', '/', 'region', { name: 'Convergence by loss' }],
  ['a run', '/run?id=dice', 'img', { name: /^Loss, by step\. At the end: training/ }],
  ['a sweep', '/sweep?id=sweep', 'figure', { name: 'Parallel coordinates' }],
] as const)('%s', (_, path, role, named) => {
  test('has nothing that axe finds, in light and in dark colours', async () => {
    await open(path);
    await page.getByRole(role, named).waitFor();
    expect(await violations({})).toEqual([]);
    await page.emulateMedia({ colorScheme: 'dark' });
    await page.reload();
    await page.getByRole(role, named).waitFor();
    expect(await violations({ runOnly: ['color-contrast', 'link-in-text-block'] })).toEqual([]);
  });
});

test('the token is not in the history, names are no markup, and nothing goes elsewhere', async () => {
  await open('/');
  await page.getByRole('link', { name: markup }).waitFor();
  expect(page.url()).toBe(new URL('/', ui.url).href);
  expect(await page.title()).toBe('Runs · segfleet');
  expect(await page.locator('main img').count()).toBe(0);
  expect(troubles).toEqual([]);
});

test('runs are found by words and sorted by keys, and the address keeps both', async () => {
  await open('/');
  await page.getByRole('searchbox').fill('adaptiveLog running');
  const names = page.getByRole('group', { name: 'Runs' }).getByRole('rowheader');
  expect(await names.allTextContents()).toEqual([`${markup}all`]);
  await page.getByRole('searchbox').fill('unet dice');
  await page.getByRole('group', { name: 'Runs' }).getByRole('button', { name: 'Epoch' }).press('Enter');
  await page.reload();
  await names.first().waitFor();
  expect((await names.allTextContents())[0]).toBe('dicedice');
  expect(new URL(page.url()).searchParams.get('sort')).toBe('-Epoch');
});

test('rows that stay are not made anew, and stand in order among those that come and go', async () => {
  await open('/?sort=Run');
  const table = page.getByRole('group', { name: 'Runs' });
  const names = table.getByRole('rowheader');
  await names.first().waitFor();
  const all = await names.allTextContents();
  expect(all.length).toBeGreaterThan(4);
  const kept = all.find(name => name.includes('trials/0002'))!;
  await names.filter({ hasText: kept }).evaluate(cell => cell.setAttribute('data-kept', ''));
  await page.getByRole('searchbox').fill('trials/000');
  await names.filter({ hasText: markup }).waitFor({ state: 'detached' });
  await table.getByRole('button', { name: 'Run' }).click();
  expect(await names.allTextContents()).toEqual(all.filter(name => name.includes('trials/')).toReversed());
  await page.getByRole('searchbox').fill('');
  await names.filter({ hasText: markup }).waitFor();
  expect(await names.allTextContents()).toEqual(all.toReversed());
  expect(await table.locator('[data-kept]').allTextContents()).toEqual([kept]);
});

test('what is appended to the log of a run appears', async () => {
  await runPage('all');
  const chart = page.getByRole('img', { name: /^Loss, by step/ });
  await chart.waitFor();
  const line = {
    time: new Date().toISOString(),
    event: 'step',
    step: 121,
    epoch: 4,
    loss: 7.125,
    gradientNorm: 1,
    learningRate: 0.1,
    images: 4,
    seconds: 1,
    waitSeconds: 0,
  };
  appendFileSync(at('runs', 'all', 'metrics.ndjson'), `${JSON.stringify(line)}\n`);
  await page.getByRole('img', { name: /^Loss, by step\. At the end: training 7\.125,/ }).waitFor();
});

test('charts are taken away as pictures and tables', async () => {
  await runPage('dice');
  const figure = page.getByRole('figure', { name: 'Loss' });
  const taken = async (link: ReturnType<Page['locator']>) => {
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    return [download.suggestedFilename(), readFileSync(await download.path(), 'utf8')];
  };
  const [csvName, csv] = await taken(figure.getByRole('link', { name: 'CSV' }));
  expect([csvName, csv.split('\n').length, csv.split('\n')[0]]).toEqual(['dice-steps.csv', 202, 'step,time,loss']);
  const [svgName, svg] = await taken(figure.getByRole('link', { name: 'SVG' }));
  expect(svgName).toBe('dice-Loss.svg');
  expect(svg).toContain('validation loss');
  await open('/sweep?id=sweep');
  const [heatName, heat] = await taken(page.getByRole('figure', { name: 'Heat map' }).getByRole('button', { name: 'SVG' }));
  expect(heatName).toBe('toy-heat-map.svg');
  expect(heat).toMatch(/^<svg .*<rect [^>]*fill="rgb/s);
  const [, cells] = await taken(page.getByRole('figure', { name: 'Heat map' }).getByRole('button', { name: 'CSV' }));
  expect(cells.trim().split('\r\n')).toHaveLength(3);
});

test('the threshold is moved by keys, and the scores of each image follow', async () => {
  await runPage('dice');
  const scores = page.getByRole('figure').filter({ hasText: 'Best case' }).getByRole('status');
  await scores.filter({ hasText: 'Jaccard' }).waitFor();
  const numbers = async () => (await scores.textContent())!.match(/0\.\d+|1\.000/g)!.map(Number);
  const [, precision, recall] = await numbers();
  await page.getByRole('slider', { name: 'Threshold' }).press('Home');
  const [, lowPrecision, highRecall] = await numbers();
  expect(lowPrecision).toBeLessThan(precision);
  expect(highRecall).toBeGreaterThanOrEqual(recall);
});
