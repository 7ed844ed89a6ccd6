import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Scores } from '../../../trainer/evaluate.ts';
import { metricsOf } from '../../../trainer/metrics/counts.ts';
import { auditFiles } from '../../../trainer/report/audit/audit.ts';
import { cellLines, gridParameters, makePaperTables, methodOf, renderCsv, renderMarkdown } from '../../../trainer/report/paper.ts';

/** tp of 10,000 foreground and 10,000 background pixels, no false positives: recall and Jaccard tp / 10,000, specificity 1. */
const scores = (tp: number): Scores => {
  const pooled = metricsOf({ tp, fp: 0, fn: 10_000 - tp, tn: 10_000 });
  return { images: 1, loss: 0, pooled, perImage: { ...pooled, jaccard: 0.5 }, auc: { auc: 1, halfWidth: 0 } };
};

const entries = [
  { table: '3', dataset: 'drive', method: 'FocusNet (ALL)', network: 'FocusNet', scores: [scores(8000), scores(6000)] },
  { table: '3', dataset: 'isic2018', method: 'U-Net (JI)', network: 'U-Net', scores: [scores(9000)] },
  { table: '3', dataset: 'isic2018', method: 'FocusNet (ALL)', network: 'FocusNet', scores: [] },
  { table: '4', dataset: 'isic2018', method: 'FocusNet (ALL)', network: 'FocusNet', scores: [scores(5000)] },
] as const;

const cell = (epsilon: number, omega: number, gamma: number) => ({
  table: '1' as const,
  dataset: 'isic2018',
  method: 'FocusNet (ALL)',
  network: 'FocusNet',
  parameters: { epsilon, omega, gamma },
});

describe("the paper's tables", () => {
  test('have its columns and rows in its order, pooled and per image', () => {
    const tables = makePaperTables(entries);
    expect(tables.map(({ table, aggregation }) => [table, aggregation])).toEqual([
      ['3', 'pooled'],
      ['3', 'perImage'],
      ['4', 'pooled'],
      ['4', 'perImage'],
    ]);
    expect(tables[0].columns).toEqual([
      'Method',
      ...['ISIC 2018 Recall', 'ISIC 2018 Specificity', 'ISIC 2018 Jaccard'],
      ...['DRIVE F-Measure', 'DRIVE Recall', 'DRIVE Jaccard'],
    ]);
    expect(tables[0].rows.map(([name]) => name)).toEqual(['U-Net (JI)', 'FocusNet (ALL)']);
    expect(tables[2].columns).toEqual(['Method', 'ISIC 2018 Dice', 'ISIC 2018 Precision', 'ISIC 2018 Recall']);
  });

  test('say of each cell ours, how often, what the paper prints, and the difference', () => {
    const [pooled, perImage, table4] = makePaperTables(entries);
    const linesOf = ({ rows }: typeof pooled) => rows.map(([, cells]) => cells.map(one => cellLines(one).join('|')));
    // Recall 0.8 and 0.6: mean 70, deviation sqrt(2 x 10^2) = 14.14. F 16/18 and 12/16: mean 81.94, deviation 13.89 / sqrt 2 = 9.82.
    expect(linesOf(pooled)).toEqual([
      [
        '90.00 (1)|paper 78.62|+11.38',
        '100.00 (1)|paper 85.21|+14.79',
        '90.00 (1)|paper 72.96|+17.04',
        '-|paper 78.46',
        '-|paper 73.28',
        '-|paper 65.37',
      ],
      [
        ...['-|paper 86.62', '-|paper 92.78', '-|paper 82.84'],
        ...[
          '81.94 ± 9.82 (2)|paper 82.17|-0.23 within',
          '70.00 ± 14.14 (2)|paper 76.13|-6.13 within',
          '70.00 ± 14.14 (2)|paper 70.96|-0.96 within',
        ],
      ],
    ]);
    expect(linesOf(perImage)[0][2]).toBe('50.00 (1)|paper 72.96|-22.96');
    expect(linesOf(table4)).toEqual([['66.67 (1)|paper 87.14|-20.47', '100.00 (1)|paper 88.11|+11.89', '50.00 (1)|paper 90.47|-40.47']]);
  });

  test('hold a difference against the spread of our runs, of as many of the paper, and its rounding', () => {
    // 82.4 and 82.6: sd 0.1414; t(1) = 12.706; sqrt(1/2 + 1/3) = 0.9129: 1.640 and half a unit, 0.005. The paper has 82.43 of 3 runs.
    const near = { ...cell(0.5, 10, 0.1), scores: [scores(8240), scores(8260)] };
    const [{ rows }] = makePaperTables([near]);
    const { compared } = rows[0][1][0]!;
    expect(compared).toMatchObject({ difference: expect.closeTo(0.0007, 8), isWithinNoise: true });
    expect(compared!.limit).toBeCloseTo(0.0164 + 0.00005, 4);
    const far = { ...near, scores: [scores(8440), scores(8460)] };
    expect(makePaperTables([far])[0].rows[0][1][0]!.compared).toMatchObject({ isWithinNoise: false });
  });

  test('1 and 2 are grids, with the baseline of their caption below', () => {
    const baseline = { table: '1' as const, dataset: 'isic2018', method: 'FocusNet (DL)', network: 'U-Net', scores: [scores(8000)] };
    const [table1] = makePaperTables([
      { ...cell(0.5, 10, 0.1), scores: [scores(8200)] },
      { ...cell(2, 6, 0.1), scores: [scores(8100)] },
      baseline,
    ]);
    expect(table1.columns).toEqual(['epsilon \\ omega', '6', '10']);
    expect(table1.rows.map(([name, cells]) => [name, ...cells.map(one => cellLines(one).join('|'))])).toEqual([
      ['0.5', '', '82.00 (1)|paper 82.43|-0.43'],
      ['2', '81.00 (1)|paper 81.75|-0.75', ''],
      ['FocusNet (DL), with U-Net, the baseline', '80.00 (1)|paper 80.27|-0.27', ''],
    ]);
    const [table2] = makePaperTables([{ ...cell(0.5, 10, 0.3), table: '2', scores: [scores(8200)] }]);
    expect([table2.columns, table2.rows[0][0], cellLines(table2.rows[0][1][0])]).toEqual([
      ['gamma', '0.3'],
      'Jaccard',
      ['82.00 (1)', 'paper 80.97', '+1.03'],
    ]);
  });

  test('are written as Markdown that says what they are, and as CSV that says it in every line', () => {
    const tables = makePaperTables([entries[3]]);
    const markdown = renderMarkdown(tables, ['**Tier smoke.**', 'A note.']);
    expect(markdown).toContain("# The paper's tables\n\n**Tier smoke.**\n\nA note.\n");
    expect(markdown).toContain(
      '| FocusNet (ALL) | 66.67 (1)<br>paper 87.14<br>-20.47 | 100.00 (1)<br>paper 88.11<br>+11.89 | 50.00 (1)<br>paper 90.47<br>-40.47 |',
    );
    const lines = renderCsv(tables, 'smoke').split('\n');
    expect(lines[0]).toBe(
      'tier,table,aggregation,dataset,method,network,epsilon,omega,gamma,metric,value,sd,runs,paper,paper_runs,difference,limit,within_noise',
    );
    expect(lines[2]).toBe('smoke,4,pooled,isic2018,FocusNet (ALL),FocusNet,,,,precision,100,,1,88.11,3,11.89,,');
    expect(lines).toHaveLength(8);
  });

  test('pass an audit: what was pooled agrees', () => {
    const folder = mkdtempSync(join(tmpdir(), 'segfleet-tables-'));
    const file = join(folder, 'tables.csv');
    const pooled = makePaperTables([entries[0], entries[1], entries[3]]).filter(({ aggregation }) => aggregation === 'pooled');
    writeFileSync(file, renderCsv(pooled, 'smoke'));
    expect(auditFiles([file])).toMatchObject({ violations: 0, entries: 3 });
    rmSync(folder, { recursive: true });
  });

  test('have names for the networks and losses of the paper, and for no others', () => {
    expect([methodOf('unet', 'jaccard'), methodOf('focusnet', 'adaptiveLog')]).toEqual(['U-Net (JI)', 'FocusNet (ALL)']);
    expect([methodOf('plainUnet', 'dice'), methodOf('unet', 'focalTversky')]).toEqual([undefined, undefined]);
    expect(gridParameters({ name: 'dice', smooth: 1, pool: 'batch', classes: 'sum' })).toBeUndefined();
  });
});
