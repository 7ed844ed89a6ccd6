/**
 * The dashboards as they lie in the chart, and the alerts, on a real Prometheus that has scraped a real run, a real sweep and an operator's registry: no
 * panel without data.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createMetrics } from '../../k8s/metrics.ts';
import { alertGroups } from '../../k8s/monitoring/alerts.ts';
import { dashboards, fileOf } from '../../k8s/monitoring/files.ts';
import { parseSweep } from '../../trainer/sweep/sweepFile.ts';
import { SweepMetrics } from '../../trainer/tracking/sweepMetrics.ts';
import { sharedJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';
import type { Result } from '../tools/prometheus.ts';
import { type TemporaryFolder, temporaryFolder } from '../tools/temporaryFolder.ts';
import { hasPrometheus } from '../tools/tools.ts';
import { asGrafanaAsks, type Watch, watchRuns } from '../tools/watchedRuns.ts';
import { drive, toySweep } from '../trainer/sweep/toySweep.ts';

const root = join(import.meta.dirname, '..', '..');

interface Target {
  readonly expr: string;
  readonly legendFormat: string;
}
type Panel = { readonly title: string; readonly targets?: readonly Target[] };

const panels = dashboards.flatMap(dashboard => {
  const { panels } = JSON.parse(readFileSync(join(root, fileOf(dashboard)), 'utf8')) as { panels: readonly Panel[] };
  return panels.flatMap(({ title, targets = [] }) => targets.map(target => ({ dashboard: dashboard.name, title, ...target })));
});

/** What needs something that is not here. */
const without: Readonly<Record<string, string>> = { 'GPU utilisation, by pod': 'the DCGM exporter, and a GPU' };

/** An operator's registry with something in each of its metrics; what it counts rises from scrape to scrape. */
function operatorAtWork() {
  const metrics = createMetrics();
  metrics.leader.set(1);
  for (const [phase, jobs] of [
    ['Pending', 1],
    ['Running', 2],
    ['Succeeded', 5],
  ] as const)
    metrics.jobs.set({ phase }, jobs);
  metrics.sweeps.set({ phase: 'Running' }, 1);
  metrics.sweepCells.set({ sweep: 'team/grid', state: 'running' }, 2);
  metrics.sweepWaiting.set({ sweep: 'team/grid' }, 0);
  metrics.queueDepth.set(0);
  metrics.queueWorking.set(1);
  metrics.watchLastEvent.set({ kind: 'TrainingJob' }, Date.now() / 1000);
  return {
    contentType: metrics.registry.contentType,
    text: () => {
      metrics.reconcileSeconds.observe(0.01);
      metrics.apiRequests.inc(3);
      metrics.statusWrites.inc();
      metrics.progressPolls.inc({ outcome: 'answered' });
      return metrics.registry.metrics();
    },
  };
}

describe.skipIf(!hasPrometheus())('on a Prometheus that has scraped a run of two workers, a sweep and an operator', () => {
  let folder: TemporaryFolder;
  let watch: Watch;
  const from = Date.now() / 1000;
  /** While the run was in its last epochs. */
  let at: number;

  beforeAll(async () => {
    folder = temporaryFolder('dashboards');
    const within = (name: string) => join(folder.path, name);
    await drawDataSet(within('data'), 10, 16, 16);
    watch = await watchRuns('250ms');
    await watch.serve('operator', operatorAtWork());
    const sweep = toySweep(within('data'), { parameters: { 'training.optimizer.learningRate': { values: [0.001] } } });
    await watch.serve('sweeps', new SweepMetrics(parseSweep(sweep, 'sweep.yaml'), within('sweep')));
    const swept = drive(sweep, within('sweep'));
    const [{ code, stderr }] = await Promise.all([
      watch.train({
        file: writeJob(folder.path, sharedJob('data', 2)),
        words: ['--out', within('run'), '--workers', '2', '--set', 'training.epochs=6', '--set', 'checkpoint.url=s3://bucket/run'],
        onEvent: ({ event, epoch }) => {
          if (event === 'epoch' && epoch === 5) at = Date.now() / 1000;
        },
      }),
      swept,
    ]);
    expect([code, stderr]).toEqual([0, '']);
  });
  afterAll(async () => {
    await watch?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
  });

  // Also what is asked for one moment: at a given one a process may have been too busy to answer.
  const ask = ({ expr }: Target): Promise<Result[]> => watch.prometheus.queryRange(asGrafanaAsks(expr, '10s'), { from, to: at, step: 0.5 });

  test('every panel has data, but for those that need what is not here', async () => {
    const empty = new Set<string>();
    for (const panel of panels) {
      const results = await ask(panel);
      if (!results.some(({ points }) => points.some(([, value]) => Number.isFinite(value)))) empty.add(panel.title);
    }
    expect([...empty]).toEqual(Object.keys(without));
  });

  test('every label that a legend names is there', async () => {
    const wrong: string[] = [];
    for (const panel of panels) {
      const named = [...panel.legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => label);
      // What stands for "none of them", such as vector(0), has fewer labels.
      const fallBack = panel.expr.split(' or ')[1] ?? '';
      const isNone = ({ labels, points }: Result) =>
        /vector\(0\)$|== 0$/.test(fallBack) && points.every(([, value]) => value === 0) && named.some(label => !(label in labels));
      for (const { labels } of (await ask(panel)).filter(result => !isNone(result)))
        wrong.push(...named.filter(label => !(label in labels)).map(label => `${panel.dashboard}, ${panel.title}: ${label}`));
    }
    expect(wrong).toEqual([]);
  });

  test('lines are told apart by the loss and the run', async () => {
    const [losses] = await Promise.all(
      panels.filter(({ title }) => title === 'Best so far').map(async panel => (await ask(panel)).map(({ labels }) => labels)),
    );
    expect(losses).toEqual([{ run: 'small', loss: 'adaptiveLog(dice)' }]);
  });

  test('every alert can be asked', async () => {
    for (const { expression } of Object.values(alertGroups).flat()) await watch.prometheus.query(expression, at);
  });
});
