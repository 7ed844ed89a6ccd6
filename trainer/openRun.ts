/**
 * A finished (or stopped) run taken up again: its job, and its weights, as they are or in a program that predicts.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { programOf } from './course.ts';
import { fromSystemError, SegfleetError } from './errors.ts';
import { Program } from './program.ts';
import type { RunRecord } from './runRecord.ts';
import { type Job, loadJob } from './spec.ts';
import { RunFolder, type Selection } from './storage/runFolder.ts';
import { decodeSafetensors, type Tensors } from './storage/safetensors.ts';

export interface StoredRun {
  readonly folder: RunFolder;
  readonly job: Job;
  readonly record: RunRecord;
  readonly weights: Tensors;
  /** SHA-256 of the file of the weights. */
  readonly digest: string;
}

export interface OpenRun extends StoredRun {
  readonly program: Program;
}

export async function openRun(path: string, select: Selection): Promise<OpenRun> {
  const run = await readRun(path, select);
  const { optimizer, ...options } = programOf(run.job);
  return { ...run, program: await Program.create(options, run.weights) };
}

/** @throws notFound where there are no weights yet, integrity where they are not those that the run recorded */
export async function readRun(path: string, select: Selection): Promise<StoredRun> {
  const folder = new RunFolder(path);
  const record = folder.readRecord<RunRecord>();
  const { job } = loadJob(folder.job);
  const file = folder.weights(select);
  const bytes = await readFile(file).catch(error => {
    if (error.code !== 'ENOENT') throw fromSystemError(error, file);
    throw new SegfleetError('notFound', `${path} has no ${select} weights yet (${file}); they are written at the end of the first epoch`);
  });
  const recorded = record.status === 'succeeded' ? record.weights?.[select === 'last' ? 'digest' : 'bestDigest'] : undefined;
  const found = hash('sha256', bytes);
  if (recorded && recorded !== found) {
    throw new SegfleetError(
      'integrity',
      `${file} has SHA-256 ${found} where run.json recorded ${recorded}; restore the file, or train again`,
    );
  }
  return { folder, job, record, weights: decodeSafetensors(bytes, file).tensors, digest: found };
}
