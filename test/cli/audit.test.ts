/**
 * `segfleet audit` as a user has it.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { segfleet } from '../tools/cli.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-audit-cli-'));
const at = (name: string) => join(folder, name);
afterAll(() => rmSync(folder, { recursive: true }));

test('without files it audits the paper, whose violations end in exit code 12; --json has every finding', async () => {
  const [text, json] = await Promise.all([segfleet(['audit']), segfleet(['audit', '--json'])]);
  expect(text).toMatchObject({ code: 12, stderr: "error: the paper's tables and text: 5 violations, 29 remarks\n" });
  expect(text.stdout).toContain(
    'violation: table3.csv, line 5, U-Net (TL), drive, DRIVE F-measure / DRIVE jaccard\n  F 79.89 and Jaccard 66.18: ',
  );
  expect(text.stdout).toContain('and 8 more such remarks (all with --json)');
  expect(text.stdout).toContain('72 (table1) + 15 (table2) + 3 (baseline) + 120 (table3) + 3 (table4) = 213.');
  expect(json.code).toBe(12);
  const { error } = JSON.parse(json.stdout);
  expect(error).toMatchObject({ code: 'checkFailed', exitCode: 12, details: { violations: 5, remarks: 29 } });
  expect(error.details.findings).toHaveLength(34);
});

test('sound results pass, with what they say', async () => {
  writeFileSync(at('good.csv'), 'method,jaccard,dice,runs\na,0.667 ± 0.010,0.800 ± 0.010,3\nb,0.605 ± 0.010,0.754 ± 0.010,3\n');
  const result = await segfleet(['audit', at('good.csv'), '--aggregation', 'pooled']);
  expect(result).toMatchObject({ code: 0, stderr: '' });
  expect(result.stdout.trim()).toBe('1 files, 2 rows, 0 violations, 0 remarks');
});

test.each<[string, string[], number, RegExp]>([
  ['a cell that is no number', ['bad.csv'], 3, /^error: .*bad\.csv, line 2, column jaccard: "high" is no number; a score is expected/],
  ['a file that is not there', ['none.csv'], 4, /^error: results .*none\.csv: no such file or folder$/],
  [
    'a share that is none',
    ['bad.csv', '--foreground', 'isic=21'],
    2,
    /^error: --foreground isic=21: name=share is expected, the share between 0 and 1/,
  ],
  ['options of files without files', ['--unit', 'percent'], 2, /^error: --unit, --aggregation and --foreground are of files; name some/],
])('%s is refused in one sentence', async (_, [first, ...rest], code, sentence) => {
  writeFileSync(at('bad.csv'), 'method,jaccard\na,high\n');
  const result = await segfleet(['audit', first.startsWith('--') ? first : at(first), ...rest]);
  expect(result.stderr.trim()).toMatch(sentence);
  expect(result.code).toBe(code);
});
