/**
 * Sections whose numbers can be told beforehand; those of whole runs are in integration/report.test.ts.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Scores } from '../../../trainer/evaluate.ts';
import type { Arm, Study } from '../../../trainer/report/arms.ts';
import { makePaperTables, renderCsv, type TableEntry } from '../../../trainer/report/paper.ts';
import type { ScoredRun } from '../../../trainer/report/reportedRun.ts';
import type { Part } from '../../../trainer/report/section.ts';
import { grid } from '../../../trainer/report/sections/grid.ts';
import { paper, readPaperTables } from '../../../trainer/report/sections/paper.ts';
import { sweep } from '../../../trainer/report/sections/sweep.ts';
import type { SweepRecord, TrialRecord } from '../../../trainer/sweep/sweepFolder.ts';
import { temporaryFolder } from '../../tools/temporaryFolder.ts';

const scoresOf = (jaccard: number) => {
  const metrics = { jaccard, dice: jaccard, f1: jaccard, precision: 0.5, recall: 0.5, specificity: 0.9, accuracy: 0.9 };
  return { images: 5, loss: 1, pooled: metrics, perImage: metrics, auc: { auc: 0.9, halfWidth: 0 } } satisfies Scores;
};

const shownIn = (part: Part | undefined): string[][] => {
  if (part?.kind !== 'table' && part?.kind !== 'heat') throw new Error('there is no table');
  return [
    part.table.columns.map(({ title }) => title),
    ...part.table.rows.map(row => row.map(({ shown, isBest }) => (isBest ? `*${shown}` : shown))),
  ];
};

describe('parameters against each other', () => {
  const runOf = (jaccard: number) => ({ scored: { evaluation: { scores: scoresOf(jaccard) } } }) as ScoredRun;
  const arm = (settings: Record<string, unknown>, ...jaccards: number[]): Arm => ({
    name: JSON.stringify(settings),
    style: 0,
    runs: jaccards.map(runOf),
    settings: new Map(Object.entries(settings)),
  });
  const studyOf = (arms: Arm[]): Study => ({
    id: 's',
    title: 's',
    arms,
    varied: [...new Set(arms.flatMap(({ settings }) => [...settings.keys()]))],
  });
  const cells = [
    arm({ 'loss.omega': 10, 'loss.epsilon': 0.5 }, 0.7, 0.8),
    arm({ 'loss.omega': 2, 'loss.epsilon': 0.5 }, 0.6),
    arm({ 'loss.omega': 2, 'loss.epsilon': 0.1 }, 0.5),
  ];

  test('stand in the order of their numbers, with what is missing left open and the best of all marked', () => {
    expect(shownIn(grid(studyOf(cells))!.parts[0])).toEqual([
      ['epsilon \\ omega', '2', '10'],
      ['0.1', '0.500', '–'],
      ['0.5', '0.600', '*0.750 ± 0.071'], // sqrt(2 * 0.05^2)
    ]);
  });

  test('are laid out as the sweep asks', () => {
    const axes = { rows: 'loss.omega', cols: 'loss.epsilon' };
    expect(shownIn(grid(studyOf(cells), axes)!.parts[0])[0]).toEqual(['omega \\ epsilon', '0.1', '0.5']);
  });

  test.each([
    ['one that varies', cells.slice(0, 2)],
    ['values drawn at random, of which none meet', [1, 2, 3, 4, 5].map(k => arm({ 'loss.omega': k, 'loss.epsilon': k / 7 }, 0.5))],
    ['words', [arm({ 'loss.name': 'dice', 'model.name': 'unet' }, 0.5), arm({ 'loss.name': 'focal', 'model.name': 'focusnet' }, 0.5)]],
  ])('are no table of %s', (_, arms) => {
    expect(grid(studyOf(arms))).toBeUndefined();
  });
});

describe("the paper's tables", () => {
  test('are those that a reproduction wrote, and say of which tier', async () => {
    await using folder = temporaryFolder('paper-tables');
    const at = (epsilon: number, omega: number, ...jaccards: number[]): TableEntry => ({
      table: '1',
      dataset: 'isic2018',
      method: 'FocusNet (ALL)',
      network: 'U-Net',
      parameters: { epsilon, omega, gamma: 0.1 },
      scores: jaccards.map(scoresOf),
    });
    const baseline: TableEntry = { table: '1', dataset: 'isic2018', method: 'FocusNet (DL)', network: 'FocusNet', scores: [scoresOf(0.7)] };
    const tables = makePaperTables([at(0.3, 6, 0.81, 0.83), at(0.3, 8, 0.8), at(0.5, 6), baseline]);
    writeFileSync(join(folder.path, 'tables.csv'), renderCsv(tables, 'smoke'));
    const { parts } = paper(readPaperTables([folder.path]))!;
    expect(parts[1]).toMatchObject({
      table: { title: "Table 1 of FocusNet (ALL), with U-Net, pooled over all pixels; tier smoke: NOT the paper's size" },
    });
    const [head, first, second, last] = shownIn(parts[1]);
    expect(head).toEqual(['epsilon \\ omega', '6', '8']);
    expect(first).toEqual([
      '0.3',
      expect.stringMatching(/^82.00 ± 1.41 \(2\); paper 81.43; \+0.57 within noise$/),
      expect.stringMatching(/^80.00 \(1\); paper 81.48; −1.48$/),
    ]);
    expect(second).toEqual(['0.5', expect.stringMatching(/^–; paper/), '']);
    expect(last).toEqual(['FocusNet (DL), the baseline', expect.stringMatching(/^70.00 \(1\); paper 80.27; −10.27$/), '']);
  });

  test('are not there where nothing was reproduced, nor of other files of that name', async () => {
    await using folder = temporaryFolder('paper-tables');
    writeFileSync(join(folder.path, 'tables.csv'), 'a,b\n1,2\n');
    expect(paper(readPaperTables([folder.path, '/nowhere']))).toBeUndefined();
  });
});

describe('a sweep', () => {
  const trial = (
    number: number,
    parameters: Record<string, unknown>,
    value: number | undefined,
    more: Partial<TrialRecord> = {},
  ): TrialRecord => ({
    number,
    parameters,
    state: 'succeeded',
    ...(value !== undefined && { value }),
    n: value === undefined ? 0 : 1,
    runs: [{ replicate: 1, folder: `trials/${number}`, state: 'succeeded', epochs: 4 }],
    ...more,
  });
  const recordOf = (trials: TrialRecord[], best?: number) =>
    ({
      name: 'search',
      status: 'partial',
      reason: 'one run failed.',
      best,
      counts: { waiting: 0, running: 0, paused: 0, succeeded: trials.length - 1, stopped: 0, failed: 1 },
      spec: {
        objective: { metric: 'validation/jaccard', goal: 'maximize' },
        method: 'grid',
        seed: 0,
        replicates: { count: 1, vary: ['seed'] },
        parameters: { 'loss.omega': { values: [1, 2] }, 'loss.name': { values: ['dice', 'focal'] } },
      },
      trials,
    }) as unknown as SweepRecord;

  test('shows every trial, the best marked, and what matters: here the loss alone', () => {
    const trials = [
      trial(0, { 'loss.omega': 1, 'loss.name': 'dice' }, 0.5),
      trial(1, { 'loss.omega': 1, 'loss.name': 'focal' }, 0.7),
      trial(2, { 'loss.omega': 2, 'loss.name': 'dice' }, 0.5),
      trial(3, { 'loss.omega': 2, 'loss.name': 'focal' }, 0.7),
    ];
    const { parts } = sweep(recordOf(trials, 1), 0);
    expect(parts[0]).toMatchObject({ text: { text: expect.stringContaining('The sweep is partial: one run failed.') } });
    expect(shownIn(parts[1]).slice(0, 3)).toEqual([
      ['Trial', 'omega', 'loss', 'validation/jaccard', 'Runs', 'Epochs', 'State'],
      ['0', '1', 'dice', '0.5000', '1', '4', 'succeeded'],
      ['1', '1', 'focal', '*0.7000', '1', '4', 'succeeded'],
    ]);
    expect(shownIn(parts[2])).toEqual([
      ['Parameter', 'Share of variance'],
      ['loss', '100 %'],
      ['omega', '0 %'],
      ['loss and omega together', '0 %'],
    ]);
  });

  test('says so where nothing can be told of its parameters', () => {
    const { parts } = sweep(recordOf([trial(0, { 'loss.omega': 1 }, undefined, { state: 'failed' })]), 0);
    expect(shownIn(parts[1])[1]).toEqual(['0', '1', '–', '0', '4', 'failed']);
    expect(parts[2]).toMatchObject({ text: { text: expect.stringContaining('cannot be told from these trials') } });
  });
});
