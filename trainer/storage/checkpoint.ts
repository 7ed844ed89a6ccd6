/**
 * Everything that the next step of a run depends on, in one file: variables as tensors, and where the run stands as metadata.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fromSystemError, SegfleetError } from '../errors.ts';
import type { State } from '../program.ts';
import { writeAtomically } from './files.ts';
import { decodeSafetensors, encodeSafetensors, type Tensors } from './safetensors.ts';

/** Where a run stands between two steps. All sums are over the epoch that is going on. */
export interface Position {
  /** Steps done in the whole run. */
  readonly step: number;
  /** The epoch that is going on, from 1. */
  readonly epoch: number;
  /** Steps of it that are done; when all are, validation comes next. */
  readonly stepOfEpoch: number;
  readonly lossSum: number;
  readonly images: number;
  /** Sum over steps of the share of units that were in the logarithmic branch. */
  readonly logShareSum: number;
  /** The same over the whole run. */
  readonly logShareTotal: number;
  /** Validation Jaccard of the epochs that are done. */
  readonly scores: readonly number[];
}

export const startOfRun: Position = {
  step: 0,
  epoch: 1,
  stepOfEpoch: 0,
  lossSum: 0,
  images: 0,
  logShareSum: 0,
  logShareTotal: 0,
  scores: [],
};

const schema = 'segfleet/checkpoint/1';

export async function saveCheckpoint(file: string, state: State, position: Position): Promise<void> {
  await writeAtomically(file, encodeSafetensors(state, { schema, position: JSON.stringify(position) }));
}

/** @throws notFound, integrity */
export async function loadCheckpoint(file: string): Promise<{ state: State; position: Position }> {
  if (!existsSync(file)) {
    throw new SegfleetError('notFound', `there is no checkpoint to resume from (${file}); start the run without --resume`);
  }
  const { tensors, metadata } = await readSafetensors(file);
  if (metadata.schema !== schema) {
    throw new SegfleetError(
      'integrity',
      `${file} is of the kind ${metadata.schema ?? 'unknown'} where ${schema} is expected; it may be of another version of segfleet`,
    );
  }
  return { state: tensors, position: JSON.parse(metadata.position) as Position };
}

/** @throws notFound, integrity */
export async function readSafetensors(file: string): Promise<{ tensors: Tensors; metadata: Record<string, string> }> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw fromSystemError(error, file);
  }
  return decodeSafetensors(bytes, file);
}
