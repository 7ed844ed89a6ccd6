import { describe, expect, test } from 'vitest';
import { endsEarly } from '../../trainer/earlyStopping.ts';

describe('a run ends early', () => {
  test.each([
    ['never, where it is not asked for', [0.5, 0.4, 0.3, 0.2], undefined, false],
    ['not before it began', [], { patience: 1, minDelta: 0 }, false],
    ['not after its first epoch', [0], { patience: 1, minDelta: 0 }, false],
    ['after two epochs no better than the best', [0.5, 0.4, 0.5], { patience: 2, minDelta: 0 }, true],
    ['not while it gets better within its patience', [0.5, 0.4, 0.51, 0.5], { patience: 2, minDelta: 0 }, false],
    ['where it gets better by no more than minDelta', [0.5, 0.54, 0.55], { patience: 2, minDelta: 0.05 }, true],
    ['not where small gains add up to more than minDelta', [0.5, 0.54, 0.58], { patience: 2, minDelta: 0.05 }, false],
  ])('%s', (_, scores, spec, expected) => {
    expect(endsEarly(scores, spec)).toBe(expected);
  });
});
