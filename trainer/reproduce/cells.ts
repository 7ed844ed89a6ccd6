/**
 * From job files and sweep files to the cells of the paper's tables: what is trained, how often, and where in which table it belongs. All of it is run
 * as sweeps side by side, so that what one has done the next takes over.
 */
import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseYaml } from 'yaml';
import { dataPath } from '../data/cases.ts';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { type CellPlace, gridParameters, methodOf, networkTitle, paperTables, shortLoss, type TableName } from '../report/paper.ts';
import { trainingOf } from '../runRecord.ts';
import { gridOf, readSpace, type Values } from '../search/space.ts';
import type { SweepSpec } from '../search/sweepSpec.ts';
import { type Job, loadJob, readDocument, settleJob } from '../spec.ts';
import { jobOf } from '../sweep/cells.ts';
import { describeParameters } from '../sweep/parameters.ts';
import { type LoadedSweep, loadSweep, specFrom } from '../sweep/sweepFile.ts';
import { SweepFolder, type SweepRecord } from '../sweep/sweepFolder.ts';
import { reductionOf, refuseUnknownImages, settingsOf, type TierName } from './tiers.ts';

/** What can be asked for by name. */
export const experimentNames = ['table1', 'table2', 'table3', 'table4', 'fig1', 'fig2', 'fig3'] as const;
export type ExperimentName = (typeof experimentNames)[number];

/** A choice of parameters that has a place in a table. */
export interface Cell {
  readonly dataset: string;
  readonly method: string;
  /** That is trained: in a smaller reproduction another than the method's. */
  readonly network: string;
  readonly places: CellPlace[];
}

/** What is run as one sweep, in a folder of its own: a search, or one job as often as it is to be trained. */
export interface Group {
  /** Also of its folder. */
  readonly name: string;
  /** The first file that asks for it. */
  readonly file: string;
  readonly dataset: string;
  /** Experiments and files that ask for it. */
  readonly askedBy: string[];
  /** With as many replicates as runs are wanted. */
  readonly sweep: LoadedSweep;
  /** In the order of the sweep's trials. */
  readonly cells: readonly Cell[];
  /** What each trial sets, in words. */
  readonly trials: readonly string[];
  /** The resolved training of each cell, by which one that two tables need is known again. */
  readonly trainings: readonly string[];
  readonly runs: number;
  /** That the paper averages. */
  readonly paperRuns: number;
  /** Where all images of its data set lie, from which a tier draws. */
  readonly source: string;
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

/** All that is to be run, read and found in order before anything is trained. @throws usage, notFound: file, field, and what was expected */
export async function readGroups({ inputs, tier, data, settings, runs, out }: CellOptions): Promise<Group[]> {
  const chosen = settings.map(setting => {
    const [, selector, rest] = /^([A-Za-z0-9]+):([^=]+=.*)$/s.exec(setting) ?? [undefined, undefined, setting];
    return { selector, setting: rest };
  });
  const reduction = reductionOf(tier);
  const known = new Set<string>();
  const datasets = new Set<string>();
  const groups: Group[] = [];

  const settingsFor = (file: string, { dataset, table, words }: Met): string[] => {
    const path = reduction ? subsetFile(out, dataset, reduction.images[dataset]) : data.get(dataset);
    return [
      ...(path === undefined ? [] : [`data.path=${JSON.stringify(relative(resolve(dirname(file)), resolve(path)) || '.')}`]),
      ...(reduction ? settingsOf(reduction, { table, dataset }) : []),
      ...chosen.filter(({ selector }) => selector === undefined || words.includes(selector)).map(({ setting }) => setting),
    ];
  };
  const numRuns = (table: TableName, ofPaper: number): number =>
    runs ?? (reduction ? Math.min(ofPaper, table === '1' || table === '2' ? reduction.runs.search : reduction.runs.others) : ofPaper);
  /** @param job as the file has it: what a cell is in the paper, whatever is set */
  const meet = (file: string, { spec }: Job, labels: Labels): Met => {
    const [table, dataset] = placeOf(file, labels);
    const words = [dataset, spec.model.name, spec.loss.name];
    for (const word of words) known.add(word);
    datasets.add(dataset);
    if (reduction) refuseUnknownImages(reduction, dataset, file);
    const source = data.has(dataset) ? resolve(data.get(dataset)!) : dataPath(dirname(file), spec.data.path);
    return { dataset, table, words, source };
  };
  const add = (group: Omit<Group, 'askedBy' | 'trials' | 'trainings'>, askedBy: string) => {
    const { sweep, runs, cells } = group;
    const chosen = trialsOf(sweep);
    const trainings = chosen.map((_, i) => trainingText(sweep, i));
    const there = groups.find(({ name }) => name === group.name);
    if (!there) {
      groups.push({ ...group, askedBy: [askedBy], trials: chosen.map(describeParameters), trainings });
      return;
    }
    if (JSON.stringify([there.trainings, there.runs]) !== JSON.stringify([trainings, runs])) {
      throw new SegfleetError(
        'usage',
        `${there.file} and ${group.file} have different jobs of the same name, ${group.name}; give one of them another`,
      );
    }
    for (const [i, { places }] of cells.entries()) {
      const others = there.cells[i].places;
      for (const place of places) if (!others.some(other => JSON.stringify(other) === JSON.stringify(place))) others.push(place);
    }
    if (!there.askedBy.includes(askedBy)) there.askedBy.push(askedBy);
  };

  for (const { file, askedBy } of await listFiles(inputs)) {
    if (await isSweep(file)) {
      const plain = loadSweep(file);
      const { spec: before } = plain.base.job.job;
      const met = meet(file, plain.base.job.job, await labelsOfSweep(file));
      const { dataset, table, source } = met;
      const loaded = loadSweep(file, settingsFor(file, met));
      const { count } = plain.spec.replicates;
      const runs = numRuns(table, count);
      const spec = { ...loaded.spec, replicates: { ...loaded.spec.replicates, count: runs } };
      const common = { file, dataset, source, runs, paperRuns: count };
      const cellOf = (sweep: LoadedSweep, trial: number, isBaseline: boolean): Cell => {
        const { loss, model } = jobOf(sweep, trialsOf(sweep)[trial], trial, 1, { threads: 1 }).job.spec;
        const method = methodAt(file, before.model.name, loss.name);
        return {
          dataset,
          method,
          network: networkTitle(model.name),
          places: [{ table, dataset, method, ...(!isBaseline && { parameters: gridParameters(loss) }) }],
        };
      };
      const search = { ...loaded, spec };
      add({ ...common, name: search.name, sweep: search, cells: trialsOf(search).map((_, i) => cellOf(search, i, false)) }, askedBy);
      if (!spec.baseline) continue;
      // The same in whichever table asks for it.
      const parameters = Object.fromEntries(Object.entries(spec.baseline).map(([path, value]) => [path, { value }]));
      const alone = { ...loaded, spec: { ...spec, parameters, baseline: undefined, table: undefined } };
      const cell = cellOf(alone, 0, true);
      const name = `${dataset}-${before.model.name}-${shortLoss(cell.method)}-baseline`.toLowerCase();
      add({ ...common, name, sweep: { ...alone, name }, cells: [cell] }, askedBy);
    } else {
      const { job } = loadJob(file);
      const met = meet(file, job, job.metadata.labels ?? {});
      const { dataset, table, source } = met;
      // Reduced, only U-Net is trained: the same table with FocusNet would hold the same runs again.
      if (reduction && table === '3' && job.spec.model.name !== 'unet') continue;
      const method = methodAt(file, job.spec.model.name, job.spec.loss.name);
      const paperRuns = Number(job.metadata.annotations?.['segfleet.dev/runs'] ?? 1);
      const runs = numRuns(table, paperRuns);
      const sweep = await sweepOfJob(file, settingsFor(file, met), runs);
      add(
        {
          name: sweep.name,
          file,
          dataset,
          source,
          runs,
          paperRuns,
          sweep,
          cells: [{ dataset, method, network: networkTitle(sweep.spec.base.spec.model.name), places: [{ table, dataset, method }] }],
        },
        askedBy,
      );
    }
  }
  refuseUnknown(data.keys(), datasets, name => `--data ${name}=...: no job has that data set`);
  const selectors = chosen.flatMap(({ selector }) => selector ?? []);
  refuseUnknown(selectors, known, word => `--set ${word}:...: no job has that data set, network or loss`);
  return groups;
}

/** Of the sweep of a group, where what lies in its folder is this one, and not one that had other settings or another size. */
export function recordOf({ name, sweep }: Group, out: string): SweepRecord | undefined {
  const folder = new SweepFolder(join(out, name));
  if (!existsSync(folder.record)) return undefined;
  const record = folder.readRecord();
  const identity = ({ parameters, base }: SweepSpec) => JSON.stringify([parameters, trainingOf(base), base.spec.data.path]);
  return identity(record.spec) === identity(specFrom(sweep, folder.path)) ? record : undefined;
}

/** What a file says that it is. */
interface Met {
  readonly dataset: string;
  readonly table: TableName;
  readonly words: readonly string[];
  readonly source: string;
}

/** A job that is trained several times, with seeds one apart: a sweep of one choice. */
async function sweepOfJob(file: string, settings: readonly string[], runs: number): Promise<LoadedSweep> {
  const source = readDocument(await readText(file), file, 'job');
  const job = settleJob(source.value, settings, source);
  const { name, labels, annotations } = job.job.metadata;
  const spec: SweepSpec = {
    objective: { metric: 'validation/jaccard', goal: 'maximize' },
    method: 'grid',
    seed: 0,
    parameters: {},
    replicates: { count: runs, vary: ['seed'] },
    limits: { parallelTrials: 1 },
    suspend: false,
    base: { metadata: { labels, annotations }, spec: job.job.spec },
  };
  return { name, spec, file, base: { job, source, folder: dirname(file) } };
}

const trialsOf = ({ spec }: LoadedSweep): Values[] => gridOf(readSpace(spec.parameters, spec.base.spec));

/** Of the first run; the others have other seeds. */
function trainingText(sweep: LoadedSweep, trial: number): string {
  const { job } = jobOf(sweep, trialsOf(sweep)[trial], trial, 1, { threads: 1 });
  return JSON.stringify([trainingOf(job), dataPath(sweep.base.folder, job.spec.data.path)]);
}

function refuseUnknown(given: Iterable<string>, known: ReadonlySet<string>, sentence: (name: string) => string): void {
  for (const name of given) {
    if (known.has(name)) continue;
    throw new SegfleetError('usage', `${sentence(name)}; known are ${[...known].join(', ')}`);
  }
}

const labelNames = ['segfleet.dev/table', 'segfleet.dev/dataset'] as const;

type Labels = Readonly<Record<string, string>>;

function placeOf(file: string, labels: Labels): [table: TableName, dataset: string] {
  const [table, dataset] = labelNames.map(name => labels[name]);
  if (!(table in paperTables) || !(dataset in paperTables[table as TableName])) throw noCell(file);
  return [table as TableName, dataset];
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

async function readText(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(error => {
    throw fromSystemError(error, file);
  });
}

async function readYaml(file: string): Promise<unknown> {
  const text = await readText(file);
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
