import { expect, test } from 'vitest';
import { Expectations } from '../../k8s/expectations.ts';

test('a write is waited for until it is shown, and no longer than five seconds', () => {
  const expectations = new Expectations();
  let shown: string | undefined = '1';
  expectations.add('a', '1', () => shown, 1000);
  expect(expectations.waitMs('a', 1000)).toBe(5000);
  expect(expectations.waitMs('b', 1000)).toBe(0);
  expect(expectations.waitMs('a', 5999)).toBe(1);
  expect(expectations.waitMs('a', 6000)).toBe(0);
  expectations.add('a', '1', () => shown, 7000);
  shown = '7';
  expect(expectations.waitMs('a', 7001)).toBe(0);
});

test('something new is shown when it is there, and something that is removed when it is not', () => {
  const expectations = new Expectations();
  let shown: string | undefined;
  expectations.add('a', undefined, () => shown, 0);
  expect(expectations.waitMs('a', 0)).toBe(5000);
  shown = '1';
  expect(expectations.waitMs('a', 0)).toBe(0);
  expectations.add('a', '1', () => shown, 0);
  expect(expectations.waitMs('a', 0)).toBe(5000);
  shown = undefined;
  expect(expectations.waitMs('a', 0)).toBe(0);
});

test('all of them are waited for', () => {
  const expectations = new Expectations();
  const shown = new Map<string, string>();
  for (const name of ['x', 'y']) expectations.add('a', undefined, () => shown.get(name), 0);
  shown.set('x', '1');
  expect(expectations.waitMs('a', 0)).toBe(5000);
  shown.set('y', '1');
  expect(expectations.waitMs('a', 0)).toBe(0);
});

test('a key that is forgotten is waited for no more', () => {
  const expectations = new Expectations();
  expectations.add('a', undefined, () => undefined, 0);
  expectations.forget('a');
  expect(expectations.waitMs('a', 0)).toBe(0);
});
