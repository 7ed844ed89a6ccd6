import { describe, expect, test } from 'vitest';
import type { Scores } from '../../../trainer/evaluate.ts';
import { metricsOf } from '../../../trainer/metrics/counts.ts';
import { makePaperTables, methodOf, renderCsv, renderMarkdown } from '../../../trainer/report/paper.ts';

/** tp of 10 foreground and 10 background pixels, no false positives: recall tp/10, specificity 1, Jaccard tp/10. */
const scores = (tp: number): Scores => {
  const pooled = metricsOf({ tp, fp: 0, fn: 10 - tp, tn: 10 });
  return { images: 1, loss: 0, pooled, perImage: { ...pooled, jaccard: 0.5 }, auc: { auc: 1, halfWidth: 0 } };
};

const entries = [
  { table: '3', dataset: 'drive', method: 'FocusNet (ALL)', scores: [scores(8), scores(6)] },
  { table: '3', dataset: 'isic2018', method: 'U-Net (JI)', scores: [scores(9)] },
  { table: '3', dataset: 'isic2018', method: 'FocusNet (ALL)', scores: [] },
  { table: '4', dataset: 'isic2018', method: 'FocusNet (ALL)', scores: [scores(5)] },
] as const;

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
    expect(tables[2].columns).toEqual(['Method', 'ISIC 2018 Dice', 'ISIC 2018 Precision', 'ISIC 2018 Recall']);
  });

  test('are in percent: one run as it is, several as mean and standard deviation, none as a dash', () => {
    const [pooled, perImage, table4] = makePaperTables(entries);
    // Recall 0.8 and 0.6: mean 70, deviation sqrt(2 x 10^2) = 14.14. F 16/18 and 12/16: mean 81.94, deviation 13.89 / sqrt 2 = 9.82.
    expect(pooled.rows).toEqual([
      ['U-Net (JI)', '90.00', '100.00', '90.00', '-', '-', '-'],
      ['FocusNet (ALL)', '-', '-', '-', '81.94 ± 9.82', '70.00 ± 14.14', '70.00 ± 14.14'],
    ]);
    expect(perImage.rows[0]).toEqual(['U-Net (JI)', '90.00', '100.00', '50.00', '-', '-', '-']);
    expect(table4.rows).toEqual([['FocusNet (ALL)', '66.67', '100.00', '50.00']]); // Dice 10/15
  });

  test('are written as Markdown and CSV', () => {
    const tables = makePaperTables([entries[3]]);
    expect(renderMarkdown(tables, 'A note.')).toBe(`# The paper's tables

A note.

## Table 4, pooled over all pixels

| Method | ISIC 2018 Dice | ISIC 2018 Precision | ISIC 2018 Recall |
| --- | ---: | ---: | ---: |
| FocusNet (ALL) | 66.67 | 100.00 | 50.00 |

## Table 4, mean over images

| Method | ISIC 2018 Dice | ISIC 2018 Precision | ISIC 2018 Recall |
| --- | ---: | ---: | ---: |
| FocusNet (ALL) | 66.67 | 100.00 | 50.00 |
`);
    expect(renderCsv(tables)).toBe(`table,aggregation,Method,ISIC 2018 Dice,ISIC 2018 Precision,ISIC 2018 Recall
4,pooled,FocusNet (ALL),66.67,100.00,50.00
4,perImage,FocusNet (ALL),66.67,100.00,50.00
`);
  });

  test('have names for the networks and losses of the paper, and for no others', () => {
    expect([methodOf('unet', 'jaccard'), methodOf('focusnet', 'adaptiveLog')]).toEqual(['U-Net (JI)', 'FocusNet (ALL)']);
    expect([methodOf('plainUnet', 'dice'), methodOf('unet', 'focalTversky')]).toEqual([undefined, undefined]);
  });
});
