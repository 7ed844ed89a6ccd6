/**
 * The best of a sweep, to train again or to take.
 */
import { dirname, join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import { withPathsFrom } from '../runRecord.ts';
import { renderJob } from '../spec.ts';
import { jobOf } from './cells.ts';
import { describeParameters } from './parameters.ts';
import { epochsOf } from './prepare.ts';
import { readSweep } from './read.ts';
import { loadSweep } from './sweepFile.ts';
import type { SweepFolder, SweepRecord } from './sweepFolder.ts';

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
  // In steps a trial ends in the middle of an epoch: its job has them all.
  const epochs = sweep.spec.earlyStop?.timeMetric === 'step' ? undefined : epochsOf(sweep, 1);
  const { job } = jobOf(sweep, trial.parameters, trial.number, 1, { threads: record.threads, ...(epochs !== undefined && { epochs }) });
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
