import { describe, expect, test } from 'vitest';
import type { Pod } from '../../../k8s/objects.ts';
import { type FailureOptions, judge, sentenceOf } from '../../../k8s/policies/failure.ts';
import { errorCodes } from '../../../trainer/errors.ts';
import { ago, fleet, type JobOptions, pod } from '../../tools/pods.ts';

const options: FailureOptions = {
  before: {},
  budgets: { errors: 6, outOfMemory: 2, disruptions: undefined },
  isStopping: false,
  isFinishing: false,
};

const judged = (pods: readonly Pod[], more: Partial<FailureOptions> = {}, jobs: { coordinator?: JobOptions; workers?: JobOptions } = {}) =>
  judge(fleet(pods, jobs), { ...options, ...more });

const disrupted = (reason: string) => ({ conditions: [{ type: 'DisruptionTarget', status: 'True', reason }] });

describe('the cause of the end of a pod', () => {
  test.each<[string, Parameters<typeof pod>[0], string, string]>([
    ['its exit code says that no other would do better', { ended: { exitCode: 8 } }, 'fatal', 'diverged'],
    ['a bug', { ended: { exitCode: 1 } }, 'fatal', 'bug'],
    ['its exit code says that it may pass', { ended: { exitCode: 6 } }, 'error', 'unavailable'],
    ['out of disk space', { ended: { exitCode: 11 } }, 'error', 'resources'],
    ['Ctrl-C, whoever pressed it', { ended: { exitCode: 130 } }, 'error', 'interrupted'],
    ['a crash', { ended: { exitCode: 139, reason: 'Error' } }, 'error', 'SIGSEGV'],
    ['a signal that the runtime knows of', { ended: { exitCode: 255, signal: 11 } }, 'error', 'SIGSEGV'],
    ['killed, nobody knows by whom', { ended: { exitCode: 137, reason: 'Error' } }, 'error', 'SIGKILL'],
    ['told to end, nobody knows by whom', { ended: { exitCode: 143, reason: 'Error' } }, 'error', 'SIGTERM'],
    ['too much memory', { ended: { exitCode: 137, reason: 'OOMKilled' } }, 'outOfMemory', 'OOMKilled'],
    ['a program that is not there', { ended: { exitCode: 128, reason: 'StartError' } }, 'error', 'StartError'],
    ['an exit code of nobody', { ended: { exitCode: 42, reason: 'Error' } }, 'error', 'Error'],
    ['stopped, with a checkpoint', { ended: { exitCode: 75 } }, 'disruption', 'preempted'],
    ['preempted', { ended: { exitCode: 75 }, deleted: 0, ...disrupted('PreemptionByScheduler') }, 'disruption', 'Preempted'],
    ['a drained node', { ended: { exitCode: 137 }, deleted: 0, ...disrupted('EvictionByEvictionAPI') }, 'disruption', 'Evicted'],
    ['a node under pressure', { phase: 'Failed', reason: 'Evicted', ...disrupted('TerminationByKubelet') }, 'disruption', 'Evicted'],
    [
      'a lost node, whose pod has not ended',
      { deleted: -30, phase: 'Running', ...disrupted('DeletionByTaintManager') },
      'disruption',
      'NodeLost',
    ],
    ['a deleted node', { phase: 'Failed', ...disrupted('DeletionByPodGC') }, 'disruption', 'NodeLost'],
    [
      'even if it was about to diverge',
      { ended: { exitCode: 8 }, deleted: 0, ...disrupted('EvictionByEvictionAPI') },
      'disruption',
      'Evicted',
    ],
    ['somebody deleted it', { ended: { exitCode: 75 }, deleted: 0 }, 'disruption', 'Deleted'],
    ['somebody deletes it', { deleted: -30, phase: 'Running' }, 'disruption', 'Deleted'],
    ['somebody deleted it, and it was too slow', { ended: { exitCode: 137 }, deleted: 0 }, 'disruption', 'Deleted'],
    ['deleted, but of no use anyway', { ended: { exitCode: 3 }, deleted: 0 }, 'fatal', 'invalidData'],
    ['more than its own limit of disk space', { phase: 'Failed', reason: 'Evicted' }, 'error', 'Evicted'],
    ['a node that shuts down', { phase: 'Failed', reason: 'Terminated', ended: { exitCode: 143 } }, 'disruption', 'Terminated'],
    ['a node that does not take it', { phase: 'Failed', reason: 'OutOfnvidia.com/gpu' }, 'error', 'OutOfnvidia.com/gpu'],
    ['a node without room', { phase: 'Failed', reason: 'OutOfcpu' }, 'disruption', 'OutOfcpu'],
    ['a device plugin that begins anew', { phase: 'Failed', reason: 'UnexpectedAdmissionError' }, 'disruption', 'UnexpectedAdmissionError'],
    ['a node that was away', { ended: { exitCode: 137, reason: 'ContainerStatusUnknown' } }, 'disruption', 'NodeLost'],
    ['nothing is known', { phase: 'Failed' }, 'error', 'Unknown'],
  ])('%s', (_, given, cause, reason) => {
    const { news } = judged([pod(given)]);
    expect(news.map(({ what }) => [what.cause, what.reason])).toEqual([[cause, reason]]);
  });

  test.each(Object.entries(errorCodes))('%s is fatal unless it may pass', (name, { exitCode, retryable }) => {
    const [{ what }] = judged([pod({ ended: { exitCode } })]).news;
    expect(what.cause === 'fatal').toBe(!retryable);
    expect(what).toMatchObject({ exitCode, reason: name });
  });
});

describe('a pod that ends as it should', () => {
  test.each<[string, Parameters<typeof pod>[0], JobOptions?]>([
    ['has ended well', { ended: { exitCode: 0 } }],
    ['runs', { ready: true }],
    ['is above the number of workers', { index: 4, ended: { exitCode: 75 }, deleted: 0 }],
    ['is above the number of workers, and goes', { index: 7, deleted: -30, phase: 'Running' }],
    ['is let go by its Job, which is suspended', { ended: { exitCode: 75 }, deleted: 0 }, { size: 4, suspend: true }],
    ['is let go by its Job, which has failed', { ended: { exitCode: 143 }, deleted: 0 }, { size: 4, condition: { type: 'FailureTarget' } }],
    ['is of a Job that is gone', { ended: { exitCode: 75 }, deleted: 0, isOrphan: true }],
  ])('costs nothing: it %s', (_, given, workers = { size: 4 }) => {
    const { news, restarts, firstFailure, verdict } = judged([pod(given)], {}, { workers });
    expect({ news, restarts, firstFailure, verdict }).toEqual({ news: [] });
  });
});

describe('what failures cost', () => {
  const crash = (index: number, at: number, name = `crash-${index}-${at}`) => pod({ index, name, ended: { exitCode: 139, at } });

  test('is counted by cause, each pod once', () => {
    const pods = [
      crash(0, 500),
      crash(1, 300),
      pod({ index: 2, ended: { exitCode: 137, reason: 'OOMKilled' } }),
      pod({ component: 'coordinator', ended: { exitCode: 75 }, deleted: 0, ...disrupted('EvictionByEvictionAPI') }),
    ];
    const first = judged(pods);
    expect(first.restarts).toEqual({ errors: 2, outOfMemory: 1, disruptions: 1 });
    expect(first.news).toHaveLength(4);
    const again = judged(pods, { before: first });
    expect(again).toMatchObject({ restarts: first.restarts, news: [], seen: first.seen });
    const later = judged([...pods, crash(3, 10)], { before: again });
    expect(later.restarts).toEqual({ errors: 3, outOfMemory: 1, disruptions: 1 });
    expect(later.news.map(({ role }) => role)).toEqual(['worker 3']);
  });

  test('is one failure where the same befalls many at once, whoever is seen first', () => {
    const pods = [
      ...[0, 1, 2, 3].map(index => pod({ index, ended: { exitCode: 6, at: 100 - index } })),
      pod({ component: 'coordinator', ended: { exitCode: 6, at: 70 } }),
    ];
    expect(judged(pods).restarts).toEqual({ errors: 1, outOfMemory: 0, disruptions: 0 });
    for (const one of pods) {
      const first = judged([one]);
      expect(judged(pods, { before: first }).restarts?.errors).toBe(1);
    }
  });

  test.each([
    ['another exit code', [pod({ index: 0, ended: { exitCode: 6 } }), pod({ index: 1, ended: { exitCode: 139 } })], 2],
    ['another time', [crash(0, 200), crash(1, 139)], 2],
    ['within a minute', [crash(0, 200), crash(1, 140)], 1],
    ['the same worker again', [crash(0, 50), crash(0, 30), crash(0, 5)], 3],
    ['all workers again', [crash(0, 50), crash(1, 50), crash(0, 30), crash(1, 30)], 2],
  ])('counts %s', (_, pods, errors) => {
    expect(judged(pods).restarts?.errors).toBe(errors);
  });

  test('is nothing while the job is suspended, and not counted later either', () => {
    const pods = [0, 1].map(index => pod({ index, ended: { exitCode: 75 } }));
    const stopping = judged(pods, { isStopping: true });
    expect(stopping).toMatchObject({ news: [], restarts: undefined });
    expect(judged(pods, { before: stopping })).toMatchObject({ news: [], restarts: undefined });
    // A crash is a crash.
    expect(judged([crash(0, 5)], { isStopping: true }).restarts?.errors).toBe(1);
  });

  test('is nothing for workers while the coordinator finishes, and a restart for the coordinator', () => {
    const pods = [pod({ ended: { exitCode: 1 } }), pod({ component: 'coordinator', ended: { exitCode: 137, reason: 'OOMKilled' } })];
    const { news, verdict } = judged(pods, { isFinishing: true });
    expect(news.map(({ role }) => role)).toEqual(['coordinator']);
    expect(verdict).toBeUndefined();
  });

  test('is remembered for pods that are there, and no longer', () => {
    const first = judged([crash(0, 500), crash(1, 300)]);
    expect(first.seen).toEqual({ pods: ['uid-crash-0-500', 'uid-crash-1-300'] });
    const gone = judged([crash(1, 300)], { before: first });
    expect(gone).toMatchObject({ restarts: { errors: 2 }, seen: { pods: ['uid-crash-1-300'] } });
    expect(judged([], { before: gone })).toMatchObject({ restarts: { errors: 2 }, seen: undefined });
  });

  test('is right with hundreds of pods that stay, of which the status remembers some', () => {
    let before: FailureOptions['before'] = {};
    const pods: Pod[] = [];
    for (let i = 0; i < 300; i++) {
      pods.push(
        pod({ index: 0, name: `evicted-${i}`, phase: 'Failed', reason: 'Shutdown', ended: { exitCode: 143, at: 100_000 - i * 120 } }),
      );
      if (i % 3 === 0) before = judged(pods, { before });
    }
    const last = judged(pods, { before });
    expect(last.restarts?.disruptions).toBe(300);
    expect(last.seen?.pods).toHaveLength(64);
    expect(judged(pods, { before: last })).toMatchObject({ news: [], restarts: { disruptions: 300 }, seen: last.seen });
  });
});

describe('a job has failed', () => {
  const crashes = (number: number) =>
    Array.from({ length: number }, (_, i) => pod({ name: `crash-${i}`, ended: { exitCode: 139, at: 9000 - i * 100 } }));
  const ooms = (number: number) =>
    Array.from({ length: number }, (_, i) => pod({ name: `oom-${i}`, ended: { exitCode: 137, reason: 'OOMKilled', at: 9000 - i * 100 } }));
  const drains = (number: number) =>
    Array.from({ length: number }, (_, i) =>
      pod({ name: `drain-${i}`, ended: { exitCode: 75, at: 9000 - i * 100 }, ...disrupted('EvictionByEvictionAPI') }),
    );

  test.each<[string, Pod[], Partial<FailureOptions['budgets']>, string | undefined, number?]>([
    ['six errors of six', crashes(6), {}, undefined],
    ['seven errors of six', crashes(7), {}, 'RepeatedFailure', 1],
    ['one error of none', crashes(1), { errors: 0 }, 'RepeatedFailure', 1],
    ['a store that never answers', [pod({ ended: { exitCode: 6 } })], { errors: 0 }, 'RepeatedFailure', 6],
    ['two times out of memory of two', ooms(2), {}, undefined],
    ['three times out of memory of two', ooms(3), {}, 'OutOfMemory', 11],
    ['fifty disruptions without a limit', drains(50), {}, undefined],
    ['three disruptions of two', drains(3), { disruptions: 2 }, 'TooManyDisruptions', 75],
    ['a fatal error, whatever else there may be', [pod({ ended: { exitCode: 8 } })], { errors: 1000 }, 'Diverged', 8],
    ['wrong data', [pod({ component: 'coordinator', ended: { exitCode: 3 } })], {}, 'InvalidData', 3],
  ])('%s', (_, pods, budgets, reason, exitCode) => {
    const { verdict } = judged(pods, { budgets: { ...options.budgets, ...budgets } });
    expect(verdict?.reason).toBe(reason);
    expect(verdict?.exitCode).toBe(exitCode);
  });

  test.each<[string, JobOptions, string, number]>([
    [
      'of a pod that is gone',
      {
        size: 4,
        condition: {
          type: 'Failed',
          reason: 'PodFailurePolicy',
          message: 'Container worker for pod team/x failed with exit code 10 matching FailJob rule at index 2',
        },
      },
      'Integrity',
      10,
    ],
    [
      'because somebody else ended it',
      { size: 4, condition: { type: 'Failed', reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' } },
      'DeadlineExceeded',
      1,
    ],
  ])('as its Job has: %s', (_, workers, reason, exitCode) => {
    expect(judged([], {}, { workers }).verdict).toMatchObject({ reason, exitCode });
    expect(judged([], { isFinishing: true }, { workers }).verdict).toBeUndefined();
  });

  test('with a sentence for people', () => {
    const message = JSON.stringify({ error: { code: 'invalidData', exitCode: 3, message: 'data/masks/7.png is empty; leave it out' } });
    const [failure] = judged([pod({ index: 3, node: 'gpu-1', ended: { exitCode: 3, message } })]).news;
    expect(sentenceOf(failure)).toBe(
      'worker 3 (pod worker-3 on node gpu-1) ended with exit code 3 (invalidData): data/masks/7.png is empty; leave it out',
    );
    const [drained] = judged([pod({ index: 1, deleted: -30, phase: 'Running', ...disrupted('EvictionByEvictionAPI') })]).news;
    expect(sentenceOf(drained)).toBe('worker 1 (pod worker-1) was disrupted (Evicted)');
    expect(judged(ooms(3)).verdict?.message).toBe(
      'pods ran out of memory 3 times, and restarts.outOfMemory is 2; the first was a worker (pod oom-0, OOMKilled); raise pod.resources.limits.memory, or cut the batch into more lanes on more workers',
    );
  });
});

describe('the first failure', () => {
  test('is the one that ended first, with what it said', () => {
    const message = JSON.stringify({ error: { code: 'unavailable', exitCode: 6, message: 's3://data did not answer' } });
    const pods = [
      pod({ index: 0, ended: { exitCode: 139, at: 20 } }),
      pod({ index: 1, node: 'gpu-1', ended: { exitCode: 6, at: 30, message } }),
      pod({ component: 'coordinator', ended: { exitCode: 137, reason: 'OOMKilled', at: 10 } }),
    ];
    expect(judged(pods).firstFailure).toEqual({
      ...{ pod: 'worker-1', component: 'worker', node: 'gpu-1', cause: 'error', exitCode: 6, reason: 'unavailable' },
      ...{ message: 's3://data did not answer', time: ago(30) },
    });
  });

  test('stays, whatever fails later, until something ends the job', () => {
    const early = judged([pod({ index: 0, ended: { exitCode: 139, at: 500 } })]);
    const later = judged([pod({ index: 1, ended: { exitCode: 6, at: 100 } })], { before: early });
    expect(later.firstFailure).toEqual(early.firstFailure);
    const last = judged([pod({ index: 2, ended: { exitCode: 8, at: 5 } })], { before: later });
    expect(last.firstFailure).toMatchObject({ pod: 'worker-2', cause: 'fatal' });
  });

  test('is never a disruption', () => {
    expect(judged([pod({ ended: { exitCode: 75 }, ...disrupted('PreemptionByScheduler') })]).firstFailure).toBeUndefined();
  });

  test('has the last words of a process that could say nothing proper', () => {
    const { firstFailure } = judged([pod({ ended: { exitCode: 139, message: 'step 7\nSegmentation fault\n' } })]);
    expect(firstFailure).toMatchObject({ log: 'step 7\nSegmentation fault' });
    expect(firstFailure).not.toHaveProperty('message');
  });

  test.each(['{"error":"no"}', '{"result":{}}', '{', 'null', '[]', ' '.repeat(9), '{"error":{"message":"x"}}'])(
    'does not mind what a pod wrote: %j',
    message => {
      expect(judged([pod({ ended: { exitCode: 6, message } })]).firstFailure).toMatchObject({ reason: 'unavailable' });
    },
  );

  test('fits into the status, whatever a pod wrote', () => {
    const message = JSON.stringify({ error: { code: 'x', exitCode: 6, message: 'a'.repeat(100_000) } });
    expect(judged([pod({ ended: { exitCode: 6, message } })]).firstFailure?.message).toHaveLength(4096);
    expect(judged([pod({ ended: { exitCode: 6, message: 'a'.repeat(100_000) } })]).firstFailure?.log).toHaveLength(8192);
  });
});
