import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { adaptiveLogAt } from '../../../trainer/losses/adaptiveLog.ts';
import { lossSchema } from '../../../trainer/losses/catalogue.ts';
import { finishedRuns, paperLoss, wrappedLoss, writeLossFigure, writeMeasuredLosses } from '../../../trainer/report/paperFigures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-figures-'));
afterAll(() => rmSync(folder, { recursive: true }));
const read = (file: string): Record<string, string>[] => parse(readFileSync(file, 'utf8'), { columns: true });

describe('Figure 1', () => {
  test('is the loss and its slope by the formula: 20 at 0, 16.67 to 1 at gamma, and 2.723 at the end', async () => {
    const [svg, csv] = await writeLossFigure(folder);
    const rows = read(csv).map(({ dice_loss, value, slope }) => [dice_loss, value, slope].map(Number));
    expect(rows).toHaveLength(1001);
    expect(rows[0]).toEqual([0, 0, 20]);
    expect(rows[99][2]).toBeCloseTo(10 / 0.599, 10);
    expect(rows[100]).toEqual([0.1, expect.closeTo(1.8232, 4), 1]);
    expect(rows[1000][1]).toBeCloseTo(2.7232, 4);
    expect(readFileSync(svg, 'utf8')).toContain('gamma: slope 16.67 to 1');
  });

  test('what ALL was of is its inverse', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom('paper' as const, 'slope' as const), (dice, continuity) => {
        const options = { ...paperLoss, continuity };
        expect(wrappedLoss(adaptiveLogAt(dice, options).value, options)).toBeCloseTo(dice, 9);
      }),
    );
  });

  test('shows where the steps of finished runs were: of ALL with its parameters and of Dice, by job', async () => {
    const out = join(folder, 'out');
    const write = (sweep: string, loss: object, runs: readonly (readonly number[])[], state = 'succeeded') => {
      const records = runs.map((losses, i) => {
        const path = join(out, sweep, 'trials', `0000-r${i + 1}`);
        mkdirSync(path, { recursive: true });
        writeFileSync(
          join(path, 'run.json'),
          JSON.stringify({
            job: { spec: { loss: lossSchema.parse(loss), data: { size: { height: 48, width: 64 } }, training: { epochs: 30 } } },
          }),
        );
        writeFileSync(join(path, 'metrics.ndjson'), losses.map(value => `${JSON.stringify({ event: 'step', loss: value })}\n`).join(''));
        return { folder: join('trials', `0000-r${i + 1}`), state };
      });
      writeFileSync(join(out, sweep, 'sweep.json'), JSON.stringify({ name: sweep, trials: [{ parameters: {}, runs: records }] }));
    };
    const all = (dice: number) => adaptiveLogAt(dice, paperLoss).value;
    const wrapped = { name: 'adaptiveLog', of: { name: 'dice' }, gamma: 0.1, omega: 10, epsilon: 0.5 };
    write('all', wrapped, [
      [all(0.55), all(0.09)],
      [all(0.551), all(0.551)],
    ]);
    write('dice', { name: 'dice' }, [[0.31]]);
    write('other-omega', { ...wrapped, omega: 12 }, [[1]]);
    write('per-image', { ...wrapped, pool: 'image' }, [[1]]);
    write('unfinished', { name: 'dice' }, [[0.5]], 'running');
    expect(finishedRuns(out).map(({ name }) => name)).toEqual(['all', 'all', 'dice', 'other-omega', 'per-image']);
    const [svg, csv] = await writeMeasuredLosses(out, finishedRuns(out));
    const filled = read(csv).filter(({ steps }) => steps !== '0');
    expect(filled.map(({ job, from, steps, share }) => [job, from, steps, share])).toEqual([
      ['all, 48x64, 30 epochs', '0.08', '1', '0.25'],
      ['all, 48x64, 30 epochs', '0.54', '3', '0.75'],
      ['dice, 48x64, 30 epochs', '0.3', '1', '1'],
    ]);
    expect(readFileSync(svg, 'utf8')).toContain('dice, 48x64, 30 epochs');
    expect(await writeMeasuredLosses(join(folder, 'none'), [])).toEqual([]);
  });
});
