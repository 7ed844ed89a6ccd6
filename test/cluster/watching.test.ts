/**
 * A run of four workers on two nodes with a Prometheus beside it. One worker is slow and one is killed: the queries of the dashboards, the alerts and the
 * live page say which, when and why. An MLflow server beside it, of which the chart knows, is told of the run.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { parse, stringify } from 'yaml';
import { dashboards, fileOf } from '../../k8s/monitoring/files.ts';
import type { Overview, RunDetail } from '../../trainer/ui/api.ts';
import type { Finished } from '../tools/cli.ts';
import { canStartCluster } from '../tools/cluster.ts';
import { Installation, type RunningPod } from '../tools/installation.ts';
import { writeJob } from '../tools/jobs.ts';
import { PrometheusApi, type Result } from '../tools/prometheus.ts';
import { hasPrometheus, prometheus } from '../tools/tools.ts';
import { asGrafanaAsks } from '../tools/watchedRuns.ts';

const can = canStartCluster() && hasPrometheus();
const root = join(import.meta.dirname, '..', '..');
const prometheusPort = 9090;
const mlflowPort = 5000;
let at: Installation;
let folder: string;
let api: PrometheusApi;
let coordinator: { readonly pod: string; readonly target: string };
const from = Date.now() / 1000;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-watching-'));
  if (!can) return;
  at = await Installation.start({ nodes: 2 });
  await at.prepare();
  const mlflowProcess = join(root, 'test', 'tools', 'mlflowProcess.ts');
  at.cluster.spawnInNetwork(1, process.execPath, [mlflowProcess, at.cluster.address, String(mlflowPort)], { stdio: 'ignore' });
  await at.helm('install', { 'trackers.mlflow': `http://${at.cluster.address}:${mlflowPort}` });
  await at.applyFile(
    writeJob(
      folder,
      `apiVersion: segfleet.dev/v1alpha1
kind: TrainingJob
metadata: {name: watched}
spec:
  data: {path: s3://data/nuclei, size: {height: 48, width: 48}, channels: 1, split: {validation: 0.2}}
  model: {name: unet, width: 16}
  training: {epochs: 10000, batch: 8, lanes: 4, threads: 1}
  workers: {replicas: 4}
`,
      'watched.yaml',
    ),
  );
  await at.until('watched', 'step 3', ({ step }) => step >= 3);
  const [pod] = await at.pods('watched', 'coordinator');
  const { containerPort } = pod.spec.containers[0].ports.find(({ name }: { name: string }) => name === 'progress');
  coordinator = { pod: pod.metadata.name, target: `${pod.status.podIP}:${containerPort}` };
  api = await startPrometheus();
}, 400_000);

afterAll(async () => {
  await at?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** The rules of the chart with minutes taken for seconds: what takes a quarter of an hour is seen in a quarter of a minute. */
function quickRules(): string {
  const rules = readFileSync(join(root, 'charts/segfleet/files/alerts.yaml'), 'utf8');
  return stringify(JSON.parse(JSON.stringify(parse(rules)).replace(/\b(\d+)m\b/g, '$1s')));
}

/** In the network of the pods, as one that the cluster runs: Debian's finds no pods by itself, so it is told what the PodMonitor of the chart selects. */
async function startPrometheus(): Promise<PrometheusApi> {
  const within = (name: string) => join(folder, name);
  mkdirSync(within('prometheus'));
  writeFileSync(within('alerts.yaml'), quickRules());
  const labels = { namespace: at.namespace, pod: coordinator.pod };
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s', evaluation_interval: '1s' },
    rule_files: [within('alerts.yaml')],
    scrape_configs: [{ job_name: 'segfleet-runs', static_configs: [{ targets: [coordinator.target], labels }] }],
  };
  writeFileSync(within('prometheus.yml'), stringify(config));
  at.cluster.spawnInNetwork(
    1,
    prometheus('prometheus'),
    [
      `--config.file=${within('prometheus.yml')}`,
      `--storage.tsdb.path=${within('prometheus')}`,
      `--web.listen-address=${at.cluster.address}:${prometheusPort}`,
      '--log.level=warn',
    ],
    { stdio: 'ignore' },
  );
  const relayed = new PrometheusApi(`http://127.0.0.1:${await at.cluster.relay(prometheusPort)}`);
  await vi.waitFor(async () => expect(await relayed.query('up == 1', Date.now() / 1000)).toHaveLength(1), {
    timeout: 60_000,
    interval: 500,
  });
  return relayed;
}

const mean = (points: Result['points']) => points.reduce((sum, [, value]) => sum + value, 0) / points.length;

/** What an alert has said since the beginning, as soon as it has fired. */
const fired = (name: string, pattern: Readonly<Record<string, string>> = {}) =>
  vi.waitFor(
    async () => {
      const now = Date.now() / 1000;
      const matchers = Object.entries({ alertname: `Segfleet${name}`, alertstate: 'firing', ...pattern }).map(
        ([label, value]) => `${label}="${value}"`,
      );
      const results = await api.queryRange(`ALERTS{${matchers.join(', ')}}`, { from, to: now, step: 1 });
      expect(results, name).not.toEqual([]);
      return results[0];
    },
    { timeout: 120_000, interval: 1000 },
  );

/** All that a panel of a dashboard has shown, as Grafana would ask for it. */
async function panel(dashboard: string, title: string): Promise<Result[]> {
  const file = fileOf(dashboards.find(({ name }) => name === dashboard)!);
  const { panels } = JSON.parse(readFileSync(join(root, file), 'utf8'));
  const { targets } = panels.find((one: { title: string }) => one.title === title);
  const answers = targets.map(({ expr }: { expr: string }) =>
    api.queryRange(asGrafanaAsks(expr, '10s'), { from, to: Date.now() / 1000, step: 1 }),
  );
  return (await Promise.all(answers)).flat();
}

describe.skipIf(!can)('a run that is watched', () => {
  let slow: RunningPod;
  let victim: RunningPod;
  let killedAt: number;

  test('MLflow is told of it by its coordinator', async () => {
    const url = `http://127.0.0.1:${await at.cluster.relay(mlflowPort)}`;
    const ask = async (path: string, body?: object) => {
      const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, body && { method: 'POST', body: JSON.stringify(body) });
      return answer.json() as Promise<Record<string, never>>;
    };
    await vi.waitFor(
      async () => {
        const { experiment } = await ask('experiments/get-by-name?experiment_name=segfleet');
        const { experiment_id } = experiment as { experiment_id: string };
        const found = await ask('runs/search', { experiment_ids: [experiment_id], filter: `tags."mlflow.source.name" = 'segfleet'` });
        const [{ data }] = found.runs as { data: { metrics: { key: string; step: number }[] } }[];
        expect(data.metrics).toContainEqual(expect.objectContaining({ key: 'loss/batch', step: expect.any(Number) }));
      },
      { timeout: 60_000, interval: 1000 },
    );
  });

  test('a worker that is slow: an alert names its rank and its pod, and the dashboard shows it', async () => {
    slow = (await at.pods('watched', 'worker'))[1];
    void at.slowDown(slow).catch(() => {}); // its node ends while it goes on
    const { labels } = await fired('StragglerWorker', { worker: slow.metadata.name });
    expect(labels).toMatchObject({ namespace: at.namespace, run: 'watched', pod: coordinator.pod });
    const worst = (await panel('operations', 'Lateness, by rank')).toSorted((a, b) => mean(b.points) - mean(a.points))[0];
    expect(worst.labels.rank).toBe(labels.rank);
  });

  test('a worker that is killed: alert and dashboard say when', async () => {
    victim = (await at.pods('watched', 'worker')).find(({ metadata }) => metadata.name !== slow.metadata.name)!;
    killedAt = Date.now() / 1000;
    await at.signal('KILL', victim);
    const { firstFailure } = await at.until('watched', 'an error', ({ restarts }) => restarts?.errors === 1);
    expect(firstFailure).toMatchObject({ pod: victim.metadata.name, exitCode: 137 });
    const { points } = await fired('WorkerMissing');
    expect(points[0][0]).toBeGreaterThan(killedAt);
    expect(points[0][0]).toBeLessThan(killedAt + 60);
    await at.until('watched', 'four workers again', ({ workers, phase }) => workers === 4 && phase === 'Running');
    const lost = await panel('operations', 'Workers lost, by why');
    expect(lost.some(({ points }) => points.some(([time, value]) => value > 0 && time > killedAt && time < killedAt + 60))).toBe(true);
  });

  test('the page of the store says who was lost, when and why, and who came late', async () => {
    let stop = () => {};
    let opened: Promise<Finished> | undefined;
    const url = await new Promise<string>((resolve, reject) => {
      opened = at.segfleet(['ui', 's3://runs', '--port', '0', '--json'], {
        onLine: line => resolve(JSON.parse(line).url),
        onStart: child => {
          stop = () => child.kill('SIGINT');
        },
      });
      void opened.then(({ stderr }) => reject(new Error(stderr)));
    });
    try {
      const { origin, searchParams } = new URL(url);
      const ask = async <T>(path: string): Promise<T> =>
        (await fetch(`${origin}${path}${path.includes('?') ? '&' : '?'}token=${searchParams.get('token')}`)).json() as Promise<T>;
      await vi.waitFor(
        async () => {
          const { runs } = await ask<Overview>('/api/overview');
          const { id } = runs.find(({ name }) => name === 'watched')!;
          const { health } = await ask<RunDetail>(`/api/run?id=${encodeURIComponent(id)}`);
          const { at: when, why } = health.lost.find(({ worker }) => worker === victim.metadata.name)!;
          expect(Date.parse(when!) / 1000).toBeGreaterThan(killedAt);
          expect(why).not.toBe('');
          const late = health.latest!.workers.find(({ worker }) => worker === slow.metadata.name)!;
          expect(late.lateMs).toBe(Math.max(...health.latest!.workers.map(({ lateMs }) => lateMs!)));
        },
        { timeout: 120_000, interval: 1000 },
      );
    } finally {
      stop();
    }
    expect((await opened)!.code).toBe(0);
  });
});
