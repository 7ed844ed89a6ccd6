import { expect, test } from 'vitest';
import { withConditions } from '../../k8s/conditions.ts';
import { objectiveFields, progressFields, shownNumber, shownTime } from '../../k8s/progressFields.ts';

test.each([
  [0.123_45, '0.1235'],
  [0.811_36, '0.8114'],
  [0, '0.0000'],
  [1, '1.0000'],
  [123.456, '123.4560'],
  [0.001_234_5, '1.234e-3'],
  [-0.5, '-0.5000'],
  [123_456, '1.235e+5'],
])('the number %s is shown as %s', (value, shown) => {
  expect(shownNumber(value)).toBe(shown);
});

test.each([
  [0, '0s'],
  [44.6, '45s'],
  [59.4, '59s'],
  [59.6, '1m'],
  [90, '2m'],
  [3569, '59m'],
  [3571, '1h'],
  [4810, '1h20m'],
  [7200, '2h'],
  [86_399, '1d'],
  [183_600, '2d3h'],
  [1_000_000, '11d14h'],
])('%s seconds are shown as %s', (seconds, shown) => {
  expect(shownTime(seconds)).toBe(shown);
});

test('what a coordinator does not say stays as it was, but for the time that is left', () => {
  const progress = progressFields({ run: 'a', phase: 'waiting', workers: 0, expected: 1, generation: 0 });
  expect(progress).toEqual({ eta: undefined });
  expect('eta' in progress).toBe(true);
});

test('a condition keeps its time while it stays true or false, whatever is said of it', () => {
  const at = (seconds: number) => ({ generation: 7, now: new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)) });
  const first = withConditions({}, { PodsReady: { status: 'False', reason: 'A', message: 'a' } }, at(0));
  const second = withConditions({ conditions: first }, { PodsReady: { status: 'False', reason: 'B', message: 'b' } }, at(1));
  const third = withConditions({ conditions: second }, { PodsReady: { status: 'True', reason: 'C', message: 'c' } }, at(2));
  expect([first, second, third].map(([{ lastTransitionTime }]) => lastTransitionTime.slice(17))).toEqual(['00Z', '00Z', '02Z']);
  const accepted = withConditions({ conditions: third }, { Accepted: { status: 'True', reason: 'D', message: 'd' } }, at(3));
  expect(accepted.map(({ type }) => type)).toEqual(['Accepted', 'PodsReady']);
  expect(withConditions({ conditions: accepted }, { Accepted: undefined }, at(4)).map(({ type }) => type)).toEqual(['PodsReady']);
});

test('what was told of the objective before is kept where less is told now', () => {
  const report = (epoch: number, value: number) => ({ epoch, step: 8 * epoch, value });
  const objective = (...values: [epoch: number, value: number][]) => ({
    metric: 'validation/dice',
    reports: values.map(one => report(...one)),
  });
  const before = { objective: objective([1, 0.5], [2, 0.6]) };
  expect(objectiveFields(before, undefined)).toEqual({});
  expect(objectiveFields(before, objective())).toEqual({});
  expect(objectiveFields({}, objective([1, 0.5]))).toEqual({ objective: objective([1, 0.5]) });
  expect(objectiveFields(before, objective([2, 0.6], [3, 0.7]))).toEqual({ objective: objective([1, 0.5], [2, 0.6], [3, 0.7]) });
  const other = { metric: 'validation/loss', reports: [report(1, 2)] };
  expect(objectiveFields(before, other)).toEqual({ objective: other });
});
