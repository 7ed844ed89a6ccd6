/**
 * What a reproduction leaves for people: the tables, how the losses converged, and the figures. Everything says of which size it is.
 */
import { join } from 'node:path';
import type { Scores } from '../evaluate.ts';
import { evaluationOf } from '../evaluateRun.ts';
import { readRun } from '../openRun.ts';
import {
  branchNote,
  type Convergence,
  convergenceConvention,
  convergenceCsv,
  convergenceOf,
  convergenceTable,
} from '../report/convergence.ts';
import {
  type CellPlace,
  dataSetTitles,
  makePaperTables,
  networkOf,
  type PaperTable,
  renderCsv,
  renderMarkdown,
  standIn,
  type TableEntry,
} from '../report/paper.ts';
import { finishedRuns, type RocFigure, writeLossFigure, writeMeasuredLosses, writeRocFigure } from '../report/paperFigures.ts';
import type { RunRecord } from '../runRecord.ts';
import { writeAtomically } from '../storage/files.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { type Cell, type CellOptions, type Group, recordOf } from './cells.ts';
import { changesOf, reductionOf, reductions, type TierName } from './tiers.ts';

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

/** A cell and its trainings that succeeded, folders of runs. */
interface Trained {
  readonly group: Group;
  readonly cell: Cell;
  readonly runs: readonly string[];
}

/** What there is so far, by the records of the sweeps. */
function trainedOf(groups: readonly Group[], out: string): Trained[] {
  return groups.flatMap(group => {
    const trials = recordOf(group, out)?.trials ?? [];
    return group.cells.map((cell, i) => ({
      group,
      cell,
      runs: (trials[i]?.runs ?? []).filter(({ state }) => state === 'succeeded').map(run => join(out, group.name, run.folder)),
    }));
  });
}

/** Table 4 has a test part of its own; elsewhere a fifth of the images is all that there is besides those for training. */
async function scoresOf(run: string, { table }: CellPlace): Promise<Scores> {
  if (table !== '4') return new RunFolder(run).readRecord<RunRecord>().best!.validation;
  return (await evaluationOf(run, await readRun(run, 'best'), { select: 'best', part: 'test' })).scores;
}

/** Written anew whenever a training has ended. */
export async function writeTables(groups: readonly Group[], options: CellOptions): Promise<TablesEvent> {
  const { out } = options;
  const { title, changes } = describe(options);
  const trained = trainedOf(groups, out);
  const entries: TableEntry[] = [];
  for (const { cell, runs } of trained) {
    for (const place of cell.places) {
      const scores: Scores[] = [];
      for (const run of runs) scores.push(await scoresOf(run, place));
      entries.push({ ...place, network: cell.network, scores });
    }
  }
  const tables = makePaperTables(entries);
  const converged = trained.map(({ cell: { dataset, method, network, places }, runs }): Convergence => {
    const parameters = Object.entries(places[0].parameters ?? {}).map(([name, value]) => `${name} ${value}`);
    return { dataset, method: standIn(method, network), parameters: parameters.join(' '), runs: runs.map(run => convergenceOf(run)) };
  });
  const convergence = convergenceTable(converged);
  const done = trained.reduce((sum, { runs }) => sum + runs.length, 0);
  const planned = groups.reduce((sum, { cells, runs }) => sum + cells.length * runs, 0);
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
export async function writeFigures(groups: readonly Group[], options: CellOptions): Promise<FiguresEvent> {
  const { inputs, out } = options;
  const { title } = describe(options);
  const subtitle = `tier ${wordOf(options)}`;
  const files: string[] = [];
  const roc: RocFigure[] = [];
  if (inputs.includes('fig1')) {
    files.push(...(await writeLossFigure(out)), ...(await writeMeasuredLosses(out, finishedRuns(out))));
  }
  const trained = trainedOf(groups, out);
  for (const [figure, dataset] of Object.entries(rocFigures) as [RocFigure['figure'], string][]) {
    if (!inputs.includes(figure)) continue;
    const asked = trained.filter(({ group, runs }) => group.askedBy.includes(figure) && runs.length > 0);
    const networks = Map.groupBy(asked, ({ cell }) => networkOf(cell.method));
    for (const [network, arms] of networks) {
      const written = await writeRocFigure(out, {
        ...{ figure, network, subtitle },
        dataset: `${dataSetTitles[dataset]} (${subtitle})`,
        arms: arms.map(({ cell, runs }) => ({ method: cell.method, runs })),
      });
      roc.push(written);
      files.push(...written.files);
    }
  }
  return { event: 'figures', title, roc, files };
}
