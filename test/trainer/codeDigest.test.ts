/**
 * The digest of the code must be of all code that a result depends on.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { codeDigest, codeFiles } from '../../trainer/codeDigest.ts';

const root = fileURLToPath(new URL('../../trainer', import.meta.url));

/** What runs beside the numbers, and does not change them: errors, files, records, reports, and what reads a job. */
const beside = /^(storage|tracking|report|export)\/|^(errors|machine|runRecord|runWriter|forks|spec|clusterFields)\.ts$/;

test('every file that training imports is in it, or runs beside the numbers', () => {
  const seen = new Set<string>();
  const visit = (file: string) => {
    if (seen.has(file)) return;
    seen.add(file);
    if (beside.test(file)) return;
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, path] of text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)) visit(relative(root, join(root, dirname(file), path)));
  };
  visit('train.ts');
  const inDigest = new Set(codeFiles());
  expect([...seen].filter(file => !beside.test(file) && !inDigest.has(file))).toEqual([]);
  expect(seen.size).toBeGreaterThan(50);
});

test('it names the version, and is the same every time', () => {
  expect(codeDigest()).toMatch(/^\d+\.\d+\.\d+ [0-9a-f]{64}$/);
  expect(codeDigest()).toBe(codeDigest());
});
