/**
 * Times on a command line.
 */
import { expect, test } from 'vitest';
import { millisecondsOf } from '../../cli/duration.ts';

test.each([
  ['30s', 30_000],
  ['10m', 600_000],
  ['1h30m', 5_400_000],
  ['1.5h', 5_400_000],
  ['250ms', 250],
  ['24d', 24 * 86_400_000],
])('%s is %d ms', (text, expected) => {
  expect(millisecondsOf('--timeout', text)).toBe(expected);
});

test.each(['', '10', 'm', '10 m', '1h-30m', '-5s', '10m!', '25d', '1e3s', 'x'.repeat(1_000_000)])('%j is none', text => {
  expect(() => millisecondsOf('--timeout', text)).toThrow(/^--timeout .*: this is not a time of at most 24 days/);
});
