/**
 * What holds for every strategy, whatever trials do and in whatever order.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hash32 } from '../../../trainer/random.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';
import { apply, type SweepInput, simulate, sweep } from './simulate.ts';

const mixed = {
  'loss.omega': { distribution: 'uniform', min: 6, max: 16, step: 2 },
  'loss.gamma': { distribution: 'logUniform', min: 0.01, max: 1 },
  'model.name': { values: ['unet', 'focusnet'] },
  'model.dropout': { distribution: 'normal', mean: 0.2, deviation: 0.2, min: 0, max: 0.5, when: "model.name == 'unet'" },
};
const discrete = { a: { values: [1, 2, 3] }, b: { values: ['x', 'y'], when: 'a >= 2' } };
const asha = { type: 'asha', minTime: 1, reductionFactor: 2 };
const median = { type: 'median', minTime: 2 };
const limits = { maxTrials: 9 };

const sweeps: Readonly<Record<string, SweepInput>> = {
  grid: { method: 'grid', parameters: discrete },
  random: { method: 'random', parameters: mixed, limits },
  sobol: { method: 'sobol', parameters: mixed, limits },
  tpe: { method: 'tpe', parameters: mixed, limits: { maxTrials: 14 } },
  asha: { method: 'asha', parameters: mixed, limits, earlyStop: asha },
  'grid in rungs': { method: 'grid', parameters: discrete, earlyStop: asha },
  'tpe in rungs that end before the training': {
    method: 'tpe',
    parameters: mixed,
    limits: { maxTrials: 14 },
    earlyStop: { ...asha, maxTime: 6 },
  },
  'sobol with the median': { method: 'sobol', parameters: mixed, limits, earlyStop: median },
  hyperband: { method: 'hyperband', parameters: mixed, hyperband: { maxTime: 8, eta: 2 } },
  'hyperband cut by maxTrials': { method: 'hyperband', parameters: mixed, limits: { maxTrials: 6 }, hyperband: { maxTime: 4, eta: 2 } },
  'hyperband with the median': { method: 'hyperband', parameters: mixed, hyperband: { maxTime: 8, eta: 2 }, earlyStop: median },
  pbt: { method: 'pbt', parameters: mixed, pbt: { population: 4, interval: 2, mutations: ['loss.gamma', 'model.name'] } },
  'pbt cut by maxTrials': {
    method: 'pbt',
    parameters: mixed,
    limits: { maxTrials: 6 },
    pbt: { population: 4, interval: 3, mutations: ['loss.omega'] },
  },
  'pbt with the median': {
    method: 'pbt',
    parameters: mixed,
    pbt: { population: 4, interval: 3, mutations: ['loss.omega'] },
    earlyStop: median,
  },
  staged: {
    method: 'staged',
    parameters: { a: { values: [1, 2, 3] }, c: { value: 0.1 } },
    stages: [{ name: 'first' }, { name: 'second', fixFrom: 'first.best', parameters: { c: { values: [0.1, 0.2] } } }],
  },
  'stages of asha': {
    method: 'asha',
    parameters: mixed,
    limits: { maxTrials: 12 },
    earlyStop: asha,
    stages: [{ name: 'all' }, { name: 'gamma', fixFrom: 'all.best', parameters: { 'loss.gamma': mixed['loss.gamma'] } }, { name: 'again' }],
  },
  'stages of pbt': {
    method: 'pbt',
    parameters: mixed,
    pbt: { population: 3, interval: 3, mutations: ['loss.omega'] },
    stages: [{ name: 'all' }, { name: 'omega', fixFrom: 'all.best', parameters: { 'loss.omega': mixed['loss.omega'] } }],
  },
};
const maxTime = 8;

/** What befalls a sweep: in which order trials get on, what they tell, and which fail. */
const fates = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
  parallel: fc.integer({ min: 1, max: 5 }),
  failing: fc.constantFrom(0, 0.02, 0.3, 1),
  diverging: fc.constantFrom(0, 0.1, 1),
  silent: fc.constantFrom(0, 0, 0.5, 1),
  levels: fc.constantFrom(1, 3, 1000),
});
type Fate = typeof fates extends fc.Arbitrary<infer T> ? T : never;

const courseOf = ({ seed, parallel, failing, diverging, silent, levels }: Fate) => {
  const uniform = (...of: (number | string)[]) => hash32(seed, ...of) / 2 ** 32;
  let step = 0;
  return {
    maxTime,
    parallel,
    pick: (running: readonly Trial[]) => running[Math.floor(uniform('pick', step++) * running.length)],
    objective: ({ number }: Trial, time: number) => {
      if (uniform('fails', number, time) < failing) return 'fail' as const;
      if (uniform('silent', number, time) < silent) return undefined;
      if (uniform('diverges', number, time) < diverging) return Number.NaN;
      return Math.floor(uniform('value', number, time) * levels);
    },
  };
};

describe.each(Object.entries(sweeps))('%s', (_name, given) => {
  const specOf = (seed: number) => sweep({ ...given, seed: seed % 1000 });

  test('made anew and asked with a history that was written down, it answers the same', () => {
    fc.assert(
      fc.property(fates, fate => {
        const spec = specOf(fate.seed);
        simulate(spec, {
          ...courseOf(fate),
          asked: (trials, free, decisions) => {
            const again = makeStrategy(spec, { maxTime })(JSON.parse(JSON.stringify(trials)), free);
            expect(again).toEqual(decisions);
          },
        });
      }),
      { numRuns: 12, seed: 7 },
    );
  });

  test('killed with a part of an answer done, it answers the rest', () => {
    fc.assert(
      fc.property(fates, fate => {
        let question = 0;
        simulate(specOf(fate.seed), {
          ...courseOf(fate),
          asked: (trials, free, decisions, strategy) => {
            const numDone = hash32(fate.seed, 'killed', question++) % (decisions.length + 1);
            const done = decisions.slice(0, numDone);
            if (done.some(({ do: what }) => what === 'finish')) return;
            const history = [...trials];
            apply(history, done);
            const taken = done.filter(({ do: what }) => what === 'start' || what === 'continue').length;
            expect(strategy(history, free - taken)).toEqual(decisions.slice(numDone));
          },
        });
      }),
      { numRuns: 15, seed: 8 },
    );
  });

  test('it comes to its end without a dead end, whatever fails, diverges, tells nothing or is equal', () => {
    fc.assert(
      fc.property(fates, fate => {
        const { trials, finish } = simulate(specOf(fate.seed), courseOf(fate));
        const { maxTrials = Infinity } = (given.limits ?? {}) as { maxTrials?: number };
        expect(trials.length).toBeLessThanOrEqual(maxTrials);
        expect(finish).toMatch(/[a-z]/);
      }),
      { numRuns: 40, seed: 9 },
    );
  });

  test('another seed chooses others, unless it takes all there are', () => {
    const first = (seed: number) => makeStrategy(specOf(seed), { maxTime })([], 1);
    expect(first(1)).toEqual(first(1));
    if (!['grid', 'staged'].includes(given.method as string)) expect(first(1)).not.toEqual(first(2));
  });
});

describe('a sweep ends', () => {
  const random = (more: SweepInput) => sweep({ method: 'random', parameters: mixed, limits: { maxTrials: 20 }, ...more });
  const run = (more: SweepInput, objective: (trial: Trial, time: number) => number | 'fail') =>
    simulate(random(more), { maxTime: 4, parallel: 3, objective });
  const states = (trials: readonly Trial[]) => trials.map(({ state }) => state);

  test('at limits.maxTrials', () => {
    const { trials, finish } = run({}, () => 1);
    expect(states(trials)).toEqual(Array(20).fill('succeeded'));
    expect(finish).toBe('limits.maxTrials, 20, is reached');
  });

  test('of itself before that', () => {
    const { trials, finish } = run({ method: 'grid', parameters: discrete }, () => 1);
    expect([trials.length, finish]).toEqual([5, 'all trials have been chosen']);
  });

  test('when more have failed than may, and then all that runs is stopped', () => {
    const { trials, finish } = run({ limits: { maxTrials: 20, maxFailedTrials: 2 } }, ({ number }) => (number % 2 === 0 ? 'fail' : 1));
    expect(states(trials).filter(state => state === 'failed')).toHaveLength(3);
    expect(states(trials).filter(state => state === 'stopped').length).toBeGreaterThan(0);
    expect(trials.length).toBeLessThan(10);
    expect(finish).toBe('3 trials have failed, more than limits.maxFailedTrials, 2');
  });

  test('not for failures where none are counted', () => {
    const { trials } = run({}, () => 'fail');
    expect(states(trials)).toEqual(Array(20).fill('failed'));
  });

  test.each([
    ['maximize', 5, 4.9, 5],
    ['minimize', 5, -5.1, -5],
  ])('when the target is reached: %s, %j', (goal, target, below, reaching) => {
    const objective = { metric: 'val/jaccard', goal, target };
    const { trials, finish } = run({ objective }, ({ number }, time) => (number === 4 && time === 2 ? reaching : below));
    expect(finish).toBe('trial 4 has reached objective.target, 5');
    expect(trials[4]).toMatchObject({ state: 'stopped', reports: [{ time: 1 }, { time: 2 }] });
    expect(trials.length).toBeLessThan(8);
  });
});

test.each(['random', 'sobol', 'tpe', 'asha'])('%s over one single choice takes it again until there are enough', method => {
  const given = { method, parameters: { a: { values: ['only'] }, b: { value: null } }, limits: { maxTrials: 15 } };
  const { trials } = simulate(sweep(method === 'asha' ? { ...given, earlyStop: asha } : given), { maxTime: 4, objective: () => 1 });
  expect(trials.map(({ parameters }) => parameters)).toEqual(Array(15).fill({ a: 'only', b: null }));
});

test('the job is a choice of its own where nothing varies', () => {
  const { trials } = simulate(sweep({ method: 'grid', parameters: {} }), { maxTime: 1, objective: () => 1 });
  expect(trials.map(({ parameters }) => parameters)).toEqual([{}]);
});
