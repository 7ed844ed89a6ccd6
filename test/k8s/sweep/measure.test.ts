/**
 * What Sweeps tell Prometheus.
 */
import { expect, test } from 'vitest';
import { createMetrics } from '../../../k8s/metrics.ts';
import type { Sweep } from '../../../k8s/objects.ts';
import { measureSweeps } from '../../../k8s/sweep/measure.ts';
import type { SweepStatus } from '../../../k8s/sweepStatus.ts';
import { maxSweeps } from '../../../trainer/tracking/catalogue.ts';

const now = new Date('2026-01-01T12:00:00Z');
const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString();
const sweepOf = (name: string, status?: SweepStatus) =>
  ({ metadata: { namespace: 'team', name, creationTimestamp: minutesAgo(60) }, status }) as unknown as Sweep;

async function told(metrics: ReturnType<typeof createMetrics>): Promise<Record<string, number>> {
  const text = await metrics.registry.metrics();
  const lines = text.matchAll(/^segfleet_operator_(sweep_(?:cells|waiting_seconds)\{.*\}) (.*)$/gm);
  return Object.fromEntries([...lines].map(([, series, value]) => [series, Number(value)]));
}

test('trials by state, and how long one has waited; of a sweep without a status nothing is known', async () => {
  const metrics = createMetrics();
  const trials = { total: 9, pending: 2, running: 1, succeeded: 3, failed: 2, stopped: 1, reused: 0 };
  const waiting = { type: 'Waiting', status: 'True', reason: 'QuotaExceeded', message: '', lastTransitionTime: minutesAgo(5) } as const;
  measureSweeps(metrics, [sweepOf('grid', { trials, conditions: [waiting] }), sweepOf('new')], now);
  expect(await told(metrics)).toEqual({
    'sweep_cells{sweep="team/grid",state="waiting"}': 2,
    'sweep_cells{sweep="team/grid",state="running"}': 1,
    'sweep_cells{sweep="team/grid",state="stopped"}': 1,
    'sweep_cells{sweep="team/grid",state="succeeded"}': 3,
    'sweep_cells{sweep="team/grid",state="failed"}': 2,
    'sweep_waiting_seconds{sweep="team/grid"}': 300,
    ...Object.fromEntries(
      ['waiting', 'running', 'stopped', 'succeeded', 'failed'].map(state => [`sweep_cells{sweep="team/new",state="${state}"}`, 0]),
    ),
    'sweep_waiting_seconds{sweep="team/new"}': 0,
  });
});

test('series go with their sweep: when it is deleted, or a quarter of an hour after its end', async () => {
  const metrics = createMetrics();
  const sweeps = [
    sweepOf('deleted', {}),
    sweepOf('ended', { completionTime: minutesAgo(14) }),
    sweepOf('old', { completionTime: minutesAgo(16) }),
  ];
  const names = async () => [...new Set(Object.keys(await told(metrics)).map(series => /team\/(\w+)/.exec(series)![1]))];
  measureSweeps(metrics, sweeps, now);
  expect(await names()).toEqual(['deleted', 'ended']);
  measureSweeps(metrics, sweeps.slice(1), now);
  expect(await names()).toEqual(['ended']);
});

test('of very many sweeps those that began last have series', async () => {
  const metrics = createMetrics();
  const sweeps = Array.from({ length: maxSweeps + 5 }, (_, i) => sweepOf(`s${i}`, { startTime: minutesAgo(i) }));
  measureSweeps(metrics, sweeps, now);
  const series = Object.keys(await told(metrics));
  expect(series).toHaveLength(6 * maxSweeps);
  expect(series).toContain('sweep_waiting_seconds{sweep="team/s0"}');
  expect(series).not.toContain(`sweep_waiting_seconds{sweep="team/s${maxSweeps}"}`);
});
