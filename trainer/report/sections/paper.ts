/**
 * The tables of a reproduction in the paper's layout, as `reproduce` wrote them beside its runs: ours, what the paper prints, the difference, and
 * whether it is within noise. Every title says of which tier the numbers are.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { html } from '../html.ts';
import { dataSetTitles, noiseRule, standIn, type TableName } from '../paper.ts';
import type { Part, Section } from '../section.ts';
import { type Cell, fixed, type Table, textCell } from '../table.ts';

/** A line of the tables.csv of a reproduction: a cell, in percent. */
type Line = Readonly<Record<string, string>>;

const wanted = [
  'tier',
  'table',
  'aggregation',
  'dataset',
  'method',
  'metric',
  'value',
  'sd',
  'runs',
  'paper',
  'difference',
  'within_noise',
];

/** Of those folders that are of a reproduction. */
export function readPaperTables(folders: readonly string[]): Line[] {
  return folders.flatMap(folder => {
    const file = join(folder, 'tables.csv');
    if (!existsSync(file)) return [];
    const lines: Line[] = parse(readFileSync(file), { columns: true, relax_column_count: true });
    return lines.length > 0 && wanted.every(column => column in lines[0]) ? lines : [];
  });
}

export function paper(lines: readonly Line[]): Section | undefined {
  if (lines.length === 0) return undefined;
  const tables = [...Map.groupBy(lines, ({ tier, table, aggregation }) => JSON.stringify([tier, table, aggregation])).values()].map(
    tableOf,
  );
  const note = `A cell: our mean ± standard deviation in percent (runs); what the paper prints; the difference. ${noiseRule[0].toUpperCase()}${noiseRule.slice(1)}.`;
  return {
    id: 'paper',
    title: "The paper's tables",
    parts: [{ kind: 'text', text: html`<p class="note">${note}</p>` }, ...tables.map((table): Part => ({ kind: 'table', table }))],
  };
}

function tableOf(lines: readonly Line[]): Table {
  const [{ tier, table, aggregation }] = lines;
  const searched = table === '1' ? ` of ${rowName(lines[0])}` : '';
  const { rowOf, columnOf, corner } = layouts[table as TableName];
  const [rows, columns] = [rowOf, columnOf].map(place => [...new Set(lines.map(place))]);
  // Of a baseline there is one cell, for which the layout has no column.
  const columnNames = columns.filter(name => name !== '');
  return {
    id: `paper-table-${table}-${aggregation}-${tier}`.replace(/[^\w-]+/g, '-'),
    title: `Table ${table}${searched}, ${aggregation === 'pooled' ? 'pooled over all pixels' : 'mean over images'}; tier ${tier}${tier === 'full' ? '' : ": NOT the paper's size"}`,
    columns: [{ title: corner, kind: 'text' }, ...columnNames.map(title => ({ title, kind: 'mean' }) as const)],
    rows: rows.map(row => [
      textCell(row),
      ...columnNames.map((column, c) => {
        const line = lines.find(one => rowOf(one) === row && (columnOf(one) === column || (columnOf(one) === '' && c === 0)));
        return line ? cellOf(line) : { shown: '', value: null };
      }),
    ]),
  };
}

/** With the network that stands in for the paper's, where one does. */
function rowName({ method, network }: Line): string {
  return standIn(method, network);
}

const headed = (metric: string) => (metric === 'f1' ? 'F-Measure' : metric[0].toUpperCase() + metric.slice(1));

interface Layout {
  readonly corner: string;
  readonly rowOf: (line: Line) => string;
  /** Empty for a baseline. */
  readonly columnOf: (line: Line) => string;
}

const byMethod: Layout = {
  corner: 'Method',
  rowOf: rowName,
  columnOf: ({ dataset, metric }) => `${dataSetTitles[dataset] ?? dataset} ${headed(metric)}`,
};

const layouts: Readonly<Record<TableName, Layout>> = {
  '1': {
    corner: 'epsilon \\ omega',
    rowOf: line => line.epsilon || `${rowName(line)}, the baseline`,
    columnOf: ({ omega }) => omega,
  },
  '2': {
    corner: 'gamma',
    rowOf: line => (line.gamma ? `Jaccard of ${rowName(line)}` : `${rowName(line)}, the baseline`),
    columnOf: ({ gamma }) => gamma,
  },
  '3': byMethod,
  '4': byMethod,
};

function cellOf({ value, sd, runs, paper, difference, within_noise }: Line): Cell {
  const shown = (text: string) => fixed(Number(text), 2);
  const ours = value === '' ? '–' : `${shown(value)}${sd === '' ? '' : ` ± ${shown(sd)}`} (${runs})`;
  const verdict = { yes: ' within noise', no: ' beyond noise' }[within_noise] ?? '';
  const compared = difference === '' ? '' : `; ${Number(difference) < 0 ? '' : '+'}${shown(difference)}${verdict}`;
  return {
    shown: `${ours}${paper === '' ? '' : `; paper ${paper}`}${compared}`,
    value: value === '' ? null : Number(value),
    spread: { deviation: sd === '' ? null : Number(sd), n: Number(runs || 0) },
  };
}
