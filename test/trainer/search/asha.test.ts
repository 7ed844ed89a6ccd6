/**
 * Asynchronous successive halving: who goes on, how much is trained, and what is found.
 */
import { describe, expect, test } from 'vitest';
import { hash32 } from '../../../trainer/random.ts';
import { rungsOf } from '../../../trainer/search/asha.ts';
import { best } from '../../../trainer/search/history.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';
import { simulate, sweep, timeOf } from './simulate.ts';

const spec = (more: Readonly<Record<string, unknown>> = {}) =>
  sweep({
    method: 'asha',
    parameters: { quality: { distribution: 'uniform', min: 0, max: 1 } },
    earlyStop: { type: 'asha', minTime: 1, reductionFactor: 3 },
    limits: { maxTrials: 81 },
    ...more,
  });

/** A learning curve that rises towards the trial's quality: after a third of the training the order is that of the end. */
const curve = ({ parameters }: Trial, time: number) => (parameters.quality as number) * (1 - Math.exp(-time / 3));

describe('rungs', () => {
  test.each([
    [1, 81, 3, [1, 3, 9, 27]],
    // The paper's number of rungs, floor(log 10 / log 3) below the end; 45 of 50 would tell nothing that 15 did not.
    [5, 50, 3, [5, 15]],
    [1, 8, 2, [1, 2, 4]],
    [5, 10, 3, [5]],
    [2, 16, 2.5, [2, 5]],
  ])('from %j to %j by %j are %j', (minTime, maxTime, eta, rungs) => {
    expect(rungsOf(minTime, maxTime, eta)).toEqual(rungs);
  });
});

describe('a trial goes on', () => {
  const paused = (number: number, value: number): Trial => ({
    number,
    parameters: { quality: value },
    state: 'paused',
    until: 1,
    reports: [{ time: 1, value }],
  });
  const strategy = makeStrategy(spec(), { maxTime: 81 });

  test('when it is among the best third of its rung so far, and not before', () => {
    expect(strategy([paused(0, 0.5), paused(1, 0.9)], 1)).toMatchObject([{ do: 'start', until: 1 }]);
    expect(strategy([paused(0, 0.5), paused(1, 0.9), paused(2, 0.1)], 1)).toEqual([{ do: 'continue', trial: 1, until: 3 }]);
  });

  test('from the highest rung first', () => {
    const reports = (value: number) => [1, 2, 3].map(time => ({ time, value }));
    const second = [9, 8, 7].map((value, number): Trial => ({ ...paused(number, value), until: 3, reports: reports(value) }));
    // Nine have come to the first rung, three of them to the second: one may leave that, none the first.
    const first = [1, 2, 3, 4, 5, 6].map((value, i) => paused(i + 3, value));
    expect(strategy([...second, ...first], 1)).toEqual([{ do: 'continue', trial: 0, until: 9 }]);
    expect(strategy([{ ...second[0], state: 'running', until: 9 }, ...second.slice(1), ...first], 1)).toMatchObject([{ do: 'start' }]);
  });

  test('as long as others run below it: nothing waits for a rung to fill', () => {
    const running: Trial = { number: 3, parameters: {}, state: 'running', until: 1, reports: [] };
    expect(strategy([paused(0, 0.5), paused(1, 0.9), paused(2, 0.1), running], 1)).toEqual([{ do: 'continue', trial: 1, until: 3 }]);
  });

  test('of equals the one that was chosen first; what diverged never', () => {
    expect(strategy([paused(0, 1), paused(1, 1), paused(2, 1)], 1)).toEqual([{ do: 'continue', trial: 0, until: 3 }]);
    expect(strategy([paused(0, Number.NaN), paused(1, Number.NaN), paused(2, Number.NaN)], 1)).toMatchObject([{ do: 'start' }]);
  });
});

describe('a search of 81 trials over 81 epochs', () => {
  test.each([1, 4, 16])('with %i at a time finds the best of them for a tenth of the epochs', parallel => {
    let step = 0;
    const { trials, budget } = simulate(spec(), {
      maxTime: 81,
      parallel,
      objective: curve,
      pick: running => running[hash32(1, step++) % running.length],
    });
    const quality = (trial: Trial) => trial.parameters.quality as number;
    const found = best(trials)!;
    expect(found.number).toBe(trials.toSorted((a, b) => quality(b) - quality(a))[0].number);
    expect([found.state, timeOf(found)]).toEqual(['succeeded', 81]);
    // Synchronous halving would send 27, 9, 3 and 1 on. Who is asked before all have come sends on some more (Li et al. 2018, 3.2).
    const reached = [1, 3, 9, 27, 81].map(time => trials.filter(trial => timeOf(trial) >= time).length);
    expect(reached[0]).toBe(81);
    for (const [i, atLeast] of [27, 9, 3, 1].entries()) {
      expect(reached[i + 1]).toBeGreaterThanOrEqual(atLeast);
      expect(reached[i + 1]).toBeLessThanOrEqual(2 * atLeast + 2);
    }
    expect(budget).toBeLessThan(0.12 * 81 * 81);
  });

  test('resumes what it paused: no epoch is trained twice', () => {
    const { trials, budget } = simulate(spec(), { maxTime: 81, parallel: 4, objective: curve });
    expect(budget).toBe(trials.reduce((sum, trial) => sum + timeOf(trial), 0));
    for (const { reports } of trials) expect(reports.map(({ time }) => time)).toEqual(reports.map((_, i) => i + 1));
  });

  test('ends with a trained model even where too few trials are there for a rung to let one go', () => {
    const { trials } = simulate(spec({ limits: { maxTrials: 2 } }), { maxTime: 81, objective: curve });
    expect(trials.map(({ state }) => state).toSorted()).toEqual(['stopped', 'succeeded']);
    expect(best(trials)!.state).toBe('succeeded');
  });

  test('goes over a grid as well, and ends at maxTime before the training does', () => {
    const grid = sweep({
      method: 'grid',
      parameters: { quality: { distribution: 'uniform', min: 0, max: 1, step: 0.125 } },
      earlyStop: { type: 'asha', minTime: 2, maxTime: 18, reductionFactor: 3 },
    });
    const { trials, budget } = simulate(grid, { maxTime: 50, objective: curve });
    expect(best(trials)).toMatchObject({ parameters: { quality: 1 }, state: 'stopped' });
    expect(Math.max(...trials.map(timeOf))).toBe(18);
    // A grid in ascending order is the worst case, each trial being the best so far; yet not all of them are trained.
    expect(budget).toBeLessThan(0.7 * 9 * 18);
  });
});
