/**
 * A table as plain data, and as the three kinds of text that people take away: CSV with every digit, Markdown and LaTeX with those that are shown.
 */

import { stringify } from 'csv-stringify/sync';
import { deviation, mean } from '../averages.ts';

export interface Cell {
  readonly shown: string;
  /** What CSV has and rows are sorted by; null where there is none. */
  readonly value: string | number | null;
  /** Of a mean: sample standard deviation, and of how many. CSV has them in columns of their own. */
  readonly spread?: { readonly deviation: number | null; readonly n: number };
  /** The best of its column. */
  readonly isBest?: boolean;
  /** From 0 to 1: drawn as a bar behind the number. */
  readonly bar?: number;
}

export interface Column {
  readonly title: string;
  /** Numbers are set flush right, and means have their spread. */
  readonly kind: 'text' | 'number' | 'mean';
}

export interface Table {
  /** A word for file names. */
  readonly id: string;
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

export const textCell = (value: string): Cell => ({ shown: value, value });

/** Without a value, a dash. */
export const numberCell = (value: number | undefined, digits: number): Cell =>
  value === undefined || !Number.isFinite(value) ? { shown: '–', value: null } : { shown: fixed(value, digits), value };

/** In percent, with a bar. @param share from 0 to 1 */
export const shareCell = (share: number): Cell => ({
  shown: `${(100 * share).toFixed(0)} %`,
  value: share,
  bar: Math.min(Math.max(share, 0), 1),
});

/** With a true minus, as tables are set. */
export const fixed = (value: number, digits: number): string => value.toFixed(digits).replace('-', '−');

export interface Summary {
  readonly mean: number;
  /** Of the sample (n - 1); undefined of a single value. */
  readonly deviation: number | undefined;
  readonly n: number;
}

/** Of the values that are numbers. */
export function summaryOf(values: readonly (number | undefined)[]): Summary | undefined {
  const known = values.filter((value): value is number => value !== undefined && Number.isFinite(value));
  const n = known.length;
  if (n === 0) return undefined;
  return { mean: mean(known), deviation: n > 1 ? deviation(known) : undefined, n };
}

/** `mean ± standard deviation`; of one value, that value alone. */
export function meanCell(values: readonly (number | undefined)[], digits: number): Cell {
  const summary = summaryOf(values);
  if (!summary) return { shown: '–', value: null, spread: { deviation: null, n: 0 } };
  const { mean, deviation, n } = summary;
  const shown = deviation === undefined ? fixed(mean, digits) : `${fixed(mean, digits)} ± ${fixed(deviation, digits)}`;
  return { shown, value: mean, spread: { deviation: deviation ?? null, n } };
}

/**
 * Marks the best of each column that has a better side, where there are others; or the best of all these columns.
 *
 * @param among the cells that are held against each other
 */
export function withBest(table: Table, better: readonly ('higher' | 'lower' | undefined)[], among: 'column' | 'table' = 'column'): Table {
  const valuesOf = (c: number) => table.rows.map(row => row[c].value).filter(value => typeof value === 'number');
  const best = better.map((side, c) => {
    if (!side) return undefined;
    const values = among === 'column' ? valuesOf(c) : better.flatMap((other, k) => (other ? valuesOf(k) : []));
    if (values.every(value => value === values[0])) return undefined;
    return side === 'higher' ? Math.max(...values) : Math.min(...values);
  });
  const marked = (cell: Cell, c: number) => (best[c] !== undefined && cell.value === best[c] ? { ...cell, isBest: true } : cell);
  return { ...table, rows: table.rows.map(row => row.map(marked)) };
}

/** With all digits; a mean is followed by its standard deviation and number. Cells that a spreadsheet would take for formulas are quoted. */
export function toCsv({ columns, rows }: Table): string {
  const head = columns.flatMap(({ title, kind }) => (kind === 'mean' ? [title, `${title} sd`, `${title} n`] : [title]));
  const body = rows.map(row =>
    row.flatMap(({ value, spread }, i) => (columns[i].kind === 'mean' ? [value, spread?.deviation ?? null, spread?.n ?? null] : [value])),
  );
  return stringify([head, ...body], { cast: { string: text => (/^[=+@\t\r-]/.test(text) ? `'${text}` : text) } });
}

export function toMarkdown({ title, columns, rows }: Table): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map(text => text.replace(/[\\|<>*_`]/g, '\\$&').replace(/\s+/g, ' ')).join(' | ')} |`;
  const rule = `| ${columns.map(({ kind }) => (kind === 'text' ? '---' : '---:')).join(' | ')} |`;
  const cell = ({ shown, isBest }: Cell) => (isBest ? `${shown} (best)` : shown);
  return `${[title, '', line(columns.map(column => column.title)), rule, ...rows.map(row => line(row.map(cell)))].join('\n')}\n`;
}

/** Needs the package booktabs. */
export function toLatex({ title, id, columns, rows }: Table): string {
  const line = (cells: readonly string[]) => `  ${cells.join(' & ')} \\\\`;
  const cell = ({ shown, isBest }: Cell) => (isBest ? `\\textbf{${inLatex(shown)}}` : inLatex(shown));
  return [
    '\\begin{table}',
    '  \\centering',
    `  \\caption{${inLatex(title)}}`,
    `  \\label{tab:${id}}`,
    `  \\begin{tabular}{${columns.map(({ kind }) => (kind === 'text' ? 'l' : 'r')).join('')}}`,
    '  \\toprule',
    line(columns.map(column => inLatex(column.title))),
    '  \\midrule',
    ...rows.map(row => line(row.map(cell))),
    '  \\bottomrule',
    '  \\end{tabular}',
    '\\end{table}',
    '',
  ].join('\n');
}

const latexSigns: Readonly<Record<string, string>> = {
  '\\': '\\textbackslash{}',
  '~': '\\textasciitilde{}',
  '^': '\\textasciicircum{}',
  '±': '$\\pm$',
  '×': '$\\times$',
  '−': '$-$',
  '≤': '$\\leq$',
  '<': '\\textless{}',
  '>': '\\textgreater{}',
  '–': '--',
  '…': '\\ldots{}',
};

const inLatex = (text: string): string =>
  text.replace(/[\\~^±×−≤<>–…]|[&%$#_{}]/g, sign => latexSigns[sign] ?? `\\${sign}`).replace(/\s+/g, ' ');
