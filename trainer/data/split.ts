/**
 * Which cases are for training and which for validation, and in which order an epoch takes them. Pure functions of ids and seeds.
 */
import { createHash } from 'node:crypto';
import { SegfleetError } from '../errors.ts';
import { permutation } from '../random.ts';

export interface Split {
  /** Indices into the cases. */
  readonly training: readonly number[];
  readonly validation: readonly number[];
  /** SHA-256 over the ids of both parts: two runs with the same digest saw the same split. */
  readonly digest: string;
}

/** @param share of the cases that is held out; each part gets at least one */
export function splitCases(ids: readonly string[], { share, seed }: { share: number; seed: number }): Split {
  if (ids.length < 2) {
    throw new SegfleetError(
      'invalidData',
      `the data set has ${ids.length} case; at least 2 are needed, one to train on and one to validate on`,
    );
  }
  const numHeldOut = Math.min(Math.max(Math.round(ids.length * share), 1), ids.length - 1);
  const order = [...permutation(ids.length, seed, 'split')];
  const ascending = (a: number, b: number) => a - b;
  const validation = order.slice(0, numHeldOut).sort(ascending);
  const training = order.slice(numHeldOut).sort(ascending);
  const named = (part: readonly number[]) => part.map(i => ids[i]);
  const text = JSON.stringify({ training: named(training), validation: named(validation) });
  return { training, validation, digest: createHash('sha256').update(text).digest('hex') };
}

/** The order in which epoch `epoch` (from 1) takes `length` training cases. */
export const epochOrder = (length: number, seed: number, epoch: number): Uint32Array => permutation(length, seed, 'order', epoch);
