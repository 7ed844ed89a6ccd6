/**
 * The conditions of a sweep file: in which trials a parameter is set (`when: "model.name == 'unet' && loss.omega >= 10"`). A language as small as
 * it can be, without calls, arithmetic or loops: whatever a file says, reading it ends and does nothing else.
 *
 *   either     = both { '||' both }
 *   both       = negation { '&&' negation }
 *   negation   = '!' negation | '(' either ')' | comparison
 *   comparison = operand [ ('==' | '!=' | '<' | '<=' | '>' | '>=') operand | 'in' '[' operand { ',' operand } ']' ]
 *   operand    = path | number | 'text' | "text" | true | false
 */
import { SegfleetError } from '../errors.ts';

/** The value at a path of a job (`loss.omega`), undefined where there is none. */
export type Lookup = (path: string) => unknown;

export interface Condition {
  readonly text: string;
  /** Paths that it reads, each once. */
  readonly reads: readonly string[];
  readonly holds: (lookup: Lookup) => boolean;
}

type Value = (lookup: Lookup) => unknown;
interface Token {
  readonly kind: 'path' | 'literal' | 'sign' | 'end';
  readonly text: string;
  readonly at: number;
  readonly value?: unknown;
}

const token =
  /\s*(?:(?<path>[A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*)|(?<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?<quoted>'[^']*'|"[^"]*")|(?<sign>==|!=|<=|>=|&&|\|\||[<>!()[\],]))/y;
const words: ReadonlyMap<string, unknown> = new Map([
  ['true', true],
  ['false', false],
]);
const deepest = 64;

/** Values are equal only to values of their type: 1 is not '1'. An order there is only between numbers. */
const comparisons: Readonly<Record<string, (left: unknown, right: unknown) => boolean>> = {
  '==': (left, right) => left === right,
  '!=': (left, right) => left !== right,
  '<': (left, right) => typeof left === 'number' && typeof right === 'number' && left < right,
  '<=': (left, right) => typeof left === 'number' && typeof right === 'number' && left <= right,
  '>': (left, right) => typeof left === 'number' && typeof right === 'number' && left > right,
  '>=': (left, right) => typeof left === 'number' && typeof right === 'number' && left >= right,
};

function tokensOf(text: string, fail: (at: number, expected: string) => never): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (text.slice(at).trim() !== '') {
    token.lastIndex = at;
    const groups = token.exec(text)?.groups;
    const start = at + text.slice(at).search(/\S/);
    if (!groups) {
      const open = /['"]/.exec(text[start])?.[0];
      const expected = open
        ? `the text has no ${open} at its end`
        : 'a path, a number, a text in quotes or one of == != < <= > >= in && || ! ( ) is expected';
      return fail(start, expected);
    }
    at = token.lastIndex;
    const { path, number, quoted, sign } = groups;
    if (path !== undefined) {
      if (words.has(path)) tokens.push({ kind: 'literal', text: path, at: start, value: words.get(path) });
      else tokens.push({ kind: path === 'in' ? 'sign' : 'path', text: path, at: start });
    } else if (sign !== undefined) tokens.push({ kind: 'sign', text: sign, at: start });
    else
      tokens.push({
        kind: 'literal',
        text: number ?? quoted,
        at: start,
        value: number === undefined ? quoted.slice(1, -1) : Number(number),
      });
  }
  tokens.push({ kind: 'end', text: '', at: text.length });
  return tokens;
}

/** @throws usage: the place in the condition, and what was expected there */
export function parseCondition(text: string): Condition {
  const fail = (at: number, expected: string): never => {
    const found = text.slice(at).trim().split(/\s/)[0];
    const where = found ? `at "${found}" (character ${at + 1})` : 'at its end';
    throw new SegfleetError('usage', `the condition ${text} cannot be read ${where}: ${expected}`, { details: { condition: text, at } });
  };
  const tokens = tokensOf(text, fail);
  const reads = new Set<string>();
  let next = 0;
  const take = (sign: string) => tokens[next].kind === 'sign' && tokens[next].text === sign && ++next > 0;
  const expect = (sign: string) => {
    if (!take(sign)) fail(tokens[next].at, `${sign} is expected`);
  };

  const operand = (): Value => {
    const { kind, text: word, at, value } = tokens[next];
    if (kind === 'literal') {
      next++;
      return () => value;
    }
    if (kind !== 'path') return fail(at, "a path such as model.name, a number, a text in quotes such as 'unet', true or false is expected");
    next++;
    reads.add(word);
    return lookup => lookup(word);
  };
  const comparison = (): Value => {
    const at = tokens[next].at;
    const left = operand();
    if (take('in')) {
      expect('[');
      const members = [operand()];
      while (take(',')) members.push(operand());
      expect(']');
      return lookup => members.some(member => member(lookup) === left(lookup));
    }
    const compare = tokens[next].kind === 'sign' ? comparisons[tokens[next].text] : undefined;
    if (compare) {
      next++;
      const right = operand();
      return lookup => compare(left(lookup), right(lookup));
    }
    const { kind } = tokens[next - 1];
    if (kind === 'literal' && typeof tokens[next - 1].value !== 'boolean')
      fail(at, "a comparison is expected, such as model.name == 'unet'");
    return lookup => left(lookup) === true;
  };
  const negation = (depth: number): Value => {
    if (depth > deepest) fail(tokens[next].at, `no more than ${deepest} parentheses and ! inside one another are expected`);
    if (take('!')) {
      const inner = negation(depth + 1);
      return lookup => !inner(lookup);
    }
    if (take('(')) {
      const inner = either(depth + 1);
      expect(')');
      return inner;
    }
    return comparison();
  };
  const both = (depth: number): Value => {
    const terms = [negation(depth)];
    while (take('&&')) terms.push(negation(depth));
    return lookup => terms.every(term => term(lookup));
  };
  const either = (depth: number): Value => {
    const terms = [both(depth)];
    while (take('||')) terms.push(both(depth));
    return lookup => terms.some(term => term(lookup));
  };

  const whole = either(0);
  if (tokens[next].kind !== 'end') fail(tokens[next].at, '&& or || or the end is expected');
  return { text, reads: [...reads], holds: lookup => whole(lookup) === true };
}
