/**
 * What a sweep comes to, before it is run: trials, runs, what is there already, time and bytes.
 */
import { availableParallelism } from 'node:os';
import { programOf } from '../course.ts';
import { countParameters, declareParameters } from '../models/layers.ts';
import type { Values } from '../search/space.ts';
import type { Job } from '../spec.ts';
import { jobOf } from './cells.ts';
import { readJournal } from './journal.ts';
import { keyOf, ownCode } from './keys.ts';
import { prepare } from './prepare.ts';
import { finishedBeside } from './reuse.ts';
import { SweepState } from './state.ts';
import type { LoadedSweep } from './sweepFile.ts';
import { SweepFolder } from './sweepFolder.ts';

export interface PlannedRun {
  readonly replicate: number;
  readonly key: string;
  /** done: it came to its end in this sweep; reused: in another, or before the file was changed; failed: it stays so unless it is run again. */
  readonly state: 'to run' | 'done' | 'failed' | 'reused';
  /** The folder of the run that is taken over. */
  readonly from?: string;
  readonly epochs: number;
}

export interface PlannedTrial {
  readonly number: number;
  readonly parameters: Values;
  readonly runs: readonly PlannedRun[];
}

export interface SweepPlan {
  readonly name: string;
  readonly folder: string;
  readonly method: string;
  /** Those that can be told in advance. */
  readonly trials: readonly PlannedTrial[];
  /** Whether these are all; else the search chooses others, or more, by what it sees. */
  readonly isComplete: boolean;
  /** At most, where that is known. */
  readonly maxTrials?: number;
  readonly counts: {
    readonly runs: number;
    readonly toRun: number;
    readonly done: number;
    readonly failed: number;
    readonly reused: number;
  };
  readonly parallel: number;
  readonly threads: number;
  readonly cores: number;
  readonly time: { readonly hours?: number; readonly basis: string };
  readonly bytes: {
    /** Of the images and masks, read once. */
    readonly data: number;
    /** What all runs leave: weights of the best and the last epoch. */
    readonly kept: number;
    /** Checkpoints of the runs under way, on top. */
    readonly checkpoints: number;
  };
}

const learning: readonly string[] = ['tpe', 'asha', 'hyperband', 'pbt', 'staged'];

/** @throws what `runSweep` throws before it starts anything */
export async function planSweep({
  sweep,
  out,
  cores = availableParallelism(),
}: {
  readonly sweep: LoadedSweep;
  readonly out: string;
  readonly cores?: number;
}): Promise<SweepPlan> {
  const folder = new SweepFolder(out);
  const { known, frame, data, parallel, chosenBy, objective } = await prepare({ sweep, folder, cores });
  const { spec } = sweep;
  const { count } = spec.replicates;
  const told = folder.isSweep ? readJournal(folder.journal).events : [];
  const [first] = told;
  const isSame = first?.event === 'sweep' && first.chosenBy === chosenBy;
  const state = new SweepState(spec, objective);
  if (isSame) for (const event of told) state.apply(event);
  const finished = new Map(finishedBeside(folder, { withOwn: !isSame }));

  const chosen = [...state.trials.map(({ parameters }) => parameters), ...known.slice(state.trials.length)];
  let bytes = 0;
  let parameters = 0;
  const trials: PlannedTrial[] = [];
  for (const [number, of] of chosen.entries()) {
    const runs: PlannedRun[] = [];
    for (let replicate = 1; replicate <= count; replicate++) {
      const { job } = jobOf(sweep, of, number, replicate, frame);
      const opened = await data.of(job);
      bytes = Math.max(bytes, opened.bytes);
      parameters = Math.max(parameters, parametersOf(job));
      const key = keyOf(job, opened, ownCode(), replicate);
      const own = state.trials[number]?.runs[replicate - 1];
      const from = finished.get(key);
      const isOver = own?.state === 'succeeded' || own?.state === 'stopped';
      const runState = isOver ? 'done' : own?.state === 'failed' ? 'failed' : from !== undefined ? 'reused' : 'to run';
      const { epochs } = job.spec.training;
      runs.push({
        replicate,
        key,
        state: runState,
        ...(runState === 'reused' && { from }),
        epochs: epochs - (own?.reports.at(-1)?.epoch ?? 0),
      });
    }
    trials.push({ number, parameters: of, runs });
  }
  const runs = trials.flatMap(trial => trial.runs);
  const number = (state: PlannedRun['state']) => runs.filter(run => run.state === state).length;
  const isComplete = !learning.includes(spec.method) && !spec.earlyStop;
  const weights = 4 * parameters;
  return {
    ...{ name: sweep.name, folder: out, method: spec.method, trials, isComplete },
    ...(spec.limits.maxTrials !== undefined && { maxTrials: spec.limits.maxTrials }),
    counts: { runs: runs.length, toRun: number('to run'), done: number('done'), failed: number('failed'), reused: number('reused') },
    ...{ parallel, threads: frame.threads, cores },
    time: timeOf(state, runs, { parallel, isComplete }),
    bytes: {
      data: bytes,
      kept: runs.length * 2 * weights,
      // Weights and two moments of the optimiser, of so many checkpoints and the one that is being written.
      checkpoints: parallel * (spec.base.spec.checkpoint.last + spec.base.spec.checkpoint.best + 1) * 3 * weights,
    },
  };
}

const parametersOf = (job: Job): number => {
  const { network, image } = programOf(job);
  return countParameters(declareParameters(network, image));
};

/** From the runs that have ended here. */
function timeOf(
  { trials }: SweepState,
  runs: readonly PlannedRun[],
  { parallel, isComplete }: { parallel: number; isComplete: boolean },
): SweepPlan['time'] {
  const ended = trials.flatMap(trial => trial.runs).filter(({ state, reusedFrom }) => state === 'succeeded' && reusedFrom === undefined);
  const epochs = ended.reduce((sum, { reports }) => sum + reports.length, 0);
  if (epochs === 0) return { basis: 'unknown: no run of this sweep has come to its end yet' };
  const secondsPerEpoch = ended.reduce((sum, { seconds }) => sum + seconds, 0) / epochs;
  const left = runs.filter(({ state }) => state === 'to run').reduce((sum, run) => sum + run.epochs, 0);
  const hours = (left * secondsPerEpoch) / Math.max(1, Math.min(parallel, runs.length)) / 3600;
  const per = `${secondsPerEpoch.toFixed(1)} s an epoch in ${ended.length} runs of this sweep that have come to their end`;
  return { hours, basis: `${per}${isComplete ? '' : '; of the trials that can be told in advance, each to its end'}` };
}
