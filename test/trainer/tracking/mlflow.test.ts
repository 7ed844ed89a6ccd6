/**
 * Delivery to MLflow, against a server in memory that loses answers, refuses and goes away, and keeps everything that it is sent.
 */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parseJob } from '../../../trainer/spec.ts';
import { RunFolder } from '../../../trainer/storage/runFolder.ts';
import { track } from '../../../trainer/track.ts';
import { deliverToMlflow, MlflowDelivery, MlflowTracker } from '../../../trainer/tracking/mlflow.ts';
import { type MlflowSettings, readMlflowSettings } from '../../../trainer/tracking/mlflowApi.ts';
import { smallJob } from '../../tools/jobs.ts';
import { type MemoryMlflow, readMlflow, startMemoryMlflow } from '../../tools/mlflowServer.ts';
import { drawDataSet } from '../../tools/pictures.ts';
import { drive, toySweep } from '../sweep/toySweep.ts';

const root = mkdtempSync(join(tmpdir(), 'segfleet-mlflow-'));
let number = 0;
let server: MemoryMlflow;
let folder: RunFolder;
let settings: MlflowSettings;

beforeEach(async () => {
  server = await startMemoryMlflow();
  settings = { url: server.url, experiment: 'test' };
  folder = new RunFolder(join(root, String(number++)));
  for (const part of [folder.path, folder.curves, folder.overlays]) mkdirSync(part);
  for (const file of [folder.job, folder.results, join(folder.overlays, 'best.png')]) writeFileSync(file, '');
  write({ status: 'running' });
});
afterEach(() => server[Symbol.asyncDispose]());
afterAll(() => rmSync(root, { recursive: true }));

test('of a sweep all runs that have ended are told, in an experiment of its name; each once', async () => {
  const data = join(root, 'data');
  await drawDataSet(data, 6, 16, 16);
  const { record } = await drive(toySweep(data, { replicates: { count: 2 } }), join(root, 'toy'));
  const runs = record!.trials.flatMap(({ runs }) => runs);
  for (const [i, { folder: path }] of runs.entries()) {
    // What trials leave that train.
    const run = new RunFolder(join(root, 'toy', path));
    const left = JSON.parse(readFileSync(run.record, 'utf8'));
    writeFileSync(run.record, JSON.stringify({ ...left, name: path, startedAt: `2026-11-26T12:00:0${i}.000Z` }));
    writeFileSync(run.events, lines(1, 3));
    for (const part of [run.curves, run.overlays]) mkdirSync(part);
    for (const file of [run.job, run.results]) writeFileSync(file, '');
  }
  const told = await track(join(root, 'toy'), { mlflow: server.url });
  expect(told.runs).toHaveLength(6);
  expect(told.url).toBe(`${server.url}/#/experiments/${told.runs[0].experimentId}`);
  const { run, metrics } = await readMlflow(server.url, told.runs[1].runId);
  expect(run.info.status).toBe('FINISHED');
  expect(metrics.filter(({ key }) => key === 'loss/batch')).toHaveLength(3);
  const made = server.requests.filter(({ path }) => path === 'experiments/create');
  expect(made.map(({ body }) => body)).toEqual([{ name: 'toy' }]);
  expect(await track(join(root, 'toy'), { mlflow: server.url })).toMatchObject({
    values: 0,
    runs: told.runs.map(({ runId }) => ({ runId })),
  });
});

test('of a sweep of which nothing has ended there is nothing to tell', async () => {
  await drive(toySweep(join(root, 'data')), join(root, 'begun'), { signal: AbortSignal.abort() });
  await expect(track(join(root, 'begun'), { mlflow: server.url })).rejects.toThrow(/^no trial of the sweep in .*begun has ended yet/);
});

const { job } = parseJob(smallJob('data'), 'job.yaml', []);
const write = (more: object) =>
  writeFileSync(folder.record, JSON.stringify({ name: 'small', job, startedAt: '2026-11-26T12:00:00.000Z', ...more }));
const step = (of: number, loss = 1 / of) => ({
  ...{ time: new Date(Date.parse('2026-11-26T12:00:00Z') + of).toISOString(), event: 'step', step: of, epoch: 1, loss },
  ...{ gradientNorm: 1, learningRate: 0.5, images: 4, seconds: 2, waitSeconds: 0 },
});
const lines = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `${JSON.stringify(step(from + i))}\n`).join('');
const memory = () => JSON.parse(readFileSync(folder.mlflow, 'utf8'));
const there = () => readMlflow(server.url, memory().runId);
const losses = async () => (await there()).metrics.filter(({ key }) => key === 'loss/batch').map(({ step, value }) => [step, value]);
const upTo = (last: number) => Array.from({ length: last }, (_, i) => [i + 1, 1 / (i + 1)]);

test('only what is new is sent, at most 1000 values at once, with the times of the events', async () => {
  const delivery = new MlflowDelivery(folder, settings);
  writeFileSync(folder.events, lines(1, 700));
  expect(await delivery.deliver()).toMatchObject({ values: 3500 }); // five of each step
  appendFileSync(folder.events, lines(701, 710).slice(0, -7)); // the last is still being written
  expect(await delivery.deliver()).toMatchObject({ values: 45 });
  appendFileSync(folder.events, lines(710, 710).slice(-7));
  expect(await delivery.deliver()).toMatchObject({ values: 5 });
  expect(await delivery.deliver()).toMatchObject({ values: 0 });
  await delivery.close();
  expect(await losses()).toEqual(upTo(710));
  const { metrics } = await there();
  expect(metrics.find(({ key, step }) => key === 'time/images_per_second' && step === 3)).toMatchObject({
    value: 2,
    timestamp: Date.parse('2026-11-26T12:00:00.003Z'),
  });
  expect(metrics).toHaveLength(3550);
});

test('an answer that is lost, a memory that is lost, and steps that are done again: each value is there once', async () => {
  writeFileSync(folder.events, lines(1, 300));
  let batches = 0;
  server.fault = ({ path, body }) => (path === 'runs/log-batch' && body.metrics && ++batches === 1 ? 'lostAnswer' : undefined);
  const delivery = new MlflowDelivery(folder, settings);
  await expect(delivery.deliver()).rejects.toThrow(/does not answer/);
  await delivery.deliver();
  // Rewound to step 200, as when a run goes on from its checkpoint, and further than before.
  writeFileSync(`${folder.events}.new`, lines(1, 200) + lines(201, 320));
  renameSync(`${folder.events}.new`, folder.events);
  await delivery.deliver();
  await delivery.close();
  expect(await losses()).toEqual(upTo(320));
  const { runId } = memory();
  rmSync(folder.mlflow);
  expect(await deliverToMlflow(folder, settings)).toMatchObject({ runId, values: 0 });
});

test('a run that was made while the answer was lost is found again, not made twice', async () => {
  writeFileSync(folder.events, lines(1, 3));
  server.fault = ({ path }) =>
    path === 'runs/create' && server.requests.filter(one => one.path === path).length === 1 ? 'lostAnswer' : undefined;
  await expect(deliverToMlflow(folder, settings)).rejects.toMatchObject({ code: 'unavailable' });
  await deliverToMlflow(folder, settings);
  expect(server.requests.filter(({ path }) => path === 'runs/create')).toHaveLength(1);
  expect(await losses()).toEqual(upTo(3));
});

test('what a job says, and how it ends: params once, status, results and pictures', async () => {
  writeFileSync(folder.events, lines(1, 2));
  await deliverToMlflow(folder, settings);
  const first = (await there()).run;
  expect(first.info.status).toBe('RUNNING');
  expect(first.data.params).toContainEqual({ key: 'training.optimizer.learningRate', value: '0.002' });
  expect(first.data.tags).toContainEqual({ key: 'segfleet.loss', value: 'adaptiveLog(dice)' });
  const longer = { ...job, spec: { ...job.spec, training: { ...job.spec.training, epochs: 9 } } };
  const ended = { endedAt: '2026-11-26T13:00:00.000Z', weights: { digest: 'abc' }, best: { epoch: 2 } };
  write({ job: longer, status: 'succeeded', ...ended });
  await deliverToMlflow(folder, settings);
  const { run } = await there();
  expect(run.info).toMatchObject({ status: 'FINISHED', end_time: Date.parse('2026-11-26T13:00:00Z') });
  expect(run.data.params).toEqual(first.data.params);
  expect(run.data.tags).toContainEqual({ key: 'segfleet.weights_digest', value: 'abc' });
  const put = server.requests.filter(({ method }) => method === 'PUT').map(({ path }) => path.split('/artifacts/').at(-1));
  expect(put).toEqual(['job.yaml', 'run.json', 'results.csv', 'overlays/best.png']);
  for (const [status, told] of Object.entries({ paused: 'SCHEDULED', running: 'RUNNING', stopped: 'KILLED', failed: 'FAILED' })) {
    write({ status });
    await deliverToMlflow(folder, settings);
    expect((await there()).run.info.status).toBe(told);
  }
});

test.each([
  ['refused credentials', { status: 401 }, 'notAllowed', /refuses the credentials \(401\); set MLFLOW_TRACKING_USERNAME/],
  ['another server', { status: 404, body: '<html>' }, 'notFound', /is no MLflow server \(it answers 404 to /],
  ['a page that says all is well', { status: 200, body: '<html>' }, 'usage', /is no MLflow server \(it answers 200/],
  ['JSON of something else', { status: 200, body: '{"ok":true}' }, 'usage', /is no MLflow server \(it answers 200/],
  ['a server that is overloaded', { status: 503 }, 'unavailable', /answers 503; what is there stays/],
  ['a deleted experiment', { status: 400, body: '{"error_code":"X","message":"it is gone\\nat"}' }, 'usage', /refuses: it is gone; /],
] as const)('%s: one sentence', async (_, fault, code, sentence) => {
  writeFileSync(folder.events, lines(1, 2));
  server.fault = () => fault;
  await expect(deliverToMlflow(folder, settings)).rejects.toMatchObject({ code, message: expect.stringMatching(sentence) });
});

test('a server that is away: said once while the run goes on, and at the end how to deliver later', async () => {
  writeFileSync(folder.events, lines(1, 2));
  server.fault = () => ({ status: 502 });
  const problems: string[] = [];
  const tracker = new MlflowTracker({
    settings,
    onProblem: problem => problems.push(problem),
    laterWith: (run, url) => `track ${run} ${url}`,
    ...{ everyMs: 1, againMs: [1, 2], patienceMs: 50 },
  });
  tracker.take({ event: 'start', folder: folder.path } as never);
  await vi.waitFor(() => expect(server.requests.length).toBeGreaterThan(5));
  await tracker.close();
  expect(problems).toEqual([
    `MLflow at ${server.url} answers 502: the run goes on, and tells it when it answers`,
    `MLflow at ${server.url} answers 502: not all of the run is there; deliver it later with \`track ${folder.path} ${server.url}\``,
  ]);
  server.fault = () => undefined;
  await deliverToMlflow(folder, settings);
  expect(await losses()).toEqual(upTo(2));
});

test('a server that never answers keeps nobody longer than said', async () => {
  writeFileSync(folder.events, lines(1, 2));
  // Far away: a server that takes connections and says nothing.
  const { createServer } = await import('node:net');
  const silent = createServer(() => {}).listen(0, '127.0.0.1');
  await new Promise(resolve => silent.once('listening', resolve));
  const { port } = silent.address() as { port: number };
  const problems: string[] = [];
  const tracker = new MlflowTracker({
    settings: { ...settings, url: `http://127.0.0.1:${port}` },
    ...{ onProblem: (problem: string) => problems.push(problem), laterWith: () => 'x', patienceMs: 100 },
  });
  tracker.take({ event: 'start', folder: folder.path } as never);
  const started = performance.now();
  await tracker.close();
  expect(performance.now() - started).toBeLessThan(9000); // a request alone may take 10 s
  expect(problems).toEqual([expect.stringMatching(/does not answer \(no answer in time\): not all of the run is there/)]);
  silent.close();
});

test('address and credentials: as the flag says, or as the environment of its own clients', () => {
  const read = (flag: string | undefined, env: NodeJS.ProcessEnv = {}) => readMlflowSettings(flag, 'segfleet', env);
  expect(read(undefined)).toBeUndefined();
  expect(read('http://host:5000/', { MLFLOW_TRACKING_URI: 'databricks' })).toEqual({ url: 'http://host:5000', experiment: 'segfleet' });
  const env = { MLFLOW_TRACKING_URI: 'https://host/mlflow/', MLFLOW_EXPERIMENT_NAME: 'mine' };
  const withName = read(undefined, { ...env, MLFLOW_TRACKING_USERNAME: 'a', MLFLOW_TRACKING_PASSWORD: 'b', MLFLOW_TRACKING_TOKEN: 'c' });
  expect(withName).toEqual({ url: 'https://host/mlflow', experiment: 'mine', authorization: 'Basic YTpi' });
  expect(read(undefined, { ...env, MLFLOW_TRACKING_TOKEN: 'c' })?.authorization).toBe('Bearer c');
  expect(() => read(undefined, { MLFLOW_TRACKING_URI: 'databricks' })).toThrow(
    'MLFLOW_TRACKING_URI databricks: an address such as http://127.0.0.1:5000 is expected; unset it, or give --mlflow',
  );
  expect(() => read('sqlite:///x.db')).toThrow(/^--mlflow sqlite:\/\/\/x.db: an address such as/);
  expect(() => read('http://a:b@host')).toThrow(/^--mlflow: the address holds a name or a password/);
});
