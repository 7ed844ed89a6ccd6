/**
 * The controller with the real reconcile, against a real API server and the controllers of Kubernetes; there are no nodes, so the tests say what kubelets
 * would say of pods.
 */

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { makeKeyFile } from '../../coordinator/exchange/keys.ts';
import type { Progress } from '../../coordinator/progress.ts';
import { type Api, connect, type Kind } from '../../k8s/api.ts';
import { isStatus } from '../../k8s/apiError.ts';
import { systemClock } from '../../k8s/clock.ts';
import { Controller, type ControllerOptions, type ControllerTimes } from '../../k8s/controller.ts';
import { EventRecorder } from '../../k8s/eventRecorder.ts';
import { NotLeading } from '../../k8s/lease.ts';
import { createMetrics } from '../../k8s/metrics.ts';
import { annotations, apiVersion, childNames, fieldManager } from '../../k8s/names.ts';
import type { AnyObject, BatchJob, KubeEvent, KubeObject, ObjectRef, Pod, TrainingJob } from '../../k8s/objects.ts';
import { belongsTo } from '../../k8s/owners.ts';
import { reconcile } from '../../k8s/reconcile.ts';
import { openSpans, type SpanRecord } from '../../trainer/tracking/spans.ts';
import { eachInNamespace, onApiServer } from '../tools/apiServer.ts';
import type { ControlPlane } from '../tools/controlPlane.ts';
import { FaultyProxy } from '../tools/faultyProxy.ts';
import { startCollector } from '../tools/otlpCollector.ts';
import { hasKubernetes } from '../tools/tools.ts';

const soon = { timeout: 40_000, interval: 50 };
const pauseMs = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));

const quick: ControllerTimes = {
  backOff: { firstMs: 100, longestMs: 500 },
  errorBackOff: { firstMs: 100, longestMs: 1000 },
  progressPollMs: 200,
};

describe.skipIf(!hasKubernetes())('the controller', () => {
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

  const trainingJob = (name: string, spec: Record<string, unknown> = {}): AnyObject => ({
    apiVersion,
    kind: 'TrainingJob',
    metadata: { name, namespace },
    spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8, lanes: 4 }, workers: { replicas: 2, max: 4 }, ...spec },
  });
  const refOf = (kind: Kind, name: string): ObjectRef => ({
    apiVersion: { TrainingJob: apiVersion, Job: 'batch/v1' }[kind as string] ?? 'v1',
    kind,
    metadata: { name, namespace },
  });
  const jobOf = (name: string) => api.get<TrainingJob>('TrainingJob', name, { namespace });
  const find = (kind: Kind, name: string) =>
    api.get<AnyObject>(kind, name, { namespace }).catch(error => {
      if (isStatus(error, 404)) return undefined;
      throw error;
    });

  async function start(more: Partial<ControllerOptions> = {}) {
    const metrics = createMetrics();
    const log: Record<string, unknown>[] = [];
    const controller = new Controller({
      api,
      namespaces: [namespace],
      settings: { image: 'segfleet:1', store: 's3://runs/models', clients: [] },
      reconcile,
      makeKeys: makeKeyFile,
      identity: 'test',
      check() {},
      clock: systemClock,
      random: Math.random,
      log: (level, message, fields) => log.push({ level, message, ...fields }),
      metrics,
      ...more,
      times: { ...quick, ...more.times },
    });
    const stop = new AbortController();
    const caching = controller.run(stop.signal);
    await controller.synced();
    const stopLeading = new AbortController();
    const leading = controller.lead(stopLeading.signal);
    const end = async () => {
      stopLeading.abort();
      await leading;
      stop.abort();
      await caching;
    };
    running.push(end);
    /** That another was faster to change something is nobody's fault. */
    const troubles = () => log.filter(({ level, code }) => level !== 'info' && code !== 'conflict');
    const counted = async (name: string, labels: Record<string, string> = {}) => {
      const { values } = await metrics.registry.getSingleMetric(`segfleet_operator_${name}`)!.get();
      return values
        .filter(value => Object.entries(labels).every(([k, v]) => value.labels[k] === v))
        .reduce((sum, { value }) => sum + value, 0);
    };
    return { controller, log, troubles, end, counted };
  }

  const kindsOf = (name: string): [Kind, string][] => {
    const names = childNames(name);
    return [
      ['Secret', names.keys],
      ['ConfigMap', names.job],
      ['Service', names.service],
      ['NetworkPolicy', names.network],
      ['PodDisruptionBudget', names.disruptionBudget],
      ['Job', names.coordinator],
      ['Job', names.workers],
    ];
  };

  /** Everything is there, and this job's. */
  async function isWhole(name: string) {
    const job = await jobOf(name);
    for (const [kind, child] of kindsOf(name)) {
      const object = await find(kind, child);
      expect(object && belongsTo(object, job), `${kind} ${child}`).toBe(true);
    }
    return job;
  }
  const whole = (name: string) => vi.waitFor(() => isWhole(name), soon);

  const eventsOf = async (name: string) => {
    const { items } = await api.list<KubeEvent>('Event', {
      namespace,
      fieldSelector: `involvedObject.kind=TrainingJob,involvedObject.name=${name}`,
    });
    return items;
  };
  const conditionOf = async (name: string, type: string) =>
    (await jobOf(name)).status?.conditions?.find(condition => condition.type === type);

  /** What a kubelet would say. */
  const say = (pod: KubeObject, status: Record<string, unknown>) => api.patch({ ...pod, kind: 'Pod' }, { status }, 'status');
  const runs = (pod: KubeObject, podIP = '127.0.0.1') =>
    say(pod, {
      ...{ phase: 'Running', podIP, podIPs: [{ ip: podIP }], startTime: new Date().toISOString() },
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date().toISOString() }],
      containerStatuses: [
        { name: 'c', image: 'i', imageID: 'i', ready: true, restartCount: 0, state: { running: { startedAt: new Date().toISOString() } } },
      ],
    });
  const podsOf = (batchJob: string, size: number) =>
    vi.waitFor(async () => {
      const { items } = await api.list<Pod>('Pod', { namespace, labelSelector: `batch.kubernetes.io/job-name=${batchJob}` });
      expect(items.length).toBe(size);
      return items;
    }, soon);

  test('a job gets all that it needs, a status and an event; then nothing more is asked of the API server', async () => {
    await using collector = await startCollector();
    const spans = await openSpans({ env: { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url }, onProblem: expect.unreachable });
    const { counted, troubles, end } = await start({ trace: spans!.record });
    await api.create(trainingJob('nuclei'));
    const job = await whole('nuclei');
    const secret = (await find('Secret', childNames('nuclei').keys)) as AnyObject & { data: Record<string, string> };
    expect(JSON.parse(Buffer.from(secret.data['keys.json']!, 'base64').toString())).toMatchObject({ version: 1, run: 'nuclei' });
    await vi.waitFor(async () => expect((await jobOf('nuclei')).status).toMatchObject({ phase: 'Pending', lanes: 4, maxWorkers: 4 }), soon);
    await vi.waitFor(async () => {
      expect(await eventsOf('nuclei')).toMatchObject([
        {
          type: 'Normal',
          reason: 'Accepted',
          count: 1,
          involvedObject: { uid: job.metadata.uid },
          reportingComponent: 'segfleet.dev/operator',
        },
      ]);
    }, soon);
    await podsOf(childNames('nuclei').workers, 2);
    // Until the pods are missed, and their events asked for.
    await pauseMs(1500);
    const before = api.requests;
    await pauseMs(3000);
    expect(api.requests - before).toBe(0);
    expect(troubles()).toEqual([]);
    const managers = await controlPlane.kubectl(
      'get',
      '--namespace',
      namespace,
      '--show-managed-fields',
      '--output=json',
      'service,networkpolicy',
    );
    for (const { metadata } of JSON.parse(managers.stdout).items) {
      expect(metadata.managedFields).toMatchObject([{ manager: fieldManager, operation: 'Apply' }]);
    }

    await end();
    const reconciles = await counted('reconcile_duration_seconds', { le: '+Inf' });
    await spans!.close();
    expect(collector.faults).toEqual([]);
    const roots = collector.spans.filter(({ name }) => name === 'reconcile');
    expect(roots.length).toBe(reconciles);
    for (const { spanId, start, end, attributes, error } of roots) {
      expect([attributes, error]).toEqual([{ 'segfleet.kind': 'job', 'segfleet.key': `${namespace}/nuclei` }, undefined]);
      const [first, second] = collector.spans.filter(({ parentSpanId }) => parentSpanId === spanId).sort((a, b) => a.start - b.start);
      expect([first.name, first.start, second.end]).toEqual([expect.stringMatching(/^(decide|carry out)$/), start, end]);
    }
  });

  test('a run is followed by what its coordinator says, and its status is not written more often than it may', async () => {
    const said: Progress & { step: number } = {
      run: 'nuclei',
      phase: 'training',
      workers: 2,
      expected: 2,
      generation: 1,
      epoch: 3,
      epochs: 50,
      step: 100,
      steps: 10_000,
    };
    let asked = 0;
    const server: Server = createServer((_, response) => {
      asked++;
      said.step += 200;
      response.end(JSON.stringify(said));
    });
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    try {
      const { counted } = await start({ times: { progressPort: (server.address() as AddressInfo).port } });
      await api.create(trainingJob('nuclei'));
      await whole('nuclei');
      for (const name of [childNames('nuclei').workers, childNames('nuclei').coordinator]) {
        for (const pod of await podsOf(name, name.endsWith('workers') ? 2 : 1)) await runs(pod);
      }
      await vi.waitFor(async () => {
        expect((await jobOf('nuclei')).status).toMatchObject({ phase: 'Running', workers: 2, progress: '3/50', steps: 10_000 });
      }, soon);
      expect((await eventsOf('nuclei')).map(({ reason }) => reason).sort()).toEqual(['Accepted', 'Started']);
      const [writes, polls] = [await counted('status_writes_total'), asked];
      // Each answer is 2 % of the run further, so each of them is a reason to look at the job.
      await pauseMs(10_500);
      expect(asked - polls).toBeGreaterThan(20);
      const written = (await counted('status_writes_total')) - writes;
      expect(written).toBeGreaterThanOrEqual(2);
      expect(written).toBeLessThanOrEqual(3);
      expect(await counted('progress_polls_total', { outcome: 'answered' })).toBe(asked);
    } finally {
      server.close();
    }
  });

  test('what a user deletes is made again', async () => {
    await start();
    await api.create(trainingJob('nuclei'));
    await whole('nuclei');
    for (const [kind, name] of kindsOf('nuclei').filter(([kind]) => kind !== 'Secret')) {
      const { metadata, apiVersion } = (await find(kind, name))!;
      await api.delete({ apiVersion, kind, metadata: { name, namespace } });
      await vi.waitFor(async () => {
        const again = await find(kind, name);
        expect(again?.metadata.uid).toBeDefined();
        expect(again!.metadata.uid).not.toBe(metadata.uid);
      }, soon);
    }
    await whole('nuclei');
  });

  test('scaling changes the Job that is there, though others write to it all the time', async () => {
    const { counted } = await start();
    await api.create(trainingJob('nuclei'));
    await whole('nuclei');
    const name = childNames('nuclei').workers;
    const before = await api.get<BatchJob>('Job', name, { namespace });
    let stop = false;
    const meddling = (async () => {
      for (let i = 0; !stop; i++) await api.patch(refOf('Job', name), { metadata: { annotations: { meddler: String(i) } } });
    })();
    try {
      for (const replicas of [3, 1, 4]) {
        await api.patch(refOf('TrainingJob', 'nuclei'), { spec: { workers: { replicas } } });
        await vi.waitFor(async () => {
          expect((await api.get<BatchJob>('Job', name, { namespace })).spec).toMatchObject({
            parallelism: replicas,
            completions: replicas,
          });
        }, soon);
      }
    } finally {
      stop = true;
      await meddling;
    }
    const { metadata, spec } = await api.get<BatchJob>('Job', name, { namespace });
    expect(metadata.uid).toBe(before.metadata.uid);
    expect(spec.template).toEqual(before.spec.template);
    expect(await counted('reconcile_errors_total', { code: 'bug' })).toBe(0);
    await vi.waitFor(async () => {
      const messages = (await eventsOf('nuclei'))
        .filter(({ reason }) => reason === 'WorkersScaled')
        .map(({ message }) => message!.slice(0, 11));
      expect(messages.sort()).toEqual(['from 1 to 4', 'from 2 to 3', 'from 3 to 1']);
    }, soon);
  });

  test('jobs that are deleted while they are made leave nothing', async () => {
    await start();
    const names = Array.from({ length: 8 }, (_, i) => `brief-${i}`);
    await Promise.all(
      names.map(async (name, i) => {
        await api.create(trainingJob(name));
        await pauseMs(i * 40);
        await api.delete(refOf('TrainingJob', name));
      }),
    );
    await pauseMs(2000);
    await vi.waitFor(async () => {
      for (const name of names)
        for (const [kind, child] of kindsOf(name)) expect(await find(kind, child), `${kind} ${child}`).toBe(undefined);
    }, soon);
  });

  test('a job that is made again under its name gets children of its own, keys too', async () => {
    await start();
    for (let round = 0; round < 3; round++) {
      await api.create(trainingJob('again'));
      // Kubernetes takes the children of the one before away only when it has learnt of our kinds, for which it looks every half a minute.
      const { metadata } = await vi.waitFor(() => isWhole('again'), { ...soon, timeout: 120_000 });
      await api.delete(refOf('TrainingJob', 'again'));
      await vi.waitFor(async () => expect((await find('TrainingJob', 'again'))?.metadata.uid).not.toBe(metadata.uid), soon);
    }
  });

  // Secrets are not watched: that one is gone is found out by making it.
  test.each([
    { kind: 'Service', name: childNames('nuclei').service, content: { spec: { ports: [{ port: 80 }] } } },
    { kind: 'Secret', name: childNames('nuclei').keys, content: {} },
  ] as const)(
    'a $kind of somebody else that has the name of a child is left alone, and the job says so; when it is gone the job goes on',
    async ({ kind, name, content }) => {
      await api.create<AnyObject>({ apiVersion: 'v1', kind, metadata: { name, namespace }, ...content });
      const { counted } = await start();
      await api.create(trainingJob('nuclei'));
      await vi.waitFor(async () => {
        expect(await conditionOf('nuclei', 'PodsReady')).toMatchObject({
          status: 'False',
          reason: 'Rejected',
          message: expect.stringContaining(name),
        });
      }, soon);
      expect((await find(kind, name))!.metadata.ownerReferences).toBe(undefined);
      expect(await counted('reconcile_errors_total', { code: 'bug' })).toBe(0);
      await api.delete(refOf(kind, name));
      await whole('nuclei');
      await vi.waitFor(async () => expect((await conditionOf('nuclei', 'PodsReady'))!.reason).toBe('PodsStarting'), soon);
    },
  );

  test('a Job of somebody else that has the name of a child is no reason for a hot loop', async () => {
    const names = childNames('nuclei');
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'c', image: 'none.invalid/none:1' }] } };
    await api.create<AnyObject>({ apiVersion: 'batch/v1', kind: 'Job', metadata: { name: names.workers, namespace }, spec: { template } });
    await start({ times: { errorBackOff: { firstMs: 500, longestMs: 1000 } } });
    await api.create(trainingJob('nuclei'));
    await vi.waitFor(async () => {
      expect(await conditionOf('nuclei', 'PodsReady')).toMatchObject({
        reason: 'Rejected',
        message: expect.stringContaining(names.workers),
      });
    }, soon);
    const before = api.requests;
    await pauseMs(4000);
    // Create, look whose it is: at most every quarter of a second.
    expect(api.requests - before).toBeLessThan(34);
    expect((await find('Job', names.workers))!.metadata.ownerReferences).toBe(undefined);
  });

  test('why pods are not made is asked of events, and said', async () => {
    const quota = { apiVersion: 'v1', kind: 'ResourceQuota', metadata: { name: 'none', namespace }, spec: { hard: { pods: '0' } } };
    await api.create<AnyObject>(quota);
    await start();
    await pauseMs(500);
    await api.create(trainingJob('nuclei'));
    await vi.waitFor(async () => {
      expect(await conditionOf('nuclei', 'PodsReady')).toMatchObject({
        reason: 'QuotaExceeded',
        message: expect.stringContaining('exceeded quota: none'),
      });
    }, soon);
    await vi.waitFor(async () => expect((await eventsOf('nuclei')).map(({ reason }) => reason)).toContain('QuotaExceeded'), soon);
    const lists = api.requests;
    await pauseMs(6000);
    // Reconciled every 5 s; events are asked for every 30 s.
    expect(api.requests - lists).toBeLessThanOrEqual(2);
  });

  test('the log of a pod that failed is asked for once; one that cannot be had holds nothing up', async () => {
    await start();
    await api.create(trainingJob('nuclei', { restarts: { errors: 0 } }));
    await whole('nuclei');
    const [pod] = await podsOf(childNames('nuclei').coordinator, 1);
    const terminated = { exitCode: 1, reason: 'Error', startedAt: new Date().toISOString(), finishedAt: new Date().toISOString() };
    await say(pod!, {
      phase: 'Failed',
      containerStatuses: [{ name: 'coordinator', image: 'i', imageID: 'i', ready: false, restartCount: 0, state: { terminated } }],
    });
    await vi.waitFor(async () => {
      expect((await jobOf('nuclei')).status).toMatchObject({ phase: 'Failed', firstFailure: { pod: pod!.metadata.name, exitCode: 1 } });
    }, soon);
  });

  test('jobs of other namespaces and of other controllers are left alone', async () => {
    const other = `${namespace}-other`;
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: other } });
    await start();
    await api.create({ ...trainingJob('elsewhere'), metadata: { name: 'elsewhere', namespace: other } });
    await api.create(trainingJob('kueues', { managedBy: 'kueue.x-k8s.io/multikueue' }));
    await api.create(trainingJob('ours'));
    await whole('ours');
    await pauseMs(500);
    expect((await jobOf('kueues')).status).toBe(undefined);
    expect((await api.get<TrainingJob>('TrainingJob', 'elsewhere', { namespace: other })).status).toBe(undefined);
  });

  test('all namespaces, where none is named', async () => {
    const other = `${namespace}-other`;
    await api.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: other } });
    await start({ namespaces: undefined });
    await api.create({ ...trainingJob('elsewhere'), metadata: { name: 'elsewhere', namespace: other } });
    await api.create(trainingJob('here'));
    await whole('here');
    await vi.waitFor(async () => {
      expect((await api.get<TrainingJob>('TrainingJob', 'elsewhere', { namespace: other })).status?.phase).toBe('Pending');
    }, soon);
    for (const name of ['here', 'elsewhere']) {
      await api.delete({ apiVersion, kind: 'TrainingJob', metadata: { name, namespace: name === 'here' ? namespace : other } });
    }
  });

  test('a network and a server that fail in every way, and jobs come to the same', async () => {
    await using proxy = await new FaultyProxy(controlPlane.kubeconfig).start();
    const faulty = await connect({ kubeconfig: proxy.writeKubeconfig(join(controlPlane.folder, `${namespace}.kubeconfig`)) });
    try {
      let count = 0;
      // Every third request fails, one way after the other; of what is dropped the server may have done it or not.
      proxy.fault = ({ method, url }) => {
        if (++count % 3 !== 0) return undefined;
        if (count % 2 === 0 && method !== 'GET') return 'drop';
        const faults = [
          { answer: 500 },
          { answer: 429, headers: { 'retry-after': '1' } },
          { answer: 503 },
          { answer: 409 },
          'drop',
        ] as const;
        return url.includes('watch') ? 'drop' : faults[(count / 3) % faults.length];
      };
      const { counted } = await start({ api: faulty });
      const names = Array.from({ length: 5 }, (_, i) => `tried-${i}`);
      for (const name of names) await api.create(trainingJob(name));
      for (const name of names) {
        await whole(name);
        await vi.waitFor(async () => expect((await jobOf(name)).status).toMatchObject({ phase: 'Pending', lanes: 4 }), soon);
        await podsOf(childNames(name).workers, 2);
      }
      expect(await counted('reconcile_errors_total', { code: 'bug' })).toBe(0);
      expect(await counted('reconcile_errors_total')).toBeGreaterThan(0);
    } finally {
      for (const end of running.splice(0)) await end();
      await faulty.close();
    }
  });

  test('an API server that dies while jobs are made, and comes back', async () => {
    const { counted } = await start();
    const names = Array.from({ length: 5 }, (_, i) => `made-${i}`);
    for (const name of names) await api.create(trainingJob(name));
    await controlPlane.killApiServer();
    await pauseMs(1500);
    await controlPlane.startApiServer();
    for (const name of names) {
      await whole(name);
      await vi.waitFor(async () => expect((await jobOf(name)).status).toMatchObject({ phase: 'Pending', lanes: 4 }), soon);
    }
    expect(await counted('reconcile_errors_total', { code: 'bug' })).toBe(0);
    expect(await counted('watch_restarts_total')).toBeGreaterThan(0);
  });

  /** What an operator may do, by resource; of Secrets as told. */
  async function allow(user: string, secrets: readonly string[], without = '') {
    const verbs = ['get', 'list', 'watch', 'create', 'patch', 'update', 'delete'];
    const rule = (apiGroup: string, ...resources: string[]) => ({
      apiGroups: [apiGroup],
      resources: resources.filter(resource => resource !== without),
      verbs,
    });
    const rules = [
      rule('segfleet.dev', 'trainingjobs', 'trainingjobs/status', 'sweeps', 'sweeps/status'),
      rule('', 'services', 'configmaps', 'pods', 'events'),
      rule('batch', 'jobs'),
      rule('policy', 'poddisruptionbudgets'),
      rule('networking.k8s.io', 'networkpolicies'),
      { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: ['get', 'list', 'watch'] },
      { apiGroups: [''], resources: ['secrets'], verbs: secrets },
    ].filter(({ resources }) => resources.length > 0);
    const role = { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'operator', namespace }, rules };
    const binding = {
      ...{ apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'RoleBinding', metadata: { name: 'operator', namespace } },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'operator' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    };
    for (const object of [role, binding]) {
      const { code, stderr } = await controlPlane.kubectlWith({ input: JSON.stringify(object) }, 'apply', '-f', '-');
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
  }

  test('what is not allowed is said about the job, and done when it is allowed', async () => {
    const user = `operator-${namespace}`;
    const limited = await connect({ kubeconfig: controlPlane.kubeconfigOf(user) });
    try {
      await allow(user, ['create'], 'networkpolicies');
      const traced: SpanRecord[] = [];
      const { counted } = await start({ api: limited, trace: span => traced.push(span) });
      await api.create(trainingJob('nuclei'));
      await vi.waitFor(async () => {
        const condition = await conditionOf('nuclei', 'PodsReady');
        expect(condition).toMatchObject({ reason: 'Rejected', message: expect.stringContaining('networkpolicies.networking.k8s.io') });
      }, soon);
      // Without it nothing may run.
      expect(await find('Job', childNames('nuclei').workers)).toBe(undefined);
      await allow(user, ['create']);
      await whole('nuclei');
      expect(await counted('reconcile_errors_total', { code: 'notAllowed' })).toBeGreaterThan(0);
      const failed = traced.filter(({ error }) => error !== undefined);
      expect(failed[0]).toMatchObject({ name: 'reconcile', error: expect.stringContaining('networkpolicies') });
      expect(failed.length).toBe(await counted('reconcile_errors_total'));
    } finally {
      for (const end of running.splice(0)) await end();
      await limited.close();
    }
  });

  test('one that may make Secrets and see none looks after its jobs all the same, also when it is started again', async () => {
    const user = `operator-${namespace}`;
    const limited = await connect({ kubeconfig: controlPlane.kubeconfigOf(user) });
    try {
      await allow(user, ['create']);
      const first = await start({ api: limited });
      await api.create(trainingJob('nuclei'));
      await whole('nuclei');
      await first.end();
      const uids = async () => await Promise.all(kindsOf('nuclei').map(async ([kind, name]) => (await find(kind, name))?.metadata.uid));
      const before = await uids();
      const second = await start({ api: limited });
      await api.patch(refOf('TrainingJob', 'nuclei'), { spec: { workers: { replicas: 3 } } });
      await vi.waitFor(async () => {
        expect((await api.get<BatchJob>('Job', childNames('nuclei').workers, { namespace })).spec.completions).toBe(3);
      }, soon);
      expect(await uids()).toEqual(before);
      expect(second.troubles()).toEqual([]);
    } finally {
      for (const end of running.splice(0)) await end();
      await limited.close();
    }
  });

  test('keys that somebody deleted are made again, and pods that have them', async () => {
    await start();
    await api.create(trainingJob('nuclei'));
    await whole('nuclei');
    const names = childNames('nuclei');
    const before = (await find('Secret', names.keys))!.metadata.uid;
    await api.delete(refOf('Secret', names.keys));
    const [pod] = await podsOf(names.workers, 2);
    // What scheduler and kubelet would do.
    const binding = { apiVersion: 'v1', kind: 'Binding', metadata: { name: pod!.metadata.name }, target: { kind: 'Node', name: 'far' } };
    const path = `/api/v1/namespaces/${namespace}/pods/${pod!.metadata.name}/binding`;
    expect(await controlPlane.kubectlWith({ input: JSON.stringify(binding) }, 'create', '--raw', path, '-f', '-')).toMatchObject({
      code: 0,
    });
    await api.create<AnyObject>({
      ...{ apiVersion: 'v1', kind: 'Event', type: 'Warning', reason: 'FailedMount', metadata: { name: 'mount', namespace } },
      involvedObject: { kind: 'Pod', name: pod!.metadata.name, namespace, uid: pod!.metadata.uid },
      message: `MountVolume.SetUp failed for volume "segfleet-keys" : secret "${names.keys}" not found`,
      lastTimestamp: new Date().toISOString(),
    });
    await vi.waitFor(async () => expect((await find('Pod', pod!.metadata.name))?.metadata.deletionTimestamp).toBeDefined(), soon);
    await controlPlane.kubectl('delete', 'pod', pod!.metadata.name, '--namespace', namespace, '--grace-period=0', '--force');
    await vi.waitFor(async () => {
      const secret = await find('Secret', names.keys);
      expect(secret?.metadata.uid).toBeDefined();
      expect(secret!.metadata.uid).not.toBe(before);
      for (const name of [names.coordinator, names.workers]) {
        expect((await find('Job', name))?.metadata.annotations?.[annotations.keys]).toBe(secret!.metadata.uid);
      }
    }, soon);
    await whole('nuclei');
  });

  test('news that were told before are counted, whoever told them', async () => {
    const job = (await api.create(trainingJob('told'))) as unknown as TrainingJob;
    const outcomes: unknown[] = [];
    const recorder = (check = () => {}) =>
      new EventRecorder({ api, identity: 'test', clock: systemClock, check, onOutcome: error => outcomes.push(error) });
    const draft = { type: 'Warning', reason: 'PodFailed', message: 'worker 1 failed' } as const;
    const first = recorder();
    for (let i = 0; i < 3; i++) await first.record(job, draft);
    await first.record(job, { ...draft, message: `worker 2 failed${' and again'.repeat(200)}` });
    await recorder().record(job, draft);
    const told = (await eventsOf('told')).map(({ message, count }) => [message!.slice(0, 15), message!.length, count]).sort();
    expect(told).toEqual([
      ['worker 1 failed', 15, 4],
      ['worker 2 failed', 1024, 1],
    ]);
    // Kubernetes forgets them after an hour.
    for (const { metadata } of await eventsOf('told')) await api.delete(refOf('Event', metadata.name));
    await first.record(job, draft);
    expect((await eventsOf('told')).map(({ count }) => count)).toEqual([1]);
    expect(outcomes).toEqual(Array.from({ length: 6 }, () => undefined));
    await recorder(() => {
      throw new NotLeading({ namespace: 'n', name: 'l' });
    }).record(job, draft);
    expect(outcomes.at(-1)).toBeInstanceOf(NotLeading);
    expect((await eventsOf('told')).map(({ count }) => count)).toEqual([1]);
  });

  test('one that does not lead changes nothing', async () => {
    let leads = false;
    const check = () => {
      if (!leads) throw new NotLeading({ namespace: 'n', name: 'l' });
    };
    const { counted } = await start({ check });
    await api.create(trainingJob('nuclei'));
    await pauseMs(1500);
    expect((await jobOf('nuclei')).status).toBe(undefined);
    expect(await counted('reconcile_errors_total')).toBe(0);
    leads = true;
    await whole('nuclei');
  });
});
