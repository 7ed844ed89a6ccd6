/**
 * A finished (or stopped) run taken up again: its job, and its weights in a program that predicts.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fromSystemError, SegfleetError } from './errors.ts';
import { Program } from './program.ts';
import type { RunRecord } from './runRecord.ts';
import { type Job, loadJob } from './spec.ts';
import { RunFolder, type Selection } from './storage/runFolder.ts';
import { decodeSafetensors } from './storage/safetensors.ts';
import { programOf } from './train.ts';

export interface OpenRun {
  readonly folder: RunFolder;
  readonly job: Job;
  readonly record: RunRecord;
  readonly program: Program;
}

/** @throws notFound where there are no weights yet, integrity where they are not those that the run recorded */
export async function openRun(path: string, select: Selection): Promise<OpenRun> {
  const folder = new RunFolder(path);
  const record = folder.readRecord<RunRecord>();
  const { job } = loadJob(folder.job);
  const file = folder.weights(select);
  const bytes = await readFile(file).catch(error => {
    if (error.code !== 'ENOENT') throw fromSystemError(error, file);
    throw new SegfleetError('notFound', `${path} has no ${select} weights yet (${file}); they are written at the end of the first epoch`);
  });
  const recorded = record.status === 'succeeded' ? record.weights?.[select === 'last' ? 'digest' : 'bestDigest'] : undefined;
  const found = createHash('sha256').update(bytes).digest('hex');
  if (recorded && recorded !== found) {
    throw new SegfleetError(
      'integrity',
      `${file} has SHA-256 ${found} where run.json recorded ${recorded}; restore the file, or train again`,
    );
  }
  const { optimizer, ...options } = programOf(job);
  const program = await Program.create(options, decodeSafetensors(bytes, file).tensors);
  return { folder, job, record, program };
}
