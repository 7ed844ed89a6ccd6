/**
 * Hyperband: the published table, and that what runs is that table.
 */
import { describe, expect, test } from 'vitest';
import { hash32 } from '../../../trainer/random.ts';
import { best } from '../../../trainer/search/history.ts';
import { bracketsOf } from '../../../trainer/search/hyperband.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';
import { simulate, sweep, timeOf } from './simulate.ts';

/** Li et al. 2017, table 1: n_i and r_i for R = 81 and eta = 3, from s = 4 to s = 0. */
const published = [
  ['81x1', '27x3', '9x9', '3x27', '1x81'],
  ['27x3', '9x9', '3x27', '1x81'],
  ['9x9', '3x27', '1x81'],
  ['6x27', '2x81'],
  ['5x81'],
];
const show = (brackets: ReturnType<typeof bracketsOf>) => brackets.map(rungs => rungs.map(({ numTrials, time }) => `${numTrials}x${time}`));

const spec = (more: Readonly<Record<string, unknown>> = {}) =>
  sweep({
    method: 'hyperband',
    parameters: { quality: { distribution: 'uniform', min: 0, max: 1 } },
    hyperband: { maxTime: 81, eta: 3 },
    ...more,
  });
const curve = ({ parameters }: Trial, time: number) => (parameters.quality as number) * (1 - Math.exp(-time / 3));

describe('brackets', () => {
  test('are those of the paper for R = 81 and eta = 3', () => {
    expect(show(bracketsOf(81, 3))).toEqual(published);
  });

  test('are as many as asked for, the first again after the last', () => {
    expect(show(bracketsOf(81, 3, 2))).toEqual(published.slice(0, 2));
    expect(show(bracketsOf(4, 2, 4))).toEqual([['4x1', '2x2', '1x4'], ['2x2', '1x4'], ['3x4'], ['4x1', '2x2', '1x4']]);
    expect(show(bracketsOf(1, 3))).toEqual([['1x1']]);
  });
});

describe('a search', () => {
  test.each([1, 7, 200])('with %i at a time trains what the table says, whoever is quicker', parallel => {
    let step = 0;
    const { trials, budget } = simulate(spec(), {
      maxTime: 81,
      parallel,
      objective: curve,
      pick: running => running[hash32(parallel, step++) % running.length],
    });
    const brackets = Object.values(Object.groupBy(trials, ({ group }) => group!));
    const trained = brackets.map((members, bracket) =>
      bracketsOf(81, 3)[bracket].map(({ time }) => `${members!.filter(trial => timeOf(trial) >= time).length}x${time}`),
    );
    expect(trained).toEqual(published);
    // Paused trials go on from where they are: a rung costs what it adds. Bracket 4: 81 + 27*2 + 9*6 + 3*18 + 54 = 297, and so on.
    expect(budget).toBe(297 + 243 + 189 + 270 + 405);
    const chosen = brackets.map(members => best(members!)!.parameters.quality);
    expect(chosen).toEqual(brackets.map(members => Math.max(...members!.map(trial => trial.parameters.quality as number))));
  });

  test('begins the next bracket while the first has nothing to do', () => {
    const small = spec({ hyperband: { maxTime: 3, eta: 3 } });
    const strategy = makeStrategy(small, { maxTime: 3 });
    expect(strategy([], 5).map(decision => 'group' in decision && decision.group)).toEqual([
      ...Array(3).fill('bracket-0'),
      ...Array(2).fill('bracket-1'),
    ]);
  });

  test('gives the place of a trial that failed to another', () => {
    const { trials } = simulate(spec({ hyperband: { maxTime: 9, eta: 3, brackets: 1 } }), {
      maxTime: 9,
      objective: (trial, time) => ((trial.parameters.quality as number) > 0.5 && time === 1 ? 'fail' : curve(trial, time)),
    });
    const reached = [3, 9].map(time => trials.filter(trial => timeOf(trial) >= time).length);
    expect(reached).toEqual([3, 1]);
    expect(best(trials)!.state).toBe('succeeded');
  });

  test('is refused where its longest trials are longer than the training', () => {
    expect(() => makeStrategy(spec(), { maxTime: 50 })).toThrow(
      'hyperband.maxTime is 81, and the training of the job ends at 50: lower it, or raise training.epochs of the job',
    );
  });
});
