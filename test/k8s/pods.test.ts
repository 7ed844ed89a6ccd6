/**
 * Pods as a user sees them: a name, a word, a sentence.
 */
import { describe, expect, test } from 'vitest';
import type { ContainerStatus, Pod } from '../../k8s/objects.ts';
import { hasBegun, inOrder, shortName, stateOf, whoIs } from '../../k8s/pods.ts';

const pod = (name: string, component: string, index?: number, more: Partial<Pod['metadata']> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: {
    name,
    labels: {
      'segfleet.dev/component': component,
      ...(index !== undefined && { 'batch.kubernetes.io/job-completion-index': String(index) }),
    },
    ...more,
  },
  spec: {},
});
const withState = (state: ContainerStatus['state'], status: Pod['status'] = { phase: 'Running' }): Pod => ({
  ...pod('p', 'worker', 0),
  status: { ...status, containerStatuses: [{ name: 'worker', ready: false, restartCount: 0, state }] },
});

test('are named by what they do', () => {
  expect(shortName(whoIs(pod('x-workers-11-abcde', 'worker', 11)))).toBe('worker-11');
  expect(shortName(whoIs(pod('x-coordinator-abcde', 'coordinator')))).toBe('coordinator');
  expect(shortName(whoIs(pod('x-coordinator-0-abcde', 'coordinator', 0)))).toBe('coordinator');
});

test('come in order: coordinator, workers by number, the older of two with one number', () => {
  const pods = [
    pod('w10', 'worker', 10),
    pod('w2-new', 'worker', 2, { creationTimestamp: '2026-11-26T05:00:09Z' }),
    pod('w2-old', 'worker', 2, { creationTimestamp: '2026-11-26T05:00:01Z' }),
    pod('c', 'coordinator'),
    pod('w0', 'worker', 0),
  ];
  expect(inOrder(pods).map(({ metadata }) => metadata.name)).toEqual(['c', 'w0', 'w2-old', 'w2-new', 'w10']);
});

describe('are in a state', () => {
  const unschedulable = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message: '0/2 nodes: Insufficient nvidia.com/gpu',
  };
  test.each<[string, Pod, ReturnType<typeof stateOf>]>([
    ['new', pod('p', 'worker'), { state: 'Pending' }],
    [
      'without a node',
      { ...pod('p', 'worker'), status: { phase: 'Pending', conditions: [unschedulable] } },
      { state: 'Unschedulable', message: '0/2 nodes: Insufficient nvidia.com/gpu' },
    ],
    [
      'with a bad image',
      withState({ waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } }, { phase: 'Pending' }),
      { state: 'ImagePullBackOff', message: 'Back-off pulling image "x"' },
    ],
    ['running', withState({ running: {} }), { state: 'Running' }],
    [
      'going',
      { ...withState({ running: {} }), metadata: { name: 'p', deletionTimestamp: '2026-11-26T05:00:00Z' } },
      { state: 'Terminating' },
    ],
    ['done', withState({ terminated: { exitCode: 0, reason: 'Completed' } }, { phase: 'Succeeded' }), { state: 'Completed' }],
    ['killed', withState({ terminated: { exitCode: 137, reason: 'OOMKilled' } }, { phase: 'Failed' }), { state: 'OOMKilled (exit 137)' }],
    ['failed', withState({ terminated: { exitCode: 8, reason: 'Error' } }, { phase: 'Failed' }), { state: 'Error (exit 8)' }],
    [
      'evicted',
      withState({ terminated: { exitCode: 137, reason: 'Error' } }, { phase: 'Failed', reason: 'Evicted', message: 'low on memory' }),
      { state: 'Evicted', message: 'low on memory' },
    ],
  ])('%s', (_, given, expected) => {
    expect(stateOf(given)).toEqual(expected);
  });
});

test.each([
  ['nothing', undefined, false],
  ['waiting', { waiting: { reason: 'ContainerCreating' } }, false],
  ['running', { running: {} }, true],
  ['ended', { terminated: { exitCode: 0 } }, true],
])('have a log when their container has begun: %s', (_, state, expected) => {
  expect(hasBegun(withState(state))).toBe(expected);
});
