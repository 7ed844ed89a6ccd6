/**
 * The tree-structured Parzen estimator against chance, on functions whose best value is known.
 */
import { describe, expect, test } from 'vitest';
import { signedRankTest } from '../../../trainer/report/statistics.ts';
import { best, bestBy } from '../../../trainer/search/history.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';
import { simulate, sweep } from './simulate.ts';
import { branin, hartmann6 } from './testFunctions.ts';

const number = (min: number, max: number) => ({ distribution: 'uniform', min, max });
const byName = (trial: Trial) => trial.parameters as Readonly<Record<string, number>>;

const functions = {
  branin: {
    parameters: { x: number(-5, 10), y: number(0, 15) },
    at: (trial: Trial) => branin(byName(trial).x, byName(trial).y),
    optimum: -0.397887,
  },
  'Hartmann 6': {
    parameters: Object.fromEntries([...'abcdef'].map(name => [name, number(0, 1)])),
    at: (trial: Trial) => hartmann6([...'abcdef'].map(name => byName(trial)[name])),
    optimum: 3.32237,
  },
  // Learning rate 3e-4 and the second of four losses, where another parameter matters as well.
  'a choice of losses, each with parameters of its own': {
    parameters: {
      loss: { values: ['dice', 'all', 'tversky', 'focal'] },
      rate: { distribution: 'logUniform', min: 1e-5, max: 1e-1 },
      omega: { distribution: 'uniform', min: 6, max: 16, step: 2, when: "loss == 'all'" },
      alpha: { distribution: 'normal', mean: 0.5, deviation: 0.2, min: 0, max: 1, when: "loss in ['tversky', 'focal']" },
    },
    at: (trial: Trial) => {
      const { loss, rate, omega, alpha } = trial.parameters as { loss: string; rate: number; omega: number; alpha: number };
      const of = loss === 'all' ? 1 - (Math.abs(omega - 10) / 10) ** 2 : loss === 'dice' ? 0.8 : 0.9 - Math.abs(alpha - 0.7);
      return of - 0.3 * Math.log10(rate / 3e-4) ** 2;
    },
    optimum: 1,
  },
};

const numSeeds = 20;
const numTrials = 60;

const regrets = (method: string, { parameters, at, optimum }: (typeof functions)[keyof typeof functions]) =>
  Array.from({ length: numSeeds }, (_, seed) => {
    const { trials } = simulate(sweep({ method, seed, parameters, limits: { maxTrials: numTrials } }), { maxTime: 1, objective: at });
    return optimum - bestBy(best(trials)!);
  });

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];

describe.each(Object.entries(functions))('on %s', (_name, target) => {
  test(`it comes nearer to the optimum than chance, over ${numSeeds} seeds of ${numTrials} trials`, () => {
    const tpe = regrets('tpe', target);
    const random = regrets('random', target);
    const { pValue } = signedRankTest(tpe.map((regret, seed) => regret - random[seed]));
    expect(pValue).toBeLessThan(0.01);
    expect(median(tpe)).toBeLessThan(median(random) / 2);
  });
});
