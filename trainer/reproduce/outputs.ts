/**
 * What a reproduction leaves for people: the tables, how the losses converged, and the figures. Everything says of which size it is.
 */
import { join } from 'node:path';
import type { Scores } from '../evaluate.ts';
import {
  branchNote,
  type Convergence,
  convergenceConvention,
  convergenceCsv,
  convergenceOf,
  convergenceTable,
} from '../report/convergence.ts';
import { type CellPlace, dataSetTitles, makePaperTables, type PaperTable, renderCsv, renderMarkdown } from '../report/paper.ts';
import { finishedRuns, type RocFigure, writeLossFigure, writeMeasuredLosses, writeRocFigure } from '../report/paperFigures.ts';
import { writeAtomically } from '../storage/files.ts';
import type { Cell, CellOptions } from './cells.ts';
import { changesOf, reductionOf, reductions, type TierName } from './tiers.ts';

/** Where each of its places takes its scores from. */
export type PlacedScores = ReadonlyMap<CellPlace, Scores>;

/** One training of a cell that succeeded. */
export interface CellResult {
  readonly folder: string;
  readonly scores: PlacedScores;
}

export type Results = ReadonlyMap<Cell, readonly CellResult[]>;

export interface TablesEvent {
  readonly event: 'tables';
  /** One line that says what the numbers are. */
  readonly title: string;
  readonly changes: readonly string[];
  readonly tables: readonly PaperTable[];
  readonly convergence: ReturnType<typeof convergenceTable>;
  readonly notes: readonly string[];
  readonly files: readonly string[];
}

export interface FiguresEvent {
  readonly event: 'figures';
  readonly title: string;
  readonly roc: readonly RocFigure[];
  readonly files: readonly string[];
}

type Described = Pick<CellOptions, 'tier' | 'settings' | 'runs'>;

/** What stands above every number: reduced ones are never told as if they were of the full size. */
export function describe({ tier, settings, runs }: Described): { readonly title: string; readonly changes: readonly string[] } {
  const reduction = reductionOf(tier);
  const changes = [
    ...(reduction ? changesOf(reduction) : []),
    ...settings.map(setting => `set: ${setting}`),
    ...(runs === undefined ? [] : [`runs of a cell: ${runs}`]),
  ];
  const title = reduction
    ? `Tier ${tier}: NOT the paper's size (${reductions[tier as Exclude<TierName, 'full'>].about})`
    : changes.length > 0
      ? "Tier full, with changes: NOT the paper's experiments"
      : "Tier full: the paper's size and number of runs";
  return { title, changes };
}

/** In every line of every CSV, and in every title. */
const wordOf = (options: Described): string =>
  options.tier === 'full' && describe(options).changes.length > 0 ? 'full, changed' : options.tier;

/** @param planned trainings, of which some may have failed or not been done yet */
export async function writeTables(results: Results, options: CellOptions, planned: number): Promise<TablesEvent> {
  const { out } = options;
  const { title, changes } = describe(options);
  const entries = [...results].flatMap(([{ places }, found]) =>
    places.map(place => ({ ...place, scores: found.map(({ scores }) => scores.get(place)!) })),
  );
  const tables = makePaperTables(entries);
  const converged = [...results].map(([cell, found]): Convergence => {
    const [{ parameters }] = cell.places;
    return {
      dataset: cell.dataset,
      method: cell.method,
      parameters: Object.entries(parameters ?? {})
        .map(([name, value]) => `${name} ${value}`)
        .join(' '),
      runs: found.map(({ folder }) => convergenceOf(folder)),
    };
  });
  const convergence = convergenceTable(converged);
  const done = [...results.values()].reduce((sum, found) => sum + found.length, 0);
  const branch = branchNote(converged);
  const notes = [
    `Of the epoch with the best validation Jaccard; Tables 1 to 3 on the validation images, Table 4 on its test images. ${done} of ${planned} trainings`,
    ...(branch ? [branch] : []),
  ];
  const files = ['tables.md', 'tables.csv', 'convergence.csv'].map(name => join(out, name));
  const sentences = [...notes, ''].join('. ').trim();
  const head = [`**${title}.**`, ...(changes.length > 0 ? [changes.map(change => `- ${change}`).join('\n')] : []), sentences];
  await writeAtomically(files[0], `${renderMarkdown(tables, head)}\n${convergenceMarkdown(convergence, title)}`);
  await writeAtomically(files[1], renderCsv(tables, wordOf(options)));
  await writeAtomically(files[2], convergenceCsv(converged, wordOf(options)));
  return { event: 'tables', title, changes, tables, convergence, notes, files };
}

function convergenceMarkdown({ columns, rows }: TablesEvent['convergence'], title: string): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  const table = [line(columns), line(columns.map((_, i) => (i < 2 ? '---' : '---:'))), ...rows.map(line)].join('\n');
  return `## Convergence\n\n**${title}.**\n\n${convergenceConvention}.\n\n${table}\n`;
}

const rocFigures = { fig2: 'isic2018', fig3: 'dsb2018' } as const;

/** Those figures that were asked for, of the runs that there are. */
export async function writeFigures(results: Results, options: CellOptions): Promise<FiguresEvent> {
  const { inputs, out } = options;
  const { title } = describe(options);
  const subtitle = `tier ${wordOf(options)}`;
  const files: string[] = [];
  const roc: RocFigure[] = [];
  if (inputs.includes('fig1')) {
    files.push(...(await writeLossFigure(out)), ...(await writeMeasuredLosses(out, finishedRuns(out), subtitle)));
  }
  for (const [figure, dataset] of Object.entries(rocFigures) as [RocFigure['figure'], string][]) {
    if (!inputs.includes(figure)) continue;
    const cells = [...results].filter(([cell, found]) => cell.askedBy.includes(figure) && found.length > 0);
    const networks = Map.groupBy(cells, ([{ method }]) => method.replace(/ \(.*/, ''));
    for (const [network, ofNetwork] of networks) {
      const arms = ofNetwork.map(([{ method }, found]) => ({ method, runs: found.map(({ folder }) => folder) }));
      const written = await writeRocFigure(out, { figure, network, dataset: `${dataSetTitles[dataset]} (${subtitle})`, arms, subtitle });
      roc.push(written);
      files.push(...written.files);
    }
  }
  return { event: 'figures', title, roc, files };
}
