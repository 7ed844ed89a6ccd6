/**
 * `npm run bench:ui`: the live page of a thousand runs with two million steps, as a browser has it: how long until it is there, what is sent, and how long the
 * page does not answer while it is scrolled, sorted, searched and zoomed, and while runs go on.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Page } from 'playwright-core';
import { describeMachine } from '../../trainer/machine.ts';
import { openChromium } from '../tools/chromium.ts';
import { makeRun } from '../tools/uiRuns.ts';
import { writeResults } from './results.ts';

const { values: flags } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    steps: { type: 'string', default: '2000' },
    emulateGpu: { type: 'boolean', default: false },
  },
});
const [numRuns, numSteps] = [Number(flags.runs), Number(flags.steps)];
const launcher = new URL('../../bin/segfleet.mjs', import.meta.url).pathname;
const [loadBefore] = loadavg();
const folder = mkdtempSync(join(tmpdir(), 'segfleet-bench-ui-'));
const losses = ['adaptiveLog', 'dice', 'focal', 'tversky', 'combo'] as const;
const epochs = 20;
/** Of the runs, those that still go on. */
const numGoingOn = Math.ceil(numRuns / 10);
const goingOn: string[] = [];
const rows: [string, string][] = [];
let renderer = '';
const ms = (value: number) => `${Math.round(value)} ms`;
const kb = (value: number) => `${Math.round(value / 1000)} KB`;

/** Longest task and longest gap between two pictures while `act` is done. */
async function jank(page: Page, act: () => Promise<void>): Promise<string> {
  await page.evaluate(`{
    const gaps = [], tasks = [];
    const note = entries => tasks.push(...entries.map(({ duration }) => duration));
    const watcher = new PerformanceObserver(list => note(list.getEntries()));
    watcher.observe({ type: 'longtask' });
    let last = performance.now(), isWatching = true;
    const tick = now => {
      if (!isWatching) return;
      gaps.push(now - last);
      last = now;
      requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    window.watched = () => {
      isWatching = false;
      note(watcher.takeRecords());
      watcher.disconnect();
      return { task: Math.max(0, ...tasks), gap: Math.max(...gaps, performance.now() - last) };
    };
  }`);
  await act();
  const { task, gap }: { task: number; gap: number } = await page.evaluate('watched()');
  return `longest task ${task === 0 ? 'under 50 ms' : ms(task)}, longest time between two pictures ${ms(gap)}`;
}

const frames = (page: Page, count: number) =>
  page.evaluate(`(async () => { for (let i = 0; i < ${count}; i++) await new Promise(requestAnimationFrame); })()`);

try {
  for (let i = 0; i < numRuns; i++) {
    const stepsPerEpoch = numSteps / epochs;
    const name = `run-${String(i).padStart(4, '0')}`;
    const path = join(folder, losses[i % losses.length], name);
    const goesOn = i >= numRuns - numGoingOn;
    if (goesOn) goingOn.push(path);
    await makeRun(path, {
      name,
      loss: losses[i % losses.length],
      seed: i,
      epochs,
      done: goesOn ? epochs - 1 : epochs,
      stepsPerEpoch,
      at: Date.now() - 86_400_000,
    });
  }
  const began = performance.now();
  const server = spawn(process.execPath, [launcher, 'ui', folder, '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface({ input: server.stdout }), 'line')) as [string];
  const ui: { readonly url: string } = JSON.parse(line);
  rows.push(['from the start of the command until all runs are known', ms(performance.now() - began)]);
  const { browser, close } = await openChromium({ emulatesGpu: flags.emulateGpu });
  const { gpu } = await (await browser.newBrowserCDPSession()).send('SystemInfo.getInfo');
  renderer = `rasterization: ${gpu.featureStatus?.rasterization}`;
  const context = await browser.newContext({ viewport: { width: 1300, height: 900 }, locale: 'en-US' });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  let sent = 0;
  await session.send('Network.enable');
  // Heads and bodies as they are on the wire; while an answer still comes in its length is known only as it is without compression.
  session.on('Network.loadingFinished', ({ encodedDataLength }) => {
    sent += encodedDataLength;
  });
  session.on('Network.eventSourceMessageReceived', ({ eventId, data }) => {
    sent += Buffer.byteLength(`id: ${eventId}\ndata: ${data}\n\n`);
  });
  const opened = performance.now();
  await page.goto(ui.url);
  await page.getByRole('region', { name: 'Convergence by loss' }).waitFor();
  rows.push(['from the address until table and convergence are drawn (browser)', ms(performance.now() - opened)]);
  rows.push(['sent for it: page, script, style, data', kb(sent)]);
  sent = 0;
  const scroll = async () => {
    for (let i = 0; i < 40; i++) {
      await page.mouse.wheel(0, i < 20 ? 300 : -300);
      await frames(page, 2);
    }
  };
  await page.mouse.move(600, 600);
  rows.push(['scrolling the overview', await jank(page, scroll)]);
  const sort = async () => {
    for (const column of ['Loss', 'Best Jaccard', 'Heard']) {
      await page.getByRole('group', { name: 'Runs' }).getByRole('button', { name: column, exact: true }).click();
      await frames(page, 3);
    }
  };
  rows.push(['sorting by three columns', await jank(page, sort)]);
  rows.push(['searching, letter by letter', await jank(page, () => page.getByRole('searchbox').pressSequentially('tversky run-01'))]);
  rows.push(['sent from then on until here', kb(sent)]);
  await page.getByRole('searchbox').clear();
  sent = 0;
  const goOn = async () => {
    for (let second = 1; second <= 5; second++) {
      const step = Math.round((numSteps * (epochs - 1)) / epochs) + second;
      const how = { loss: 0.5, gradientNorm: 1, learningRate: 0.001, images: 4, seconds: 1, waitSeconds: 0 };
      const line = JSON.stringify({ time: new Date().toISOString(), event: 'step', step, epoch: epochs, ...how });
      for (const path of goingOn) appendFileSync(join(path, 'metrics.ndjson'), `${line}\n`);
      await frames(page, 60);
    }
  };
  rows.push([
    `looking on for five seconds while ${numGoingOn} of the runs make a step each second`,
    `${await jank(page, goOn)}, ${kb(sent)} sent`,
  ]);
  sent = 0;
  const asked = performance.now();
  await page.goto(new URL('/run?id=dice/run-0001', ui.url).href);
  await page.getByRole('img', { name: /^Loss, by step/ }).waitFor();
  rows.push(['from the address of a run until its curves are drawn', `${ms(performance.now() - asked)}, ${kb(sent)} sent`]);
  const zoom = async () => {
    const box = (await page.getByRole('figure', { name: 'Loss' }).locator('.u-over').boundingBox())!;
    for (let i = 0; i < 5; i++) {
      await page.mouse.move(box.x + 0.2 * box.width, box.y + 50);
      await page.mouse.down();
      await page.mouse.move(box.x + 0.8 * box.width, box.y + 60, { steps: 10 });
      await page.mouse.up();
      await frames(page, 10);
    }
  };
  rows.push(['zooming into a run five times', await jank(page, zoom)]);
  const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))![1]);
  rows.push(['memory of the server, at most', `${Math.round(peak / 1000)} MB`]);
  await close();
  server.kill('SIGINT');
  await once(server, 'exit');
} finally {
  rmSync(folder, { recursive: true, force: true });
}

const { cpu, processors } = describeMachine();
const table = ['| what | |', '|---|---|', ...rows.map(row => `| ${row.join(' | ')} |`)].join('\n');
const intro = `${numRuns} runs of ${numSteps} steps each (${((numRuns * numSteps) / 1e6).toFixed(1)} million points), ${numGoingOn} of them going on, 5 losses, ${epochs} epochs, in Chromium without a screen or a GPU (${renderer}), server and browser on the same processors, at a load of ${loadBefore.toFixed(1)} from elsewhere before it began.`;
const note =
  'A task is work on the thread of the page; a picture may also be late because other processes have the processors. Sent is what is on the wire, heads included. With `--emulateGpu`, as the tests of WebGL need it, the first pictures of a page wait one to three seconds for what SwiftShader compiles.';
// What an emulated GPU compiles on the way says nothing about the page.
if (!flags.emulateGpu) writeResults('ui', `${cpu}, ${processors} processors`, 'npm run bench:ui', `${intro}\n\n${table}\n\n${note}`);
console.log(table);
process.exit(0);
