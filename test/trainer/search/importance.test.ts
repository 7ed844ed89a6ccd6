/**
 * Shares of variance, against sums by hand and functions whose shares are known.
 */
import { describe, expect, test } from 'vitest';
import { generator } from '../../../trainer/random.ts';
import { importance } from '../../../trainer/search/importance.ts';
import { gridOf, type Parameters, readSpace, sample, type Values } from '../../../trainer/search/space.ts';
import type { Trial } from '../../../trainer/search/strategy.ts';

const trial = (number: number, parameters: Values, value: number): Trial => ({
  number,
  parameters,
  state: 'succeeded',
  reports: [{ time: 1, value }],
});
const unit = { distribution: 'uniform', min: 0, max: 1 } as const;

const grid = (parameters: Parameters, value: (values: Record<string, number>) => number) =>
  gridOf(readSpace(parameters)).map((cell, number) => trial(number, cell, value(cell as Record<string, number>)));
const atRandom = (parameters: Parameters, count: number, value: (values: Record<string, number>) => number) =>
  Array.from({ length: count }, (_, number) => {
    const cell = sample(readSpace(parameters), name => generator(number, name)() / 2 ** 32);
    return trial(number, cell, value(cell as Record<string, number>));
  });
const shares = (given: ReturnType<typeof importance>) =>
  Object.fromEntries([
    ...given!.parameters.map(({ name, share }) => [name, share] as const),
    ...given!.pairs.map(({ names, share }) => [names.join(' '), share] as const),
  ]);

describe('of a whole grid', () => {
  const two = { a: { values: [0, 1] }, b: { values: [0, 1] } };

  test('the shares are exact', () => {
    // Results 0 1 | 2 5, mean 2, variance (4 + 1 + 0 + 9) / 4 = 3.5. Means by a: 0.5, 3.5 (variance 2.25), by b: 1, 3 (1); together 0.25.
    const found = importance(
      grid(two, ({ a, b }) => [0, 1, 2, 5][2 * a + b]),
      two,
    )!;
    expect(found).toMatchObject({ method: 'exact', numTrials: 4, explained: 1 });
    expect(shares(found)).toEqual({
      a: expect.closeTo(2.25 / 3.5, 12),
      b: expect.closeTo(1 / 3.5, 12),
      'a b': expect.closeTo(0.25 / 3.5, 12),
    });
  });

  test('what matters only together is the pair', () => {
    expect(
      shares(
        importance(
          grid(two, ({ a, b }) => Number(a === b)),
          two,
        ),
      ),
    ).toEqual({ a: 0, b: 0, 'a b': 1 });
  });

  test('the shares of one, two and three together make 1, and constants have none', () => {
    const parameters = { a: { values: [1, 2, 3] }, b: { values: ['x', 'y'] }, c: { values: [0, 5] }, same: { value: 7 } };
    const found = importance(
      grid(parameters, ({ a, c }) => Math.sin(a * 3) + a * c),
      parameters,
    )!;
    const all = shares(found);
    expect(Object.values(all).reduce((sum, share) => sum + share)).toBeCloseTo(1, 12);
    expect(all).not.toHaveProperty('same');
    expect(all.b).toBeCloseTo(0, 12);
  });
});

describe('of trials at random', () => {
  const three = { x: unit, y: unit, z: unit };

  test('the shares are near those of the function', () => {
    // The variance of x + y / 2 is 1/12 + 1/48: shares 0.8 and 0.2.
    const found = importance(
      atRandom(three, 200, ({ x, y }) => x + y / 2),
      three,
    )!;
    expect(found.method).toBe('forest');
    expect(found.explained).toBeGreaterThan(0.9);
    const { x, y, z, ...pairs } = shares(found);
    expect(x).toBeCloseTo(0.8, 1);
    expect(y).toBeCloseTo(0.2, 1);
    expect(z).toBeLessThan(0.02);
    for (const share of Object.values(pairs)) expect(share).toBeLessThan(0.05);
  });

  test('and of a grid with a hole near the exact ones', () => {
    const parameters = { x: { values: [0, 1, 2, 3, 4, 5] }, y: { values: [0, 1, 2, 3, 4] } };
    const cells = grid(parameters, ({ x, y }) => x ** 2 + x * y);
    const exact = shares(importance(cells, parameters));
    const found = shares(importance(cells.slice(1), parameters));
    for (const name of ['x', 'y', 'x y']) expect(Math.abs(found[name] - exact[name])).toBeLessThan(0.08);
  });

  test('noise is called noise: what the forest has not seen it cannot tell', () => {
    const found = importance(
      atRandom(three, 100, ({ x }) => generator(Math.floor(x * 1e9), 'noise')() / 2 ** 32),
      three,
    )!;
    expect(found.explained).toBeLessThan(0.1);
  });

  test('a category, and whether a parameter is set at all, matter like any other', () => {
    const parameters: Parameters = { loss: { values: ['dice', 'all', 'focal'] }, omega: { ...unit, when: "loss == 'all'" } };
    const trials = atRandom(parameters, 120, values => ((values.loss as unknown) === 'all' ? 2 + values.omega / 10 : 0));
    const found = importance(trials, parameters)!;
    expect(found.explained).toBeGreaterThan(0.95);
    expect(shares(found).loss).toBeGreaterThan(shares(found)['loss omega']);
  });
});

describe('nothing is said', () => {
  const one = { x: unit };
  test.each([
    ['of no trials', []],
    ['of results that are all the same', atRandom(one, 20, () => 1)],
    ['of too few', atRandom(one, 9, ({ x }) => x)],
    ['of what diverged', atRandom(one, 20, () => Number.NaN)],
    ['of what failed', atRandom(one, 20, ({ x }) => x).map((each): Trial => ({ ...each, state: 'failed' }))],
  ])('%s', (_what, trials) => {
    expect(importance(trials, one)).toBeUndefined();
  });

  test('of trials that ended early', () => {
    const early = atRandom(one, 20, ({ x }) => x).map((each): Trial => ({ ...each, state: 'stopped' }));
    const whole = atRandom(one, 20, ({ x }) => x).map((each): Trial => ({ ...each, reports: [{ time: 9, value: each.reports[0].value }] }));
    expect(importance([...early, ...whole], one)!.numTrials).toBe(20);
  });
});
