/**
 * Which events are about a job, and in which order they are told.
 */
import { describe, expect, test } from 'vitest';
import { countOf, isAbout, oldestFirst, timeOf } from '../../k8s/events.ts';
import { childNames } from '../../k8s/names.ts';
import type { KubeEvent } from '../../k8s/objects.ts';

const event = (involvedObject: KubeEvent['involvedObject'], more: Partial<KubeEvent> = {}): KubeEvent => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name: 'e' },
  involvedObject,
  ...more,
});
const job = { name: 'skin', namespace: 'default', uid: 'u1', since: '2026-11-26T05:00:00Z' };
const long = 'a'.repeat(63);
const { workers } = childNames(long);

describe('an event is about a job', () => {
  test.each([
    ['the job', job, event({ kind: 'TrainingJob', name: 'skin', uid: 'u1' }, { lastTimestamp: '2026-11-26T05:00:00Z' }), true],
    ['its workers', job, event({ kind: 'Job', name: 'skin-workers' }, { lastTimestamp: '2026-11-26T05:00:00Z' }), true],
    ['a worker', job, event({ kind: 'Pod', name: 'skin-workers-0-abcde' }, { eventTime: '2026-11-26T05:00:00.5Z' }), true],
    ['its coordinator', job, event({ kind: 'Pod', name: 'skin-coordinator-0-x2v4q' }, { eventTime: '2026-11-26T05:00:00.5Z' }), true],
    ['a pod of a job with a long name', { name: long, namespace: 'n' }, event({ kind: 'Pod', name: `${workers}-3-abcde` }), true],
    [
      'one of that name before',
      job,
      event({ kind: 'TrainingJob', name: 'skin', uid: 'u0' }, { lastTimestamp: '2026-11-26T06:00:00Z' }),
      false,
    ],
    ['a pod of one before', job, event({ kind: 'Pod', name: 'skin-workers-0-abcde' }, { lastTimestamp: '2026-11-26T04:59:59Z' }), false],
    ['a job whose name begins so', job, event({ kind: 'Pod', name: 'skin-workers-2-workers-0-abcde' }), false],
    [
      'a pod of a job that is called as its workers',
      job,
      event({ kind: 'Pod', name: 'skin-workers-coordinator-0-abcde' }, { eventTime: '2026-11-26T05:00:01Z' }),
      false,
    ],
    ['another kind', job, event({ kind: 'Node', name: 'skin' }), false],
    ['another job', job, event({ kind: 'Job', name: 'skin-2-workers' }), false],
  ])('%s', (_, about, given, expected) => {
    expect(isAbout(about, given)).toBe(expected);
  });
});

test('its time and count are where its writer put them', () => {
  const object = { kind: 'Pod', name: 'p' };
  const scheduler = event(object, { eventTime: '2026-11-26T05:00:01Z', series: { count: 4, lastObservedTime: '2026-11-26T05:00:07Z' } });
  const kubelet = event(object, { firstTimestamp: '2026-11-26T05:00:02Z', lastTimestamp: '2026-11-26T05:00:03Z', count: 2 });
  const bare = event(object, { metadata: { name: 'e', creationTimestamp: '2026-11-26T05:00:05Z' } });
  expect([scheduler, kubelet, bare].map(one => [timeOf(one).slice(17, 19), countOf(one)])).toEqual([
    ['07', 4],
    ['03', 2],
    ['05', 1],
  ]);
  expect(oldestFirst([scheduler, bare, kubelet])).toEqual([kubelet, bare, scheduler]);
});
