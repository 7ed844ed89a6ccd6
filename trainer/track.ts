/**
 * Tells a tracking server afterwards what a run, or a sweep, has left in its folder.
 */
import { resolve } from 'node:path';
import { SegfleetError } from './errors.ts';
import type { RunRecord } from './runRecord.ts';
import { RunFolder } from './storage/runFolder.ts';
import { recordUpToNow } from './sweep/read.ts';
import { SweepFolder } from './sweep/sweepFolder.ts';
import { type Delivered, deliverToMlflow } from './tracking/mlflow.ts';
import { mlflowSettings } from './tracking/trackers.ts';

export interface Tracked {
  /** Where people find the run, or the experiment of the sweep. */
  readonly url: string;
  /** That the server had not had. */
  readonly values: number;
  readonly runs: readonly Delivered[];
}

/** @param path of a run, or of a sweep: all runs of its trials that have ended. @throws usage, notFound, notAllowed, conflict, unavailable */
export async function track(path: string, { mlflow }: { readonly mlflow?: string }): Promise<Tracked> {
  const sweep = new SweepFolder(path);
  const { name, folders } = sweep.isSweep ? trialsOf(sweep) : { folders: [new RunFolder(path)] };
  const runs: Delivered[] = [];
  let url = '';
  for (const folder of folders) {
    const settings = await mlflowSettings(folder.readRecord<RunRecord>().job, mlflow, name);
    if (!settings) throw new SegfleetError('usage', 'name the server: --mlflow http://HOST:PORT, or MLFLOW_TRACKING_URI');
    const told = await deliverToMlflow(folder, settings);
    runs.push(told);
    url = `${settings.url}/#/experiments/${told.experimentId}${name === undefined ? `/runs/${told.runId}` : ''}`;
  }
  return { url, values: runs.reduce((sum, { values }) => sum + values, 0), runs };
}

function trialsOf(sweep: SweepFolder): { name: string; folders: RunFolder[] } {
  const { name, trials } = recordUpToNow(sweep);
  const ended = trials.flatMap(({ runs }) => runs.filter(({ state }) => state !== 'waiting' && state !== 'running'));
  const folders = ended
    .map(({ folder, reusedFrom = folder }) => new RunFolder(resolve(sweep.path, reusedFrom)))
    .filter(({ isRun }) => isRun);
  if (folders.length === 0)
    throw new SegfleetError('notFound', `no trial of the sweep in ${sweep.path} has ended yet; ask again when one has`);
  return { name, folders };
}
