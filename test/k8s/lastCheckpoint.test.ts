import { expect, test } from 'vitest';
import { lastCheckpointOf } from '../../k8s/lastCheckpoint.ts';
import { stoppedFields } from '../../k8s/progressFields.ts';
import { ago, pod } from '../tools/pods.ts';

const message = JSON.stringify({ error: { code: 'preempted', exitCode: 75, message: 'preempted after step 7', details: { step: 7 } } });

test('a coordinator that was stopped says with which checkpoint, and so stands the job', () => {
  const last = lastCheckpointOf(pod({ component: 'coordinator', phase: 'Failed', ended: { exitCode: 75, message, at: 3 } }));
  expect(last).toEqual({ step: 7, at: ago(3) });
  const stopped = { step: 7, checkpointStep: 7, checkpointTime: ago(3) };
  expect(stoppedFields({ step: 5, checkpointStep: 5, checkpointTime: ago(60) }, last)).toEqual(stopped);
  // Another coordinator has gone further since.
  expect(stoppedFields({ step: 9, checkpointStep: 5, checkpointTime: ago(60) }, last)).toEqual({});
});

test.each([
  ['a worker', { component: 'worker', ended: { exitCode: 75, message } }],
  ['a coordinator that failed', { component: 'coordinator', ended: { exitCode: 1, message } }],
  ['one that runs', { component: 'coordinator' }],
  ['one that left no word', { component: 'coordinator', ended: { exitCode: 75, message: 'epoch 1/3' } }],
] as const)('%s says nothing of that', (_, options) => {
  expect(lastCheckpointOf(pod({ phase: 'Failed', ...options }))).toBeUndefined();
});
