/**
 * The median stopping rule.
 */
import { expect, test } from 'vitest';
import { best } from '../../../trainer/search/history.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';
import { simulate, sweep, timeOf } from './simulate.ts';

const spec = (more: Readonly<Record<string, unknown>> = {}) =>
  sweep({
    method: 'random',
    parameters: { quality: { distribution: 'uniform', min: 0, max: 1 } },
    earlyStop: { type: 'median', minTime: 2 },
    limits: { maxTrials: 5 },
    ...more,
  });
const told = (number: number, state: Trial['state'], ...values: number[]): Trial => ({
  number,
  parameters: {},
  state,
  reports: values.map((value, i) => ({ time: i + 1, value })),
});
// Means of the first two values: 2, 3 and 6; their median is 3. Later values do not count.
const completed = [told(0, 'succeeded', 1, 3, 99), told(1, 'succeeded', 2, 4, 99), told(2, 'succeeded', 5, 7, 0)];
const strategy = makeStrategy(spec(), { maxTime: 3 });
const stops = (trials: readonly Trial[]) => strategy(trials, 0).flatMap(decision => (decision.do === 'stop' ? decision.trial : []));

test('a trial ends when its best value is below the median of the means of the others up to that time', () => {
  expect(stops([...completed, told(3, 'running', 2.9, 1), told(4, 'running', 3.1, 1)])).toEqual([3]);
  expect(strategy([...completed, told(3, 'running', 2.9, 1), told(4, 'waiting')], 0)).toEqual([
    { do: 'stop', trial: 3, reason: 'its best value by 2 is below the median of the others at that time' },
    { do: 'finish', reason: 'limits.maxTrials, 5, is reached' },
  ]);
});

test('equals stay, what diverged ends', () => {
  expect(stops([...completed, told(3, 'running', 3, 0), told(4, 'running', 9, Number.NaN)])).toEqual([4]);
});

test('none ends before minTime, or before three have come to their end, and those that failed are not among them', () => {
  expect(stops([...completed, told(3, 'running', 0)])).toEqual([]);
  expect(stops([...completed.slice(0, 2), told(2, 'failed', 9, 9), told(3, 'running', 0, 0)])).toEqual([]);
});

test('where trials end before the training does, those that came so far are the others', () => {
  const earlier = makeStrategy(spec({ earlyStop: { type: 'median', minTime: 2, maxTime: 3 } }), { maxTime: 50 });
  const ended = completed.map((trial): Trial => ({ ...trial, state: 'stopped', until: 3 }));
  expect(earlier([...ended, told(3, 'running', 2.9, 1), told(4, 'running', 3.1, 1)], 0)).toMatchObject([
    { do: 'stop', trial: 3 },
    { do: 'finish' },
  ]);
});

test('of 40 trials it ends the half that promises least, and finds the best', () => {
  const curve = ({ parameters }: Trial, time: number) => (parameters.quality as number) * (1 - Math.exp(-time / 3));
  const { trials, budget } = simulate(spec({ limits: { maxTrials: 40 } }), { maxTime: 20, parallel: 4, objective: curve });
  const quality = (trial: Trial) => trial.parameters.quality as number;
  expect(quality(best(trials)!)).toBe(Math.max(...trials.map(quality)));
  expect(best(trials)!.state).toBe('succeeded');
  expect(budget).toBeLessThan(0.75 * 40 * 20);
  for (const trial of trials) if (trial.state === 'stopped') expect(timeOf(trial)).toBeGreaterThanOrEqual(2);
});
