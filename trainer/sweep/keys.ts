/**
 * By what a run is known again: two runs with one key end in the same bits, so the second need not be run.
 */

import { hash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { codeDigest } from '../codeDigest.ts';
import { Course } from '../course.ts';
import { dataPath } from '../data/cases.ts';
import { isMember } from '../data/shardIndex.ts';
import { sourceDigest } from '../data/sourceDigest.ts';
import { memoize } from '../memoize.ts';
import { trainingOf } from '../runRecord.ts';
import type { Job } from '../spec.ts';

/** What a job's data are, and how they are divided. */
export interface OpenedData {
  readonly stepsPerEpoch: number;
  /** SHA-256 of images and masks. */
  readonly digest: string;
  /** SHA-256 of the ids of the parts. */
  readonly split: string;
  readonly training: number;
  /** Of the files. */
  readonly bytes: number;
}

/** Opens the data of many jobs, each set once. */
export class DataSets {
  readonly #base: string;
  readonly #opened = new Map<string, Promise<OpenedData>>();
  readonly #digests = new Map<string, Promise<Pick<OpenedData, 'digest' | 'bytes'>>>();

  /** @param base folder that paths in the jobs are relative to */
  constructor(base: string) {
    this.#base = base;
  }

  /** @throws what `train` would say of the data: notFound, invalidData, usage (a batch larger than the set) */
  of(job: Job): Promise<OpenedData> {
    const { data, training } = job.spec;
    return memoize(this.#opened, JSON.stringify([data, training.batch, training.lanes]), () => this.#open(job));
  }

  async #open(job: Job): Promise<OpenedData> {
    const { cases, split, stepsPerEpoch } = await Course.open(job, this.#base);
    const digest = await memoize(this.#digests, dataPath(this.#base, job.spec.data.path), async () => {
      const files = cases.flatMap(({ image, mask, fov }) => [image, mask, ...(fov ? [fov] : [])]).filter(file => !isMember(file));
      let bytes = 0;
      for (const file of files) bytes += (await stat(file)).size;
      return { digest: await sourceDigest(cases), bytes };
    });
    return { stepsPerEpoch, split: split.digest, training: split.training.length, ...digest };
  }
}

/** @param replicate from 1 */
export function keyOf(job: Job, { digest, split }: Pick<OpenedData, 'digest' | 'split'>, code: string, replicate: number): string {
  const training = trainingOf(job);
  const { file: _, ...splitSpec } = training.data.split;
  const resolved = { ...training, data: { ...training.data, split: { ...splitSpec, digest: split } } };
  return hash('sha256', canonical([resolved, digest, code, replicate]));
}

/** JSON with keys in one order: defaults stand elsewhere than what is given. */
export const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, inner) => {
    const isGroup = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
    return isGroup ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner;
  });

let code: string | undefined;
/** Read once: the code of a process does not change while it runs. */
export const ownCode = (): string => {
  code ??= codeDigest();
  return code;
};
