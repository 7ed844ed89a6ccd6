/**
 * The parts of `cluster check` that need no cluster.
 */
import { expect, test } from 'vitest';
import { amountOf } from '../../k8s/checks/capacity.ts';
import { looksAfter, settingsIn } from '../../k8s/checks/operator.ts';

test.each([
  ['0', 0],
  ['2', 2],
  ['500m', 0.5],
  ['1.5Gi', 1.5 * 1024 ** 3],
  ['64Ki', 65_536],
  ['4k', 4000],
  ['3M', 3e6],
  ['1e3', 1000],
  ['2Ti', 2 * 1024 ** 4],
])('the amount %s is %d', (quantity, expected) => {
  expect(amountOf(quantity)).toBeCloseTo(expected, 9);
});

test('the flags of an operator are read in both ways of writing them', () => {
  const args = ['operator', '--lease=sys/x-operator', '--namespace', 'a', '--namespace=b', '--store-secret=s3', '--store', 's3://b/p'];
  expect(settingsIn(args)).toEqual({
    lease: 'sys/x-operator',
    namespaces: ['a', 'b'],
    store: 's3://b/p',
    storeSecret: 's3',
    libraryClaim: undefined,
  });
});

test.each([
  [[], true],
  [['a'], true],
  [['b'], false],
])('an operator of the namespaces %j looks after a: %s', (namespaces, expected) => {
  expect(looksAfter({ name: 'sys/o', namespaces }, 'a')).toBe(expected);
});
