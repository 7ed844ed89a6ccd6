/**
 * What a report is of: run folders, and the run folders of sweeps.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { SegfleetError } from '../errors.ts';
import type { PartOfRun } from '../evaluateRun.ts';
import { trainingOf } from '../runRecord.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { SweepFolder, type SweepRecord, type TrialRunRecord } from '../sweep/sweepFolder.ts';
import { namesOf } from './arms.ts';
import { type ReportedRun, reportedRun } from './reportedRun.ts';

/** A run that there is nothing of to report. */
export interface Missing {
  readonly name: string;
  readonly status: string;
  readonly why: string;
}

export interface Inputs {
  readonly runs: readonly ReportedRun[];
  readonly missing: readonly Missing[];
  /** Of those, runs that a search ended or has not come to: no failures. */
  readonly unfinished: ReadonlySet<string>;
  readonly sweeps: readonly SweepRecord[];
}

/** @throws usage where one is named twice, notFound where one is neither a run nor a sweep and has none in it */
export async function readInputs(given: readonly string[], which: PartOfRun): Promise<Inputs> {
  const paths = given.flatMap(path => foldersIn(path, deepest) ?? [path]);
  const sweeps = paths.map(path => new SweepFolder(path)).filter(({ isSweep }) => isSweep);
  const records = sweeps.map(sweep => sweep.readRecord());
  const ofSweeps = records.flatMap((record, i) =>
    record.trials.flatMap(({ runs }) => runs.map(run => ({ run, path: folderOf(sweeps[i].path, run) }))),
  );
  const single = paths.filter(path => !new SweepFolder(path).isSweep).map(path => ({ run: undefined, path }));
  const all: { readonly run: TrialRunRecord | undefined; readonly path: string }[] = [...single, ...ofSweeps];
  const folders = all.map(({ path }) => resolve(path));
  const twice = folders.findIndex((folder, i) => folders.indexOf(folder) < i);
  if (twice >= 0) throw new SegfleetError('usage', `${all[twice].path} is there twice; name each run and each sweep once`);
  const names = namesOf(folders);
  const runs: ReportedRun[] = [];
  const missing: Missing[] = [];
  const unfinished = new Set<string>();
  for (const [i, { run, path }] of all.entries()) {
    if (run && run.state !== 'failed' && run.state !== 'succeeded') unfinished.add(names[i]);
    // A run that is named must be one; a sweep may name runs that it has not begun.
    if (!run || new RunFolder(path).isRun) runs.push(await reportedRun(path, names[i], which));
    else missing.push({ name: names[i], status: run.state, why: run.error?.message ?? 'it has not begun' });
  }
  return { runs: onceEach(runs), missing, unfinished, sweeps: records };
}

/** Folders in a folder that are looked into: a reproduction has runs in the second. */
const deepest = 3;

/** The folder itself where it is a run or a sweep, or else all that are in it; undefined where there are none. */
function foldersIn(path: string, depth: number): string[] | undefined {
  if (new RunFolder(path).isRun || new SweepFolder(path).isSweep) return [path];
  if (depth === 0 || !existsSync(path)) return undefined;
  const inside = readdirSync(path, { withFileTypes: true }).filter(entry => entry.isDirectory());
  const found = inside.map(({ name }) => join(path, name)).sort();
  const folders = found.flatMap(folder => foldersIn(folder, depth - 1) ?? []);
  return folders.length > 0 ? folders : undefined;
}

/** The same training twice would make the spread over runs look smaller than it is. */
function onceEach(runs: readonly ReportedRun[]): ReportedRun[] {
  const seen = new Map<string, string>();
  return runs.map(run => {
    if (!run.scored) return run;
    const { job, data, weights } = run.record;
    const key = JSON.stringify([trainingOf(job), data.digest, data.split, weights?.digest]);
    const before = seen.get(key);
    if (before === undefined) seen.set(key, run.name);
    return before === undefined
      ? run
      : { ...run, scored: undefined, trouble: `it is the same training as ${before}: job, seed, data and weights` };
  });
}

const folderOf = (sweep: string, { folder, reusedFrom }: TrialRunRecord): string => {
  const own = join(sweep, folder);
  return reusedFrom !== undefined && !new RunFolder(own).isRun ? join(sweep, reusedFrom) : own;
};
