/**
 * What a run folder tells a sweep.
 */
import { existsSync, readFileSync } from 'node:fs';
import { SegfleetError } from '../errors.ts';
import type { RunRecord } from '../runRecord.ts';
import type { RunFolder } from '../storage/runFolder.ts';
import type { EpochEvent, TrainEvent } from '../tracking/events.ts';
import type { EpochReport } from './journal.ts';
import type { Objective } from './objective.ts';

const numberOrNull = (value: number): number | null => (Number.isFinite(value) ? value : null);

export const reportOf = (event: EpochEvent, objective: Pick<Objective, 'valueOf'>): EpochReport => ({
  epoch: event.epoch,
  step: event.step,
  value: numberOrNull(objective.valueOf(event)),
  jaccard: numberOrNull(event.validation.pooled.jaccard),
});

/** Of the epochs that a checkpoint stands behind, rising. */
export function readReports(folder: RunFolder, objective: Pick<Objective, 'valueOf'>): EpochReport[] {
  if (!existsSync(folder.events)) return [];
  const reports: EpochReport[] = [];
  let stored = 0;
  for (const line of readFileSync(folder.events, 'utf8').split('\n')) {
    let event: TrainEvent;
    try {
      event = JSON.parse(line) as TrainEvent;
    } catch {
      continue; // being written when its process was killed
    }
    if (event.event === 'epoch') reports.push(reportOf(event, objective));
    if (event.event === 'checkpoint') stored = reports.length;
  }
  return reports.slice(0, stored);
}

/** Undefined where no run was begun, or where its record is no more to be read. */
export function readRunRecord(folder: RunFolder): RunRecord | undefined {
  if (!folder.isRun) return undefined;
  try {
    return folder.readRecord<RunRecord>();
  } catch (error) {
    if (error instanceof SegfleetError && error.code === 'integrity') return undefined;
    throw error;
  }
}

/** The best epoch so far by validation Jaccard, of equal ones the first: as the run has it. */
export function bestReport(reports: readonly EpochReport[]): EpochReport | undefined {
  let best: EpochReport | undefined;
  for (const report of reports) if (report.jaccard !== null && (best?.jaccard == null || report.jaccard > best.jaccard)) best = report;
  return best;
}
