/**
 * What each epoch has shown of a metric: from the log of the run and its events, and never more than a last word may have.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect, test } from 'vitest';
import type { LeadEvent } from '../../coordinator/lead.ts';
import { joined, mostReports, Reports, thinned } from '../../coordinator/objectiveReports.ts';
import { RunFolder } from '../../trainer/storage/runFolder.ts';
import { temporaryFolder } from '../tools/temporaryFolder.ts';

const epochOf = (epoch: number, jaccard: number | null, dice = jaccard) => ({
  ...{ event: 'epoch', epoch, step: 4 * epoch, loss: 1 },
  validation: { pooled: { jaccard, dice }, perImage: {}, loss: 2, auc: { auc: 0.5 } },
});
const event = (one: object) => one as LeadEvent;
const restored = event({ event: 'restored', step: 8, epoch: 2, written: '', scores: [] });

test('what was stored before is told again, what lies behind the checkpoint is not, and then what comes', async () => {
  await using folder = temporaryFolder('reports');
  const run = new RunFolder(folder.path);
  const lines = [epochOf(1, 0.5, 0.6), { event: 'checkpoint', step: 4, epoch: 1 }, epochOf(2, 0.4, 0.5)];
  mkdirSync(dirname(run.events), { recursive: true });
  writeFileSync(run.events, lines.map(line => `${JSON.stringify(line)}\n`).join(''));
  const reports = new Reports(run, 'val/dice');
  expect(reports.told).toEqual({ metric: 'val/dice', reports: [] });
  reports.take(restored);
  reports.take(event(epochOf(2, Number.NaN, Number.NaN)));
  reports.take(event({ event: 'checkpoint', step: 8, epoch: 2 }));
  expect(reports.told.reports).toEqual([
    { epoch: 1, step: 4, value: 0.6, jaccard: 0.5 },
    { epoch: 2, step: 8 },
  ]);
  expect(reports.last).toEqual(reports.told);
});

test('a metric that no run reports is refused before anything is done', async () => {
  await using folder = temporaryFolder('reports');
  expect(() => new Reports(new RunFolder(folder.path), 'validation/dize')).toThrow('did you mean validation/dice?');
});

test('of a long run the last word has what the best values follow from, in 4096 bytes', async () => {
  await using folder = temporaryFolder('reports');
  const reports = new Reports(new RunFolder(folder.path), 'validation/loss');
  const values = Array.from({ length: 2000 }, (_, i) => Math.sin(i) / 3 + i / 4001.123);
  for (const [i, value] of values.entries())
    reports.take(event({ ...epochOf(i + 1, value), validation: { ...epochOf(1, value).validation, loss: -value } }));
  const { reports: last } = reports.last;
  expect(Buffer.byteLength(JSON.stringify(reports.last))).toBeLessThan(3500);
  expect(reports.told.reports.length).toBeLessThanOrEqual(mostReports);
  expect(last.at(-1)!.epoch).toBe(2000);
  expect(Math.max(...last.map(({ jaccard }) => jaccard!))).toBe(Math.max(...values));
  expect(Math.min(...last.map(({ value }) => value!))).toBe(-Math.max(...values));
});

test('of an epoch that was told twice the newer counts; records alone are kept where all are too many', async () => {
  const report = (epoch: number, value: number, jaccard = 0) => ({ epoch, step: epoch, value, jaccard });
  expect(joined([report(1, 1), report(3, 3)], [report(2, 2), report(3, 4)])).toEqual([report(1, 1), report(2, 2), report(3, 4)]);
  const all = [report(1, 5), report(2, 4), report(3, 6), report(4, 1, 0.5), report(5, 2)];
  expect(thinned(all, 'higher', 5)).toBe(all);
  expect(thinned(all, 'higher', 4).map(({ epoch }) => epoch)).toEqual([1, 3, 4, 5]);
  expect(thinned(all, 'lower', 4).map(({ epoch }) => epoch)).toEqual([1, 2, 4, 5]);
});
