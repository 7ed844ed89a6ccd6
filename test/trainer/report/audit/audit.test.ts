/**
 * Each rule finds what breaks it and leaves alone what does not; the paper's own tables give what was computed by hand.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { metricsOf } from '../../../../trainer/metrics/counts.ts';
import { auditFiles, auditPaper } from '../../../../trainer/report/audit/audit.ts';
import { readPrinted } from '../../../../trainer/report/audit/printed.ts';
import { parseResults, type ReadOptions } from '../../../../trainer/report/audit/results.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-audit-'));
afterAll(() => rmSync(folder, { recursive: true }));

function auditOf(csv: string, options: Parameters<typeof auditFiles>[1] = {}) {
  const file = join(folder, 'results.csv');
  writeFileSync(file, csv);
  return auditFiles([file], options).findings.map(({ severity, rule, line, columns, sentence }) => ({
    severity,
    rule,
    line,
    columns,
    sentence,
  }));
}

const rulesOf = (csv: string, options?: Parameters<typeof auditFiles>[1]) =>
  auditOf(csv, options).map(({ severity, rule }) => `${severity} ${rule}`);

describe('numbers are all that are rounded to them', () => {
  test.each([
    ['78.62', 78.615, 78.625],
    ['0.8', 0.75, 0.85],
    ['81', 80.5, 81.5],
    ['8.1e1', 80.5, 81.5],
  ])('%s', (text, low, high) => {
    expect(readPrinted(text)).toMatchObject({ text, value: Number(text), low: expect.closeTo(low, 9), high: expect.closeTo(high, 9) });
  });

  test.each(['', 'x', '1,5', '1.5.2', 'NaN', '0x10', '∞'])('%j is none', text => expect(readPrinted(text)).toBeUndefined());
});

describe('tables are read', () => {
  test('wide, with data sets, deviations and runs; percent and shares alike', () => {
    const [a, b] = parseResults('method,ISIC recall [%],ISIC recall sd,DRIVE F-Measure,DRIVE runs\nx,80.0,1.5,75.00 ± 0.50,2\n', 'f');
    expect(a).toMatchObject({
      dataset: 'isic',
      keys: { method: 'x' },
      scores: { recall: { value: 0.8, sd: 0.015, line: 2 } },
      runs: undefined,
    });
    expect(b).toMatchObject({ dataset: 'drive', scores: { dice: { value: 0.75, sd: 0.005 } }, runs: 2 });
    const [share] = parseResults('method,jaccard\nx,0.8\n', 'f');
    expect(share.scores.jaccard).toMatchObject({ value: 0.8, low: 0.75, high: expect.closeTo(0.85) });
  });

  test('long: the rows of one method are one entry', () => {
    const entries = parseResults(
      'loss,metric,value,sd,aggregation\na,iou,0.70,0.01,pooled\na,Dice score,0.82,0.01,pooled\nb,iou,0.71,,per image\n',
      'f',
    );
    expect(entries.map(({ keys, aggregation, scores }) => [keys.loss, aggregation, Object.keys(scores)])).toEqual([
      ['a', 'pooled', ['jaccard', 'dice']],
      ['b', 'perImage', ['jaccard']],
    ]);
    expect(entries[0].scores.dice).toMatchObject({ line: 3, sd: 0.01 });
  });

  test('what training writes: the columns of results.csv', () => {
    const [pooled, perImage] = parseResults('epoch,validation_jaccard_pooled,validation_jaccard_per_image\n1,0.7,0.6\n', 'f');
    expect([pooled, perImage].map(({ dataset, aggregation }) => [dataset, aggregation])).toEqual([
      ['validation', 'pooled'],
      ['validation', 'perImage'],
    ]);
  });

  const options: ReadOptions = {};
  test.each([
    ['method,jaccard\nx,abc\n', 'f, line 2, column jaccard: "abc" is no number; a score is expected, such as 81.43 or 81.43 ± 0.31'],
    ['method,jaccard\nx,1,2\n', 'f, line 2: the row has more or fewer cells than there are columns; quote cells with commas in them'],
    [
      'method,height\nx,1\n',
      'f, line 1: no column is a score; known are jaccard, dice, precision, recall, specificity, accuracy, auc, or the two columns metric and value',
    ],
    ['method,jaccard\n', 'f has no row; a line of column names and rows of results are expected'],
    [
      '# a comment\nmethod,jaccard,runs\nx,0.5,two\n',
      'f, line 3, column runs: "two" is no number of runs; a whole number from 1 is expected',
    ],
    ['jaccard,aggregation\n0.5,macro\n', 'f, line 2, column aggregation: "macro" is not known; pooled or perImage is expected'],
  ])('%j is refused', (csv, sentence) => expect(() => parseResults(csv, 'f', options)).toThrow(sentence));

  test('a broken quote is refused with its line', () => {
    expect(() => parseResults('method,jaccard\n"x,0.5\n', 'f')).toThrow(/^f, line \d+.*: this is no readable CSV/);
  });
});

describe('a rule finds what breaks it, and only that', () => {
  test.each<[string, string, string[], Parameters<typeof auditFiles>[1]?]>([
    ['a score above 1', 'jaccard,recall\n1.2,0.5\n0.4,0.5\n', ['violation range']],
    ['a score above 100', 'jaccard\n120.0\n50.0\n', ['violation range']],
    ['one that is rounded to 1', 'jaccard\n1.00\n', []],
    // F 0.8: J = 0.8 / 1.2 = 0.667.
    ['a mean Jaccard below that of the mean F', 'f1,jaccard\n0.800,0.660\n', ['violation jaccardOfDice']],
    ['one within rounding', 'f1,jaccard\n0.80,0.66\n', []],
    ['a Jaccard above Dice', 'dice,jaccard\n0.80,0.82\n', ['violation jaccardOfDice']],
    ['a Jaccard above that of F, perhaps a mean', 'dice,jaccard\n0.80,0.70\n', ['remark jaccardOfDice']],
    ['the same, said to be pooled', 'dice,jaccard\n0.80,0.70\n', ['violation jaccardOfDice'], { aggregation: 'pooled' }],
    ['the same, said to be a mean over images', 'dice,jaccard\n0.80,0.70\n', [], { aggregation: 'perImage' }],
    // Two runs of F 0.7 and 0.9: J 0.5385 and 0.8182, mean 0.6783 = 0.6667 + 0.0117; the bound allows 4 sd^2.
    ['pooled scores averaged over runs that differ', 'dice,jaccard,runs\n0.800 ± 0.141,0.678 ± 0.198,2\n', [], { aggregation: 'pooled' }],
    ['a Jaccard above recall', 'recall,jaccard\n0.78,0.80\n', ['violation jaccardBelowRecall']],
    ['a Jaccard above precision', 'precision,jaccard\n0.78,0.80\n', ['violation jaccardBelowRecall']],
    ['one below both', 'recall,jaccard\n0.80,0.80\n', []],
    // The largest F with recall 0.6 is 1.2 / 1.6 = 0.75.
    ['an F that recall does not allow', 'recall,f-measure\n0.60,0.77\n', ['violation diceBelowRecall']],
    ['one that it allows', 'recall,f-measure\n0.60,0.75\n', []],
    // Harmonic mean of 0.9 and 0.8: 1.44 / 1.7 = 0.847.
    ['an F above the harmonic mean', 'precision,recall,dice\n0.90,0.80,0.87\n', ['violation diceOfPrecisionAndRecall']],
    ['an F that no images average to', 'precision,recall,dice\n0.90,0.80,0.60\n', ['violation diceOfPrecisionAndRecall']],
    ['an F below the harmonic mean, perhaps a mean', 'precision,recall,dice\n0.90,0.80,0.83\n', ['remark diceOfPrecisionAndRecall']],
    ['the harmonic mean', 'precision,recall,dice\n0.90,0.80,0.85\n', [], { aggregation: 'pooled' }],
    ['a Jaccard that no images average to', 'precision,recall,jaccard\n0.90,0.80,0.60\n', ['violation jaccardOfPrecisionAndRecall']],
    // 1 / (1/0.9 + 1/0.8 - 1) = 0.7347.
    [
      'a Jaccard that is not pooled',
      'precision,recall,jaccard\n0.90,0.80,0.77\n',
      ['violation jaccardOfPrecisionAndRecall'],
      { aggregation: 'pooled' },
    ],
    ['one that is', 'precision,recall,jaccard\n0.90,0.80,0.73\n', [], { aggregation: 'pooled' }],
    // FP / P = 0.8 / 0.64 - 1 = 0.25. Background is (1 - share) / share of P: specificity 1 - 0.25 x 0.25 / 0.75 = 0.917 at a share of 0.25.
    [
      'specificity of another share',
      'recall,specificity,jaccard\n0.800,0.850,0.640\n',
      ['remark foregroundShare'],
      { foreground: new Map([['', 0.25]]) },
    ],
    ['that of the share', 'recall,specificity,jaccard\n0.800,0.917,0.640\n', [], { foreground: new Map([['', 0.25]]) }],
    [
      'two shares of one data set',
      'recall,specificity,jaccard\n0.800,0.917,0.640\n0.800,0.700,0.640\n',
      ['violation foregroundShare'],
      { aggregation: 'pooled' },
    ],
    ['one share', 'recall,specificity,jaccard\n0.800,0.917,0.640\n0.900,0.833,0.600\n', [], { aggregation: 'pooled' }],
    ['a baseline that is not there', 'loss,jaccard,baseline,baseline method\ndice,0.70,0.75,dice\n', ['remark baseline']],
    ['one that is', 'loss,jaccard,baseline,baseline method\ndice,0.75,0.75,dice\n', []],
    ['means without spread', 'loss,jaccard,runs\na,0.75,3\n', ['remark spread']],
    ['means with it', 'loss,jaccard,runs\na,0.75 ± 0.01,3\n', []],
    // Standard error sqrt(2 x 0.01^2 / 3) = 0.0082, t(4) = 2.776: 0.0227.
    ['a margin below the spread', 'loss,jaccard,runs\na,0.770 ± 0.010,3\nb,0.750 ± 0.010,3\n', ['remark margin']],
    ['one above', 'loss,jaccard,runs\na,0.773 ± 0.010,3\nb,0.750 ± 0.010,3\n', []],
    ['the best of several cells', 'loss.omega,jaccard\n1,0.70\n2,0.71\n3,0.72\n4,0.73\n', ['remark selection']],
    ['three cells', 'loss.omega,jaccard\n1,0.70\n2,0.71\n3,0.72\n', []],
  ])('%s', (_, csv, expected, options) => expect(rulesOf(csv, options)).toEqual(expected));

  test('with line, columns and numbers', () => {
    expect(auditOf('method,DRIVE F,DRIVE IoU\na,80.0,70.0\nb,80.0,60.0\n')[0]).toEqual({
      severity: 'violation',
      rule: 'jaccardOfDice',
      line: 3,
      columns: ['DRIVE F', 'DRIVE IoU'],
      sentence:
        'F 80.00 and Jaccard 60.00: F / (2 - F) is 66.67, and because it is convex no average of images, batches or runs has a smaller Jaccard',
    });
  });

  test('cells that are all equal are told as that', () => {
    const [{ rule, sentence }] = auditOf('gamma,jaccard\n1,0.70\n2,0.70\n3,0.70\n4,0.70\n');
    expect([rule, sentence]).toEqual(['selection', 'all 4 cells are 70.00: what was searched for changes nothing here']);
  });

  test('the spread of runs, where it is printed, is what the best cell is held against', () => {
    // Runs: sd 0.02, three of them: 0.0115 of a cell. The best of four equal cells is 1.0294 of that above their mean.
    const [{ sentence }] = auditOf('gamma,jaccard,runs\n1,0.700 ± 0.020,3\n2,0.710 ± 0.020,3\n3,0.720 ± 0.020,3\n4,0.750 ± 0.020,3\n');
    expect(sentence).toContain('75.00 is the best of 4 cells of mean 72.00, which spread by 1.15 by their runs');
    expect(sentence).toContain('The best of 4 equal cells is 1.19 above their mean by chance alone: 40 % of the 3.00 here.');
  });
});

const counts = fc.record({ tp: fc.nat(200), fp: fc.nat(200), fn: fc.nat(200), tn: fc.nat(200) });
const columns = ['jaccard', 'dice', 'precision', 'recall', 'specificity'] as const;

test('what real counts give is never a violation: pooled, and as means over images, rounded to any digits', () => {
  fc.assert(
    fc.property(fc.array(counts, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 6 }), (images, digits) => {
      const sum = images.reduce((a, b) => ({ tp: a.tp + b.tp, fp: a.fp + b.fp, fn: a.fn + b.fn, tn: a.tn + b.tn }));
      const pooled = metricsOf(sum);
      const each = images.map(metricsOf);
      const perImage = columns.map(name => each.reduce((total, metrics) => total + metrics[name], 0) / each.length);
      // A ratio of 0 to 0 is a rule, not a count.
      fc.pre(sum.tp > 0 && sum.tn > 0);
      const row = (how: string, values: readonly number[]) => [how, ...values.map(value => value.toFixed(digits))].join(',');
      const csv = [
        ['aggregation', ...columns].join(','),
        row(
          'pooled',
          columns.map(name => pooled[name]),
        ),
        row('perImage', perImage),
      ].join('\n');
      expect(rulesOf(`${csv}\n`, { unit: 'fraction' }).filter(found => found.startsWith('violation'))).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

describe("the paper's tables", () => {
  const audit = auditPaper();
  const found = (rule: string, row: RegExp) => audit.findings.filter(finding => finding.rule === rule && row.test(finding.row ?? ''));

  test('hold these violations and no others', () => {
    const violations = audit.findings.filter(({ severity }) => severity === 'violation');
    expect(violations.map(({ rule, row }) => `${rule}: ${row}`)).toEqual([
      'jaccardOfDice: U-Net (TL), drive',
      'jaccardBelowRecall: U-Net (FL), dsb 2018',
      'jaccardBelowRecall: U-Net (CL), dsb 2018',
      'claim: text, section 2',
      'claim: text, section 4',
    ]);
    expect(audit.violations).toBe(5);
  });

  test('U-Net (TL) on DRIVE: F 79.89 implies a Jaccard of at least 66.51, 66.18 is printed; the other eleven rows can be means', () => {
    expect(found('jaccardOfDice', /^U-Net \(TL\)/)[0]).toMatchObject({
      numbers: { dice: expect.closeTo(0.7989), jaccard: expect.closeTo(0.6618), implied: expect.closeTo(0.6651, 4) },
    });
    expect(found('jaccardOfDice', /drive$/).map(({ severity }) => severity)).toEqual(['violation', ...new Array(11).fill('remark')]);
    expect(found('jaccardOfDice', /^FocusNet \(ALL\)/)[0].sentence).toContain('pooled counts of F 82.17 have a Jaccard of 69.74');
  });

  test('the specificity of ISIC 2018 is not that of pooled pixels', () => {
    // FocusNet (ALL): FP / P = 86.62 / 82.84 - 1 = 0.0456; of 21.4 % foreground that is 1 - 0.0456 x 0.2723 = 98.8 %. U-Net (DL) is further off.
    const [finding] = found('foregroundShare', /isic 2018$/);
    expect(finding.row).toBe('U-Net (DL), isic 2018');
    expect(finding.sentence).toContain('(12 of 12 rows of isic 2018 differ)');
    expect(found('foregroundShare', /dsb 2018$/)).toHaveLength(1);
  });

  test('the baseline of Tables 1 and 2 appears nowhere', () => {
    const baselines = audit.findings.filter(({ rule }) => rule === 'baseline');
    expect(baselines.map(({ row }) => row)).toEqual(['all 24 rows', 'all 6 rows']);
    expect(baselines[0].sentence).toMatch(/is 80\.27, which appears nowhere: the tables have 71\.92 .*77\.82 .*64\.71 /);
  });

  test('the best of 24 cells: most of what it is above their mean is expected of chance', () => {
    const [table1] = audit.findings.filter(({ rule }) => rule === 'selection');
    // Cells: sd 0.31; the best of 24 standard normal numbers is 1.948 on average.
    expect(table1.numbers).toMatchObject({
      best: expect.closeTo(0.8243),
      cells: 24,
      noise: expect.closeTo(0.0031, 4),
      byChance: expect.closeTo(0.006, 4),
    });
    expect(table1.numbers.byChance / table1.numbers.above).toBeCloseTo(0.94, 2);
    expect(table1.numbers.byChance / table1.numbers.gain).toBeCloseTo(0.28, 2);
  });

  test('the text: C does not make the loss smooth, and ALL is not the best on ISIC 2018 with U-Net', () => {
    const claims = new Map(audit.claims.map(claim => [claim.quote, claim]));
    const smooth = [...claims.values()].find(({ quote }) => quote.includes('smooth'))!;
    expect(smooth).toMatchObject({
      verdict: 'contradicted',
      numbers: { below: expect.closeTo(16.667, 3), above: 1, atZero: 20, valueAtGamma: expect.closeTo(1.8232, 4) },
    });
    expect(smooth.because).toContain('C = -1.7232');
    const best = [...claims.values()].find(({ quote }) => quote.includes('best IoU'))!;
    expect(best).toMatchObject({
      verdict: 'contradicted',
      numbers: { 'margin U-Net': expect.closeTo(-0.0148), 'margin FocusNet': expect.closeTo(0.0006) },
    });
    expect(audit.claims.filter(({ verdict }) => verdict === 'holds')).toHaveLength(5);
    expect(audit.claims.at(-1)!.because).toContain('2.723');
  });

  test('margins that the spread of Table 1 covers', () => {
    expect(audit.findings.filter(({ rule }) => rule === 'margin').map(({ row }) => row)).toEqual([
      'U-Net (ALL), drive',
      'FocusNet (ALL), isic 2018',
    ]);
  });

  test('the trainings are 213', () => {
    expect(audit.runs).toEqual({ table1: 72, table2: 15, baseline: 3, table3: 120, table4: 3, total: 213 });
  });
});
