/**
 * What we make of a job, before a real API server that is strict about fields, in a namespace that enforces the *restricted* pod security standard, and
 * before the real Job controller.
 */
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Api, connect } from '../../../k8s/api.ts';
import { fleetOf } from '../../../k8s/fleet.ts';
import { childNames, labels } from '../../../k8s/names.ts';
import type { AnyObject, BatchJob, KubeObject, Pod, TrainingJob } from '../../../k8s/objects.ts';
import type { Observed } from '../../../k8s/plan.ts';
import { missingChildren } from '../../../k8s/resources/children.ts';
import { coordinatorJob } from '../../../k8s/resources/coordinatorJob.ts';
import { workersJob } from '../../../k8s/resources/workersJob.ts';
import { steer } from '../../../k8s/steer.ts';
import type { ControlPlane } from '../../tools/controlPlane.ts';
import { startWithKinds } from '../../tools/crds.ts';
import { hasKubernetes } from '../../tools/tools.ts';
import { fullJob, recipeOf, trainingJob } from '../../tools/trainingJobs.ts';

const soon = { timeout: 30_000, interval: 100 };
const namespace = 'team';

describe.skipIf(!hasKubernetes())('a real API server', () => {
  let controlPlane: ControlPlane;
  let api: Api;

  beforeAll(async () => {
    controlPlane = await startWithKinds();
    api = await connect({ kubeconfig: controlPlane.kubeconfig });
    const levels = ['enforce', 'warn'].flatMap(mode => [
      [`pod-security.kubernetes.io/${mode}`, 'restricted'],
      [`pod-security.kubernetes.io/${mode}-version`, 'latest'],
    ]);
    await create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: Object.fromEntries(levels) } });
    await create({ apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'research' }, value: 1000 });
    await create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'trainer', namespace } });
    const isThere = async () =>
      expect(await controlPlane.kubectl('get', 'serviceaccount', 'default', '-n', namespace)).toMatchObject({ code: 0 });
    await vi.waitFor(isThere, soon);
  });

  afterAll(async () => {
    await api?.close();
    await controlPlane?.[Symbol.asyncDispose]();
  });

  /** Nothing is said to it: neither an error nor a warning. */
  const create = async (object: KubeObject & Record<string, unknown>, ...flags: string[]) =>
    expect(
      await controlPlane.kubectlWith({ input: JSON.stringify(object) }, 'create', '--validate=strict', ...flags, '-f', '-'),
    ).toMatchObject({ code: 0, stderr: '' });

  const apply = async (object: AnyObject, ...flags: string[]) =>
    expect(
      await controlPlane.kubectlWith({ input: JSON.stringify(object) }, 'apply', '--server-side', '--validate=strict', ...flags, '-f', '-'),
    ).toMatchObject({ code: 0, stderr: '' });

  /** As it is there, with a uid. */
  async function made({ metadata: { name, labels: its }, apiVersion, kind, spec }: TrainingJob): Promise<TrainingJob> {
    await create({ apiVersion, kind, metadata: { name, namespace, labels: its }, spec });
    return api.get<TrainingJob>('TrainingJob', name, { namespace });
  }

  const jobs: [string, TrainingJob][] = [
    ['says little', trainingJob({}, { name: 'little' })],
    ['says all about its pods', { ...fullJob, metadata: { ...fullJob.metadata, name: 'all' } }],
    ['has the longest name that there is', trainingJob({}, { name: 'a'.repeat(63) })],
    ['has a name of digits', trainingJob({}, { name: '42' })],
    ['has a name that is another word in YAML', trainingJob({}, { name: 'no' })],
    ['is in a queue', trainingJob({}, { name: 'queued', labels: { [labels.queue]: 'gpus' } })],
  ];

  test.each(jobs)('takes all children of a job that %s', async (_, job) => {
    const owner = await made(job);
    const recipe = recipeOf(owner, { libraryClaim: 'tensorflow', storePorts: [9000] });
    const { create: once, apply: applied } = missingChildren(recipe, 3, [], run => `keys of ${run}`);
    for (const object of [...once, coordinatorJob(recipe, 'uid'), workersJob(recipe, 3, 'uid')]) await create(object, '--dry-run=server');
    for (const object of applied) await apply(object);
    // A second time changes nothing.
    for (const object of applied) {
      const name = object.metadata.name;
      const there = await api.get(object.kind as 'Service', name, { namespace });
      await apply(object);
      expect((await api.get(object.kind as 'Service', name, { namespace })).metadata.resourceVersion).toBe(there.metadata.resourceVersion);
    }
  });

  test('would not take pods that are less restricted', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'free', namespace }, spec: { containers: [{ name: 'x', image: 'x' }] } };
    const { code, stderr } = await controlPlane.kubectlWith({ input: JSON.stringify(pod) }, 'create', '-f', '-');
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining('violates PodSecurity "restricted:latest"') });
  });

  describe('and its Job controller', () => {
    /** Both Jobs of a job, and what is asked of them from here on. */
    async function start(name: string, size: number) {
      const owner = await made(trainingJob({ workers: { replicas: size, max: 4 } }, { name }));
      const recipe = recipeOf(owner);
      for (const object of [coordinatorJob(recipe, 'uid'), workersJob(recipe, size, 'uid')]) await create(object);
      const names = childNames(name);
      const job = (component: 'coordinator' | 'workers') => api.get<BatchJob>('Job', names[component], { namespace });
      const pods = async () => (await api.list<Pod>('Pod', { namespace, labelSelector: `${labels.job}=${name}` })).items;
      const workers = async () =>
        (await pods()).filter(
          ({ metadata }) => metadata.labels?.[labels.component] === 'worker' && metadata.deletionTimestamp === undefined,
        );
      const ask = async (what: 'run' | 'suspend' | 'end', wanted = size) => {
        const observed: Observed = {
          job: owner,
          children: [],
          pods: [],
          events: [],
          coordinator: await job('coordinator'),
          workers: await job('workers'),
        };
        const fleet = fleetOf(observed, new Date());
        const changes = [steer(fleet.coordinator, what, {}), steer(fleet.workers, what, { size: wanted })];
        for (const object of changes.flatMap(change => change.apply)) await api.apply(object, { force: true });
        return changes.flatMap(change => change.apply).length;
      };
      const running = (number: number) => vi.waitFor(async () => expect(await pods()).toHaveLength(number), soon);
      await running(size + 1);
      return { owner, job, pods, workers, ask, running };
    }

    const end = (pod: Pod, exitCode: number, condition?: { type: string; status: string; reason: string }) => {
      // The Job waits ten seconds from then before it makes another.
      const finishedAt = new Date(Date.now() - 60_000).toISOString();
      const terminated = { exitCode, reason: 'Error', startedAt: finishedAt, finishedAt };
      const container = {
        name: pod.metadata.labels![labels.component],
        image: 'x',
        imageID: 'x',
        ready: false,
        restartCount: 0,
        state: { terminated },
      };
      const status = {
        phase: exitCode === 0 ? 'Succeeded' : 'Failed',
        containerStatuses: [container],
        ...(condition && { conditions: [condition] }),
      };
      return api.patch({ apiVersion: 'v1', kind: 'Pod', metadata: { name: pod.metadata.name, namespace } }, { status }, 'status');
    };

    const conditionsOf = ({ status }: BatchJob) =>
      status?.conditions?.filter(({ status }) => status === 'True').map(({ type }) => type) ?? [];

    test('makes their pods under the restricted standard, each worker with its index and a name that is found', async () => {
      const { workers } = await start('made', 3);
      const indexes = (await workers()).map(({ metadata }) => metadata.labels?.['batch.kubernetes.io/job-completion-index']);
      expect(indexes.toSorted()).toEqual(['0', '1', '2']);
    });

    test('scales workers up and down, the highest index first, and touches no other', async () => {
      const { workers, ask, running } = await start('scaled', 2);
      const first = (await workers()).map(({ metadata }) => metadata.uid);
      expect(await ask('run', 4)).toBe(1);
      await running(5);
      expect((await workers()).map(({ metadata }) => metadata.uid)).toEqual(expect.arrayContaining(first));
      expect(await ask('run', 4)).toBe(0);
      await ask('run', 2);
      await running(3);
      expect((await workers()).map(({ metadata }) => metadata.uid).toSorted()).toEqual(first.toSorted());
    });

    test('suspends both, resumes both, and has the size that was asked for meanwhile', async () => {
      const { ask, running, job } = await start('suspended', 2);
      expect(await ask('suspend')).toBe(2);
      await running(0);
      await vi.waitFor(async () => expect(conditionsOf(await job('workers'))).toEqual(['Suspended']), soon);
      expect(await ask('suspend')).toBe(0);
      await ask('suspend', 3);
      expect((await job('workers')).spec).toMatchObject({ parallelism: 3, completions: 3, suspend: true });
      expect(await ask('run', 3)).toBe(2);
      await running(4);
    });

    test('ends both for good: pods that run go, those that have ended stay', async () => {
      const { ask, pods, job, workers } = await start('ended', 2);
      const [failed] = await workers();
      await end(failed, 6);
      expect(await ask('end')).toBe(2);
      for (const component of ['coordinator', 'workers'] as const) {
        await vi.waitFor(async () => expect(conditionsOf(await job(component))).toContain('Failed'), soon);
      }
      expect((await pods()).map(({ metadata }) => metadata.name)).toEqual([failed.metadata.name]);
      expect(await ask('end')).toBe(0);
    });

    test.each([
      ['fails for good by a fatal exit code', 8, undefined, 'Failed'],
      ['makes a pod again that was preempted', 75, undefined, 'again'],
      ['makes a pod again that failed for a reason that may pass', 137, undefined, 'again'],
      [
        'makes a pod again that was disrupted, whatever its exit code',
        8,
        { type: 'DisruptionTarget', status: 'True', reason: 'EvictionByEvictionAPI' },
        'again',
      ],
      ['is complete when its pod has ended well', 0, undefined, 'Complete'],
    ] as const)('%s', async (what, exitCode, condition, expected) => {
      const { pods, job } = await start(`failed-${what.replaceAll(/\W+/g, '').toLowerCase().slice(-20)}`, 1);
      const isCoordinator = ({ metadata }: Pod) => metadata.labels?.[labels.component] === 'coordinator';
      const [pod] = (await pods()).filter(isCoordinator);
      await end(pod, exitCode, condition);
      if (expected !== 'again') return vi.waitFor(async () => expect(conditionsOf(await job('coordinator'))).toContain(expected), soon);
      await vi.waitFor(async () => expect((await pods()).filter(isCoordinator)).toHaveLength(2), soon);
      expect(conditionsOf(await job('coordinator'))).toEqual([]);
    });
  });
});
