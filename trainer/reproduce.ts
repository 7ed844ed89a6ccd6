/**
 * `segfleet reproduce`: the jobs of the paper's tables one after the other, each as often as the paper averages, and the tables of what
 * came out. What is done is not done again; a cell that fails is told at the end, and the others go on.
 */
import { existsSync } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fromSystemError, SegfleetError } from './errors.ts';
import type { Scores } from './evaluate.ts';
import { evaluateRun } from './evaluateRun.ts';
import { makePaperTables, methodOf, type PaperTable, paperTables, renderCsv, renderMarkdown, type TableName } from './report/paper.ts';
import { isSameJob, type RunRecord, withPathsFrom } from './runRecord.ts';
import { checkpointUrl } from './runWriter.ts';
import { type LoadedJob, loadJob } from './spec.ts';
import { manifestKeys } from './storage/checkpoints.ts';
import { writeAtomically } from './storage/files.ts';
import { openStore } from './storage/openStore.ts';
import { RunFolder } from './storage/runFolder.ts';
import type { TrainEvent } from './tracking/events.ts';
import { train } from './train.ts';

export interface ReproduceOptions {
  /** Job files, and folders of them. */
  readonly jobs: readonly string[];
  /** Where each data set lies, by the name in the label `segfleet.dev/dataset`. */
  readonly data: ReadonlyMap<string, string>;
  /** `path=value` for all jobs, or `selector:path=value` for those of a data set, network or loss. */
  readonly settings: readonly string[];
  /** Trainings of each job; by default as many as the paper averages. */
  readonly runs?: number;
  readonly out: string;
  readonly signal?: AbortSignal;
}

export interface CellEvent {
  readonly event: 'cell';
  readonly status: 'begins' | 'done' | 'done before' | 'failed';
  /** Of all trainings, from 1. */
  readonly number: number;
  readonly of: number;
  readonly name: string;
  readonly folder: string;
  readonly message?: string;
}

export interface TablesEvent {
  readonly event: 'tables';
  readonly tables: readonly PaperTable[];
  /** What the numbers are. */
  readonly note: string;
  readonly files: readonly string[];
}

/** A job as often as it is to be trained, and where it belongs. */
interface Cell {
  readonly file: string;
  readonly settings: readonly string[];
  readonly name: string;
  readonly table: TableName;
  readonly dataset: string;
  readonly method: string;
  readonly seed: number;
  readonly runs: number;
}

/** @throws partial, after the tables, where a cell failed; interrupted or preempted at once */
export async function* reproduce(options: ReproduceOptions): AsyncGenerator<TrainEvent | CellEvent | TablesEvent, void> {
  const cells = await readCells(options);
  // The first training of all cells, then the second: the tables are whole early.
  const mostRuns = Math.max(...cells.map(({ runs }) => runs));
  const trainings = Array.from({ length: mostRuns }, (_, i) => cells.filter(({ runs }) => runs > i).map(cell => ({ cell, run: i }))).flat();
  const scores = new Map<Cell, Scores[]>(cells.map(cell => [cell, []]));
  const failures: { name: string; message: string }[] = [];
  for (const [i, { cell, run }] of trainings.entries()) {
    const seed = cell.seed + run;
    const folder = join(options.out, cell.name, `seed-${seed}`);
    const about = { event: 'cell', number: i + 1, of: trainings.length, name: `${cell.name}, seed ${seed}`, folder } as const;
    try {
      const loaded = loadJob(cell.file, [...cell.settings, `seed=${seed}`]);
      const isDone = wasDone(folder, loaded, cell.file);
      if (!isDone) {
        yield { ...about, status: 'begins' };
        yield* trainCell(folder, loaded, cell.file, options.signal);
      }
      scores.get(cell)!.push(await scoresOf(folder, cell.table));
      yield { ...about, status: isDone ? 'done before' : 'done' };
    } catch (error) {
      if (error instanceof SegfleetError && (error.code === 'preempted' || error.code === 'interrupted')) throw error;
      const { message } = error as Error;
      failures.push({ name: about.name, message });
      yield { ...about, status: 'failed', message };
    }
  }
  const tables = makePaperTables(cells.map(cell => ({ ...cell, scores: scores.get(cell)! })));
  const note = `In percent, of the epoch with the best validation Jaccard; Table 3 on the validation images, Table 4 on its test images. ${trainings.length - failures.length} of ${trainings.length} trainings.`;
  const files = [join(options.out, 'tables.md'), join(options.out, 'tables.csv')];
  await writeAtomically(files[0], renderMarkdown(tables, note));
  await writeAtomically(files[1], renderCsv(tables));
  yield { event: 'tables', tables, note, files };
  if (failures.length > 0) {
    const [first] = failures;
    throw new SegfleetError(
      'partial',
      `${failures.length} of ${trainings.length} trainings failed, the first of them ${first.name}: ${first.message}`,
      { details: { failed: failures } },
    );
  }
}

async function* trainCell(out: string, loaded: LoadedJob, file: string, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
  const folder = new RunFolder(out);
  const checkpoints = await openStore(checkpointUrl(loaded.job, dirname(file), out));
  if (folder.isRun && (await manifestKeys(checkpoints)).length === 0) {
    await folder.lock(); // nobody else is at it
    await rm(out, { recursive: true }); // ended before its first checkpoint: nothing is lost
  }
  yield* train({ ...loaded, base: dirname(file), out, resume: folder.isRun, signal });
}

function wasDone(path: string, { job }: LoadedJob, file: string): boolean {
  const folder = new RunFolder(path);
  if (!existsSync(folder.record)) return false;
  const record = folder.readRecord<RunRecord>();
  return record.status === 'succeeded' && isSameJob(record.job, withPathsFrom(job, dirname(file), path));
}

/** Table 4 has a test part of its own; in Table 3 a fifth of the images is all that there is besides those for training. */
async function scoresOf(path: string, table: TableName): Promise<Scores> {
  if (table === '4') return (await evaluateRun(path, { select: 'best', part: 'test' })).scores;
  return new RunFolder(path).readRecord<RunRecord>().best!.validation;
}

/** All jobs, read and found in order before the first is trained. */
async function readCells({ jobs, data, settings, runs }: ReproduceOptions): Promise<Cell[]> {
  const chosen = settings.map(setting => {
    const [, selector, rest] = /^([A-Za-z0-9]+):([^=]+=.*)$/s.exec(setting) ?? [undefined, undefined, setting];
    return { selector, setting: rest };
  });
  const known = new Set<string>();
  const datasets = new Set<string>();
  const cells: Cell[] = [];
  for (const file of await listJobs(jobs)) {
    const { job } = loadJob(file);
    const { labels = {}, annotations = {} } = job.metadata;
    const [table, dataset] = [labels['segfleet.dev/table'], labels['segfleet.dev/dataset']];
    const method = methodOf(job.spec.model.name, job.spec.loss.name);
    if (!(table in paperTables) || !(dataset in paperTables[table as TableName]) || !method) {
      throw new SegfleetError(
        'usage',
        `${file} is no cell of the paper's tables: it needs the labels segfleet.dev/table (${Object.keys(paperTables).join(' or ')}) and segfleet.dev/dataset, and a network and loss of the paper, as those in examples/paper have`,
      );
    }
    const words = [dataset, job.spec.model.name, job.spec.loss.name];
    for (const word of words) known.add(word);
    datasets.add(dataset);
    const place = data.get(dataset);
    const ofCell = [
      ...(place === undefined ? [] : [`data.path=${JSON.stringify(relative(resolve(dirname(file)), resolve(place)) || '.')}`]),
      ...chosen.filter(({ selector }) => selector === undefined || words.includes(selector)).map(({ setting }) => setting),
    ];
    const set = loadJob(file, ofCell).job;
    const { name } = set.metadata;
    const other = cells.find(cell => cell.name === name);
    if (other) throw new SegfleetError('usage', `${other.file} and ${file} have the same name, ${name}; give one of them another`);
    cells.push({
      file,
      settings: ofCell,
      name,
      table: table as TableName,
      dataset,
      method,
      seed: set.spec.seed,
      runs: runs ?? Number(annotations['segfleet.dev/runs'] ?? 1),
    });
  }
  const unknownSet = [...data.keys()].find(name => !datasets.has(name));
  if (unknownSet)
    throw new SegfleetError('usage', `--data ${unknownSet}=...: no job has that data set; known are ${[...datasets].join(', ')}`);
  const unknownWord = chosen.find(({ selector }) => selector !== undefined && !known.has(selector))?.selector;
  if (unknownWord) {
    throw new SegfleetError(
      'usage',
      `--set ${unknownWord}:...: no job has that data set, network or loss; known are ${[...known].join(', ')}`,
    );
  }
  return cells;
}

async function listJobs(inputs: readonly string[]): Promise<string[]> {
  const files: string[] = [];
  for (const input of inputs) {
    const found = await stat(input).catch(error => {
      throw fromSystemError(error, input);
    });
    const names = found.isDirectory() ? (await readdir(input)).filter(name => /\.ya?ml$/.test(name)).sort() : undefined;
    if (names?.length === 0) throw new SegfleetError('usage', `${input} holds no job file (.yaml); name job files, or a folder of them`);
    files.push(...(names?.map(name => join(input, name)) ?? [input]));
  }
  return files;
}
