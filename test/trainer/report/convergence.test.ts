/**
 * Run folders are written here as training writes them: a record, and events.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { branchNote, convergenceCsv, convergenceOf, convergenceTable } from '../../../trainer/report/convergence.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-convergence-'));
afterAll(() => rmSync(folder, { recursive: true }));

function run(name: string, jaccards: readonly number[], logShare?: number): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, 'run.json'), JSON.stringify({ status: 'succeeded', logShare }));
  const events = jaccards.map((jaccard, i) => JSON.stringify({ event: 'epoch', epoch: i + 1, validation: { pooled: { jaccard } } }));
  // A line that was being written at a kill is skipped.
  writeFileSync(join(path, 'metrics.ndjson'), `${['{"event":"start"}', ...events, '{"event":"ep'].join('\n')}\n`);
  return path;
}

test('epochs until within 0.05, 0.02 and 0.01 of the best, how restless the second half was, and the largest fall', () => {
  const found = convergenceOf(run('steady', [0.5, 0.76, 0.7, 0.785, 0.8, 0.795], 0.25));
  expect(found).toEqual({
    epochs: 6,
    bestEpoch: 5,
    bestJaccard: 0.8,
    within: [2, 4, 5], // at least 0.75, 0.78, 0.79
    restlessness: expect.closeTo((0.015 + 0.005) / 2, 12), // 0.785 -> 0.8 -> 0.795
    largestFall: expect.closeTo(0.06, 12),
    logShare: 0.25,
  });
});

test('the table has means over runs, and dashes where there is nothing to say; the CSV has every run and says of which size it is', () => {
  const found = [
    {
      dataset: 'isic2018',
      method: 'U-Net (ALL)',
      parameters: '',
      runs: [convergenceOf(run('a', [0.5, 0.8], 0.5)), convergenceOf(run('b', [0.8, 0.7], 0))],
    },
    { dataset: 'isic2018', method: 'U-Net (DL)', parameters: '', runs: [convergenceOf(run('c', [0.6]))] },
    { dataset: 'drive', method: 'U-Net (DL)', parameters: '', runs: [] },
  ];
  expect(convergenceTable(found).rows).toEqual([
    ['isic2018', 'U-Net (ALL)', '2', '1.5', '1.5', '1.5', '1.5', '-', '0.0500', '25.0 %'],
    ['isic2018', 'U-Net (DL)', '1', '1.0', '1.0', '1.0', '1.0', '-', '0.0000', '-'],
  ]);
  const lines = convergenceCsv(found, 'smoke').trim().split('\n');
  expect(lines).toHaveLength(4);
  expect(lines[1]).toBe('smoke,isic2018,U-Net (ALL),,1,2,2,0.8,2,2,2,,0,0.5');
  expect(branchNote(found)).toMatch(/^In 1 of 2 trainings with ALL no step was in its logarithmic branch/);
  expect(branchNote(found.slice(1))).toBeUndefined();
});
