/**
 * From job files and sweep files to the cells of the paper's tables: what is trained, how often, and where in which table it belongs. A cell that stands
 * in two tables is one cell.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseYaml } from 'yaml';
import { dataPath } from '../data/cases.ts';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { type CellPlace, gridParameters, methodOf, paperTables, shortLoss, type TableName } from '../report/paper.ts';
import { trainingOf } from '../runRecord.ts';
import { gridOf, readSpace, type Values } from '../search/space.ts';
import { type Job, type LoadedJob, loadJob, settleJob } from '../spec.ts';
import { loadSweep } from '../sweep/sweepFile.ts';
import { reductionOf, refuseUnknownImages, settingsOf, type TierName } from './tiers.ts';

/** What can be asked for by name. */
export const experimentNames = ['table1', 'table2', 'table3', 'table4', 'fig1', 'fig2', 'fig3'] as const;
export type ExperimentName = (typeof experimentNames)[number];

/** A job as often as it is to be trained, and where it belongs. */
export interface Cell {
  /** Also of its folder. */
  readonly name: string;
  /** The first file that asks for it. */
  readonly file: string;
  readonly dataset: string;
  readonly method: string;
  readonly places: CellPlace[];
  /** Experiments and files that ask for it. */
  readonly askedBy: string[];
  /** Of the first run; the others are one apart. */
  readonly seed: number;
  runs: number;
  /** That the paper averages. */
  readonly paperRuns: number;
  /** Folder that paths in the job are relative to. */
  readonly base: string;
  /** Where all images of its data set lie, from which a tier draws. */
  readonly source: string;
  readonly load: (seed: number) => LoadedJob;
}

export interface CellOptions {
  /** Names of experiments, job files, sweep files, and folders of them. */
  readonly inputs: readonly string[];
  readonly tier: TierName;
  /** Where each data set lies, by the name in the label `segfleet.dev/dataset`. */
  readonly data: ReadonlyMap<string, string>;
  /** `path=value` for all jobs, or `selector:path=value` for those of a data set, network or loss. */
  readonly settings: readonly string[];
  /** Trainings of each cell; by default as many as the tier says. */
  readonly runs?: number;
  readonly out: string;
}

/** The paper's jobs, in the package. */
const paperFolder = fileURLToPath(
  new URL(import.meta.url.endsWith('.js') ? '../../../examples/paper' : '../../examples/paper', import.meta.url),
);

export const isExperiment = (input: string): input is ExperimentName => (experimentNames as readonly string[]).includes(input);

/** Which of the paper's files an experiment is made of. Figures 2 and 3 show the networks of Table 3. */
const filesOf: Readonly<Record<ExperimentName, RegExp>> = {
  table1: /^table1\.yaml$/,
  table2: /^table2\.yaml$/,
  table3: /^table3-/,
  table4: /^table4-/,
  fig1: /^$/,
  fig2: /^table3-isic2018-/,
  fig3: /^table3-dsb2018-/,
};

/** A list of the drawn images of a data set, in a folder of the reproduction. */
export const subsetFile = (out: string, dataset: string, images: number): string => join(out, 'data', `${dataset}-${images}.csv`);

/** All cells, read and found in order before the first is trained. @throws usage, notFound: file, field, and what was expected */
export async function readCells({ inputs, tier, data, settings, runs, out }: CellOptions): Promise<Cell[]> {
  const chosen = settings.map(setting => {
    const [, selector, rest] = /^([A-Za-z0-9]+):([^=]+=.*)$/s.exec(setting) ?? [undefined, undefined, setting];
    return { selector, setting: rest };
  });
  const reduction = reductionOf(tier);
  const known = new Set<string>();
  const datasets = new Set<string>();
  const cells: Cell[] = [];

  const settingsFor = (file: string, place: { table: string; dataset: string }, words: readonly string[]): string[] => {
    const { dataset } = place;
    const path = reduction ? subsetFile(out, dataset, reduction.images[dataset]) : data.get(dataset);
    return [
      ...(path === undefined ? [] : [`data.path=${JSON.stringify(relative(resolve(dirname(file)), resolve(path)) || '.')}`]),
      ...(reduction ? settingsOf(reduction, place) : []),
      ...chosen.filter(({ selector }) => selector === undefined || words.includes(selector)).map(({ setting }) => setting),
    ];
  };
  const numRuns = (table: TableName, ofPaper: number): number =>
    runs ?? (reduction ? Math.min(ofPaper, table === '1' || table === '2' ? reduction.runs.search : reduction.runs.others) : ofPaper);
  /** @param job as the file has it: what a cell is in the paper, whatever is set */
  const meet = (file: string, job: Job) => {
    const base = dirname(file);
    const { dataset, table } = labelsOf(file, job);
    const words = [dataset, job.spec.model.name, job.spec.loss.name];
    for (const word of words) known.add(word);
    datasets.add(dataset);
    if (reduction) refuseUnknownImages(reduction, dataset, file);
    const source = data.has(dataset) ? resolve(data.get(dataset)!) : dataPath(base, job.spec.data.path);
    return { dataset, table, words, source, base };
  };
  const add = (cell: Omit<Cell, 'places' | 'askedBy'>, place: CellPlace, askedBy: string) => {
    const there = cells.find(({ name }) => name === cell.name);
    if (!there) {
      cells.push({ ...cell, places: [place], askedBy: [askedBy] });
      return;
    }
    if (there.base + trainingText(there) !== cell.base + trainingText(cell)) {
      const other = there.file === cell.file ? `${cell.file} has two jobs of` : `${there.file} and ${cell.file} have different jobs of`;
      throw new SegfleetError('usage', `${other} the same name, ${cell.name}; give one of them another`);
    }
    there.runs = Math.max(there.runs, cell.runs);
    if (!there.places.some(known => JSON.stringify(known) === JSON.stringify(place))) there.places.push(place);
    if (!there.askedBy.includes(askedBy)) there.askedBy.push(askedBy);
  };

  for (const { file, askedBy } of await listFiles(inputs)) {
    if (await isSweep(file)) {
      const plain = loadSweep(file);
      const before = { ...plain.base.job.job, metadata: { ...plain.base.job.job.metadata, labels: await labelsOfSweep(file) } };
      const { dataset, table, words, ...places } = meet(file, before);
      const sweep = loadSweep(file, settingsFor(file, { table, dataset }, words));
      const { count } = plain.spec.replicates;
      const common = { file, dataset, ...places, paperRuns: count, runs: numRuns(table, count), seed: sweep.spec.base.spec.seed };
      const choices: { values: Values; isBaseline: boolean }[] = [
        ...gridOf(readSpace(sweep.spec.parameters, sweep.spec.base.spec)).map(values => ({ values, isBaseline: false })),
        ...(sweep.spec.baseline ? [{ values: sweep.spec.baseline, isBaseline: true }] : []),
      ];
      for (const { values, isBaseline } of choices) {
        const load = (seed: number, name = 'cell') =>
          settleJob(sweep.base.job.given, [`metadata.name=${name}`, ...inOrder(values), `seed=${seed}`], sweep.base.source);
        const { loss } = load(common.seed).job.spec;
        const method = methodAt(file, before.spec.model.name, loss.name);
        const parameters = isBaseline ? undefined : gridParameters(loss);
        const name = nameOf(dataset, before.spec.model.name, shortLoss(method), parameters);
        add({ ...common, name, method, load: seed => load(seed, name) }, { table, dataset, method, parameters }, askedBy);
      }
    } else {
      const { job } = loadJob(file);
      const { dataset, table, words, ...places } = meet(file, job);
      // Reduced, only U-Net is trained: the same table with FocusNet would hold the same runs again.
      if (reduction && table === '3' && job.spec.model.name !== 'unet') continue;
      const ofCell = settingsFor(file, { table, dataset }, words);
      const set = loadJob(file, ofCell).job;
      const method = methodAt(file, job.spec.model.name, job.spec.loss.name);
      const paperRuns = Number(job.metadata.annotations?.['segfleet.dev/runs'] ?? 1);
      add(
        {
          ...{ file, dataset, method, ...places, name: set.metadata.name, seed: set.spec.seed },
          ...{ paperRuns, runs: numRuns(table, paperRuns) },
          load: seed => loadJob(file, [...ofCell, `seed=${seed}`]),
        },
        { table, dataset, method },
        askedBy,
      );
    }
  }
  refuseUnknown(data.keys(), datasets, name => `--data ${name}=...: no job has that data set`);
  const selectors = chosen.flatMap(({ selector }) => selector ?? []);
  refuseUnknown(selectors, known, word => `--set ${word}:...: no job has that data set, network or loss`);
  return cells;
}

function refuseUnknown(given: Iterable<string>, known: ReadonlySet<string>, sentence: (name: string) => string): void {
  for (const name of given) {
    if (known.has(name)) continue;
    throw new SegfleetError('usage', `${sentence(name)}; known are ${[...known].join(', ')}`);
  }
}

const trainingText = ({ load, seed }: Pick<Cell, 'load' | 'seed'>): string => {
  const { job } = load(seed);
  return JSON.stringify([trainingOf(job), job.spec.data.path]);
};

/** Another loss or network takes the fields of the old one away: names come before what belongs to them. */
function inOrder(values: Values): string[] {
  const settings = Object.entries(values).map(([path, value]) => `${path}=${JSON.stringify(value)}`);
  return settings.sort((a, b) => Number(/\.name=/.test(b)) - Number(/\.name=/.test(a)));
}

/** A Kubernetes name that says what the cell is, whichever table asks for it. */
function nameOf(dataset: string, model: string, loss: string, parameters: CellPlace['parameters']): string {
  const chosen = Object.entries(parameters ?? {}).map(([name, value]) => `${name}-${value}`);
  return [dataset, model, loss, ...chosen].join('-').toLowerCase().replaceAll('.', '-');
}

const labelNames = ['segfleet.dev/table', 'segfleet.dev/dataset'] as const;

function labelsOf(file: string, { metadata: { labels = {} } }: Job): { table: TableName; dataset: string } {
  const [table, dataset] = labelNames.map(name => labels[name]);
  if (!(table in paperTables) || !(dataset in paperTables[table as TableName])) throw noCell(file);
  return { table: table as TableName, dataset };
}

function methodAt(file: string, model: Job['spec']['model']['name'], loss: Job['spec']['loss']['name']): string {
  const method = methodOf(model, loss);
  if (!method) throw noCell(file);
  return method;
}

const noCell = (file: string) =>
  new SegfleetError(
    'usage',
    `${file} is no cell of the paper's tables: it needs the labels segfleet.dev/table (${Object.keys(paperTables).join(' or ')}) and segfleet.dev/dataset, and a network and loss of the paper, as those in examples/paper have`,
  );

const isSweep = async (file: string): Promise<boolean> => kindOf(await readYaml(file)) === 'Sweep';
const kindOf = (value: unknown): unknown => (value as { kind?: unknown } | null)?.kind;

async function readYaml(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw fromSystemError(error, file);
  });
  try {
    return parseYaml(text, { logLevel: 'silent' });
  } catch {
    return undefined; // whoever reads the file as a job says what is wrong with it
  }
}

/** Trials have labels of their own; those of the sweep say which table it is. */
async function labelsOfSweep(file: string): Promise<Record<string, string>> {
  const { metadata } = (await readYaml(file)) as { metadata?: { labels?: Record<string, string> } };
  return metadata?.labels ?? {};
}

interface Listed {
  readonly file: string;
  readonly askedBy: string;
}

async function listFiles(inputs: readonly string[]): Promise<Listed[]> {
  const files: Listed[] = [];
  for (const input of inputs) {
    if (isExperiment(input)) {
      const names = (await readdir(paperFolder)).filter(name => filesOf[input].test(name)).sort();
      files.push(...names.map(name => ({ file: join(paperFolder, name), askedBy: input })));
      continue;
    }
    const found = await stat(input).catch(error => {
      throw fromSystemError(error, input);
    });
    const names = found.isDirectory() ? (await readdir(input)).filter(name => /\.ya?ml$/.test(name)).sort() : undefined;
    if (names?.length === 0) throw new SegfleetError('usage', `${input} holds no job file (.yaml); name job files, or a folder of them`);
    files.push(...(names?.map(name => join(input, name)) ?? [input]).map(file => ({ file, askedBy: input })));
  }
  return files;
}
