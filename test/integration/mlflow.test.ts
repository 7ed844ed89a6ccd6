/**
 * A run that MLflow is told of: the server comes late, the process is killed after the server has taken values and before it could say so, another goes
 * on, and at the end the server has what metrics.ndjson has, each value once. With the real server where `npm run test:mlflow` has installed it.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { metricsOf } from '../../trainer/tracking/mlflow.ts';
import { isOfTime } from '../../trainer/tracking/scalars.ts';
import { hasMlflow, mlflowPython } from '../bench/peers.ts';
import { eventsOf, segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
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

const eventsIn = (run: string): Record<string, unknown>[] =>
  readFileSync(join(run, 'metrics.ndjson'), 'utf8')
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
