/**
 * What is news about a job.
 */
import { expect, test } from 'vitest';
import { newsOf } from '../../k8s/followJob.ts';
import type { TrainingJob } from '../../k8s/objects.ts';
import type { JobStatus } from '../../k8s/status.ts';

const job = (status?: JobStatus): TrainingJob => ({
  apiVersion: 'segfleet.dev/v1alpha1',
  kind: 'TrainingJob',
  metadata: { name: 'skin', namespace: 'default' },
  spec: { data: { path: 's3://b/d' }, workers: { replicas: 2 } },
  status,
});
const condition = (status: 'True' | 'False', message: string) => ({
  type: 'PodsReady',
  status,
  reason: status === 'True' ? 'Ready' : 'Waiting',
  message,
  lastTransitionTime: '2026-11-26T05:00:00Z',
});
const running: JobStatus = { phase: 'Running', workers: 2, epoch: 1, epochs: 3, step: 5, steps: 30, loss: '0.5' };

test.each<[string, JobStatus | undefined, JobStatus | undefined, unknown[]]>([
  ['nothing of a job that nobody has looked at', undefined, undefined, []],
  ['a phase', undefined, { phase: 'Pending' }, [{ event: 'phase', phase: 'Pending' }]],
  ['not the same phase again', { phase: 'Pending' }, { phase: 'Pending' }, []],
  [
    'a condition whose sentence is another',
    { conditions: [condition('False', 'worker-1 waits for a node')] },
    { conditions: [condition('False', 'worker-1 pulls its image')] },
    [{ event: 'condition', type: 'PodsReady', status: 'False', reason: 'Waiting', message: 'worker-1 pulls its image' }],
  ],
  ['not that a condition was looked at again', { conditions: [condition('True', '')] }, { conditions: [condition('True', '')] }, []],
  [
    'progress, with what is wanted',
    running,
    { ...running, step: 6 },
    [{ event: 'progress', wanted: 2, workers: 2, epoch: 1, epochs: 3, step: 6, steps: 30, loss: '0.5' }],
  ],
  ['not what only the operator needs', running, { ...running, observedGeneration: 7 }, []],
])('%s', (_, before, after, expected) => {
  expect(newsOf(before && job(before), job(after))).toEqual(expected);
});

test('the end comes last, with the job', () => {
  const after = job({ ...running, phase: 'Succeeded', step: 30 });
  expect(newsOf(job(running), after).map(({ event }) => event)).toEqual(['phase', 'progress', 'ended']);
  expect(newsOf(job(running), after).at(-1)).toEqual({ event: 'ended', job: after });
});
