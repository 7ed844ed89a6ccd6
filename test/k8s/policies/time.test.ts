import { describe, expect, test } from 'vitest';
import { activity, deadlineInMs, secondsActive } from '../../../k8s/policies/deadline.ts';
import { sizeOf } from '../../../k8s/policies/scaling.ts';
import { expiresInMs } from '../../../k8s/policies/ttl.ts';
import { ago, now } from '../../tools/pods.ts';

describe('time in which a job is active', () => {
  test.each([
    ['has begun', {}, true, { activeSince: ago(0) }],
    ['goes on', { activeSeconds: 5, activeSince: ago(100) }, true, { activeSeconds: 5, activeSince: ago(100) }],
    ['is suspended', { activeSeconds: 5, activeSince: ago(100) }, false, { activeSeconds: 105 }],
    ['stays suspended', { activeSeconds: 105 }, false, { activeSeconds: 105 }],
    ['is resumed', { activeSeconds: 105 }, true, { activeSeconds: 105, activeSince: ago(0) }],
    ['has never begun', {}, false, {}],
    ['is suspended by a clock that goes back', { activeSeconds: 5, activeSince: ago(-100) }, false, { activeSeconds: 5 }],
  ])('is known when it %s', (_, before, isActive, expected) => {
    expect(activity(before, isActive, now)).toEqual(expected);
  });

  test('adds up', () => {
    expect(secondsActive({ activeSeconds: 5, activeSince: ago(100) }, now)).toBe(105);
    expect(secondsActive({}, now)).toBe(0);
  });

  test.each([
    [{ activeSeconds: 5, activeSince: ago(100) }, 200, 95_000],
    [{ activeSeconds: 5, activeSince: ago(100) }, 105, 0],
    [{ activeSeconds: 5, activeSince: ago(100) }, 20, 0],
    [{ activeSeconds: 500 }, 20, undefined],
    [{ activeSince: ago(100) }, undefined, undefined],
  ])('has an end: %j of %s', (active, deadline, expected) => {
    expect(deadlineInMs(active, deadline, now)).toBe(expected);
  });
});

test.each([
  [ago(100), 300, 200_000],
  [ago(300), 300, 0],
  [ago(900), 300, 0],
  [ago(0), 0, 0],
  [ago(100), undefined, undefined],
  [undefined, 300, undefined],
])('a job that ended at %s is deleted after %s seconds', (completionTime, ttl, expected) => {
  expect(expiresInMs({ completionTime }, ttl, now)).toBe(expected);
});

test.each([
  { replicas: 3, min: 1, max: 4, size: 3 },
  { replicas: 9, min: 1, max: 4, size: 4 },
  { replicas: 1, min: 2, max: 4, size: 2 },
  { replicas: 0, min: 0, max: 4, size: 1 },
  { replicas: 1, min: 9, max: 4, size: 4 },
])('of $replicas workers there are $size where $min to $max are possible', ({ size, ...wanted }) => {
  expect(sizeOf(wanted)).toBe(size);
});
