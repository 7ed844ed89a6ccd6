/**
 * Searches one after another, as the paper searched: omega and epsilon at gamma 0.1, then gamma.
 */
import { describe, expect, test } from 'vitest';
import { best } from '../../../trainer/search/history.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';
import { simulate, sweep } from './simulate.ts';

const paper = {
  method: 'staged',
  parameters: {
    'loss.name': { value: 'adaptiveLog' },
    'loss.omega': { values: [6, 8, 10, 12, 14, 16] },
    'loss.epsilon': { values: [0.3, 0.5, 1, 2] },
    'loss.gamma': { value: 0.1 },
  },
  stages: [
    { name: 'omega-epsilon' },
    { name: 'gamma', fixFrom: 'omega-epsilon.best', parameters: { 'loss.gamma': { values: [0.08, 0.1, 0.12, 0.15, 0.2, 0.3] } } },
  ],
};
/** Best at omega 10, epsilon 0.5, gamma 0.12. */
const objective = ({ parameters }: Trial) => {
  const [omega, epsilon, gamma] = ['omega', 'epsilon', 'gamma'].map(name => parameters[`loss.${name}`] as number);
  return 0.8 - Math.abs(omega - 10) / 100 - Math.abs(epsilon - 0.5) / 5 - Math.abs(gamma - 0.12);
};

describe("the paper's search", () => {
  test.each([1, 5])('has its 24 cells, then six gammas at the best of them, with %i at a time', parallel => {
    const { trials, finish } = simulate(sweep(paper), { maxTime: 2, parallel, objective });
    const of = (stage: string) => trials.filter(({ group }) => group === stage).map(({ parameters }) => parameters);
    expect(of('omega-epsilon')).toHaveLength(24);
    expect(of('omega-epsilon').every(parameters => parameters['loss.gamma'] === 0.1)).toBe(true);
    expect(of('gamma')).toEqual(
      [0.08, 0.1, 0.12, 0.15, 0.2, 0.3].map(gamma => ({
        'loss.name': 'adaptiveLog',
        'loss.omega': 10,
        'loss.epsilon': 0.5,
        'loss.gamma': gamma,
      })),
    );
    expect(best(trials)!.parameters).toMatchObject({ 'loss.omega': 10, 'loss.epsilon': 0.5, 'loss.gamma': 0.12 });
    expect(finish).toBe('all trials have been chosen');
  });

  test('is the same where the file says grid, and its keys stand in another order', () => {
    const choose = (given: Record<string, unknown>) => simulate(sweep(given), { maxTime: 1, objective }).trials;
    const turned = Object.fromEntries(Object.entries(paper.parameters).reverse());
    expect(choose({ ...paper, method: 'grid', parameters: turned })).toEqual(choose(paper));
  });

  test('does not begin the second stage while one of the first runs, and takes no trial that failed for its best', () => {
    const strategy = makeStrategy(sweep(paper), { maxTime: 2 });
    const { trials } = simulate(sweep({ ...paper, limits: { maxTrials: 24 } }), { maxTime: 2, objective });
    const winner = best(trials)!.number;
    const but = (state: Trial['state']) => trials.map(trial => (trial.number === winner ? { ...trial, state } : trial));
    expect(strategy(but('running'), 3)).toEqual([]);
    expect(strategy(but('failed'), 1)).toMatchObject([
      { do: 'start', group: 'gamma', parameters: { 'loss.omega': 8, 'loss.epsilon': 0.5 } },
    ]);
  });

  test('ends where the first stage has no result', () => {
    const { trials, finish } = simulate(sweep(paper), { maxTime: 2, objective: () => 'fail' });
    expect(trials).toHaveLength(24);
    expect(finish).toBe('no trial of the stage omega-epsilon has a result that the stage gamma could begin from');
  });
});

test('stages that do not depend on one another do not wait for one another', () => {
  const strategy = makeStrategy(
    sweep({
      method: 'staged',
      parameters: { a: { values: [1, 2] } },
      stages: [{ name: 'one' }, { name: 'two', parameters: { b: { value: 3 } } }],
    }),
    { maxTime: 1 },
  );
  expect(strategy([], 3).map(decision => decision.do === 'start' && [decision.group, decision.parameters])).toEqual([
    ['one', { a: 1 }],
    ['one', { a: 2 }],
    ['two', { a: 1, b: 3 }],
  ]);
});

test('searches without end have equal shares of the trials', () => {
  const given = sweep({
    method: 'random',
    parameters: { a: { distribution: 'uniform', min: 0, max: 1 }, b: { distribution: 'uniform', min: 0, max: 1 } },
    limits: { maxTrials: 7 },
    stages: [{ name: 'both' }, { name: 'a', fixFrom: 'both.best', parameters: { a: { distribution: 'uniform', min: 0, max: 1 } } }],
  });
  const { trials } = simulate(given, { maxTime: 1, parallel: 2, objective: ({ parameters }) => parameters.b as number });
  const [first, second] = ['both', 'a'].map(stage => trials.filter(({ group }) => group === stage));
  expect([first.length, second.length]).toEqual([4, 3]);
  expect(new Set(second.map(({ parameters }) => parameters.b))).toEqual(new Set([best(first)!.parameters.b]));
  expect(new Set(trials.map(({ parameters }) => parameters.a)).size).toBe(7);
});

test('a population forks within its stage', () => {
  const unit = { distribution: 'uniform', min: 0, max: 1 };
  const given = sweep({
    method: 'pbt',
    parameters: { a: unit, b: unit },
    pbt: { population: 4, interval: 1, mutations: ['a'] },
    stages: [{ name: 'one' }, { name: 'two', fixFrom: 'one.best', parameters: { a: unit } }],
  });
  const { trials } = simulate(given, { maxTime: 3, parallel: 4, objective: ({ parameters }, time) => (parameters.a as number) * time });
  const forks = trials.filter(({ forkedFrom }) => forkedFrom);
  expect(forks).toHaveLength(4);
  for (const { group, forkedFrom } of forks) expect(trials[forkedFrom!.trial].group!.split('/')[0]).toBe(group!.split('/')[0]);
});
