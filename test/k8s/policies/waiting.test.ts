import { describe, expect, test } from 'vitest';
import type { KubeEvent, Pod } from '../../../k8s/objects.ts';
import { isSameProblem, rejection, waiting } from '../../../k8s/policies/waiting.ts';
import { fleet, type JobOptions, now, type PodOptions, pod, warning } from '../../tools/pods.ts';

const look = (
  pods: readonly Pod[],
  events: readonly KubeEvent[] = [],
  jobs: { coordinator?: JobOptions | null; workers?: JobOptions | null } = {},
) => waiting(fleet(pods, jobs), { events }, { coordinator: 1, workers: 4 }, now);

const coordinator = pod({ component: 'coordinator', ready: true, node: 'n' });
const others = [1, 2, 3].map(index => pod({ index, ready: true, node: 'n' }));
/** One of four workers is not as it should be. */
const one = (options: PodOptions, events: readonly KubeEvent[] = []) => look([coordinator, pod(options), ...others], events);

const unscheduled = (message: string, reason = 'Unschedulable') => ({
  conditions: [{ type: 'PodScheduled', status: 'False', reason, message }],
});
const starting: PodOptions = { node: 'n', waiting: { reason: 'ContainerCreating' } };

describe('what pods say themselves', () => {
  test.each<[string, PodOptions, string, string]>([
    [
      'no GPUs',
      unscheduled('0/2 nodes are available: 2 Insufficient nvidia.com/gpu.'),
      'Unschedulable',
      'no node has so many GPUs free (pod.gpus)',
    ],
    [
      'no room',
      unscheduled('0/2 nodes are available: 2 Insufficient cpu.'),
      'Unschedulable',
      'compare pod.resources, pod.nodeSelector and pod.tolerations',
    ],
    [
      'no claim',
      unscheduled('0/1 nodes are available: persistentvolumeclaim "data" not found.'),
      'VolumeMissing',
      'waits for the PersistentVolumeClaim data',
    ],
    ['a gate', unscheduled('Scheduling is blocked due to non-empty scheduling gates', 'SchedulingGated'), 'Queued', 'waits for a queue'],
    ['no image', { node: 'n', waiting: { reason: 'ErrImagePull', message: 'not found' } }, 'ImagePullFailed', 'check pod.image'],
    [
      'no image, still',
      { node: 'n', waiting: { reason: 'ImagePullBackOff', message: 'Back-off' } },
      'ImagePullFailed',
      'pod.imagePullSecrets',
    ],
    ['no image, and none to be pulled', { node: 'n', waiting: { reason: 'ErrImageNeverPull' } }, 'ImagePullFailed', 'pod.imagePullPolicy'],
    ['no name of an image', { node: 'n', waiting: { reason: 'InvalidImageName' } }, 'ImagePullFailed', 'check pod.image'],
    [
      'no Secret',
      { node: 'n', waiting: { reason: 'CreateContainerConfigError', message: 'secret "a" not found' } },
      'SecretMissing',
      'the Secret a',
    ],
    [
      'an image of root',
      { node: 'n', waiting: { reason: 'CreateContainerConfigError', message: 'container has runAsNonRoot' } },
      'CreateContainerConfigError',
      'runAsNonRoot',
    ],
    [
      'no program',
      { node: 'n', waiting: { reason: 'CreateContainerError', message: 'no command specified' } },
      'CreateContainerError',
      'no command specified',
    ],
  ])('%s', (_, options, reason, text) => {
    const { problem } = one(options);
    expect(problem?.reason).toBe(reason);
    expect(problem?.message).toContain(text);
    expect(problem?.message).toMatch(/^worker 0 \(pod worker-0\) /);
  });

  test('nothing, while all is well or on its way', () => {
    expect(one({ ready: true, node: 'n' })).toEqual({ needsEvents: false });
    expect(one({ ...starting, created: 3 })).toEqual({ needsEvents: false });
    expect(one({ created: 3 })).toEqual({ needsEvents: false });
  });

  test('the coordinator goes before the workers, and those by their index', () => {
    const bad = unscheduled('no');
    expect(
      look([pod({ index: 2, ...bad }), pod({ index: 1, ...bad }), pod({ component: 'coordinator', ...bad })]).problem?.message,
    ).toMatch(/^coordinator /);
    expect(look([pod({ index: 2, ...bad }), pod({ index: 1, ...bad }), coordinator]).problem?.message).toMatch(/^worker 1 /);
  });
});

describe('what events say', () => {
  const mount = (message: string) => warning('uid-worker-0', 'FailedMount', message);

  test.each<[string, KubeEvent, string, string]>([
    [
      'a missing Secret',
      mount('MountVolume.SetUp failed for volume "x" : secret "store" not found'),
      'SecretMissing',
      'waits for the Secret store',
    ],
    ['a missing Secret of a namespace', mount('failed to sync: secret "team/store" not found'), 'SecretMissing', 'the Secret store,'],
    [
      'a missing ConfigMap',
      mount('MountVolume.SetUp failed for volume "x" : configmap "list" not found'),
      'ConfigMapMissing',
      'the ConfigMap list',
    ],
    [
      'a volume elsewhere',
      warning('uid-worker-0', 'FailedAttachVolume', 'Multi-Attach error for volume "pvc-1"'),
      'VolumeNotReady',
      'ReadWriteMany',
    ],
    ['a volume that is not ready', mount('timed out waiting for the condition'), 'VolumeNotReady', 'check the claims in pod.volumes'],
    [
      'a network that is not ready',
      warning('uid-worker-0', 'FailedCreatePodSandBox', 'cni plugin not initialized'),
      'NodeNotReady',
      'look at the node',
    ],
  ])('%s', (_, event, reason, text) => {
    const { problem, needsEvents } = one(starting, [event]);
    expect(problem?.reason).toBe(reason);
    expect(problem?.message).toContain(text);
    // As long as it lasts: something else may be missing next.
    expect(needsEvents).toBe(true);
  });

  test('are asked for while a pod does not start, and the newest counts', () => {
    expect(one(starting)).toEqual({ needsEvents: true });
    const old = warning('uid-worker-0', 'FailedMount', 'secret "a" not found', { seconds: 100 });
    const newer = warning('uid-worker-0', 'FailedMount', 'secret "b" not found', { seconds: 5 });
    expect(one(starting, [old, newer]).problem?.message).toContain('the Secret b');
    expect(one(starting, [newer, old]).problem?.message).toContain('the Secret b');
  });

  test.each<[string, KubeEvent]>([
    ['other pods', warning('uid-other', 'FailedMount', 'secret "a" not found')],
    ['long ago', warning('uid-worker-0', 'FailedMount', 'secret "a" not found', { seconds: 1000 })],
    ['nothing that keeps it waiting', warning('uid-worker-0', 'Unhealthy', 'secret "a" not found')],
  ])('of %s do not count', (_, event) => {
    expect(one(starting, [event])).toEqual({ needsEvents: true });
  });

  test.each<[string, string, string]>([
    [
      'pods "x" is forbidden: exceeded quota: small, requested: cpu=1, used: cpu=4, limited: cpu=4',
      'QuotaExceeded',
      'the ResourceQuota small of the namespace is used up',
    ],
    [
      'pods "x" is forbidden: failed quota: small: must specify limits.cpu for: worker',
      'QuotaExceeded',
      'the ResourceQuota small wants amounts',
    ],
    [
      'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged',
      'PodSecurityViolation',
      'the pod security standard restricted:latest',
    ],
    [
      'pods "x" is forbidden: error looking up service account team/t: serviceaccount "t" not found',
      'ServiceAccountMissing',
      'the ServiceAccount t is not there',
    ],
    ['pods "x" is forbidden: no PriorityClass with name high was found', 'PriorityClassMissing', 'the PriorityClass high is not there'],
    [
      'pods "x" is forbidden: maximum cpu usage per Container is 1, but limit is 2',
      'LimitRangeViolation',
      'maximum cpu usage per Container',
    ],
    ['admission webhook "policy.example" denied the request', 'FailedCreate', 'pods of workers cannot be made'],
  ])('pods that are not made: %s', (message, reason, text) => {
    const { problem, needsEvents } = look([coordinator, ...others], [warning('uid-worker', 'FailedCreate', `Error creating: ${message}`)]);
    expect(problem?.reason).toBe(reason);
    expect(problem?.message).toContain(text);
    expect(problem?.message).toContain(message);
    expect(needsEvents).toBe(true);
  });

  test('are not asked for where nothing is missing', () => {
    const event = warning('uid-worker', 'FailedCreate', 'exceeded quota: small');
    expect(look([coordinator, pod({ ready: true, node: 'n' }), ...others], [event])).toEqual({ needsEvents: false });
    // The Job has just begun.
    expect(look([], [event], { coordinator: { started: 3 }, workers: { size: 4, started: 3 } })).toEqual({ needsEvents: false });
    expect(look([coordinator], [event], { workers: { size: 4, suspend: true } })).toEqual({ needsEvents: false });
    expect(look([coordinator], [event], { workers: null })).toEqual({ needsEvents: false });
  });
});

test('a pod on a node that does not answer is a problem of the node', () => {
  const gone = pod({ node: 'gpu-7', phase: 'Running', deleted: 61 });
  const { problem, needsEvents } = look([coordinator, gone, ...others]);
  expect(problem).toEqual({
    reason: 'NodeLost',
    message:
      'worker 0 (pod worker-0) is on node gpu-7, which does not answer: start the node again, or delete it (kubectl delete node gpu-7), and the pod is replaced',
  });
  expect(needsEvents).toBe(false);
  expect(look([coordinator, pod({ node: 'gpu-7', phase: 'Running', deleted: 59 }), ...others]).problem).toBeUndefined();
});

test('long words of Kubernetes are cut short', () => {
  expect(one(unscheduled('x'.repeat(10_000))).problem!.message.length).toBeLessThan(700);
});

test('the same problem in other words of Kubernetes is the same', () => {
  const said = (message: string) => one(unscheduled(message)).problem!.message;
  expect(isSameProblem(said('0/2 nodes'), said('0/3 nodes'))).toBe(true);
  expect(isSameProblem(said('0/2 nodes'), said('2 Insufficient nvidia.com/gpu'))).toBe(false);
});

test.each([
  [undefined, undefined],
  ['exceeded quota: small, requested: x', 'QuotaExceeded'],
  ['spec.tolerations[0].value: Invalid value', 'Rejected'],
])('what the API server refuses is a problem: %s', (message, reason) => {
  expect(rejection({ rejected: message === undefined ? undefined : { kind: 'Job', name: 'x', message } })?.reason).toBe(reason);
});
