import { describe, expect, test } from 'vitest';
import { isQueued, isSuspended, running, suspending } from '../../../k8s/policies/suspend.ts';
import { fleet, pod } from '../../tools/pods.ts';

const leader = pod({ component: 'coordinator', ready: true, node: 'n' });
const worker = pod({ ready: true, node: 'n' });

describe('suspending', () => {
  test.each([
    ['all run', fleet([leader, worker]), { coordinator: 'suspend', workers: 'suspend' }],
    [
      'the workers are in a queue',
      fleet([leader, worker], { workers: { size: 1, queue: 'q' } }),
      { coordinator: 'suspend', workers: 'remove' },
    ],
  ])('asks both at once: %s', (_, there, expected) => {
    expect(suspending(there)).toEqual(expected);
  });

  test.each([
    ['pods run', fleet([worker], { coordinator: { suspend: true }, workers: { size: 1, suspend: true } }), false],
    ['a Job may still make pods', fleet([], { coordinator: { suspend: true } }), false],
    ['both are suspended', fleet([], { coordinator: { suspend: true }, workers: { size: 1, suspend: true } }), true],
    ['one has ended', fleet([], { coordinator: { suspend: true }, workers: { size: 1, condition: { type: 'Complete' } } }), true],
    ['there are none', fleet([], { coordinator: null, workers: null }), true],
    ['pods have ended', fleet([pod({ ended: { exitCode: 75 } })], { coordinator: null, workers: { suspend: true } }), true],
  ])('is done: %s', (_, there, expected) => {
    expect(isSuspended(there)).toBe(expected);
  });
});

describe('running', () => {
  test.each([
    ['as usual', fleet([]), undefined, { coordinator: 'run', workers: 'run' }, false],
    ['in a queue, before it is known', fleet([], { coordinator: null, workers: null }), 'q', { coordinator: 'keep', workers: 'run' }, true],
    ['in a queue, waiting', fleet([], { workers: { queue: 'q', suspend: true } }), 'q', { coordinator: 'suspend', workers: 'run' }, true],
    [
      'in a queue, going',
      fleet([leader, worker], { workers: { queue: 'q', suspend: true } }),
      'q',
      { coordinator: 'keep', workers: 'run' },
      true,
    ],
    ['in a queue, admitted', fleet([leader, worker], { workers: { queue: 'q' } }), 'q', { coordinator: 'run', workers: 'run' }, false],
    ['in no queue when it began', fleet([], { workers: { suspend: true } }), 'q', { coordinator: 'run', workers: 'run' }, false],
  ])('%s', (_, there, queue, expected, queued) => {
    expect(running(there, queue)).toEqual(expected);
    expect(isQueued(there, queue)).toBe(queued);
  });
});
