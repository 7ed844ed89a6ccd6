/**
 * The language of conditions: what holds, and what is said where it cannot be read.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SegfleetError } from '../../../trainer/errors.ts';
import { parseCondition } from '../../../trainer/search/condition.ts';

const values: Readonly<Record<string, unknown>> = { 'model.name': 'unet', 'loss.omega': 10, flag: true, other: '10' };
const holds = (text: string) => parseCondition(text).holds(path => values[path]);

test.each([
  ["model.name == 'unet'", true],
  ['model.name == "unet"', true],
  ["model.name != 'unet'", false],
  ['loss.omega < 10', false],
  ['loss.omega <= 10', true],
  ['loss.omega > 9.5', true],
  ['loss.omega >= 1e1', true],
  ['loss.omega > -3', true],
  ['loss.omega in [6, 8, 10]', true],
  ["model.name in ['focusnet']", false],
  ['flag', true],
  ['!flag', false],
  ['flag == true', true],
  ['true && !false', true],
  // && binds more tightly than ||, ! more than both.
  ['true || false && false', true],
  ['(true || false) && false', false],
  ['!false || true && false', true],
  ['!(flag && loss.omega == 10)', false],
  // Values of another type, and what is not there, are equal to nothing and have no order.
  ["loss.omega == '10'", false],
  ['other == loss.omega', false],
  ['other < 11', false],
  ['nothing.there > 1', false],
  ['nothing.there <= 1', false],
  ["nothing.there != 'x'", true],
  ['nothing.there', false],
])('%s: %j', (text, expected) => {
  expect(holds(text)).toBe(expected);
});

test('it says what it reads', () => {
  expect(parseCondition("a == 1 && (b.c in ['x', d] || !a)").reads).toEqual(['a', 'b.c', 'd']);
});

describe('what cannot be read', () => {
  test.each([
    [
      'a = 1',
      'the condition a = 1 cannot be read at "=" (character 3): a path, a number, a text in quotes or one of == != < <= > >= in && || ! ( ) is expected',
    ],
    ['a == ', "cannot be read at its end: a path such as model.name, a number, a text in quotes such as 'unet', true or false is expected"],
    ["a == 'unet", 'cannot be read at "\'unet" (character 6): the text has no \' at its end'],
    ['(a == 1', 'at its end: ) is expected'],
    ['a == 1 b', 'at "b" (character 8): && or || or the end is expected'],
    ['a == 1 == 2', 'at "==" (character 8): && or || or the end is expected'],
    ['a in 3', 'at "3" (character 6): [ is expected'],
    ['a in []', 'at "]" (character 7): a path such as model.name'],
    ["'unet'", "at \"'unet'\" (character 1): a comparison is expected, such as model.name == 'unet'"],
    ['a == process.exit()', 'at "()" (character 18): && or || or the end is expected'],
    [`${'('.repeat(200)}a${')'.repeat(200)}`, 'no more than 64 parentheses and ! inside one another are expected'],
  ])('%s', (text, sentence) => {
    expect(() => parseCondition(text)).toThrow(sentence);
  });

  test('whatever stands there, it is read or refused in a sentence', () => {
    const pieces = fc.constantFrom(
      'a',
      'b.c',
      '1',
      '-2.5',
      "'x'",
      '"',
      '==',
      '!=',
      '<',
      '>=',
      'in',
      '[',
      ']',
      ',',
      '&&',
      '||',
      '!',
      '(',
      ')',
      ' ',
      '$',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(pieces, { maxLength: 12 }).map(some => some.join(' ')),
          fc.string({ maxLength: 30 }),
        ),
        text => {
          try {
            expect(typeof parseCondition(text).holds(path => values[path])).toBe('boolean');
          } catch (error) {
            expect(error).toBeInstanceOf(SegfleetError);
            expect((error as SegfleetError).code).toBe('usage');
          }
        },
      ),
      { numRuns: 1000, seed: 1 },
    );
  });
});
