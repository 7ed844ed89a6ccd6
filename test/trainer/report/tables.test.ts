import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { parseHTML } from 'linkedom';
import { describe, expect, test } from 'vitest';
import { Html, html } from '../../../trainer/report/html.ts';
import { meanCell, numberCell, type Table, textCell, toCsv, toLatex, toMarkdown, withBest } from '../../../trainer/report/table.ts';

describe('a template', () => {
  test('takes any text as text, between tags and in attributes', () => {
    const printable = fc.string({ unit: 'binary' }).map(text => text.replace(/\p{Cc}/gu, ''));
    fc.assert(
      fc.property(printable, text => {
        const { document } = parseHTML(html`<p title="${text}">${text}</p>`.text);
        const [p] = document.querySelectorAll('*');
        expect(p.textContent).toBe(text);
        expect(p.getAttribute('title')).toBe(text);
        expect(p.children).toHaveLength(0);
      }),
    );
  });

  test('joins lists, leaves out what is undefined, and keeps markup that was made the same way', () => {
    expect(html`<ul>${['a', '<b>'].map(text => html`<li>${text}</li>`)}${undefined}${2}</ul>`.text).toBe(
      '<ul><li>a</li><li>&lt;b&gt;</li>2</ul>',
    );
    expect(html`${new Html('<br>')}`.text).toBe('<br>');
    expect(html`${'\u0000\u001b'}`.text).toBe('\ufffd\ufffd');
  });
});

describe('a mean', () => {
  test.each([
    // (0.7 + 0.9) / 2, and sqrt((0.1^2 + 0.1^2) / 1)
    ['of two', [0.7, 0.9], { shown: '0.800 ± 0.141', spread: { n: 2, deviation: expect.closeTo(Math.SQRT2 / 10, 12) } }],
    ['of one has no deviation', [0.7], { shown: '0.700', value: 0.7, spread: { n: 1, deviation: null } }],
    ['of none is a dash', [undefined, Number.NaN], { shown: '–', value: null, spread: { n: 0, deviation: null } }],
    ['leaves out what is not defined', [Number.NaN, -1, undefined], { shown: '−1.000', value: -1, spread: { n: 1, deviation: null } }],
  ])('%s', (_, values, expected) => {
    expect(meanCell(values, 3)).toMatchObject(expected);
  });
});

describe('a table', () => {
  const table: Table = {
    id: 'scores',
    title: 'Scores_of 100 %',
    columns: [
      { title: 'Loss', kind: 'text' },
      { title: 'Jaccard', kind: 'mean' },
      { title: 'HD95', kind: 'number' },
    ],
    rows: [
      [textCell('a|b & c_1'), meanCell([0.7, 0.9], 2), numberCell(-1.234567, 2)],
      [textCell('=SUM(A1)'), meanCell([], 2), numberCell(undefined, 2)],
    ],
  };

  test('as CSV has all digits, deviation and number in columns of their own, and no formulas', () => {
    expect(parse(toCsv(table))).toEqual([
      ['Loss', 'Jaccard', 'Jaccard sd', 'Jaccard n', 'HD95'],
      ['a|b & c_1', '0.8', String(meanCell([0.7, 0.9], 2).spread!.deviation), '2', '-1.234567'],
      ["'=SUM(A1)", '', '', '0', ''],
    ]);
  });

  test('as Markdown has the digits that are shown, and nothing that breaks out of a cell', () => {
    expect(toMarkdown(table)).toMatchInlineSnapshot(`
      "Scores_of 100 %

      | Loss | Jaccard | HD95 |
      | --- | ---: | ---: |
      | a\\|b & c\\_1 | 0.80 ± 0.14 | −1.23 |
      | =SUM(A1) | – | – |
      "
    `);
  });

  test('as LaTeX has its signs written out', () => {
    expect(toLatex(table)).toMatchInlineSnapshot(`
      "\\begin{table}
        \\centering
        \\caption{Scores\\_of 100 \\%}
        \\label{tab:scores}
        \\begin{tabular}{lrr}
        \\toprule
        Loss & Jaccard & HD95 \\\\
        \\midrule
        a|b \\& c\\_1 & 0.80 $\\pm$ 0.14 & $-$1.23 \\\\
        =SUM(A1) & -- & -- \\\\
        \\bottomrule
        \\end{tabular}
      \\end{table}
      "
    `);
  });

  test('has the best of a column marked, those that tie too, unless there is one row', () => {
    const rows = [0.7, 0.9, 0.9].map(value => [textCell('x'), meanCell([value], 2), numberCell(value, 2)]);
    const best = (one: Table) => one.rows.map(row => row.map(({ isBest }) => isBest ?? false));
    expect(best(withBest({ ...table, rows }, [undefined, 'higher', 'lower']))).toEqual([
      [false, false, true],
      [false, true, false],
      [false, true, false],
    ]);
    expect(best(withBest({ ...table, rows: rows.slice(0, 1) }, [undefined, 'higher', 'lower']))).toEqual([[false, false, false]]);
  });
});
