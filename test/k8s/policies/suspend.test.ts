import { describe, expect, test } from 'vitest';
import { isQueued, isSuspended, running, suspending } from '../../../k8s/policies/suspend.ts';
import { fleet, pod } from '../../tools/pods.ts';

const leader = pod({ component: 'coordinator', ready: true, node: 'n' });
const going = pod({ component: 'coordinator', phase: 'Running', deleted: -30 });
const worker = pod({ ready: true, node: 'n' });
const lost = pod({ component: 'coordinator', phase: 'Running', deleted: 61 });

describe('suspending', () => {
  test.each([
    ['the coordinator runs', fleet([leader, worker]), { coordinator: 'suspend', workers: 'keep' }],
    ['the coordinator writes its checkpoint', fleet([going, worker]), { coordinator: 'suspend', workers: 'keep' }],
    ['the coordinator is gone', fleet([worker]), { coordinator: 'suspend', workers: 'suspend' }],
    [
      'the coordinator has ended',
      fleet([pod({ component: 'coordinator', ended: { exitCode: 75 } }), worker]),
      { coordinator: 'suspend', workers: 'suspend' },
    ],
    ['the coordinator is on a node that is lost', fleet([lost, worker]), { coordinator: 'suspend', workers: 'suspend' }],
    ['the workers are in a queue', fleet([worker], { workers: { size: 1, queue: 'q' } }), { coordinator: 'suspend', workers: 'remove' }],
  ])('asks the coordinator first: %s', (_, there, expected) => {
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
