/**
 * Operators as processes, which are killed, stopped and started again, against a real API server that writes down who changed what.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Api, connect, type Kind } from '../../k8s/api.ts';
import { isStatus } from '../../k8s/apiError.ts';
import type { Lease } from '../../k8s/lease.ts';
import { apiVersion, childNames } from '../../k8s/names.ts';
import type { AnyObject, BatchJob, KubeEvent, KubeObject, TrainingJob } from '../../k8s/objects.ts';
import { belongsTo } from '../../k8s/owners.ts';
import { operatorEntries, operatorPrefix } from '../../trainer/tracking/catalogue.ts';
import { eachInNamespace } from '../tools/apiServer.ts';
import type { ControlPlane } from '../tools/controlPlane.ts';
import { startWithKinds } from '../tools/crds.ts';
import type { ProcessSettings } from '../tools/operatorProcess.ts';
import { hasKubernetes } from '../tools/tools.ts';

const soon = { timeout: 40_000, interval: 50 };
const pauseMs = (ms: number) => new Promise(resolve => setTimeout(resolve, ms));

const quick = { backOff: { firstMs: 100, longestMs: 500 }, errorBackOff: { firstMs: 100, longestMs: 1000 } };
const shortLease = { durationMs: 3000, renewDeadlineMs: 2000, retryMs: 400 };
const leaseName = 'segfleet-operator';

interface Audited {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly resource: string; readonly name?: string };
  readonly responseStatus?: { readonly code: number };
}

describe.skipIf(!hasKubernetes())('operators', () => {
  let controlPlane: ControlPlane;
  let api: Api;
  let auditLog = '';
  let namespace = '';
  const started: Operator[] = [];

  beforeAll(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'segfleet-operators-'));
    const policy = {
      apiVersion: 'audit.k8s.io/v1',
      kind: 'Policy',
      omitStages: ['RequestReceived'],
      rules: [{ level: 'None', verbs: ['get', 'list', 'watch'] }, { level: 'Metadata' }],
    };
    writeFileSync(join(folder, 'audit.yaml'), JSON.stringify(policy));
    auditLog = join(folder, 'audit.log');
    const apiServerArgs = [`--audit-policy-file=${join(folder, 'audit.yaml')}`, `--audit-log-path=${auditLog}`];
    controlPlane = await startWithKinds({ folder, scheduler: false, apiServerArgs });
    api = await connect({ kubeconfig: controlPlane.kubeconfig });
  });
  afterAll(async () => {
    await api?.close();
    await controlPlane?.[Symbol.asyncDispose]();
  });
  eachInNamespace(
    () => api,
    name => {
      namespace = name;
    },
  );
  afterEach(async () => {
    for (const operator of started.splice(0)) await operator.kill();
  });

  /** A process, and what it said. */
  class Operator {
    readonly name: string;
    readonly child: ChildProcess;
    readonly exited: Promise<number | string>;
    readonly said: Record<string, unknown>[] = [];
    errors = '';

    constructor(name: string, settings: Partial<ProcessSettings> = {}) {
      this.name = name;
      const all: ProcessSettings = {
        kubeconfig: controlPlane.kubeconfigOf(name, ['system:masters']),
        namespaces: [namespace],
        identity: name,
        lease: { namespace, name: leaseName },
        times: { ...quick, lease: shortLease },
        ...settings,
      };
      const script = join(import.meta.dirname, '..', 'tools', 'operatorProcess.ts');
      this.child = spawn(process.execPath, [script, JSON.stringify(all)], { stdio: ['ignore', 'pipe', 'pipe'] });
      this.child.stderr!.on('data', data => {
        this.errors += data;
      });
      createInterface(this.child.stdout!).on('line', line => this.said.push(JSON.parse(line)));
      this.exited = new Promise(resolve => this.child.on('close', (code, signal) => resolve(signal ?? code!)));
      started.push(this);
    }

    says(message: string): Promise<Record<string, unknown>> {
      return vi.waitFor(() => {
        const line = this.said.findLast(said => said.message === message);
        expect(line, `${this.name} says: ${message}; it said ${JSON.stringify(this.said.at(-1))} ${this.errors}`).toBeDefined();
        return line!;
      }, soon);
    }

    async ask(path: string): Promise<{ status: number; text: string }> {
      const { port } = await this.says('the operator has started');
      const response = await fetch(`http://127.0.0.1:${port}${path}`);
      return { status: response.status, text: await response.text() };
    }

    async kill(): Promise<void> {
      this.child.kill('SIGKILL');
      await this.exited;
    }
  }

  const trainingJob = (name: string, spec: Record<string, unknown> = {}): AnyObject => ({
    apiVersion,
    kind: 'TrainingJob',
    metadata: { name, namespace },
    spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8, lanes: 4 }, workers: { replicas: 2, max: 4 }, ...spec },
  });
  const edit = (name: string, spec: Record<string, unknown>) =>
    api.patch({ apiVersion, kind: 'TrainingJob', metadata: { name, namespace } }, { spec });
  const jobOf = (name: string) => api.get<TrainingJob>('TrainingJob', name, { namespace });
  const holder = async () => (await api.get<Lease>('Lease', leaseName, { namespace })).spec?.holderIdentity;
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
  const find = (kind: Kind, name: string) =>
    api.get<KubeObject>(kind, name, { namespace }).catch(error => {
      if (isStatus(error, 404)) return undefined;
      throw error;
    });
  const isWhole = async (name: string) => {
    const job = await jobOf(name);
    expect(job.status).toMatchObject({ phase: 'Pending', lanes: 4, maxWorkers: 4, observedGeneration: job.metadata.generation });
    const children = await Promise.all(kindsOf(name).map(([kind, child]) => find(kind, child)));
    expect(children.map(child => child && belongsTo(child, job))).toEqual(children.map(() => true));
    return children.map(child => child!.metadata.uid);
  };
  const whole = (name: string) => vi.waitFor(() => isWhole(name), soon);
  const eventsOf = async (name: string) => {
    const { items } = await api.list<KubeEvent>('Event', { namespace, fieldSelector: `involvedObject.name=${name}` });
    return items.map(({ reason, count }) => `${reason} ${count}`).sort();
  };

  const audited = (): Audited[] =>
    readFileSync(auditLog, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line));
  const wasCarriedOut = ({ responseStatus }: Audited) => (responseStatus?.code ?? 0) < 300;

  test('tells how it is: alive at once, ready when it knows the cluster, and all of its metrics', async () => {
    await api.create(trainingJob('nuclei'));
    const operator = new Operator('a');
    expect(await operator.ask('/healthz')).toEqual({ status: 200, text: 'ok\n' });
    await vi.waitFor(async () => expect(await operator.ask('/readyz')).toEqual({ status: 200, text: 'ok\n' }), soon);
    await whole('nuclei');
    expect(await operator.ask('/nothing')).toMatchObject({ status: 404 });
    const { text } = await operator.ask('/metrics');
    for (const { name, help, type } of Object.values(operatorEntries)) {
      expect(text).toContain(`# HELP ${operatorPrefix}${name} ${help}\n# TYPE ${operatorPrefix}${name} ${type}\n`);
    }
    const reading = (series: string) =>
      Number(
        text
          .split('\n')
          .find(line => line.startsWith(`${operatorPrefix}${series} `))
          ?.split(' ')[1],
      );
    expect(reading('leader')).toBe(1);
    expect(reading('jobs{phase="Pending"}')).toBe(1);
    expect(reading('jobs{phase="Running"}')).toBe(0);
    expect(reading('events_total{outcome="recorded"}')).toBe(1);
    expect(reading('api_requests_total')).toBeGreaterThan(10);
    expect(reading('reconcile_duration_seconds_count')).toBeGreaterThan(1);
    for (const kind of ['TrainingJob', 'Job', 'Pod', 'Service', 'ConfigMap', 'NetworkPolicy', 'PodDisruptionBudget']) {
      expect(Date.now() / 1000 - reading(`watch_last_event_timestamp_seconds{kind="${kind}"}`)).toBeLessThan(60);
    }
    expect(operator.said.every(({ time, level, message }) => Boolean(time && level && message))).toBe(true);
    expect(operator.errors).toBe('');
  });

  test('one whose API server is not there lives, is not ready, and leads when it comes', async () => {
    await controlPlane.killApiServer();
    const operator = new Operator('a');
    try {
      expect(await operator.ask('/healthz')).toMatchObject({ status: 200 });
      expect(await operator.ask('/readyz')).toMatchObject({ status: 503 });
      await operator.says('the watch of TrainingJob begins anew');
    } finally {
      await controlPlane.startApiServer();
    }
    await operator.says('this operator leads');
    expect(await operator.ask('/readyz')).toMatchObject({ status: 200 });
  });

  test('SIGTERM ends it well: it finishes, gives the lease up, and another leads at once', async () => {
    // A lease that would hold for long.
    const times = { ...quick, lease: { durationMs: 60_000, renewDeadlineMs: 40_000, retryMs: 400 } };
    const a = new Operator('a', { times });
    await a.says('this operator leads');
    const b = new Operator('b', { times });
    await b.says('all caches are filled');
    for (let i = 0; i < 5; i++) await api.create(trainingJob(`job-${i}`));
    const told = performance.now();
    a.child.kill('SIGTERM');
    expect(await a.exited).toBe(0);
    // Nothing that it might still wait for holds it.
    expect(performance.now() - told).toBeLessThan(10_000);
    expect(a.said.at(-1)).toMatchObject({ message: 'the operator has ended' });
    await b.says('this operator leads');
    expect(await holder()).toBe('b');
    for (let i = 0; i < 5; i++) await whole(`job-${i}`);
    b.child.kill('SIGTERM');
    expect(await b.exited).toBe(0);
    expect(await holder()).toBe(undefined);
  });

  test('one that is ended before it knew the cluster ends too', async () => {
    controlPlane.pauseApiServer();
    try {
      const operator = new Operator('a');
      await operator.says('the operator has started');
      operator.child.kill('SIGTERM');
      expect(await operator.exited).toBe(0);
    } finally {
      controlPlane.resumeApiServer();
    }
  });

  test('of two one leads; when it is killed the other leads within the duration of the lease', async () => {
    const a = new Operator('a');
    await a.says('this operator leads');
    const b = new Operator('b');
    await b.says('all caches are filled');
    await pauseMs(2 * shortLease.durationMs);
    expect(b.said.some(({ message }) => message === 'this operator leads')).toBe(false);
    expect(await holder()).toBe('a');
    await a.kill();
    const killed = performance.now();
    await b.says('this operator leads');
    // b looks every 0.4 s, and a fifth longer; the rest is for a busy machine.
    expect(performance.now() - killed).toBeLessThan(shortLease.durationMs + 2 * 1.2 * shortLease.retryMs + 1000);
    await api.create(trainingJob('nuclei'));
    await whole('nuclei');
  });

  test('a leader that is stopped in the middle of its work and wakes up when another leads changes nothing any more', async () => {
    let [leader, other] = [new Operator('a'), new Operator('b')];
    await vi.waitFor(async () => expect(await holder()).toBeDefined(), soon);
    if ((await holder()) === 'b') [leader, other] = [other, leader];
    let count = 0;
    let isBusy = true;
    const working = (async () => {
      for (; isBusy; await pauseMs(60)) {
        await api.create(trainingJob(`job-${++count}`, { suspend: true }));
        if (count > 5) await edit(`job-${count - 5}`, { workers: { replicas: (count % 4) + 1 } });
      }
    })();
    try {
      for (let round = 0; round < 3; round++) {
        await leader.says('this operator leads');
        await pauseMs(1000 + 137 * round);
        leader.child.kill('SIGSTOP');
        await vi.waitFor(async () => expect(await holder()).toBe(other.name), soon);
        await pauseMs(500);
        const before = audited().length;
        leader.child.kill('SIGCONT');
        await leader.says('this operator does not lead any more');
        await pauseMs(2500);
        const since = audited().slice(before);
        const by = (name: string) => since.filter(({ user }) => user.username === name);
        // All that it asks for is the lease, in vain. A request that it was stopped with between asking whether it leads and writing to its connection
        // still comes, and the version or the name that is in it keeps the server from carrying it out, but for an event, which is only news.
        expect(by(leader.name).filter(({ objectRef }) => objectRef?.resource !== 'leases').length).toBeLessThanOrEqual(1);
        expect(by(leader.name).filter(one => wasCarriedOut(one) && one.objectRef?.resource !== 'events')).toEqual([]);
        // There was something to do, and the other did it.
        expect(by(other.name).filter(wasCarriedOut).length).toBeGreaterThan(10);
        leader.said.length = 0;
        [leader, other] = [other, leader];
      }
    } finally {
      isBusy = false;
      await working;
    }
  });

  test.each([1, 2])('operators that die after every %i changes, one after the other, come to the same as one that lives', async at => {
    const name = `mortal-${at}`;
    let deaths = 0;
    /** Until one has nothing left to do. */
    const untilDone = async (done: () => Promise<unknown>) => {
      for (;;) {
        const operator = new Operator(`${name}-${deaths}`, {
          // Before the first is as it was.
          dies: { at, when: at === 1 || deaths % 2 === 0 ? 'after' : 'before' },
          times: { ...quick, lease: { durationMs: 1000, renewDeadlineMs: 800, retryMs: 150 } },
        });
        const died = operator.exited.then(() => 'died');
        const settled = vi.waitFor(done, { timeout: 60_000, interval: 100 }).then(
          () => pauseMs(2000).then(() => 'done'),
          error => `stuck: ${error}`,
        );
        const end = await Promise.race([died, settled]);
        if (end === 'done') return operator.kill();
        expect(end).toBe('died');
        expect(await operator.exited, operator.errors).toBe('SIGKILL');
        // At first change, before it: nothing would ever be done.
        expect(++deaths).toBeLessThan(60);
      }
    };
    const uids = new Map<string, Set<string>>();
    const stop = new AbortController();
    const watching = follow(['ConfigMap', 'Service', 'Job', 'Secret', 'NetworkPolicy', 'PodDisruptionBudget'], uids, stop.signal);
    await api.create(trainingJob(name));
    await untilDone(() => isWhole(name));
    await edit(name, { workers: { replicas: 3 } });
    const workers = () => api.get<BatchJob>('Job', childNames(name).workers, { namespace });
    await untilDone(async () => {
      expect((await workers()).spec).toMatchObject({ parallelism: 3, completions: 3 });
      await isWhole(name);
    });
    stop.abort();
    await watching;
    expect(deaths).toBeGreaterThan(3);
    // Each child was made once, ever.
    const made = kindsOf(name).map(([kind, child]) => [`${kind} ${child}`, uids.get(`${kind} ${child}`)?.size]);
    expect(made).toEqual(made.map(([child]) => [child, 1]));
    // News may be lost with whoever had it to tell, and are never told twice.
    expect(['Accepted 1', 'WorkersScaled 1']).toEqual(expect.arrayContaining(await eventsOf(name)));
  });

  /** Collects the uids of all objects that there ever were. */
  async function follow(kinds: readonly Kind[], uids: Map<string, Set<string>>, signal: AbortSignal): Promise<void> {
    await Promise.all(
      kinds.map(async kind => {
        const { resourceVersion } = await api.list(kind, { namespace });
        try {
          for await (const { type, object } of api.watch<KubeObject>(kind, { namespace, resourceVersion, signal, silentMs: 600_000 })) {
            if (type === 'BOOKMARK') continue;
            const key = `${kind} ${object.metadata.name}`;
            uids.set(key, (uids.get(key) ?? new Set()).add(object.metadata.uid!));
          }
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      }),
    );
  }
});
