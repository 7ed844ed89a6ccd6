/**
 * The paper's tables, filled with runs, in its layout: our mean and spread beside what the paper prints, their difference, and whether chance alone
 * explains it.
 */

import { join } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import * as averages from '../averages.ts';
import type { Scores } from '../evaluate.ts';
import type { LossName, LossSpec } from '../losses/catalogue.ts';
import type { MetricName } from '../metrics/counts.ts';
import type { ModelName } from '../models/catalogue.ts';
import { referenceFolder } from './audit/audit.ts';
import { type Entry, readResults, type ScoreName } from './audit/results.ts';
import { studentQuantile } from './statistics.ts';

export const paperTables = {
  '1': { isic2018: ['jaccard'] },
  '2': { isic2018: ['jaccard'] },
  '3': {
    isic2018: ['recall', 'specificity', 'jaccard'],
    dsb2018: ['recall', 'specificity', 'jaccard'],
    drive: ['f1', 'recall', 'jaccard'],
  },
  '4': { isic2018: ['dice', 'precision', 'recall'] },
} as const satisfies Record<string, Record<string, readonly MetricName[]>>;
export type TableName = keyof typeof paperTables;

export const dataSetTitles: Readonly<Record<string, string>> = { isic2018: 'ISIC 2018', dsb2018: 'Data Science Bowl 2018', drive: 'DRIVE' };
/** In the tables as they are printed. */
const referenceNames: Readonly<Record<string, string>> = { isic2018: 'isic 2018', dsb2018: 'dsb 2018', drive: 'drive' };
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
const methods = Object.values(models).flatMap(model => Object.values(losses).map(loss => `${model} (${loss})`));

/** The paper's name of a row, where it has one. */
export function methodOf(model: ModelName, loss: LossName): string | undefined {
  return models[model] && losses[loss] && `${models[model]} (${losses[loss]})`;
}

export const networkTitle = (model: ModelName): string => models[model] ?? model;

/** `FocusNet (ALL)` -> `FocusNet` */
export const networkOf = (method: string): string => method.replace(/ \(.*/, '');

/** The row of the paper, and the network that stands in for its own. */
export const standIn = (method: string, network: string): string => (networkOf(method) === network ? method : `${method}, with ${network}`);

/** `FocusNet (ALL)` -> `ALL` */
export const shortLoss = (method: string): string => /\((.*)\)$/.exec(method)![1];

const parameterNames = ['epsilon', 'omega', 'gamma'] as const;
export type GridParameter = (typeof parameterNames)[number];

/** What Tables 1 and 2 tell cells apart by; undefined of a loss without them. */
export function gridParameters(loss: LossSpec): Readonly<Record<GridParameter, number>> | undefined {
  return loss.name === 'adaptiveLog' ? { epsilon: loss.epsilon, omega: loss.omega, gamma: loss.gamma } : undefined;
}

/** Where in which table a cell belongs. */
export interface CellPlace {
  readonly table: TableName;
  readonly dataset: string;
  readonly method: string;
  /** In Tables 1 and 2; their baseline has none. */
  readonly parameters?: Readonly<Record<GridParameter, number>>;
}

export interface TableEntry extends CellPlace {
  /** That was trained: in a smaller reproduction another than the method's. */
  readonly network: string;
  /** Of the runs that succeeded. */
  readonly scores: readonly Scores[];
}

export interface Compared {
  readonly difference: number;
  /** The largest difference that chance explains, by `noiseRule`; undefined of a single run. */
  readonly limit?: number;
  readonly isWithinNoise?: boolean;
}

/** Shares between 0 and 1. */
export interface PaperCell extends CellPlace {
  readonly network: string;
  readonly metric: MetricName;
  readonly runs: number;
  /** NaN where no run succeeded. */
  readonly mean: number;
  /** Sample standard deviation, of two runs and more. */
  readonly sd?: number;
  /** As the paper prints it. */
  readonly paper?: { readonly text: string; readonly value: number; readonly runs: number };
  readonly compared?: Compared;
}

export interface PaperTable {
  readonly table: TableName;
  /** How the scores of images are joined. */
  readonly aggregation: 'pooled' | 'perImage';
  readonly columns: readonly string[];
  /** Name of the row, and its cells; null where the paper's layout has none. */
  readonly rows: readonly (readonly [name: string, cells: readonly (PaperCell | null)[]])[];
}

export const noiseRule =
  "within noise: the difference is at most t(0.975, n - 1) x sd x sqrt(1/n + 1/k) and half a unit of the paper's last digit; n and sd are of our runs, k runs of the paper's are taken to vary as ours (it prints no spread). Of one run nothing is said";

export const aggregationTitles = { pooled: 'pooled over all pixels', perImage: 'mean over images' } as const;

/** Each table twice: pooled over all pixels, and the mean over images; the paper does not say which its numbers are. */
export function makePaperTables(entries: readonly TableEntry[]): PaperTable[] {
  const reference = new Map<TableName, readonly Entry[]>();
  const printed = (table: TableName) => {
    if (!reference.has(table)) reference.set(table, readResults(join(referenceFolder, `table${table}.csv`)));
    return reference.get(table)!;
  };
  return (Object.keys(paperTables) as TableName[]).flatMap(table => {
    const ofTable = entries.filter(entry => entry.table === table);
    if (ofTable.length === 0) return [];
    return (['pooled', 'perImage'] as const).map(aggregation => {
      const fill = (place: CellPlace, metric: MetricName): PaperCell => {
        const entry = ofTable.find(one => sameCell(one, place));
        return toCell(
          place,
          entry?.network ?? networkOf(place.method),
          metric,
          (entry?.scores ?? []).map(scores => scores[aggregation][metric]),
          printed(table),
        );
      };
      const layout = table === '3' || table === '4' ? methodsLayout(ofTable, fill) : gridLayout(ofTable, fill);
      return { table, aggregation, ...layout };
    });
  });
}

type Fill = (place: CellPlace, metric: MetricName) => PaperCell;
type Layout = Pick<PaperTable, 'columns' | 'rows'>;

/** A row a network and loss, the measures of each data set side by side. */
function methodsLayout(ofTable: readonly TableEntry[], fill: Fill): Layout {
  const [{ table }] = ofTable;
  const columns = Object.entries<readonly MetricName[]>(paperTables[table])
    .filter(([dataset]) => ofTable.some(entry => entry.dataset === dataset))
    .flatMap(([dataset, metrics]) =>
      metrics.map(metric => ({ dataset, metric, title: `${dataSetTitles[dataset]} ${metricTitles[metric]}` })),
    );
  return {
    columns: ['Method', ...columns.map(({ title }) => title)],
    rows: methods
      .map(method => ({ method, network: ofTable.find(entry => entry.method === method)?.network }))
      .filter(({ network }) => network !== undefined)
      .map(({ method, network }) => [
        standIn(method, network!),
        columns.map(({ dataset, metric }) => fill({ table, dataset, method }, metric)),
      ]),
  };
}

/** Table 1 by epsilon and omega, Table 2 by gamma; the baseline, which the paper names in the caption, in a row of its own. */
function gridLayout(ofTable: readonly TableEntry[], fill: Fill): Layout {
  const [{ table, dataset }] = ofTable;
  const grid = ofTable.filter(({ parameters }) => parameters);
  const valuesOf = (name: GridParameter) => [...new Set(grid.map(({ parameters }) => parameters![name]))].sort((a, b) => a - b);
  const [down, across]: [GridParameter | undefined, GridParameter] = table === '1' ? ['epsilon', 'omega'] : [undefined, 'gamma'];
  const columns = valuesOf(across);
  const cellAt = (row: number | undefined, column: number): PaperCell | null => {
    const entry = grid.find(({ parameters }) => parameters![across] === column && (!down || parameters![down] === row));
    return entry ? fill(entry, 'jaccard') : null;
  };
  const baseline = ofTable.find(({ parameters }) => !parameters);
  return {
    columns: [down ? `${down} \\ ${across}` : across, ...columns.map(String)],
    rows: [
      ...(down ? valuesOf(down) : [undefined]).map(
        row => [row === undefined ? 'Jaccard' : String(row), columns.map(column => cellAt(row, column))] as const,
      ),
      ...(baseline
        ? [
            [
              `${standIn(baseline.method, baseline.network)}, the baseline`,
              columns.map((_, i) => (i === 0 ? fill({ table, dataset, method: baseline.method }, 'jaccard') : null)),
            ] as const,
          ]
        : []),
    ],
  };
}

const sameCell = (a: CellPlace, b: CellPlace): boolean =>
  a.dataset === b.dataset && a.method === b.method && parameterNames.every(name => a.parameters?.[name] === b.parameters?.[name]);

function toCell(place: CellPlace, network: string, metric: MetricName, values: readonly number[], printed: readonly Entry[]): PaperCell {
  const { table, dataset, method, parameters } = place;
  const runs = values.length;
  const mean = averages.mean(values);
  const sd = runs > 1 ? averages.deviation(values) : undefined;
  const paper = inPaper(place, metric, printed);
  return {
    ...{ table, dataset, method, network, metric, runs, mean },
    ...(parameters && { parameters }),
    ...(sd !== undefined && { sd }),
    ...(paper && { paper: { text: paper.text, value: paper.value, runs: paper.runs } }),
    ...(paper && runs > 0 && { compared: compare({ mean, sd, runs }, paper) }),
  };
}

interface InPaper {
  readonly text: string;
  readonly value: number;
  readonly halfUnit: number;
  readonly runs: number;
}

/** By `noiseRule`. */
function compare({ mean, sd, runs }: { mean: number; sd: number | undefined; runs: number }, paper: InPaper): Compared {
  const difference = mean - paper.value;
  if (sd === undefined) return { difference };
  const limit = studentQuantile(runs - 1) * sd * Math.sqrt(1 / runs + 1 / paper.runs) + paper.halfUnit;
  return { difference, limit, isWithinNoise: Math.abs(difference) <= limit };
}

function inPaper({ table, dataset, method, parameters }: CellPlace, metric: MetricName, printed: readonly Entry[]): InPaper | undefined {
  const isGrid = table === '1' || table === '2';
  if (isGrid && !parameters) {
    const [{ baseline, runs }] = printed;
    return baseline && { text: baseline.text, value: baseline.value, halfUnit: (baseline.high - baseline.low) / 2, runs: runs ?? 1 };
  }
  const entry = printed.find(({ keys, dataset: its }) =>
    isGrid
      ? parameterNames.every(name => keys[name] === undefined || Number(keys[name]) === parameters![name])
      : keys.method === method && (its === '' || its === referenceNames[dataset]),
  );
  const score = entry?.scores[(metric === 'f1' ? 'dice' : metric) as ScoreName];
  return score && { text: score.text, value: score.value, halfUnit: (score.high - score.low) / 2, runs: entry!.runs ?? 1 };
}

const percent = (share: number): string => (100 * share).toFixed(2);
const signed = (share: number): string => `${share < 0 ? '-' : '+'}${percent(Math.abs(share))}`;

/** A cell in three lines: ours with its runs, the paper's, the difference and what it says. */
export function cellLines(cell: PaperCell | null): string[] {
  if (!cell) return [''];
  const { runs, mean, sd, paper, compared } = cell;
  const ours = runs === 0 ? '-' : `${percent(mean)}${sd === undefined ? '' : ` ± ${percent(sd)}`} (${runs})`;
  const verdict = compared?.isWithinNoise === undefined ? '' : compared.isWithinNoise ? ' within' : ' beyond';
  return [ours, ...(paper ? [`paper ${paper.text}`] : []), ...(compared ? [`${signed(compared.difference)}${verdict}`] : [])];
}

const legend = 'A cell: our mean ± standard deviation (runs), in percent; what the paper prints; the difference, within or beyond noise.';

/** @param head what the numbers are: above all whether they are of the full size */
export function renderMarkdown(tables: readonly PaperTable[], head: readonly string[]): string {
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const sections = tables.map(({ table, aggregation, columns, rows }) =>
    [
      `## Table ${table}, ${aggregationTitles[aggregation]}`,
      '',
      row(columns.map(column => column.replace('\\', '\\\\'))),
      row(columns.map((_, i) => (i === 0 ? '---' : '---:'))),
      ...rows.map(([name, cells]) => row([name, ...cells.map(cell => cellLines(cell).join('<br>'))])),
    ].join('\n'),
  );
  return `${["# The paper's tables", ...head, legend, `${noiseRule[0].toUpperCase()}${noiseRule.slice(1)}.`, ...sections].join('\n\n')}\n`;
}

/** One line a cell, in percent with every digit; `audit` reads it. @param tier that the numbers are of, in every line */
export function renderCsv(tables: readonly PaperTable[], tier: string): string {
  const exact = (share: number | undefined) => (share === undefined || Number.isNaN(share) ? '' : Number((100 * share).toPrecision(12)));
  const rows = tables.flatMap(({ table, aggregation, rows }) =>
    rows.flatMap(([, cells]) =>
      cells.flatMap(cell => {
        if (!cell) return [];
        const { dataset, method, network, parameters, metric, runs, mean, sd, paper, compared } = cell;
        const within = compared?.isWithinNoise;
        return [
          [
            ...[tier, table, aggregation, dataset, method, network, ...parameterNames.map(name => parameters?.[name] ?? '')],
            ...[metric, exact(mean), exact(sd), runs || '', paper?.text ?? '', paper?.runs ?? ''],
            ...[exact(compared?.difference), exact(compared?.limit), within === undefined ? '' : within ? 'yes' : 'no'],
          ],
        ];
      }),
    ),
  );
  const columns = [
    ...['tier', 'table', 'aggregation', 'dataset', 'method', 'network', ...parameterNames, 'metric', 'value', 'sd', 'runs'],
    ...['paper', 'paper_runs', 'difference', 'limit', 'within_noise'],
  ];
  return stringify([columns, ...rows]);
}
