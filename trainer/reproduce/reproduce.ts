/**
 * `segfleet reproduce`: the cells of the paper's tables one after the other, each as often as the paper averages or the tier says, and the tables of
 * what came out. What is done is not done again, whichever table asked for it; a cell that fails is told at the end, and the others go on.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import type { Scores } from '../evaluate.ts';
import { evaluateRun } from '../evaluateRun.ts';
import type { CellPlace } from '../report/paper.ts';
import { isSameJob, type RunRecord, withPathsFrom } from '../runRecord.ts';
import { checkpointUrl } from '../runWriter.ts';
import type { LoadedJob } from '../spec.ts';
import { manifestKeys } from '../storage/checkpoints.ts';
import { openStore } from '../storage/openStore.ts';
import { RunFolder } from '../storage/runFolder.ts';
import type { TrainEvent } from '../tracking/events.ts';
import { train } from '../train.ts';
import { type Cell, type CellOptions, readCells, subsetFile } from './cells.ts';
import { type CellResult, describe, type FiguresEvent, type PlacedScores, type TablesEvent, writeFigures, writeTables } from './outputs.ts';
import { writeSubset } from './subset.ts';
import { reductionOf, type TierName } from './tiers.ts';

export interface ReproduceOptions extends CellOptions {
  readonly signal?: AbortSignal;
}

export interface PlannedExperiment {
  readonly name: string;
  readonly cells: number;
  /** Trainings that no earlier one has. */
  readonly runs: number;
  /** Trainings that an earlier one has too. */
  readonly reused: number;
}

export interface Plan {
  readonly event: 'plan';
  readonly tier: TierName;
  /** One line that says what the numbers are. */
  readonly title: string;
  /** What is not as the paper has it. */
  readonly changes: readonly string[];
  readonly out: string;
  readonly experiments: readonly PlannedExperiment[];
  readonly cells: readonly (Pick<Cell, 'name' | 'file' | 'dataset' | 'method' | 'places' | 'askedBy' | 'runs' | 'paperRuns'> & {
    readonly seeds: readonly number[];
    readonly done: number;
  })[];
  readonly runs: number;
  readonly done: number;
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

/** What would be done, without data and without training. @throws usage, notFound */
export async function planReproduction(options: ReproduceOptions): Promise<Plan> {
  return planOf(await readCells(options), options);
}

function planOf(cells: readonly Cell[], options: ReproduceOptions): Plan {
  const planned = cells.map(cell => {
    const { name, file, dataset, method, places, askedBy, runs, paperRuns } = cell;
    const seeds = Array.from({ length: runs }, (_, i) => cell.seed + i);
    const done = seeds.filter(seed => wasDone(folderOf(options.out, cell, seed), cell.load(seed), cell.base)).length;
    return { name, file, dataset, method, places, askedBy, runs, paperRuns, seeds, done };
  });
  const runsOf = (some: readonly { runs: number }[]) => some.reduce((sum, { runs }) => sum + runs, 0);
  const names = [...new Set(options.inputs)];
  const experiments = names.map(name => {
    const asked = planned.filter(({ askedBy }) => askedBy.includes(name));
    const isFirst = ({ askedBy }: Pick<Cell, 'askedBy'>) => askedBy[0] === name;
    return {
      name,
      cells: asked.length,
      runs: runsOf(asked.filter(isFirst)),
      reused: runsOf(asked.filter(cell => !isFirst(cell))),
    };
  });
  return {
    event: 'plan',
    tier: options.tier,
    ...describe(options),
    out: options.out,
    experiments,
    cells: planned,
    runs: runsOf(planned),
    done: planned.reduce((sum, { done }) => sum + done, 0),
  };
}

const folderOf = (out: string, { name }: Pick<Cell, 'name'>, seed: number): string => join(out, name, `seed-${seed}`);

/** @throws partial, after the tables, where a cell failed; interrupted or preempted at once */
export async function* reproduce(
  options: ReproduceOptions,
): AsyncGenerator<TrainEvent | Plan | CellEvent | TablesEvent | FiguresEvent, void> {
  const cells = await readCells(options);
  yield planOf(cells, options);
  await drawImages(cells, options);
  // The first training of all cells, then the second: the tables are whole early.
  const mostRuns = Math.max(0, ...cells.map(({ runs }) => runs));
  const trainings = Array.from({ length: mostRuns }, (_, i) => cells.filter(({ runs }) => runs > i).map(cell => ({ cell, run: i }))).flat();
  const results = new Map<Cell, CellResult[]>(cells.map(cell => [cell, []]));
  const failures: { name: string; message: string }[] = [];
  const tell = () => writeTables(results, options, trainings.length);
  for (const [i, { cell, run }] of trainings.entries()) {
    const seed = cell.seed + run;
    const folder = folderOf(options.out, cell, seed);
    const about = { event: 'cell', number: i + 1, of: trainings.length, name: `${cell.name}, seed ${seed}`, folder } as const;
    try {
      const loaded = cell.load(seed);
      const isDone = wasDone(folder, loaded, cell.base);
      if (!isDone) {
        yield { ...about, status: 'begins' };
        yield* trainCell(folder, loaded, cell.base, options.signal);
      }
      await dropCheckpoints(folder, loaded);
      results.get(cell)!.push({ folder, scores: await scoresOf(folder, cell.places) });
      if (!isDone) await tell();
      yield { ...about, status: isDone ? 'done before' : 'done' };
    } catch (error) {
      if (error instanceof SegfleetError && (error.code === 'preempted' || error.code === 'interrupted')) throw error;
      const { message } = error as Error;
      failures.push({ name: about.name, message });
      yield { ...about, status: 'failed', message };
    }
  }
  if (cells.length > 0) yield await tell();
  const figures = await writeFigures(results, options);
  if (figures.files.length > 0) yield figures;
  if (failures.length > 0) {
    const [first] = failures;
    throw new SegfleetError(
      'partial',
      `${failures.length} of ${trainings.length} trainings failed, the first of them ${first.name}: ${first.message}`,
      { details: { failed: failures } },
    );
  }
}

/** The images of a tier, of each data set that is asked for. */
async function drawImages(cells: readonly Cell[], { tier, out }: ReproduceOptions): Promise<void> {
  const reduction = reductionOf(tier);
  if (!reduction) return;
  for (const [dataset, [first, ...others]] of Map.groupBy(cells, cell => cell.dataset)) {
    const other = others.find(({ source }) => source !== first.source);
    if (other) {
      throw new SegfleetError(
        'usage',
        `${first.file} and ${other.file} have ${dataset} in two places, ${first.source} and ${other.source}; name one with --data ${dataset}=PATH`,
      );
    }
    const images = reduction.images[dataset];
    await writeSubset(first.source, subsetFile(out, dataset, images), images);
  }
}

async function* trainCell(out: string, loaded: LoadedJob, base: string, signal?: AbortSignal): AsyncGenerator<TrainEvent> {
  const folder = new RunFolder(out);
  if (folder.isRun && folder.readRecord<RunRecord>().status === 'succeeded') {
    throw new SegfleetError(
      'conflict',
      `${out} holds the run of another job, of an earlier reproduction with other settings; choose another --out, or remove that folder`,
    );
  }
  const checkpoints = await openStore(checkpointUrl(loaded.job, base, out));
  if (folder.isRun && (await manifestKeys(checkpoints)).length === 0) {
    await folder.lock(); // nobody else is at it
    await rm(out, { recursive: true }); // ended before its first checkpoint: nothing is lost
  }
  yield* train({ ...loaded, base, out, resume: folder.isRun, signal });
}

/** Those of a run that has ended serve nobody any more, and are several times its weights. */
async function dropCheckpoints(path: string, { job }: LoadedJob): Promise<void> {
  if (job.spec.checkpoint.url === undefined) await rm(new RunFolder(path).checkpoints, { recursive: true, force: true });
}

function wasDone(path: string, { job }: LoadedJob, base: string): boolean {
  const folder = new RunFolder(path);
  if (!existsSync(folder.record)) return false;
  const record = folder.readRecord<RunRecord>();
  return record.status === 'succeeded' && isSameJob(record.job, withPathsFrom(job, base, path));
}

/** Table 4 has a test part of its own; elsewhere a fifth of the images is all that there is besides those for training. */
async function scoresOf(path: string, places: readonly CellPlace[]): Promise<PlacedScores> {
  const placed = new Map<CellPlace, Scores>();
  for (const place of places) {
    const scores =
      place.table === '4'
        ? (await evaluateRun(path, { select: 'best', part: 'test' })).scores
        : new RunFolder(path).readRecord<RunRecord>().best!.validation;
    placed.set(place, scores);
  }
  return placed;
}
