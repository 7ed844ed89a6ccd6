import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { childrenOf, fold, type Node, nodesWithin } from '../../trainer/tree.ts';
import { partition } from '../tools/lanes.ts';

const text = (node: Node): string => (node.end - node.start === 1 ? `${node.start}` : `(${childrenOf(node).map(text).join('+')})`);

describe('the tree', () => {
  test.each([
    [1, '0'],
    [2, '(0+1)'],
    [3, '((0+1)+2)'],
    [4, '((0+1)+(2+3))'],
    [5, '(((0+1)+(2+3))+4)'],
    [6, '(((0+1)+(2+3))+(4+5))'],
    [7, '(((0+1)+(2+3))+((4+5)+6))'],
  ])('over %i lanes is %s: split at the largest power of two below', (lanes, expected) => {
    expect(text({ start: 0, end: lanes })).toBe(expected);
  });

  test.each([
    [0, 4, 8, ['0-4']],
    [4, 8, 8, ['4-8']],
    [1, 4, 4, ['1-2', '2-4']],
    [3, 7, 8, ['3-4', '4-6', '6-7']],
    [1, 7, 8, ['1-2', '2-4', '4-6', '6-7']],
    [4, 7, 7, ['4-7']], // the right part of seven lanes is a node of its own
    [0, 7, 7, ['0-7']],
  ])('of lanes %i to %i of %i a worker adds %j alone', (start, end, lanes, expected) => {
    expect(nodesWithin({ start, end }, { start: 0, end: lanes }).map(node => `${node.start}-${node.end}`)).toEqual(expected);
  });

  test('gives the same bits for any contiguous ranges as for one worker', () => {
    const values = fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 1, maxLength: 40 });
    const add = (left: number, right: number) => Math.fround(left + right);
    fc.assert(
      fc.property(values, fc.infiniteStream(fc.boolean()), (lanes, cuts) => {
        const root = { start: 0, end: lanes.length };
        const alone = fold(root, ({ start, end }) => (end - start === 1 ? lanes[start] : undefined), add);
        const known = new Map<string, number>();
        for (const range of partition(lanes.length, cuts)) {
          const nodes = nodesWithin(range, root);
          // Together exactly the range, in order, and no two are the children of one.
          expect(nodes.map(({ start }) => start)).toEqual([range.start, ...nodes.slice(0, -1).map(({ end }) => end)]);
          expect(nodes.at(-1)!.end).toBe(range.end);
          for (const node of nodes) {
            const sum = fold(node, ({ start, end }) => (end - start === 1 ? lanes[start] : undefined), add);
            known.set(`${node.start}-${node.end}`, sum);
          }
        }
        const together = fold(root, ({ start, end }) => known.get(`${start}-${end}`), add);
        expect(Object.is(together, alone)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('a sum in the order of ranks would not: (a + b) + c differs from a + (b + c)', () => {
    const [a, b, c] = [1, 2 ** -24, 2 ** -24]; // each is lost beside 1 alone, both together are not
    expect(Math.fround(Math.fround(a + b) + c)).not.toBe(Math.fround(a + Math.fround(b + c)));
  });
});
