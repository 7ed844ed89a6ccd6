/**
 * A sweep as its folder tells, whether somebody drives it or not.
 */
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import { withPathsFrom } from '../runRecord.ts';
import { renderJob } from '../spec.ts';
import { describeParameters, jobOf } from './cells.ts';
import { isHeld } from './follow.ts';
import { readJournal } from './journal.ts';
import { Objective } from './objective.ts';
import { recordOf } from './record.ts';
import { SweepState } from './state.ts';
import { type LoadedSweep, loadSweep } from './sweepFile.ts';
import { defaultSweepOut, SweepFolder, type SweepRecord } from './sweepFolder.ts';

/** @param place the folder of a sweep, or its name where that is below runs/ @throws notFound */
export function sweepFolderAt(place: string): SweepFolder {
  const found = [place, defaultSweepOut(place)].map(path => new SweepFolder(path)).find(folder => folder.isSweep);
  if (found) return found;
  throw new SegfleetError('notFound', `there is no sweep in ${place}; name its folder as sweep run printed it, or run it first`);
}

/** What `sweep run` goes on with: a sweep file, or the folder of a sweep that was begun. */
export function sweepAt(place: string, settings: readonly string[] = [], out?: string): { sweep: LoadedSweep; out: string } {
  if (statSync(place, { throwIfNoEntry: false })?.isDirectory() || (!existsSync(place) && existsSync(defaultSweepOut(place)))) {
    const folder = sweepFolderAt(place);
    return { sweep: loadSweep(folder.file, settings), out: out ?? folder.path };
  }
  const sweep = loadSweep(place, settings);
  return { sweep, out: out ?? defaultSweepOut(sweep.name) };
}

/** The record, up to the last line of the journal. @throws notFound, integrity */
export async function readSweep(folder: SweepFolder): Promise<{ readonly record: SweepRecord; readonly isDriven: boolean }> {
  const isDriven = await isHeld(folder);
  const { trials: _, best: __, counts: ___, schema: ____, ...about } = folder.readRecord();
  const objective = new Objective(about.spec.objective);
  const { timeMetric } = about.spec.earlyStop ?? {};
  const state = new SweepState(about.spec.replicates.count, objective, ({ epoch, step }) => (timeMetric === 'step' ? step : epoch));
  for (const event of readJournal(folder.journal).events) state.apply(event);
  return { record: recordOf(about, state, objective), isDriven };
}

/**
 * The job of the best trial, as a file that lies in `folder` and trains it again.
 *
 * @throws notFound: no trial has a value yet
 */
export async function bestJob(
  place: SweepFolder,
  folder: string,
): Promise<{ readonly trial: SweepRecord['trials'][number]; readonly text: string }> {
  const { record } = await readSweep(place);
  const trial = record.best === undefined ? undefined : record.trials[record.best];
  if (!trial) throw new SegfleetError('notFound', `no trial of ${place.path} has a value yet; run it on (sweep run)`);
  const sweep = loadSweep(place.file);
  const { epochs } = sweep.spec.base.spec.training;
  const longest = sweep.spec.method === 'hyperband' ? sweep.spec.hyperband!.maxTime : sweep.spec.earlyStop?.maxTime;
  const inEpochs = sweep.spec.earlyStop?.timeMetric !== 'step' && longest !== undefined && longest < epochs;
  const { job } = jobOf(sweep, trial.parameters, trial.number, 1, { threads: record.threads, ...(inEpochs && { epochs: longest }) });
  const named = { ...job, metadata: { ...job.metadata, name: `${sweep.name.slice(0, 58)}-best` } };
  const { forkedFrom } = trial;
  const head = [
    `The best trial of the sweep ${record.name}: trial ${trial.number} (${describeParameters(trial.parameters)}), ${record.spec.objective.metric} ${trial.value} (n = ${trial.n}).`,
    ...(forkedFrom
      ? [`It began with the weights of trial ${forkedFrom.trial} after ${forkedFrom.time}: trained from the start it will be another one.`]
      : []),
  ];
  const text = renderJob(withPathsFrom(named, sweep.base.folder, folder));
  return { trial, text: `${head.map(line => `# ${line}\n`).join('')}${text}` };
}

export const bestWeightsOf = (folder: SweepFolder, trial: SweepRecord['trials'][number]): string =>
  join(folder.path, trial.runs[0].folder, 'weights', 'best.safetensors');

/** Folder that a file's paths are relative to. */
export const folderOf = (file: string | undefined): string => (file === undefined ? '.' : dirname(file));
