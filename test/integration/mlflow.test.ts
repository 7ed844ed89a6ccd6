/**
 * A run that MLflow is told of: the server comes late, the process is killed after the server has taken values and before it could say so, another goes
 * on, and at the end the server has what metrics.ndjson has, each value once. With the real server where `npm run test:mlflow` has installed it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { metricsOf } from '../../trainer/tracking/mlflow.ts';
import { isOfTime } from '../../trainer/tracking/scalars.ts';
import { hasMlflow, mlflowPython } from '../bench/peers.ts';
import { eventsOf, segfleet } from '../tools/cli.ts';
import { halving, smallJob, writeJob, writeSweep } from '../tools/jobs.ts';
import { type Mlflow, readMlflow, startDoor, startMemoryMlflow, startRealMlflow } from '../tools/mlflowServer.ts';
import { drawDataSet } from '../tools/pictures.ts';
import { freePort } from '../tools/ports.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-mlflow-'));
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  writeJob(folder, smallJob('data'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const startReal = async () => startRealMlflow(join(dirname(await mlflowPython()), 'mlflow'), at('server'));

const servers = { 'a server in memory': startMemoryMlflow, 'MLflow itself': startReal };
const names = Object.keys(servers) as (keyof typeof servers)[];

test.for(names)('%s: late, killed, gone on with, and each value once', async (name, { skip }) => {
  skip(name === 'MLflow itself' && !hasMlflow(), '`npm run test:mlflow` installs it');
  const start: () => Promise<Mlflow> = servers[name];
  await using server = await start();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const run = at(name);
  // Long enough for a delivery in the middle: they come every 5 s.
  const words = ['train', at('job.yaml'), '--out', run, '--set', 'training.epochs=400', '--mlflow', url, '--json'];
  const hasMetrics = (path: string, body: string) => path.endsWith('/log-batch') && 'metrics' in JSON.parse(body);

  let opening: ReturnType<typeof startDoor> | undefined;
  let sent = 0;
  let killed = (): void => {};
  const first = await segfleet(words, {
    onLine: (line, child) => {
      killed = () => child.kill('SIGKILL');
      if (JSON.parse(line).event !== 'checkpoint') return;
      opening ??= startDoor(port, server.url, (path, body) => {
        if (!hasMetrics(path, body)) return false;
        sent = JSON.parse(body).metrics.length;
        killed();
        return true;
      });
    },
  });
  expect(first.signal).toBe('SIGKILL');
  const problems = eventsOf(first).filter(({ event }) => event === 'problem');
  expect(problems).toMatchObject([{ message: expect.stringMatching(/^MLflow at \S+ does not answer \(ECONNREFUSED\): the run goes on/) }]);
  await (await opening!)[Symbol.asyncDispose]();
  expect(sent).toBeGreaterThan(0);
  const { runId } = JSON.parse(readFileSync(join(run, 'mlflow.json'), 'utf8'));
  expect((await readMlflow(server.url, runId)).run.info.status).toBe('RUNNING');

  await using _door = await startDoor(port, server.url, () => false);
  const { step: reached } = eventsIn(run).findLast(({ event }) => event === 'step')!;
  const epochs = Math.ceil(Number(reached) / 3) + 2;
  const second = await segfleet([...words, '--resume', '--set', `training.epochs=${epochs}`]);
  expect([second.code, second.stderr]).toEqual([0, '']);
  expect(JSON.parse(readFileSync(join(run, 'mlflow.json'), 'utf8')).runId).toBe(runId);

  const { run: told, metrics } = await readMlflow(server.url, runId);
  expect(told.info.status).toBe('FINISHED');
  const expected = eventsIn(run).flatMap(event => metricsOf(event as never));
  const places = (of: typeof metrics) => of.map(({ key, step }) => `${key} ${step}`).sort();
  expect(places(metrics)).toEqual(places(expected));
  // How long a step took is that of when it was first done.
  const values = (of: typeof metrics) => of.flatMap(({ key, step, value }) => (isOfTime(key) ? [] : [`${key} ${step} ${value}`])).sort();
  expect(values(metrics)).toEqual(values(expected));
  const late = await segfleet(['track', run, '--mlflow', url, '--json']);
  expect(JSON.parse(late.stdout)).toMatchObject({ values: 0, runs: [{ runId }] });
});

test('a sweep tells of its runs while it goes on, each once, however many parts it has', async () => {
  await using server = await startMemoryMlflow();
  const file = writeSweep(folder, 'halving', halving);
  const out = at('halving');
  expect(await segfleet(['sweep', 'run', file, '--out', out, '--tensorboard', '--mlflow', server.url])).toMatchObject({
    code: 0,
    stderr: '',
  });
  expect(server.requests.flatMap(({ path, body }) => (path === 'experiments/create' ? [body.name] : []))).toEqual(['halving']);
  const trials = readdirSync(join(out, 'trials')).map(name => join(out, 'trials', name));
  expect(trials).toHaveLength(3);
  expect(server.requests.filter(({ path }) => path === 'runs/create')).toHaveLength(3);
  for (const trial of trials) {
    const { runId } = JSON.parse(readFileSync(join(trial, 'mlflow.json'), 'utf8'));
    const { run, metrics } = await readMlflow(server.url, runId);
    const { status } = JSON.parse(readFileSync(join(trial, 'run.json'), 'utf8'));
    expect(run.info.status).toBe(status === 'succeeded' ? 'FINISHED' : 'SCHEDULED');
    expect(metrics).toHaveLength(eventsIn(trial).flatMap(event => metricsOf(event as never)).length);
    expect(readdirSync(join(trial, 'tensorboard')).length).toBeGreaterThan(0);
  }
  expect(JSON.parse((await segfleet(['track', out, '--mlflow', server.url, '--json'])).stdout)).toMatchObject({ values: 0 });
});

test('a sweep whose server is away says so once and loses nothing; one with an address that is none does not begin', async () => {
  await using server = await startMemoryMlflow();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const file = writeSweep(folder, 'away', '  method: grid\n  parameters: {training.optimizer.learningRate: {values: [0.001, 0.002]}}\n');
  const out = at('away');
  const ran = await segfleet(['sweep', 'run', file, '--out', out, '--mlflow', url, '--json']);
  expect(ran).toMatchObject({ code: 0, stderr: '' });
  const problems = eventsOf(ran).flatMap(({ event, message }) => (event === 'problem' ? [message] : []));
  expect(problems).toEqual([
    expect.stringMatching(/^MLflow at \S+ does not answer \(ECONNREFUSED\): the run goes on, and tells it when it answers$/),
    expect.stringMatching(
      /^MLflow at \S+ does not answer \(ECONNREFUSED\): not all of the run is there; deliver it later with `.*segfleet track \S+away --mlflow \S+`$/,
    ),
  ]);
  await using _door = await startDoor(port, server.url, () => false);
  const told = JSON.parse((await segfleet(['track', out, '--mlflow', url, '--json'])).stdout);
  expect(told).toMatchObject({ runs: [expect.anything(), expect.anything()] });
  expect(told.values).toBeGreaterThan(0);

  const none = await segfleet(['sweep', 'run', file, '--out', at('none'), '--mlflow', 'nowhere']);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining('--mlflow nowhere') });
  expect(readdirSync(folder)).not.toContain('none');
});

const eventsIn = (run: string): Record<string, unknown>[] =>
  readFileSync(join(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
