import { describe, expect, test } from 'vitest';
import type { Progress } from '../../../coordinator/progress.ts';
import type { Pod } from '../../../k8s/objects.ts';
import { isFinishing, isWithoutWorkers, released, resultOf } from '../../../k8s/policies/completion.ts';
import { fleet, now, pod } from '../../tools/pods.ts';

const progress: Progress = {
  run: 'nuclei',
  phase: 'finishing',
  workers: 0,
  expected: 2,
  generation: 3,
  step: 90,
  metric: { name: 'jaccard', best: 0.7 },
};
const done = { condition: { type: 'Complete' as const } };
const says = (message?: string) => pod({ component: 'coordinator', ended: { exitCode: 0, message } });
const whole = { steps: 100, bestEpoch: 3, jaccard: 0.8, weightsDigest: 'sha256:ab' };

describe('the result', () => {
  test.each([
    ['is what the coordinator left', fleet([says(JSON.stringify({ result: whole }))], { coordinator: done }), undefined, whole],
    ['is what it said last, where it left nothing', fleet([says()], { coordinator: done }), progress, { steps: 90, jaccard: 0.7 }],
    ['is what it said last, where its pod is gone', fleet([], { coordinator: done }), progress, { steps: 90, jaccard: 0.7 }],
    ['is that it has ended, where nothing is known', fleet([], { coordinator: done }), undefined, {}],
    ['is not there while its Job has not counted it', fleet([says(JSON.stringify({ result: whole }))]), progress, undefined],
    ['is not there after a failure', fleet([], { coordinator: { condition: { type: 'Failed' } } }), progress, undefined],
  ])('%s', (_, there, said, expected) => {
    expect(resultOf(there, said)).toEqual(expected);
  });
});

test.each([
  [undefined, fleet([]), false],
  ['training', fleet([]), false],
  ['finishing', fleet([]), true],
  ['done', fleet([]), true],
  [undefined, fleet([], { coordinator: done }), true],
] as const)('a coordinator that is %s needs workers no more: %#', (phase, there, expected) => {
  expect(isFinishing(there, phase && { ...progress, phase })).toBe(expected);
});

test.each<[string, Pod, Progress['phase'] | undefined, boolean]>([
  ['began before they had ended', pod({ component: 'coordinator', created: 200, ready: true }), undefined, false],
  ['began after they had ended', pod({ component: 'coordinator', created: 50, ready: true }), undefined, true],
  ['finishes', pod({ component: 'coordinator', created: 200, ready: true }), 'finishing', false],
  ['still waits for workers', pod({ component: 'coordinator', created: 200, ready: true }), 'waiting', true],
  ['has ended', pod({ component: 'coordinator', created: 50, ended: { exitCode: 0 } }), 'waiting', false],
])('workers that have ended come again for a coordinator that %s', (_, coordinator, phase, expected) => {
  const said = phase && { ...progress, phase };
  expect(isWithoutWorkers(fleet([coordinator], { workers: { ...done, completed: 100 } }), said, now)).toBe(expected);
  expect(isWithoutWorkers(fleet([coordinator]), said, now)).toBe(false);
  // It may not have noticed yet.
  const lately = pod({ component: 'coordinator', created: 200, ready: true });
  expect(isWithoutWorkers(fleet([lately], { workers: { ...done, completed: 10 } }), said, now)).toBe(false);
});

test.each([
  ['well, just now', true, 0, 'keep'],
  ['well, a while ago', true, 30_000, 'end'],
  ['badly', false, 0, 'end'],
] as const)('of a run that has ended %s the workers are let be or ended', (_, hasSucceeded, sinceMs, workers) => {
  expect(released(hasSucceeded, sinceMs)).toEqual({ coordinator: 'end', workers });
});
