/**
 * `segfleet reproduce`: the cells of the paper's tables, each as often as the paper averages or the tier says, and the tables of what came out. They are
 * run as sweeps in folders side by side: what is done is not done again, whichever table asked for it, and after a kill at any moment it goes on. What
 * fails is told at the end, and the others go on.
 */
import { join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import { runSweep, type SweepEvent } from '../sweep/driver.ts';
import type { TellOptions } from '../sweep/trialProgram.ts';
import { type Cell, type CellOptions, type Group, readGroups, recordOf, subsetFile } from './cells.ts';
import { describe, type FiguresEvent, type TablesEvent, writeFigures, writeTables } from './outputs.ts';
import { writeSubset } from './subset.ts';
import { reductionOf, type TierName } from './tiers.ts';

export interface ReproduceOptions extends CellOptions {
  readonly signal?: AbortSignal;
  /** Who else is told of the runs of the sweep in a folder. */
  readonly tell?: (folder: string) => TellOptions;
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
  /** Each is run as one sweep. */
  readonly groups: readonly {
    readonly name: string;
    readonly file: string;
    readonly folder: string;
    readonly askedBy: readonly string[];
    readonly cells: readonly Cell[];
    /** Of each cell. */
    readonly runs: number;
    readonly paperRuns: number;
    /** Trainings that are there already. */
    readonly done: number;
  }[];
  /** Trainings, those that tables share counted once. */
  readonly runs: number;
}

/** What follows until the next one is of this part. */
export interface GroupEvent {
  readonly event: 'group';
  readonly name: string;
  /** Of all groups, from 1. */
  readonly number: number;
  readonly of: number;
  readonly folder: string;
  /** What each of its trials sets, in words. */
  readonly trials: readonly string[];
}

export interface ProgressEvent {
  readonly event: 'progress';
  readonly group: string;
  readonly told: SweepEvent;
}

/** A part whose runs did not all succeed. */
export interface FailureEvent {
  readonly event: 'failure';
  readonly group: string;
  readonly message: string;
}

export type ReproduceEvent = Plan | GroupEvent | ProgressEvent | FailureEvent | TablesEvent | FiguresEvent;

/** What would be done, without data and without training. @throws usage, notFound */
export async function planReproduction(options: ReproduceOptions): Promise<Plan> {
  return planOf(await readGroups(options), options);
}

function planOf(groups: readonly Group[], options: ReproduceOptions): Plan {
  const { out } = options;
  // Who asks first for a training has it; the others share it.
  const owners = new Map<string, string>();
  for (const group of groups) for (const training of trainingsOf(group)) if (!owners.has(training)) owners.set(training, group.askedBy[0]);
  const experiments = [...new Set(options.inputs)].map(name => {
    const asked = groups.filter(({ askedBy }) => askedBy.includes(name));
    const trainings = asked.flatMap(trainingsOf);
    const runs = trainings.filter(training => owners.get(training) === name).length;
    return { name, cells: asked.reduce((sum, { cells }) => sum + cells.length, 0), runs, reused: trainings.length - runs };
  });
  const planned = groups.map(group => {
    const { name, file, askedBy, cells, runs, paperRuns } = group;
    return { name, file, folder: join(out, name), askedBy, cells, runs, paperRuns, done: doneOf(group, out) };
  });
  return {
    ...{ event: 'plan', tier: options.tier, out },
    ...describe(options),
    ...{ experiments, groups: planned },
    runs: owners.size,
  };
}

/** One a run: the same job with the same seed is the same training. */
const trainingsOf = ({ trainings, runs }: Group): string[] =>
  trainings.flatMap(training => Array.from({ length: runs }, (_, run) => `${training} ${run}`));

const doneOf = (group: Group, out: string): number =>
  (recordOf(group, out)?.trials ?? [])
    .flatMap(({ runs }) => runs)
    .filter(({ state, replicate }) => state === 'succeeded' && replicate <= group.runs).length;

/** @throws partial, after the tables, where a training failed; interrupted, preempted or resources at once */
export async function* reproduce(options: ReproduceOptions): AsyncGenerator<ReproduceEvent, void> {
  const groups = await readGroups(options);
  yield planOf(groups, options);
  await drawImages(groups, options);
  const failures: { name: string; message: string }[] = [];
  for (const [i, { name, sweep, trials }] of groups.entries()) {
    const folder = join(options.out, name);
    yield { event: 'group', name, number: i + 1, of: groups.length, folder, trials };
    try {
      for await (const told of runSweep({ sweep, out: folder, signal: options.signal, tell: options.tell?.(folder) })) {
        yield { event: 'progress', group: name, told };
        // A search takes long: what is done of it can be read meanwhile.
        if (told.event === 'run' && told.status === 'succeeded') await writeTables(groups, options);
      }
    } catch (error) {
      if (!(error instanceof SegfleetError) || atOnce.includes(error.code)) throw error;
      failures.push({ name, message: error.message });
      yield { event: 'failure', group: name, message: error.message };
    }
  }
  if (groups.length > 0) yield await writeTables(groups, options);
  const figures = await writeFigures(groups, options);
  if (figures.files.length > 0) yield figures;
  if (failures.length > 0) {
    const [first] = failures;
    throw new SegfleetError(
      'partial',
      `in ${failures.length} of ${groups.length} parts trainings failed, the first of them ${first.name}: ${first.message}`,
      { details: { failed: failures } },
    );
  }
}

/** After these the other parts would fare no better, or are not wanted. */
const atOnce: readonly string[] = ['interrupted', 'preempted', 'resources', 'bug'];

/** The images of a tier, of each data set that is asked for. */
async function drawImages(groups: readonly Group[], { tier, out }: ReproduceOptions): Promise<void> {
  const reduction = reductionOf(tier);
  if (!reduction) return;
  for (const [dataset, [first, ...others]] of Map.groupBy(groups, group => group.dataset)) {
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
