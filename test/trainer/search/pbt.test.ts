/**
 * Population based training on the toy of its paper, and what becomes of members.
 */
import { describe, expect, test } from 'vitest';
import { hash32 } from '../../../trainer/random.ts';
import { best, bestBy, lastBy } from '../../../trainer/search/history.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Decision, Trial } from '../../../trainer/search/strategy.ts';
import { simulate, sweep, timeOf } from './simulate.ts';

/**
 * Jaderberg et al. 2017, figure 2: Q = 1.2 - (t0² + t1²) is to be maximised, but gradients are those of the surrogate 1.2 - (h0 t0² + h1 t1²), from
 * (0.9, 0.9). With h = (1, 0) or (0, 1) one coordinate never moves, and Q stays below 1.2 - 0.81 = 0.39; members that change h come to 1.2.
 */
function toy() {
  const weights = new Map<number, { at: number; t: number[] }[]>();
  return (trial: Trial, time: number) => {
    const from = trial.forkedFrom ? weights.get(trial.forkedFrom.trial)!.find(({ at }) => at === trial.forkedFrom!.time)!.t : [0.9, 0.9];
    const own = weights.get(trial.number) ?? [];
    weights.set(trial.number, own);
    const [t0, t1] = own.at(-1)?.t ?? from;
    const { h0, h1 } = trial.parameters as { h0: number; h1: number };
    const t = [t0 - 0.02 * h0 * t0, t1 - 0.02 * h1 * t1];
    own.push({ at: time, t });
    return 1.2 - (t[0] ** 2 + t[1] ** 2);
  };
}

const startedBy = (decision: Decision | undefined) => (decision?.do === 'start' ? decision.parameters : {});

const unit = { distribution: 'uniform', min: 0, max: 1 };
const corners = { values: [0, 1] };
const spec = (more: Readonly<Record<string, unknown>> = {}, parameters: Readonly<Record<string, unknown>> = { h0: unit, h1: unit }) =>
  sweep({ method: 'pbt', parameters, pbt: { population: 4, interval: 4, mutations: ['h0', 'h1'] }, ...more });

describe('on the toy of the paper', () => {
  const lastValue = (trial: Trial) => lastBy(trial);
  test('a population comes nearer to the optimum than the same members without exchange, for each of ten seeds', () => {
    for (let seed = 0; seed < 10; seed++) {
      const { trials } = simulate(spec({ seed }), { maxTime: 200, parallel: 4, objective: toy() });
      const alone = simulate(sweep({ method: 'random', seed, parameters: { h0: unit, h1: unit }, limits: { maxTrials: 4 } }), {
        maxTime: 200,
        parallel: 4,
        objective: toy(),
      });
      expect(lastValue(best(trials)!)).toBeGreaterThan(1.19);
      const final = trials.filter(({ state }) => state === 'succeeded').map(lastValue);
      expect(final).toHaveLength(4);
      // All members, not only the best: who stands still takes over the weights of one that does not.
      expect(Math.min(...final)).toBeGreaterThan(Math.min(...alone.trials.map(lastValue)) - 1e-9);
      expect(Math.min(...final)).toBeGreaterThan(1.1);
    }
  });

  test('where each setting moves one coordinate only, no fixed one gets above 0.39, and the population does', () => {
    const both = { h: { values: ['first', 'second'] } };
    const of = (objective: ReturnType<typeof toy>) => (trial: Trial, time: number) =>
      objective({ ...trial, parameters: trial.parameters.h === 'first' ? { h0: 1, h1: 0 } : { h0: 0, h1: 1 } }, time);
    const population = spec({ pbt: { population: 4, interval: 4, mutations: ['h'] } }, both);
    const { trials } = simulate(population, { maxTime: 200, parallel: 4, objective: of(toy()) });
    const fixed = simulate(sweep({ method: 'grid', parameters: both }), { maxTime: 200, objective: of(toy()) });
    expect(bestBy(best(fixed.trials)!)).toBeLessThan(0.39);
    expect(bestBy(best(trials)!)).toBeGreaterThan(1);
  });
});

describe('a meeting', () => {
  const member = (number: number, value: number, more: Partial<Trial> = {}): Trial => ({
    number,
    parameters: { h0: 0.5, h1: number / 10 },
    state: 'paused',
    until: 4,
    group: `member-${number}`,
    reports: [{ time: 4, value }],
    ...more,
  });
  const strategy = makeStrategy(spec(), { maxTime: 12 });

  test('begins when all have come: until then nobody goes on', () => {
    expect(strategy([member(0, 1), member(1, 2), member(2, 3), member(3, 4, { state: 'running', reports: [] })], 3)).toEqual([]);
  });

  test('ends the worst, forks the best with parameters 0.8 or 1.2 times its own or drawn anew, and sends on the others', () => {
    const decisions = strategy([member(0, 1), member(1, 2), member(2, 3), member(3, 4)], 4);
    expect(decisions).toEqual([
      { do: 'stop', trial: 0, reason: 'it was among the worst after 4; member 0 goes on from trial 3' },
      {
        do: 'start',
        parameters: { h0: expect.any(Number), h1: expect.any(Number) },
        group: 'member-0',
        forkedFrom: { trial: 3, time: 4 },
        until: 8,
      },
      { do: 'continue', trial: 1, until: 8 },
      { do: 'continue', trial: 2, until: 8 },
      { do: 'continue', trial: 3, until: 8 },
    ]);
    const changes = Array.from({ length: 200 }, (_, seed) => {
      const start = makeStrategy(spec({ seed }), { maxTime: 12 })([member(0, 1), member(1, 2), member(2, 3), member(3, 4)], 1)[1];
      return startedBy(start).h0 as number;
    });
    const share = (value: number) => changes.filter(change => Math.abs(change - value) < 1e-12).length / changes.length;
    // A quarter is drawn anew, the rest halved between 0.5 * 0.8 and 0.5 * 1.2; four standard deviations of 200 draws are 0.14.
    expect(share(0.4)).toBeCloseTo(0.375, 0);
    expect(Math.abs(share(0.4) - 0.375)).toBeLessThan(0.14);
    expect(Math.abs(share(0.6) - 0.375)).toBeLessThan(0.14);
    for (const change of changes) expect(change >= 0 && change <= 1).toBe(true);
  });

  test('replaces a member that failed, and of equals the one that was chosen last: who stood still together would for ever', () => {
    const failed = strategy([member(0, 1), member(1, 1), member(2, 1), member(3, 1, { state: 'failed', reports: [] })], 4);
    expect(failed.map(({ do: what }) => what)).toEqual(['start', 'continue', 'continue', 'continue']);
    expect(failed[0]).toMatchObject({ group: 'member-3', forkedFrom: { trial: 0, time: 4 } });
    const equal = strategy(
      [0, 1, 2, 3].map(number => member(number, 1)),
      4,
    );
    expect(equal[0]).toMatchObject({ do: 'stop', trial: 3 });
    expect(equal[1]).toMatchObject({ do: 'start', group: 'member-3', forkedFrom: { trial: 0, time: 4 } });
  });

  test('has nobody to fork where all diverged: those that can go on do', () => {
    const lost = strategy(
      [0, 1, 2, 3].map(number => member(number, Number.NaN, number === 2 ? { state: 'failed' } : {})),
      4,
    );
    expect(lost).toEqual([0, 1, 3].map(trial => ({ do: 'continue', trial, until: 8 })));
  });

  test('changes whole numbers by a step at least, takes the neighbour in a list, and what depends on them follows', () => {
    const parameters = {
      steps: { distribution: 'uniform', min: 1, max: 3, step: 1 },
      listed: { values: [0.001, 0.01, 0.1] },
      kept: { distribution: 'uniform', min: 0, max: 1 },
      only: { distribution: 'uniform', min: 5, max: 6, when: 'steps == 3' },
    };
    const start = (seed: number) => {
      const given = sweep({ method: 'pbt', seed, parameters, pbt: { population: 2, interval: 1, mutations: ['steps', 'listed'] } });
      const donor = member(1, 9, { parameters: { steps: 2, listed: 0.01, kept: 0.3 }, until: 1, reports: [{ time: 1, value: 9 }] });
      const loser = member(0, 1, { until: 1, reports: [{ time: 1, value: 1 }] });
      const found = makeStrategy(given, { maxTime: 5 })([loser, donor], 1).find(decision => decision.do === 'start');
      return startedBy(found);
    };
    const starts = Array.from({ length: 60 }, (_, seed) => start(seed));
    expect(new Set(starts.map(({ steps }) => steps))).toEqual(new Set([1, 2, 3]));
    // 2 only where it was drawn anew: a quarter times a third of 60 is 5.
    expect(starts.filter(({ steps }) => steps === 2).length).toBeLessThan(15);
    expect(starts.filter(({ listed }) => listed === 0.01).length).toBeLessThan(15);
    for (const { steps, kept, only } of starts) expect([kept, only !== undefined]).toEqual([0.3, steps === 3]);
  });
});

test('what is found does not depend on which member is quicker, or how many run at a time', () => {
  const run = (parallel: number, order: number) => {
    let step = 0;
    const { trials } = simulate(spec(), {
      maxTime: 20,
      parallel,
      objective: ({ parameters, number }, time) => hash32(3, number, time) / 2 ** 32 + (parameters.h0 as number),
      pick: running => running[hash32(order, step++) % running.length],
    });
    return trials;
  };
  expect(run(4, 2)).toEqual(run(4, 1));
  expect(run(1, 3)).toEqual(run(4, 1));
  expect(run(4, 1).filter(({ forkedFrom }) => forkedFrom).length).toBe(4);
  expect(Math.max(...run(4, 1).map(timeOf))).toBe(20);
});

describe('is refused', () => {
  test.each([
    [
      { pbt: { population: 4, interval: 4, mutations: ['h2'] } },
      'pbt.mutations has h2, which is none of the parameters of the sweep; name a parameter that has several values',
    ],
    [
      { pbt: { population: 4, interval: 30, mutations: ['h0'] } },
      'pbt.interval is 30, and the training of the job ends at 20: members would never meet; lower it',
    ],
  ])('%j', (more, sentence) => {
    expect(() => makeStrategy(spec(more), { maxTime: 20 })).toThrow(sentence);
  });

  test('a mutation of what has one value', () => {
    const given = spec({}, { h0: unit, h1: { value: 3 } });
    expect(() => makeStrategy(given, { maxTime: 20 })).toThrow('pbt.mutations has h1, which has one value only');
    expect(() => makeStrategy(spec({}, { h0: corners, h1: corners }), { maxTime: 20 })).not.toThrow();
  });
});
