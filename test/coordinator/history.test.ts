import { expect, test } from 'vitest';
import { History } from '../../coordinator/history.ts';
import { maxMessageBytes, maxReports, writeMessage } from '../../coordinator/messages.ts';

const stepsOf = (history: History, from = 0) => history.from(from).map(({ step }) => step);
const of = (...steps: number[]) => new History(steps.map(step => ({ step, report: `r${step}` })));

test('keeps what was reported since the last checkpoint, and what that covers until the step after it is applied', () => {
  const history = of(1, 2, 3);
  history.saving(3);
  expect(stepsOf(history)).toEqual([1, 2, 3]);
  history.add({ step: 4, report: 'r4' });
  history.add({ step: 5, report: 'r5' });
  expect(stepsOf(history)).toEqual([4, 5]);
  expect(stepsOf(history, 5)).toEqual([5]);
});

test('travels as text', () => {
  expect(History.read(of(7, 8).write()).from(0)).toEqual(of(7, 8).from(0));
});

test.each([
  ['many short ones', 1000, '', maxReports],
  ['quotes, which are escaped once more', 256, '"'.repeat(5000), 9],
  ['the longest that there can be, of characters that take six bytes each', 4, '\u0001'.repeat(20_000), 1],
])('gives as many as fit one message: %s', (_, count, report, expected) => {
  const history = new History(Array.from({ length: count }, (_, step) => ({ step, report })));
  const reports = history.from(0);
  expect(reports.length).toBe(expected);
  const session = { process: '3b241101-e2bb-4255-8caf-4136c566a962', attempt: 0 };
  const text = writeMessage({ version: 1, run: 'r', id: 'w', session, body: { type: 'reports', from: 0, until: count, reports } });
  expect(Buffer.byteLength(text)).toBeLessThan(maxMessageBytes);
});
