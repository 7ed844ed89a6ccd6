/**
 * What must be the same on all workers of a run for their weights to be: each as text that is compared, and shown where it differs.
 */
import { hash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { digestOfFiles, sourcesBelow } from '../trainer/codeDigest.ts';
import type { Course } from '../trainer/course.ts';
import { sourceDigest } from '../trainer/data/sourceDigest.ts';
import { loadTensorFlow } from '../trainer/engine/native.ts';
import { describeMachine } from '../trainer/machine.ts';
import { trainingOf } from '../trainer/runRecord.ts';
import type { Digests } from './messages.ts';

/** @throws the reason of the signal: the data may be large */
export async function digestsOf({ job, cases, split }: Course, signal?: AbortSignal): Promise<Omit<Digests, 'library'>> {
  const training = trainingOf(job);
  const { file: _, ...splitSpec } = training.data.split;
  const asked = { ...training, data: { ...training.data, split: { ...splitSpec, digest: split.digest } } };
  return {
    job: hash('sha256', JSON.stringify(asked)),
    code: workerCode(),
    data: await sourceDigest(cases, signal),
  };
}

/** What computes here. @param arithmetic digest of what it makes of one lane */
export function libraryOf({ options }: Course, arithmetic: string): string {
  const { instructions, nvidiaDevice } = describeMachine();
  const processor = nvidiaDevice ? 'GPU' : instructions.join('+') || 'x64';
  return `TensorFlow ${loadTensorFlow().version}, ${processor}, ${options.dtype}, ${options.threads} threads, gradients ${arithmetic.slice(0, 12)}`;
}

/** Over all files that a step may run through. */
function workerCode(): string {
  const root = fileURLToPath(new URL('..', import.meta.url));
  return digestOfFiles(root, sourcesBelow(root, ['trainer', 'coordinator']).sort());
}
