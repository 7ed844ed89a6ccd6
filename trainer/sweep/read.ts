/**
 * A sweep as its folder tells, whether somebody drives it or not.
 */
import { SegfleetError } from '../errors.ts';
import { isHeld } from './follow.ts';
import { readJournal } from './journal.ts';
import { Objective } from './objective.ts';
import { recordOf } from './record.ts';
import { SweepState } from './state.ts';
import { defaultSweepOut, SweepFolder, type SweepRecord } from './sweepFolder.ts';

/** @param place the folder of a sweep, or its name where that is below runs/ @throws notFound */
export function sweepFolderAt(place: string): SweepFolder {
  const found = [place, defaultSweepOut(place)].map(path => new SweepFolder(path)).find(folder => folder.isSweep);
  if (found) return found;
  throw new SegfleetError('notFound', `there is no sweep in ${place}; name its folder as sweep run printed it, or run it first`);
}

/** The record, up to the last line of the journal. @throws notFound, integrity */
export async function readSweep(folder: SweepFolder): Promise<{ readonly record: SweepRecord; readonly isDriven: boolean }> {
  const isDriven = await isHeld(folder);
  return { record: recordUpToNow(folder), isDriven };
}

/** The same, without a look at who drives it: for who asks often. @throws notFound, integrity */
export function recordUpToNow(folder: SweepFolder): SweepRecord {
  const { trials: _, best: __, counts: ___, schema: ____, ...about } = folder.readRecord();
  const objective = new Objective(about.spec.objective);
  const state = new SweepState(about.spec, objective);
  for (const event of readJournal(folder.journal).events) state.apply(event);
  return recordOf(about, state, objective);
}
