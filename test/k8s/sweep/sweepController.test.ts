/**
 * Sweeps with the whole controller, against a real API server and the controllers of Kubernetes; there are no nodes, so the test says what kubelets would
 * say of the pods of trials.
 */

import { afterEach, describe, expect, test, vi } from 'vitest';
import { makeKeyFile } from '../../../coordinator/exchange/keys.ts';
import type { Api } from '../../../k8s/api.ts';
import { isStatus } from '../../../k8s/apiError.ts';
import { systemClock } from '../../../k8s/clock.ts';
import { Controller } from '../../../k8s/controller.ts';
import { createMetrics } from '../../../k8s/metrics.ts';
import { annotations, apiVersion, childNames, labels } from '../../../k8s/names.ts';
import type { AnyObject, BatchJob, KubeEvent, Pod, Sweep, TrainingJob } from '../../../k8s/objects.ts';
import { reconcile } from '../../../k8s/reconcile.ts';
import type { SweepStatus } from '../../../k8s/sweepStatus.ts';
import { eachInNamespace, onApiServer } from '../../tools/apiServer.ts';
import type { ControlPlane } from '../../tools/controlPlane.ts';
import { hasKubernetes } from '../../tools/tools.ts';

const soon = { timeout: 40_000, interval: 50 };
const metric = 'validation/jaccard';

describe.skipIf(!hasKubernetes())('sweeps on an API server', () => {
  let controlPlane: ControlPlane;
  let api: Api;
  let namespace = '';
  const running: (() => Promise<void>)[] = [];

  onApiServer(server => {
    ({ api, controlPlane } = server);
  });
  eachInNamespace(
    () => api,
    name => {
      namespace = name;
    },
  );
  afterEach(async () => {
    for (const end of running.splice(0)) await end();
  });

  async function startOperator() {
    const controller = new Controller({
      ...{ api, namespaces: [namespace], reconcile, makeKeys: makeKeyFile, identity: 'test', check() {} },
      settings: { image: 'segfleet:1', store: 's3://runs/models', clients: [] },
      ...{ clock: systemClock, random: Math.random, log() {}, metrics: createMetrics() },
      times: { backOff: { firstMs: 100, longestMs: 500 }, errorBackOff: { firstMs: 100, longestMs: 1000 }, progressPollMs: 1000 },
    });
    const [stop, stopLeading] = [new AbortController(), new AbortController()];
    const caching = controller.run(stop.signal);
    await controller.synced();
    const leading = controller.lead(stopLeading.signal);
    let isOver = false;
    const end = async () => {
      if (isOver) return;
      isOver = true;
      stopLeading.abort();
      await leading;
      stop.abort();
      await caching;
    };
    running.push(end);
    return end;
  }

  const sweepOf = (name: string, spec: Record<string, unknown> = {}): AnyObject => ({
    apiVersion,
    kind: 'Sweep',
    metadata: { name, namespace },
    spec: {
      objective: { metric },
      method: 'grid',
      base: { spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8, epochs: 2 } } },
      parameters: { 'loss.gamma': { values: [0.1, 0.2] }, 'loss.omega': { values: [8, 10] }, 'loss.name': { value: 'adaptiveLog' } },
      replicates: { count: 2 },
      limits: { parallelTrials: 2 },
      ...spec,
    },
  });
  const statusOf = async (name: string): Promise<SweepStatus> => (await api.get<Sweep>('Sweep', name, { namespace })).status ?? {};
  const trials = async () => {
    const { items } = await api.list<TrainingJob>('TrainingJob', { namespace });
    return new Map(items.map(job => [job.metadata.name, job]));
  };
  const suspend = (name: string, isSuspended: boolean) =>
    api.patch({ apiVersion, kind: 'Sweep', metadata: { name, namespace } }, { spec: { suspend: isSuspended } });
  const podsOf = async (batchJob: string) =>
    (await api.list<Pod>('Pod', { namespace, labelSelector: `batch.kubernetes.io/job-name=${batchJob}` })).items.filter(
      ({ metadata, status }) => !metadata.deletionTimestamp && status?.phase !== 'Succeeded',
    );

  /** What a kubelet would say. */
  const say = (pod: Pod, status: Record<string, unknown>) => api.patch({ ...pod, kind: 'Pod' }, { status }, 'status');
  const now = () => new Date().toISOString();

  /** Its pods are there, and run. */
  async function runs(trial: string): Promise<void> {
    const { coordinator, workers } = childNames(trial);
    await vi.waitFor(async () => {
      for (const name of [coordinator, workers]) {
        const [pod] = await podsOf(name);
        expect(pod, `a pod of ${name}`).toBeDefined();
        await say(pod!, {
          ...{ phase: 'Running', startTime: now() },
          conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: now() }],
          containerStatuses: [
            { name: 'c', image: 'i', imageID: 'i', ready: true, restartCount: 0, state: { running: { startedAt: now() } } },
          ],
        });
      }
      expect((await trials()).get(trial)?.status?.phase).toBe('Running');
    }, soon);
  }

  /** Both its pods end; the coordinator leaves what each epoch has shown. */
  async function ends(trial: string, ...values: readonly number[]): Promise<void> {
    const reports = values.map((value, i) => ({ epoch: i + 1, step: 8 * (i + 1), value, jaccard: value }));
    const result = { steps: 16, bestEpoch: 1, jaccard: Math.max(...values), weightsDigest: 'abc', objective: { metric, reports } };
    const { coordinator, workers } = childNames(trial);
    for (const [name, message] of [
      [workers, ''],
      [coordinator, JSON.stringify({ result })],
    ]) {
      const [pod] = await podsOf(name);
      const terminated = { exitCode: 0, reason: 'Completed', startedAt: now(), finishedAt: now(), message };
      await say(pod!, {
        phase: 'Succeeded',
        conditions: [],
        containerStatuses: [{ name: 'c', image: 'i', imageID: 'i', ready: false, restartCount: 0, state: { terminated } }],
      });
    }
    // Whether an operator runs or not.
    await vi.waitFor(async () => {
      const { status } = await api.get<BatchJob>('Job', coordinator, { namespace });
      expect(status?.conditions).toContainEqual(expect.objectContaining({ type: 'Complete', status: 'True' }));
    }, soon);
  }

  const measured = (trial: string, replicate: number) => 0.5 + 0.1 * Number(trial.at(-1)) + 0.01 * replicate;

  test('a grid with replicates comes to its end, whenever the operator is killed', async () => {
    let stop = await startOperator();
    await api.create(sweepOf('grid'));
    for (const trial of ['grid-0000', 'grid-0001', 'grid-0002', 'grid-0003']) {
      for (const replicate of [1, 2]) await runs(`${trial}-r${replicate}`);
      expect((await trials()).size).toBe(2 * (Number(trial.at(-1)) + 1));
      if (trial === 'grid-0001') await stop();
      await Promise.all([1, 2].map(replicate => ends(`${trial}-r${replicate}`, 0.1, measured(trial, replicate))));
      if (trial === 'grid-0001') stop = await startOperator();
    }
    await vi.waitFor(async () => expect((await statusOf('grid')).phase).toBe('Succeeded'), soon);
    const status = await statusOf('grid');
    expect(status).toMatchObject({
      progress: '4/4',
      trials: { total: 4, pending: 0, running: 0, succeeded: 4, failed: 0, stopped: 0 },
      best: { job: 'grid-0003-r1', value: '0.8150', parameters: { 'loss.gamma': 0.2, 'loss.omega': 10, 'loss.name': 'adaptiveLog' } },
    });
    const jobs = await trials();
    expect(jobs.size).toBe(8);
    // The operator was away when that one ended.
    expect(jobs.get('grid-0001-r2')!.status).toMatchObject({
      metric: '0.6200',
      objective: {
        metric,
        reports: [
          { epoch: 1, value: 0.1 },
          { epoch: 2, value: 0.62 },
        ],
      },
    });
    const { stdout } = await controlPlane.kubectl('get', 'sweeps', '--namespace', namespace);
    expect(stdout.split('\n').map(line => line.split(/ {2,}/).slice(0, 7))).toEqual([
      ['NAME', 'PHASE', 'METHOD', 'TRIALS', 'RUNNING', 'FAILED', 'BEST'],
      ['grid', 'Succeeded', 'grid', '4/4', '0', '0', '0.8150'],
      [''],
    ]);
    const { items } = await api.list<KubeEvent>('Event', { namespace, fieldSelector: 'involvedObject.kind=Sweep' });
    expect(items.map(({ reason, count }) => [reason, count]).sort()).toEqual([
      ['Accepted', 1],
      ['Finished', 1],
    ]);

    await api.delete({ apiVersion, kind: 'Sweep', metadata: { name: 'grid', namespace } });
    await vi.waitFor(async () => {
      expect((await trials()).size).toBe(0);
      expect((await api.list('Job', { namespace })).items).toEqual([]);
    }, soon);
  });

  test('a sweep that is suspended releases its pods, and goes on with the same trials', async () => {
    await startOperator();
    await api.create(sweepOf('rest', { replicates: { count: 1 } }));
    for (const trial of ['rest-0000', 'rest-0001']) await runs(trial);
    await suspend('rest', true);
    // The coordinator's pod is deleted; no kubelet says that it has ended.
    await vi.waitFor(async () => {
      for (const { metadata } of (await api.list<Pod>('Pod', { namespace })).items.filter(pod => pod.metadata.deletionTimestamp)) {
        await controlPlane.kubectl('delete', 'pod', metadata.name, '--namespace', namespace, '--grace-period=0', '--force');
      }
      expect((await statusOf('rest')).phase).toBe('Suspended');
    }, soon);
    expect((await api.list<Pod>('Pod', { namespace })).items).toEqual([]);
    await suspend('rest', false);
    for (const trial of ['rest-0000', 'rest-0001']) await runs(trial);
    expect((await trials()).size).toBe(2);
    expect((await trials()).get('rest-0000')!.metadata.annotations).not.toHaveProperty(annotations.suspended);
  });

  test('a quota holds back one trial; what stands in the way is told', async () => {
    await startOperator();
    await api.create({
      ...{ apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'small', namespace } },
      spec: { hard: { pods: '2' } },
    } as AnyObject);
    await vi.waitFor(async () => {
      const quota = await api.get<AnyObject & { status?: { hard?: object } }>('ResourceQuota', 'small', { namespace });
      expect(quota.status?.hard).toEqual({ pods: '2' });
    }, soon);
    await api.create(sweepOf('tight', { replicates: { count: 1 }, limits: { parallelTrials: 4 } }));
    await runs('tight-0000');
    await vi.waitFor(async () => {
      const { conditions = [] } = await statusOf('tight');
      const waiting = conditions.find(({ type }) => type === 'Waiting');
      expect(waiting).toMatchObject({ status: 'True', reason: 'QuotaExceeded' });
      expect(waiting!.message).toMatch(/^tight-0001: the ResourceQuota small of the namespace is used up/);
    }, soon);
    expect([...(await trials()).keys()]).toEqual(['tight-0000', 'tight-0001']);
    expect((await trials()).get('tight-0001')!.metadata.labels).toMatchObject({ [labels.sweep]: 'tight', [labels.trial]: '1' });
  });

  test('a job of that name which is somebody else’s is left alone, and told of', async () => {
    await api.create<AnyObject>({
      ...{ apiVersion, kind: 'TrainingJob', metadata: { name: 'mine-0000', namespace } },
      spec: { data: { path: 's3://data/other' }, suspend: true },
    });
    await startOperator();
    await api.create(sweepOf('mine', { replicates: { count: 1 } }));
    await vi.waitFor(async () => {
      const waiting = (await statusOf('mine')).conditions?.find(({ type }) => type === 'Waiting');
      expect(waiting?.message).toContain('there is a TrainingJob mine-0000');
      expect(waiting?.message).toContain('does not belong to this sweep');
    }, soon);
    const other = await api.get<TrainingJob>('TrainingJob', 'mine-0000', { namespace }).catch(error => {
      if (isStatus(error, 404)) return undefined;
      throw error;
    });
    expect(other?.spec.data.path).toBe('s3://data/other');
  });
});
