/**
 * What a report reads of a run: its record, its epochs, and how its weights score image by image.
 */
import { existsSync } from 'node:fs';
import { SegfleetError } from '../errors.ts';
import { type CaseScores, evaluationOf, type PartOfRun, type RunEvaluation, readCases, readRocs } from '../evaluateRun.ts';
import type { RocPoint } from '../metrics/roc.ts';
import { readRun } from '../openRun.ts';
import type { RunRecord } from '../runRecord.ts';
import { checkpointUrl } from '../runWriter.ts';
import { listCheckpoints } from '../storage/inspectCheckpoints.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { type EpochEvent, readEvents, type StartEvent } from '../tracking/events.ts';

export interface ReportedRun {
  readonly path: string;
  /** What tells it from the others. */
  readonly name: string;
  readonly record: RunRecord;
  readonly start: StartEvent | undefined;
  readonly epochs: readonly EpochEvent[];
  /** Of the checkpoints in its folder; unknown where they lie elsewhere. */
  readonly checkpointBytes: number | undefined;
  /** Where it succeeded and could be evaluated. */
  readonly scored: RunScores | undefined;
  /** Why it is not, though it succeeded. */
  readonly trouble: string | undefined;
}

export interface RunScores {
  readonly evaluation: RunEvaluation;
  readonly cases: CaseScores;
  /** By class. */
  readonly rocs: readonly (readonly RocPoint[])[];
}

/** A run that succeeded and was evaluated. */
export type ScoredRun = ReportedRun & { readonly scored: RunScores };
export const isScored = (run: ReportedRun): run is ScoredRun => run.scored !== undefined;

/** Evaluates it where that was not done yet. @throws notFound, integrity where it is no run folder */
export async function reportedRun(path: string, name: string, which: PartOfRun): Promise<ReportedRun> {
  const folder = new RunFolder(path);
  const record = folder.readRecord<RunRecord>();
  const events = readEvents(folder.events);
  const known = {
    path,
    name,
    record,
    start: events.find(event => event.event === 'start'),
    epochs: events.filter(event => event.event === 'epoch'),
    checkpointBytes: await checkpointBytes(path, record),
  };
  if (record.status !== 'succeeded') return { ...known, scored: undefined, trouble: undefined };
  try {
    return { ...known, scored: await scoresOf(path, which), trouble: undefined };
  } catch (error) {
    if (!(error instanceof SegfleetError)) throw error;
    return { ...known, scored: undefined, trouble: error.message };
  }
}

async function scoresOf(path: string, which: PartOfRun): Promise<RunScores> {
  const run = await readRun(path, which.select);
  const evaluation = await evaluationOf(path, run, which);
  return { evaluation, cases: await readCases(run.folder, which), rocs: await readRocs(run.folder, which) };
}

/** Chunks count once, however many checkpoints share them. */
async function checkpointBytes(path: string, { job }: RunRecord): Promise<number | undefined> {
  const url = checkpointUrl(job, path, path).replace(/^file:/, '');
  if (!existsSync(url)) return undefined;
  const listed = await listCheckpoints(url).catch(error => {
    // There are none yet, or no more, or there is something else: nothing to count.
    if (error instanceof SegfleetError) return undefined;
    throw error;
  });
  const manifests = listed?.checkpoints.flatMap(({ manifest }) => manifest ?? []) ?? [];
  const chunks = new Map(manifests.flatMap(({ chunks }) => chunks.map(({ sha256, bytes }) => [sha256, bytes] as const)));
  return [...chunks.values()].reduce((sum, bytes) => sum + bytes, 0);
}
