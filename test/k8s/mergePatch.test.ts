import fc from 'fast-check';
import { expect, test } from 'vitest';
import { mergePatch } from '../../k8s/mergePatch.ts';

test.each([
  ['nothing', { a: 1, b: { c: [1] } }, { a: 1, b: { c: [1] } }, undefined],
  ['a field that is undefined', { a: 1 }, { a: 1, b: undefined }, undefined],
  ['a field that is new', { a: 1 }, { a: 1, b: 2 }, { b: 2 }],
  ['a field that goes', { a: 1, b: 2 }, { a: 1 }, { b: null }],
  ['a field that is undefined by now', { a: 1, b: 2 }, { a: 1, b: undefined }, { b: null }],
  ['a field within another', { a: { b: 1, c: 2 } }, { a: { b: 1, c: 3 } }, { a: { c: 3 } }],
  ['a list, which is replaced', { a: [1, 2] }, { a: [1, 3] }, { a: [1, 3] }],
  ['an object instead of a number', { a: 1 }, { a: { b: 1 } }, { a: { b: 1 } }],
  ['a number instead of an object', { a: { b: 1 } }, { a: 1 }, { a: 1 }],
  ['undefined in a list of objects', { a: [{ b: 1 }] }, { a: [{ b: 1, c: undefined }] }, undefined],
])('%s', (_, from, to, patch) => {
  expect(mergePatch(from, to)).toEqual(patch);
});

/** RFC 7386, section 2. */
function merged(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = merged(result[key], value);
  }
  return result;
}

test('what a server makes of the patch is what was meant', () => {
  const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }));
  const key = fc.constantFrom('a', 'b', 'c');
  const fields = fc.dictionary(key, fc.oneof(leaf, fc.dictionary(key, fc.oneof(leaf, fc.dictionary(key, leaf)))));
  fc.assert(
    fc.property(fields, fields, (from, to) => {
      expect(merged(from, mergePatch(from, to) ?? {})).toEqual(to);
    }),
  );
});
