/**
 * Tells a tracking server afterwards what a run has left in its folder.
 */
import { SegfleetError } from './errors.ts';
import type { RunRecord } from './runRecord.ts';
import { RunFolder } from './storage/runFolder.ts';
import { type Delivered, deliverToMlflow } from './tracking/mlflow.ts';
import { mlflowSettings } from './tracking/trackers.ts';

/** @returns with where people find the run. @throws usage, notFound, notAllowed, conflict, unavailable */
export async function track(path: string, { mlflow }: { readonly mlflow?: string }): Promise<Delivered & { readonly url: string }> {
  const folder = new RunFolder(path);
  const settings = await mlflowSettings(folder.readRecord<RunRecord>().job, mlflow);
  if (!settings) throw new SegfleetError('usage', 'name the server: --mlflow http://HOST:PORT, or MLFLOW_TRACKING_URI');
  const told = await deliverToMlflow(folder, settings);
  return { ...told, url: `${settings.url}/#/experiments/${told.experimentId}/runs/${told.runId}` };
}
