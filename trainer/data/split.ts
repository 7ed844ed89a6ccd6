/**
 * Which cases are for training, which for validation and which for a final test, and in which order an epoch takes them. Pure functions of ids and seeds.
 */
import { hash } from 'node:crypto';
import { z } from 'zod';
import { SegfleetError } from '../errors.ts';
import { permutation } from '../random.ts';

/** A share of the cases below 1, a number of them from 1 on. */
export const heldOut = z
  .number()
  .min(0)
  .refine(value => value < 1 || Number.isInteger(value), 'must be a share below 1 or a whole number of cases');

export interface Split {
  /** Indices into the cases. */
  readonly training: readonly number[];
  readonly validation: readonly number[];
  /** Never looked at while training; empty unless asked for. */
  readonly test: readonly number[];
  /** SHA-256 over the ids of the parts: two runs with the same digest saw the same split. */
  readonly digest: string;
}

/**
 * @param share of the cases that is held out for validation, or how many; a share is at least one case and leaves one to train on
 * @param test the same for the final test; 0 for none
 */
export function splitCases(ids: readonly string[], { share, test = 0, seed }: { share: number; test?: number; seed: number }): Split {
  const numParts = test > 0 ? 3 : 2;
  if (ids.length < numParts) {
    throw new SegfleetError(
      'invalidData',
      `the data set has ${ids.length} case${ids.length === 1 ? '' : 's'}; at least ${numParts} are needed, one to train on${test > 0 ? ',' : ' and'} one to validate on${test > 0 ? ' and one to test on' : ''}`,
    );
  }
  const number = (part: number, most: number) => (part >= 1 ? part : Math.min(Math.max(Math.round(ids.length * part), 1), most));
  const numTest = test > 0 ? number(test, ids.length - 2) : 0;
  const numValidation = number(share, ids.length - 1 - numTest);
  if (numValidation < 1 || numValidation + numTest >= ids.length) {
    throw new SegfleetError(
      'usage',
      `data.split holds out ${numValidation} cases for validation and ${numTest} for the test, and the data set has ${ids.length}; hold out fewer, so that some are left to train on`,
    );
  }
  const order = [...permutation(ids.length, seed, 'split')];
  const part = (from: number, to?: number) => order.slice(from, to).sort((a, b) => a - b);
  const numHeldOut = numValidation + numTest;
  const parts = { training: part(numHeldOut), validation: part(0, numValidation), test: part(numValidation, numHeldOut) };
  const named = (indices: readonly number[]) => indices.map(i => ids[i]);
  const text = JSON.stringify({
    training: named(parts.training),
    validation: named(parts.validation),
    ...(numTest > 0 && { test: named(parts.test) }),
  });
  return { ...parts, digest: hash('sha256', text) };
}

/** The order in which epoch `epoch` (from 1) takes `length` training cases. */
export const epochOrder = (length: number, seed: number, epoch: number): Uint32Array => permutation(length, seed, 'order', epoch);
