/**
 * The server of the live page, asked as a browser asks, and as others might.
 */
import { once } from 'node:events';
import { appendFileSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { Mirror } from '../../../trainer/storage/mirror.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { RunFolder } from '../../../trainer/storage/runFolder.ts';
import type { Changes, ConvergenceAnswer, Overview, RunDetail, RunSummary, SeriesAnswer, SweepDetail } from '../../../trainer/ui/api.ts';
import { folderSource } from '../../../trainer/ui/folderSource.ts';
import { serveUi, type Ui } from '../../../trainer/ui/serveUi.ts';
import { segfleet } from '../../tools/cli.ts';
import { drawDataSet } from '../../tools/pictures.ts';
import { temporaryFolder } from '../../tools/temporaryFolder.ts';
import { hasVersitygw } from '../../tools/tools.ts';
import { makeRun } from '../../tools/uiRuns.ts';
import { setCredentials, startGateway } from '../../tools/versitygw.ts';
import { drive, toySweep } from '../sweep/toySweep.ts';

const folder = temporaryFolder('ui');
const at = (...parts: string[]) => join(folder.path, ...parts);
const markup = '<img src=x onerror=alert(1)>';
const begun = Date.parse('2026-11-26T10:00:00Z');
let ui: Ui;

beforeAll(async () => {
  const shared = { epochs: 6, stepsPerEpoch: 50, at: begun };
  await makeRun(at('runs', 'dice-1'), { ...shared, name: 'dice-1', seed: 1 });
  await makeRun(at('runs', 'deep', 'er', 'dice-2'), { ...shared, name: 'dice-2', seed: 2 });
  await makeRun(at('runs', 'all'), { ...shared, name: markup, loss: 'adaptiveLog', done: 4 });
  mkdirSync(at('runs', 'damaged'));
  writeFileSync(at('runs', 'damaged', 'run.json'), '{"schema": "segfleet/run/1", "na');
  mkdirSync(at('runs', 'other'));
  writeFileSync(at('runs', 'other', 'run.json'), '[]');
  mkdirSync(at('runs', 'broken-sweep'));
  writeFileSync(at('runs', 'broken-sweep', 'journal.ndjson'), '{"event":"run","trial":7}\n');
  ui = await serveUi({ place: at('runs'), port: 0, everyMs: 20 });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await ui.close();
  await folder[Symbol.asyncDispose]();
});

interface Said {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

/** @param headers in place of those of a page of this server */
function ask(path: string, headers: Record<string, string> = {}, { method = 'GET', of = ui, token = true } = {}): Promise<Said> {
  const { host, port, searchParams } = new URL(of.url);
  const own = token ? { Authorization: `Bearer ${searchParams.get('token')}` } : {};
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, method, headers: { Host: host, ...own, ...headers } }, response => {
      const pieces: Buffer[] = [];
      response.on('data', piece => pieces.push(piece));
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(pieces).toString() }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

const json = async <T>(path: string, of = ui): Promise<T> => JSON.parse((await ask(path, {}, { of })).body);
const query = (values: Record<string, string>) => new URLSearchParams(values).toString();

describe('who may ask', () => {
  const port = () => new URL(ui.url).port;

  test.each([
    ['no token', {}, { token: false }, 401],
    ['another token', { Authorization: 'Bearer x' }, { token: false }, 401],
    ['another name of this machine (DNS rebinding)', { Host: 'evil.example:80' }, {}, 403],
    ['another port', { Host: '127.0.0.1:1' }, {}, 403],
    ['a page elsewhere', { Origin: 'https://evil.example' }, {}, 403],
    ['a page elsewhere that says where it is', { 'Sec-Fetch-Site': 'cross-site' }, {}, 403],
    ['a writer', {}, { method: 'POST' }, 405],
  ])('not one with %s', async (_, headers, options, status) => {
    expect(await ask('/api/overview', headers, options)).toMatchObject({ status });
  });

  test('whoever has the address; it leaves a cookie that serves from then on', async () => {
    const { search } = new URL(ui.url);
    const first = await ask(`/${search}`, {}, { token: false });
    expect(first.status).toBe(200);
    const [cookie] = first.headers['set-cookie'] as string[];
    expect(cookie).toMatch(/; HttpOnly; SameSite=Strict; Path=\/$/);
    const Cookie = cookie.split(';')[0];
    expect(Cookie).toMatch(new RegExp(`^segfleet-${port()}=`));
    expect(await ask('/api/overview', { Cookie, Origin: `http://127.0.0.1:${port()}` }, { token: false })).toMatchObject({ status: 200 });
    // From a link in another page, with the token in it.
    const navigation = { 'Sec-Fetch-Site': 'cross-site', 'Sec-Fetch-Mode': 'navigate' };
    expect(await ask(`/${search}`, navigation, { token: false })).toMatchObject({ status: 200 });
  });

  test('every answer forbids what the page does not need', async () => {
    for (const path of ['/', '/api/overview', '/style.css', '/nowhere']) {
      const { headers } = await ask(path);
      expect(headers['content-security-policy']).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
    }
  });

  test('nobody comes to files that are not pictures of a run', async () => {
    for (const [id, name] of [
      ['dice-1', 'run.json'],
      ['dice-1', 'overlays/../run.json'],
      ['../..', 'overlays/best.png'],
    ]) {
      expect(await ask(`/api/picture?${query({ id, name })}`)).toMatchObject({ status: 404 });
    }
  });
});

test('what a browser loads is less than 300 KB, and nothing of it is inline', async () => {
  const { body } = await ask('/');
  expect(body).not.toMatch(/<script>|<style|style=|onclick/);
  const paths = ['/', ...[...body.matchAll(/(?:src|href)="(\/[^"]+\.(?:js|ts|css|svg))"/g)].map(([, path]) => path)];
  const seen = new Set<string>();
  let bytes = 0;
  for (const path of paths) {
    if (seen.has(path)) continue;
    seen.add(path);
    const asset = await ask(path);
    expect(asset.status, path).toBe(200);
    bytes += asset.body.length;
    for (const [, other] of asset.body.matchAll(/from '\.\/([\w.]+)'|import\('\.\/([\w.]+)'\)/g)) if (other) paths.push(`/client/${other}`);
    for (const [, other] of asset.body.matchAll(/import\('\.\/([\w.]+)'\)/g)) paths.push(`/client/${other}`);
  }
  expect(seen.size).toBeGreaterThan(14);
  expect(bytes).toBeGreaterThan(80_000);
  expect(bytes).toBeLessThan(300_000);
});

test.each(['/uPlot.js', '/api/series?id=dice-1'])('%s is sent compressed to whoever takes that', async path => {
  const { headers, body } = await ask(path);
  expect(headers['content-encoding']).toBeUndefined();
  const small = await ask(path, { 'Accept-Encoding': 'gzip, br' });
  expect(small.headers['content-encoding']).toBe('gzip');
  expect(Number(small.headers['content-length'])).toBeLessThan(body.length / 2);
});

test('the overview has every run at any depth, and says of what is damaged that it is', async () => {
  const { runs, problems } = await json<Overview>('/api/overview');
  const byId = Object.fromEntries(runs.map(run => [run.id, run]));
  expect(Object.keys(byId).sort()).toEqual(['all', 'deep/er/dice-2', 'dice-1']);
  const { jaccard } = JSON.parse(
    readFileSync(at('runs', 'dice-1', 'metrics.ndjson'), 'utf8')
      .trim()
      .split('\n')
      .at(-2)!,
  ).validation.pooled;
  expect(byId['dice-1']).toMatchObject({
    name: 'dice-1',
    state: 'succeeded',
    loss: 'dice',
    dataset: 'data',
    epoch: 6,
    epochs: 6,
    step: 300,
    best: jaccard,
  });
  // It has said nothing since it was made to look as if it ran.
  expect(byId.all).toMatchObject({ name: markup, state: 'silent', loss: 'adaptiveLog(dice)', epoch: 4 });
  expect(problems.map(({ id, why }) => [id, why.replaceAll(at(), 'F')]).sort()).toEqual([
    ['broken-sweep', expect.stringContaining('F/runs/broken-sweep is not the folder of a sweep (it has no sweep.json)')],
    ['damaged', 'F/runs/damaged/run.json is not JSON; restore it, or train again'],
    ['other', 'F/runs/other/run.json is not the record of a run; restore it, or train again'],
  ]);
});

test('series are means of their parts with their range, however many steps there are', async () => {
  const series = await json<SeriesAnswer>('/api/series?id=dice-1&names=loss,gradientNorm&points=30');
  expect(Object.keys(series.series)).toEqual(['loss', 'gradientNorm']);
  expect(series.x).toEqual(Array.from({ length: 30 }, (_, i) => 10 * (i + 1)));
  const losses = readFileSync(at('runs', 'dice-1', 'metrics.ndjson'), 'utf8')
    .split('\n')
    .filter(line => line.includes('"event":"step"'))
    .map(line => JSON.parse(line).loss as number);
  const first = losses.slice(0, 10);
  const { mean, low, high } = series.series.loss;
  expect(mean[0]).toBeCloseTo(first.reduce((a, b) => a + b) / 10, 5);
  expect(low[0]).toBeCloseTo(Math.min(...first), 5);
  expect(high[0]).toBeCloseTo(Math.max(...first), 5);
  expect(series.epochs.x).toEqual([50, 100, 150, 200, 250, 300]);
  const part = await json<SeriesAnswer>('/api/series?id=dice-1&names=loss&from=101&to=110&points=500');
  expect(part.x).toEqual([101, 102, 103, 104, 105, 106, 107, 108, 109, 110]);
  for (const [i, value] of part.series.loss.mean.entries()) expect(value).toBeCloseTo(losses[100 + i], 5);
});

test('convergence is the mean over the runs of a loss, and a picture and a table of it can be taken away', async () => {
  const { arms } = await json<ConvergenceAnswer>('/api/convergence?metric=jaccard');
  expect(arms.map(({ name, runs, x }) => [name, runs, x.length])).toEqual([
    ['adaptiveLog(dice)', 1, 4],
    ['dice', 2, 6],
  ]);
  const { body: csv } = await ask('/api/convergence.csv');
  expect(csv.split('\n')).toHaveLength(1 + 4 + 6 + 1);
  const { body: svg, headers } = await ask('/api/convergence.svg');
  expect(headers['content-disposition']).toBe('attachment; filename="convergence-data-jaccard.svg"');
  expect(svg).toContain('adaptiveLog(dice) (1)');
  const { body: named } = await ask(`/api/series.svg?${query({ id: 'all', names: 'loss', title: 'Loss' })}`);
  expect(named).toContain('&lt;img src=x onerror=alert(1)&gt;: Loss');
  expect(named).not.toContain('<img');
});

/** The next message that satisfies, of the events of this server. */
async function nextChange(isIt: (changes: Changes) => boolean, act: () => void): Promise<Changes> {
  const { promise, resolve } = Promise.withResolvers<Changes>();
  const unlisten = ui.fleet.listen(changes => {
    if (isIt(changes)) resolve(changes);
  });
  act();
  return promise.finally(unlisten);
}

test('what is appended is told, a line only when it is whole; what comes and goes is told too', async () => {
  const log = at('runs', 'all', 'metrics.ndjson');
  const line = JSON.stringify({
    time: new Date(begun + 60_000).toISOString(),
    event: 'step',
    step: 201,
    epoch: 5,
    loss: 0.125,
    gradientNorm: 1,
    learningRate: 0.1,
    images: 4,
    seconds: 0.1,
    waitSeconds: 0,
  });
  const told = ({ runs }: Changes) => runs.some(({ id, step }) => id === 'all' && step === 201);
  const lastLoss = async () => (await json<SeriesAnswer>('/api/series?id=all&names=loss')).series.loss.mean.at(-1);
  const before = await lastLoss();
  appendFileSync(log, `not a line\n${line.slice(0, 80)}`);
  expect(await lastLoss()).toBe(before);
  await nextChange(told, () => appendFileSync(log, `${line.slice(80)}\n`));
  expect(await lastLoss()).toBe(0.125);
  expect(await json<SeriesAnswer>('/api/series?id=all')).toMatchObject({ steps: 201, damagedLines: 1 });

  await nextChange(
    ({ runs }) => runs.some(({ id }) => id === 'new'),
    () => cpSync(at('runs', 'dice-1'), at('runs', 'new'), { recursive: true }),
  );
  await nextChange(
    ({ gone }) => gone.includes('new'),
    () => rmSync(at('runs', 'new'), { recursive: true }),
  );
  expect(await ask('/api/run?id=new')).toMatchObject({ status: 404 });
  // A damaged one that is restored is a run again.
  await nextChange(
    ({ runs }) => runs.some(({ id }) => id === 'damaged'),
    () => cpSync(at('runs', 'dice-1'), at('runs', 'damaged'), { recursive: true }),
  );
  await nextChange(
    ({ gone }) => gone.includes('damaged'),
    () => rmSync(at('runs', 'damaged'), { recursive: true }),
  );
});

/** The first event that a browser gets which has all up to `after`; `act` once it listens. */
async function firstEvent(after: string, act = () => {}): Promise<Changes> {
  const { port, searchParams, host } = new URL(ui.url);
  const headers = { Host: host, Authorization: `Bearer ${searchParams.get('token')}` };
  const asked = request({ host: '127.0.0.1', port, path: `/api/events?${query({ after })}`, headers });
  asked.end();
  const [response] = await once(asked, 'response');
  act();
  let text = '';
  for await (const piece of response) {
    text += piece;
    const data = /^data: (.*)\n\n/m.exec(text)?.[1];
    if (data) return JSON.parse(data);
  }
  throw new Error('the server has ended');
}

test('a browser that comes back is told what has changed and what is gone since then, and nothing twice', async () => {
  const isThere = ({ runs }: Changes) => runs.some(({ id }) => id === 'brief');
  const isGone = ({ gone }: Changes) => gone.includes('brief');
  const copy = () => cpSync(at('runs', 'dice-1'), at('runs', 'brief'), { recursive: true });
  const remove = () => rmSync(at('runs', 'brief'), { recursive: true });
  await nextChange(isThere, copy);
  const { event } = await json<Overview>('/api/overview');
  await nextChange(isGone, remove);
  expect(await firstEvent(event)).toEqual({ isWhole: false, runs: [], sweeps: [], problems: [], gone: ['brief'] });
  await nextChange(isThere, copy);
  expect(await firstEvent(event)).toMatchObject({ isWhole: false, runs: [{ id: 'brief' }], gone: [] });
  // Who has all is told only of what comes.
  const { event: last } = await json<Overview>('/api/overview');
  expect(await firstEvent(last, remove)).toMatchObject({ runs: [], gone: ['brief'] });
  expect(await firstEvent('another--1')).toMatchObject({ isWhole: true, gone: [] });
});

test('a run that was killed is told from one that runs', async () => {
  writeFileSync(at('runs', 'all', '.lock'), '999999999 1');
  const { runs } = await nextChange(
    ({ runs }) => runs.some(({ state }) => state === 'killed'),
    () => appendFileSync(at('runs', 'all', 'metrics.ndjson'), '\n'),
  );
  expect(runs.map(({ id, state }: RunSummary) => [id, state])).toEqual([['all', 'killed']]);
});

test('a run that shared its steps says how many there were, who was lost, when and why', async () => {
  const fleet = {
    sizes: [
      { fromStep: 0, workers: 4 },
      { fromStep: 120, workers: 3 },
    ],
    lost: [{ worker: 'w2', afterStep: 119, at: '2026-11-26T10:00:31Z', why: 'not heard for 2.5 s' }],
    latest: { step: 250, at: '2026-11-26T10:00:59Z', workers: [{ worker: 'w1', rank: 0, lanes: 2, seconds: 0.5, lateMs: 12 }] },
  };
  const resumed = [{ at: '2026-11-26T10:01:00Z', step: 50, differs: [], after: 'killed' }];
  await makeRun(at('fleet'), { name: 'shared', epochs: 6, stepsPerEpoch: 50, at: begun, more: { fleet, resumed } });
  const other = await serveUi({ place: at('fleet'), port: 0 });
  const { health, settings } = await json<RunDetail>('/api/run?id=.', other);
  expect(health).toMatchObject({
    ...fleet,
    restarts: [{ step: 50, after: 'killed' }],
    checkpoints: 6,
    checkpoint: { step: 300, bytes: 8_000_000 },
  });
  expect(settings).toContainEqual({ path: 'loss.name', value: 'dice', from: 'default' });
  await other.close();
});

test('a sweep is its trials, and those that are there are linked', async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  const { record, error } = await drive(toySweep(at('data')), at('sweeps', 'toy'));
  expect(error).toBeUndefined();
  expect(record?.status).toBe('succeeded');
  const other = await serveUi({ place: at('sweeps'), port: 0 });
  const detail = await json<SweepDetail>('/api/sweep?id=toy', other);
  expect(detail.parameters).toEqual(['training.optimizer.learningRate']);
  expect(detail.trials.map(({ number, state, value, runs }) => [number, state, value, runs])).toEqual(
    record!.trials.map(({ number, value }) => [number, 'succeeded', value, [`toy/trials/000${number}`]]),
  );
  const { runs } = await json<Overview>('/api/overview', other);
  expect(new Set(runs.map(({ sweep }) => sweep))).toEqual(new Set(['toy']));
  expect((await ask('/api/sweep.csv?id=toy', {}, { of: other })).body.split('\n')).toHaveLength(5);
  await other.close();
});

test('of a store the copies that coordinators keep are shown', async () => {
  cpSync(at('runs', 'dice-1'), at('store', 'first', 'run'), { recursive: true });
  const other = await serveUi({ place: `file:${at('store')}`, port: 0 });
  const { runs } = await json<Overview>('/api/overview', other);
  expect(runs).toMatchObject([{ id: 'first', name: 'dice-1', path: `file:${at('store')}/first`, epoch: 6, step: 300 }]);
  expect((await json<SeriesAnswer>('/api/series?id=first&points=10', other)).x).toHaveLength(10);
  await other.close();
});

test.skipIf(!hasVersitygw())('of S3 too, and a bucket that is not there is told at once', async () => {
  setCredentials();
  await using gateway = await startGateway('bucket');
  vi.stubEnv('AWS_ENDPOINT_URL_S3', gateway.url);
  const mirror = new Mirror(await openStore('s3://bucket/runs/first'), new RunFolder(at('runs', 'dice-1')));
  await mirror.write(() => Promise.resolve());
  const other = await serveUi({ place: 's3://bucket/runs', port: 0 });
  const { runs } = await json<Overview>('/api/overview', other);
  expect(runs).toMatchObject([{ id: 'first', name: 'dice-1', path: 's3://bucket/runs/first', state: 'succeeded', epoch: 6, step: 300 }]);
  expect((await json<SeriesAnswer>('/api/series?id=first&points=10', other)).x).toHaveLength(10);
  await other.close();
  const { code, stderr } = await segfleet(['ui', 's3://absent/runs', '--port', '0']);
  const sentence = 'error: s3://absent/runs/: listing failed: there is no such bucket; make it, or mend the URL\n';
  expect({ code, stderr }).toEqual({ code: 4, stderr: sentence });
});

describe('the command', () => {
  test('says where the page is, and ends with 0 when it is interrupted', async () => {
    const lines: string[] = [];
    const { code, stderr } = await segfleet(['ui', at('runs'), '--port', '0'], {
      onLine: (line, child) => {
        lines.push(line);
        if (line.includes('Ctrl-C')) child.kill('SIGINT');
      },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(lines.join('\n')).toMatch(/^3 runs and 0 sweeps in .*\n\n {2}http:\/\/127\.0\.0\.1:\d+\/\?token=[\w-]{32}\n/);
  });

  test('of two on one port the second says so, and ends with 7', async () => {
    const { port } = new URL(ui.url);
    const { code, stderr } = await segfleet(['ui', at('runs'), '--port', port]);
    expect({ code, stderr }).toEqual({
      code: 7,
      stderr: `error: --port ${port}: the port is in use; give another one, or 0 for any that is free\n`,
    });
  });

  test('refuses what is no folder', () => {
    expect(() => folderSource(at('nothing'))).toThrow(/there is no folder .*nothing; name the one that holds your runs/);
    expect(() => folderSource(at('runs', 'dice-1', 'run.json'))).toThrow(/is a file; name the folder/);
  });
});
