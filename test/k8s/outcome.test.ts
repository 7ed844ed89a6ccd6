/**
 * When a wait is over, and how a failed run is told.
 */
import { describe, expect, test } from 'vitest';
import type { Goal } from '../../k8s/goals.ts';
import type { TrainingJob } from '../../k8s/objects.ts';
import { failureOf, hasReached } from '../../k8s/outcome.ts';
import type { JobStatus, Phase } from '../../k8s/status.ts';

const job = (status: JobStatus, generation = 1): TrainingJob => ({
  apiVersion: 'segfleet.dev/v1alpha1',
  kind: 'TrainingJob',
  metadata: { name: 'skin', namespace: 'default', generation },
  spec: { data: { path: 's3://b/d' } },
  status: { observedGeneration: 1, ...status },
});

type Verdict = true | false | [code: string, sentence: string];
const ended: Verdict = ['conflict', 'skin has succeeded; it will not be'];
const failed: Verdict = ['diverged', 'skin failed'];
const verdicts: Record<Goal, Partial<Record<Phase | 'none', Verdict>>> = {
  complete: { none: ['notFound', 'skin was deleted'], Pending: false, Running: false, Suspended: false, Succeeded: true, Failed: failed },
  running: { none: ['notFound', 'skin was deleted'], Starting: false, Running: true, Suspended: false, Succeeded: ended, Failed: failed },
  suspended: { Running: false, Suspending: false, Suspended: true, Succeeded: ended, Failed: failed },
  failed: { none: ['notFound', 'skin was deleted'], Running: false, Succeeded: ended, Failed: true },
  deleted: { none: true, Running: false, Succeeded: false, Failed: false },
};
const cases = Object.entries(verdicts).flatMap(([goal, byPhase]) =>
  Object.entries(byPhase).map(([phase, verdict]) => ({ goal: goal as Goal, phase, verdict })),
);

describe('waiting for', () => {
  test.each(cases)('$goal: a job that is $phase gives $verdict', ({ goal, phase, verdict }) => {
    const ask = () => hasReached(goal, 'skin', phase === 'none' ? undefined : job({ phase: phase as Phase, exitCode: 8 }));
    if (typeof verdict === 'boolean') expect(ask()).toBe(verdict);
    else {
      expect(ask).toThrow(verdict[1]);
      expect(ask).toThrow(expect.objectContaining({ code: verdict[0] }));
    }
  });

  test.each([
    ['running', 'Running'],
    ['suspended', 'Suspended'],
  ] as const)('%s: what the operator says of an older spec does not count', (goal, phase) => {
    expect(hasReached(goal, 'skin', job({ phase }, 2))).toBe(false);
    expect(hasReached(goal, 'skin', job({ phase, observedGeneration: 2 }, 2))).toBe(true);
  });

  test('a job that nobody has looked at is not there yet', () => {
    expect(hasReached('complete', 'skin', { ...job({}), status: undefined })).toBe(false);
  });
});

describe('a failed run', () => {
  const condition = {
    type: 'Failed',
    status: 'True',
    lastTransitionTime: '2026-11-26T05:00:00Z',
    reason: 'Diverged',
    message: 'worker-1: the loss is no number',
  };
  test.each([
    ['its own exit code', { exitCode: 8 }, 'diverged', 'skin failed'],
    ['the code of what ended it from outside', { exitCode: 137 }, 'partial', 'skin failed'],
    ['no code', {}, 'partial', 'skin failed'],
    ['what the condition says', { exitCode: 3, conditions: [condition] }, 'invalidData', 'skin failed: worker-1: the loss is no number'],
    [
      'what the pod said',
      {
        exitCode: 4,
        firstFailure: {
          pod: 'p',
          component: 'worker',
          cause: 'fatal',
          reason: 'notFound',
          message: 'no such file',
          time: '2026-11-26T05:00:00Z',
        },
      },
      'notFound',
      'skin failed: no such file',
    ],
  ] as const)('has %s', (_, status, code, sentence) => {
    expect(failureOf(job({ phase: 'Failed', ...status } as JobStatus))).toMatchObject({ code, message: sentence });
  });
});
