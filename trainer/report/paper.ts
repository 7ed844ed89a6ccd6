/**
 * The paper's tables, filled with runs: one row a network and loss, for each data set the measures that the paper reports.
 */
import type { Scores } from '../evaluate.ts';
import type { LossName } from '../losses/catalogue.ts';
import type { MetricName } from '../metrics/counts.ts';
import type { ModelName } from '../models/catalogue.ts';

export const paperTables = {
  '3': {
    isic2018: ['recall', 'specificity', 'jaccard'],
    dsb2018: ['recall', 'specificity', 'jaccard'],
    drive: ['f1', 'recall', 'jaccard'],
  },
  '4': { isic2018: ['dice', 'precision', 'recall'] },
} as const satisfies Record<string, Record<string, readonly MetricName[]>>;
export type TableName = keyof typeof paperTables;

const dataSetTitles: Readonly<Record<string, string>> = { isic2018: 'ISIC 2018', dsb2018: 'Data Science Bowl 2018', drive: 'DRIVE' };
const metricTitles: Partial<Record<MetricName, string>> = {
  recall: 'Recall',
  specificity: 'Specificity',
  jaccard: 'Jaccard',
  f1: 'F-Measure',
  dice: 'Dice',
  precision: 'Precision',
};
/** In the paper's order. */
const models: Partial<Record<ModelName, string>> = { unet: 'U-Net', focusnet: 'FocusNet' };
const losses: Partial<Record<LossName, string>> = {
  jaccard: 'JI',
  dice: 'DL',
  tversky: 'TL',
  focal: 'FL',
  combo: 'CL',
  adaptiveLog: 'ALL',
};

/** The paper's name of a row, where it has one. */
export function methodOf(model: ModelName, loss: LossName): string | undefined {
  return models[model] && losses[loss] && `${models[model]} (${losses[loss]})`;
}

export interface TableEntry {
  readonly table: TableName;
  readonly dataset: string;
  readonly method: string;
  /** Of the runs that succeeded. */
  readonly scores: readonly Scores[];
}

export interface PaperTable {
  readonly table: TableName;
  /** How the scores of images are joined. */
  readonly aggregation: 'pooled' | 'perImage';
  readonly columns: readonly string[];
  /** In percent, `mean` or, of several runs, `mean ± standard deviation`; "-" where no run succeeded. */
  readonly rows: readonly (readonly string[])[];
}

/** Each table twice: pooled over all pixels, and the mean over images; the paper does not say which its numbers are. */
export function makePaperTables(entries: readonly TableEntry[]): PaperTable[] {
  const methods = Object.values(models).flatMap(model => Object.values(losses).map(loss => `${model} (${loss})`));
  return (Object.keys(paperTables) as TableName[]).flatMap(table => {
    const ofTable = entries.filter(entry => entry.table === table);
    const columns = Object.entries<readonly MetricName[]>(paperTables[table])
      .filter(([dataset]) => ofTable.some(entry => entry.dataset === dataset))
      .flatMap(([dataset, metrics]) =>
        metrics.map(metric => ({ dataset, metric, title: `${dataSetTitles[dataset]} ${metricTitles[metric]}` })),
      );
    const rows = methods.filter(method => ofTable.some(entry => entry.method === method));
    if (rows.length === 0) return [];
    return (['pooled', 'perImage'] as const).map(aggregation => ({
      table,
      aggregation,
      columns: ['Method', ...columns.map(({ title }) => title)],
      rows: rows.map(method => [
        method,
        ...columns.map(({ dataset, metric }) => {
          const entry = ofTable.find(entry => entry.dataset === dataset && entry.method === method);
          return percents((entry?.scores ?? []).map(scores => scores[aggregation][metric]));
        }),
      ]),
    }));
  });
}

function percents(values: readonly number[]): string {
  if (values.length === 0) return '-';
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const shown = (value: number) => (100 * value).toFixed(2);
  if (values.length === 1) return shown(mean);
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
  return `${shown(mean)} ± ${shown(Math.sqrt(variance))}`;
}

export const aggregationTitles = { pooled: 'pooled over all pixels', perImage: 'mean over images' } as const;

export function renderMarkdown(tables: readonly PaperTable[], note: string): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const sections = tables.map(({ table, aggregation, columns, rows }) =>
    [
      `## Table ${table}, ${aggregationTitles[aggregation]}`,
      '',
      row(columns),
      row(columns.map((_, i) => (i === 0 ? '---' : '---:'))),
      ...rows.map(row),
    ].join('\n'),
  );
  return `${["# The paper's tables", note, ...sections].join('\n\n')}\n`;
}

export function renderCsv(tables: readonly PaperTable[]): string {
  const lines = tables.flatMap(({ table, aggregation, columns, rows }, i) => [
    ...(i > 0 && tables[i - 1].table === table ? [] : [['table', 'aggregation', ...columns]]),
    ...rows.map(row => [table, aggregation, ...row]),
  ]);
  return `${lines.map(line => line.join(',')).join('\n')}\n`;
}
