import { expect, test } from 'vitest';
import { lostJobs, nextLossInMs } from '../../../k8s/policies/lost.ts';
import { fleet, now, pod } from '../../tools/pods.ts';

const stuck = (index: number) => pod({ index, node: 'n', phase: 'Running', deleted: 61 });
const stuckLeader = pod({ component: 'coordinator', node: 'n', phase: 'Running', deleted: 61 });

test.each([
  ['nothing is lost', [pod({ ready: true })], 1, []],
  ['the coordinator is', [stuckLeader], 1, ['coordinator']],
  ['it is of a Job before', [pod({ component: 'coordinator', phase: 'Running', deleted: 61, isOrphan: true })], 1, []],
  ['some workers are, and enough are left', [stuck(0), stuck(1)], 2, []],
  ['too few workers are left', [stuck(0), stuck(1), stuck(2)], 2, ['workers']],
  ['all are', [stuckLeader, ...[0, 1, 2, 3].map(stuck)], 1, ['coordinator', 'workers']],
  ['they end slowly', [0, 1, 2, 3].map(index => pod({ index, phase: 'Running', deleted: 59 })), 1, []],
  ['they have ended', [0, 1, 2, 3].map(index => pod({ index, deleted: 90, ended: { exitCode: 75 } })), 1, []],
])('Jobs are made anew where %s', (_, pods, min, expected) => {
  expect(lostJobs(fleet(pods), { size: 4, min })).toEqual(expected);
});

test.each([
  [[pod({ ready: true })], undefined],
  [[pod({ phase: 'Running', deleted: -20 }), pod({ index: 1, phase: 'Running', deleted: 10 })], 50_000],
  [[stuck(0)], undefined],
])('the next look is due when a pod should have ended: %#', (pods, expected) => {
  expect(nextLossInMs(fleet(pods), now)).toBe(expected);
});
