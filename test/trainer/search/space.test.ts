/**
 * What a sweep may choose from.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { generator } from '../../../trainer/random.ts';
import { gridOf, type Parameters, readSpace, sample } from '../../../trainer/search/space.ts';
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import { sweep } from './simulate.ts';

const one = (parameter: Parameters[string]) => readSpace({ x: parameter });
const drawn = (parameter: Parameters[string], count = 2000) => {
  const next = generator(1, 'draw');
  return Array.from({ length: count }, () => sample(one(parameter), () => next() / 2 ** 32).x as number);
};
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
const shareBelow = (values: readonly number[], limit: number) => values.filter(value => value < limit).length / values.length;

describe('a grid', () => {
  test('has every combination, whatever the order in the file', () => {
    const cells = [
      { a: 1, b: 'x' },
      { a: 1, b: 'y' },
      { a: 2, b: 'x' },
      { a: 2, b: 'y' },
    ];
    expect(gridOf(readSpace({ a: { values: [1, 2] }, b: { values: ['x', 'y'] } }))).toEqual(cells);
    expect(gridOf(readSpace({ b: { values: ['x', 'y'] }, a: { values: [1, 2] } }))).toEqual(cells);
  });

  test('of no parameters is the job itself, once', () => {
    expect(gridOf(readSpace({}))).toEqual([{}]);
  });

  test('leaves a parameter out where its condition does not hold, and does not repeat the cell for each of its values', () => {
    const parameters: Parameters = {
      'a.dropout': { values: [0, 0.5], when: "model.name == 'unet'" },
      'model.name': { values: ['unet', 'focusnet'] },
      deeper: { values: [1, 2], when: 'a.dropout > 0' },
    };
    expect(gridOf(readSpace(parameters))).toEqual([
      { 'model.name': 'unet', 'a.dropout': 0 },
      { 'model.name': 'unet', 'a.dropout': 0.5, deeper: 1 },
      { 'model.name': 'unet', 'a.dropout': 0.5, deeper: 2 },
      { 'model.name': 'focusnet' },
    ]);
  });

  test('reads the job where no parameter sets a field', () => {
    const parameters: Parameters = { omega: { values: [1, 2], when: "loss.name == 'adaptiveLog'" } };
    expect(gridOf(readSpace(parameters, { loss: { name: 'adaptiveLog' } }))).toHaveLength(2);
    expect(gridOf(readSpace(parameters, { loss: { name: 'dice' } }))).toEqual([{}]);
  });

  test('takes the whole steps of a range, without the dust of binary fractions', () => {
    const steps = (min: number, max: number, step: number) => gridOf(one({ distribution: 'uniform', min, max, step })).map(({ x }) => x);
    expect(steps(0, 0.5, 0.1)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5]);
    expect(steps(1, 8, 3)).toEqual([1, 4, 7]);
    expect(steps(0.1, 0.3, 0.1)).toEqual([0.1, 0.2, 0.3]);
  });

  test('refuses a range without end, and more cells than anyone runs', () => {
    expect(() => gridOf(one({ distribution: 'uniform', min: 0, max: 1 }))).toThrow('parameters.x has numbers without end');
    expect(() => gridOf(one({ distribution: 'uniform', min: 0, max: 1, step: 1e-9 }))).toThrow('the grid has more than 100,000 cells');
    const many = Object.fromEntries([...'abcdef'].map(name => [name, { values: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }]));
    expect(() => gridOf(readSpace(many))).toThrow(
      'the grid has more than 100,000 cells; give fewer values, or take another method (random, sobol, tpe)',
    );
  });
});

describe('a number at random', () => {
  test('uniform: between its ends, evenly', () => {
    const values = drawn({ distribution: 'uniform', min: 2, max: 6 });
    expect(mean(values)).toBeCloseTo(4, 0);
    expect(shareBelow(values, 3)).toBeCloseTo(0.25, 1);
  });

  test('logUniform: as many in each power of ten', () => {
    const values = drawn({ distribution: 'logUniform', min: 1e-5, max: 1e-1 });
    for (const [i, limit] of [1e-4, 1e-3, 1e-2].entries()) expect(shareBelow(values, limit)).toBeCloseTo((i + 1) / 4, 1);
  });

  test('normal: with its mean and deviation; between ends, cut off rather than piled up there', () => {
    const values = drawn({ distribution: 'normal', mean: 5, deviation: 2 });
    expect(mean(values)).toBeCloseTo(5, 0);
    expect(Math.sqrt(mean(values.map(value => (value - 5) ** 2)))).toBeCloseTo(2, 0);
    const cut = drawn({ distribution: 'normal', mean: 0, deviation: 1, min: 0 });
    // Half a normal distribution: its mean is sqrt(2 / pi), and 38 % lie below a half.
    expect(Math.min(...cut)).toBeGreaterThanOrEqual(0);
    expect(mean(cut)).toBeCloseTo(Math.sqrt(2 / Math.PI), 1);
    expect(shareBelow(cut, 0.5)).toBeCloseTo(0.383, 1);
  });

  test('logNormal: the logarithm is normal', () => {
    const logs = drawn({ distribution: 'logNormal', mean: -7, deviation: 1 }).map(Math.log);
    expect(mean(logs)).toBeCloseTo(-7, 0);
  });

  test('whole numbers: each equally often, the first and last too', () => {
    const counts = Object.values(Object.groupBy(drawn({ distribution: 'uniform', min: 1, max: 4, step: 1 }), String)).map(
      some => some!.length,
    );
    expect(counts).toHaveLength(4);
    for (const count of counts) expect(Math.abs(count - 500)).toBeLessThan(100);
    const powers = new Set(drawn({ distribution: 'logUniform', min: 1, max: 8, step: 1 }));
    expect([...powers].sort()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  });

  test('every place on the line is found again from the value that stands there', () => {
    const parameters: Parameters[string][] = [
      { distribution: 'uniform', min: -3, max: 9 },
      { distribution: 'logUniform', min: 1e-6, max: 10 },
      { distribution: 'normal', mean: 1, deviation: 3, min: -1, max: 5 },
      { distribution: 'logNormal', mean: 0, deviation: 2 },
    ];
    const place = fc.double({ min: 0.001, max: 0.999, noNaN: true });
    fc.assert(
      fc.property(fc.constantFrom(...parameters), place, (parameter, unit) => {
        const { scale } = one(parameter).dimensions[0];
        expect(scale!.unitOf(scale!.at(unit))).toBeCloseTo(unit, 6);
      }),
      { seed: 3 },
    );
    const listed = [{ values: ['a', 2, null] }, { distribution: 'uniform' as const, min: 2, max: 11, step: 3 }];
    for (const parameter of listed) {
      const { scale } = one(parameter).dimensions[0];
      for (let unit = 0; unit < 1; unit += 0.01) expect(scale!.at(scale!.unitOf(scale!.at(unit))!)).toBe(scale!.at(unit));
    }
  });
});

describe('conditions that are refused', () => {
  const refused = (parameters: Readonly<Record<string, unknown>>) => () =>
    makeStrategy(sweep({ method: 'grid', parameters }), { maxTime: 1 });
  test.each([
    [{ a: { values: [1], when: 'a == 1' } }, 'parameters.a.when reads a itself; a condition may read other parameters only'],
    [
      { a: { values: [1], when: 'b == 1' }, b: { values: [1], when: 'a == 1' } },
      'the conditions of a and b read one another in a circle; one of them must stand without the others',
    ],
    [
      { a: { values: [1], when: "modle.name == 'unet'" } },
      'parameters.a.when reads modle.name, which is neither a parameter of the sweep nor a field that its job has; did you mean model.name?',
    ],
    [
      { a: { values: [1], when: 'b > 2' }, b: { values: [1, 2] } },
      'parameters.a would never be set: b > 2 holds for no choice of the parameters that it reads; mend the condition, or leave the parameter out',
    ],
    [{ a: { values: [1], when: "model.name == 'unet' && model.name == 'focusnet'" } }, 'parameters.a would never be set'],
    [
      { a: { values: [1, 2] }, b: { values: [1, 2], when: 'a == 1' }, c: { values: [3], when: 'b == 1 && a == 2' } },
      'parameters.c would never be set',
    ],
  ])('%j', (parameters, sentence) => {
    expect(refused(parameters)).toThrow(sentence);
  });

  test.each([
    [{ distribution: 'normal', mean: 0, deviation: 1, min: 2, max: 1 }, 'parameters.a.min is 2, which is above its max, 1'],
    [
      { distribution: 'normal', mean: 0, deviation: 1, step: 0.5 },
      'parameters.a.step is 0.5, and there is no min that steps could be counted from; give it min',
    ],
  ])('and ranges that are none: %j', (parameter, sentence) => {
    const given = sweep({ method: 'random', parameters: { a: parameter }, limits: { maxTrials: 1 } });
    expect(() => makeStrategy(given, { maxTime: 1 })).toThrow(sentence);
  });

  test('one that holds in a later stage only is none of them', () => {
    const given = sweep({
      method: 'staged',
      parameters: { a: { value: 1 }, b: { values: [1, 2], when: 'a == 2' } },
      stages: [{ name: 'first' }, { name: 'second', parameters: { a: { value: 2 } } }],
    });
    expect(() => makeStrategy(given, { maxTime: 1 })).not.toThrow();
  });
});
