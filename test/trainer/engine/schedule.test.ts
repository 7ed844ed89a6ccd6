import { describe, expect, test } from 'vitest';
import { learningRateFactor, type ScheduleSpec, scheduleSchema } from '../../../trainer/engine/schedule.ts';

const at = (spec: unknown, step: number, scores: number[] = []) =>
  learningRateFactor(scheduleSchema.parse(spec) as ScheduleSpec, { step, stepsPerEpoch: 10, epochs: 10, scores });

describe('learning-rate factor over a run of 100 steps', () => {
  test.each([
    ['constant stays', { name: 'constant' }, 57, 1],
    ['cosine begins at 1', { name: 'cosine' }, 0, 1],
    ['cosine is one half in the middle', { name: 'cosine' }, 50, 0.5],
    ['cosine at a quarter: (1 + cos 45 degrees) / 2', { name: 'cosine' }, 25, 0.853553],
    ['cosine ends at `final`', { name: 'cosine', final: 0.1 }, 100, 0.1],
    ['cosine rises linearly while it warms up', { name: 'cosine', warmupEpochs: 2 }, 9, 0.5],
    ['cosine is at its top when warm', { name: 'cosine', warmupEpochs: 2 }, 20, 1],
    ['step before its first epoch', { name: 'step', epochs: [3, 5] }, 19, 1],
    ['step from the first step of that epoch on', { name: 'step', epochs: [3, 5] }, 20, 0.1],
    ['step after two', { name: 'step', epochs: [3, 5], factor: 0.5 }, 99, 0.25],
  ])('%s', (_, spec, step, expected) => {
    expect(at(spec, step)).toBeCloseTo(expected, 6);
  });

  test.each([
    ['no epoch yet', [], 1],
    ['still rising', [0.1, 0.2, 0.3], 1],
    ['two epochs without a better one', [0.3, 0.2, 0.3], 0.5],
    ['then better again: the lower rate stays', [0.3, 0.2, 0.3, 0.4], 0.5],
    ['twice two epochs', [0.3, 0.2, 0.2, 0.2, 0.2], 0.25],
    ['never below the minimum', [0.3, ...new Array(40).fill(0.1)], 0.01],
  ])('plateau of patience 2: %s', (_, scores, expected) => {
    expect(at({ name: 'plateau', patience: 2, factor: 0.5, minimum: 0.01 }, 0, scores)).toBeCloseTo(expected, 9);
  });
});
