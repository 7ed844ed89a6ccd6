/**
 * The catalogue of metrics keeps the rules of Prometheus, and what others count is in it.
 */
import { expect, test } from 'vitest';
import type { Malformed } from '../../../coordinator/messages.ts';
import { maxWorkers } from '../../../coordinator/messages.ts';
import { anySettings } from '../../../k8s/jobs.ts';
import { labels } from '../../../k8s/names.ts';
import type { TrainingJob } from '../../../k8s/objects.ts';
import { accept } from '../../../k8s/policies/acceptance.ts';
import { phases } from '../../../k8s/status.ts';
import { type Job, parseJob } from '../../../trainer/spec.ts';
import { cardinality, catalogue, type droppedReasons, maxRanks, maxSeries, maxSweeps } from '../../../trainer/tracking/catalogue.ts';
import { identityOf } from '../../../trainer/tracking/identity.ts';
import { smallJob } from '../../tools/jobs.ts';

const metrics = catalogue.flatMap(({ metrics }) => metrics);

test.each(metrics)('$name', ({ name, type, unit, help, labels, buckets }) => {
  expect(name).toMatch(/^segfleet_[a-z][a-z0-9]*(_[a-z0-9]+)*$/);
  expect(help).toMatch(/^[A-Za-z0-9(].*\.$/s);
  expect([name.endsWith('_total'), buckets !== undefined]).toEqual([type === 'counter', type === 'histogram']);
  const suffix = { seconds: 'seconds', bytes: 'bytes', ratio: 'ratio', timestamp: 'timestamp_seconds', count: '', loss: '', info: '' }[
    unit
  ];
  expect(name.replace(/_total$/, '').endsWith(suffix)).toBe(true);
  expect(name).not.toMatch(/_(info|count|sum|bucket)$(?<!(run|worker)_info)/);
  for (const label of Object.keys(labels)) expect(label).toMatch(/^(?!le$|quantile$)[a-z]+$/);
  // No label that grows with what is trained on or how long.
  expect(Object.keys(labels)).not.toEqual(expect.arrayContaining([expect.stringMatching(/step|epoch|image|case|pod|uid|host/)]));
  expect(buckets ?? []).toEqual([...(buckets ?? [])].sort((a, b) => a - b));
});

test('a trial on a cluster is told of with its sweep and number', () => {
  const { job } = parseJob(smallJob('s3://sets/isic'), 'job.yaml');
  const given = { ...job, metadata: { name: 'lr-0007', labels: { [labels.sweep]: 'lr', [labels.trial]: '7', other: 'x' } } };
  const accepted = accept(given as unknown as TrainingJob, anySettings);
  expect(accepted).toMatchObject({ job: { metadata: { labels: { [labels.sweep]: 'lr', [labels.trial]: '7' } } } });
  expect(identityOf((accepted as { job: Job }).job)).toEqual({
    ...{ run: 'lr-0007', loss: 'adaptiveLog(dice)', model: 'unet', dataset: 'isic', sweep: 'lr', trial: '7' },
  });
});

test('each name is there once', () => {
  expect(new Set(metrics.map(({ name }) => name)).size).toBe(metrics.length);
});

test('a run, a sweep and an operator have few series; of a run most are those of its workers', () => {
  const sums = catalogue.map(({ metrics }) => metrics.reduce((sum, metric) => sum + maxSeries(metric), 0));
  const ofRanks = metrics.filter(({ labels }) => labels.rank).length * maxRanks;
  expect(ofRanks).toBe(5 * 256);
  expect(sums[0] - ofRanks).toBeLessThan(350);
  expect(sums[1]).toBeLessThan(20);
  // Of the operator most are those of Sweeps: five states, and how long they wait.
  expect(sums[2] - 6 * maxSweeps).toBeLessThan(200);
});

test('what the coordinator and the operator count is among the values', () => {
  const covered: [Malformed] extends [(typeof droppedReasons)[number]] ? true : never = true;
  expect(covered).toBe(true);
  expect(maxRanks).toBe(maxWorkers);
  const { labels } = metrics.find(({ name }) => name === 'segfleet_operator_jobs')!;
  expect(phases.length).toBeLessThanOrEqual(cardinality(labels.phase));
});
