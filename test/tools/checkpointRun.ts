/**
 * A run that does nothing but write checkpoints, one a step, and whose state is a function of the step; and, called as a program, the
 * same in a process that kills itself in the middle of a store operation.
 *
 * node test/tools/checkpointRun.ts <url> <before | after> <number of the operation>
 */
import { float32, int32Scalar } from '../../trainer/engine/tensor.ts';
import { Checkpoints, restore } from '../../trainer/storage/checkpoints.ts';
import { openStore } from '../../trainer/storage/openStore.ts';
import type { Tensors } from '../../trainer/storage/safetensors.ts';
import type { Store } from '../../trainer/storage/store.ts';
import { hookedStore } from './hookedStore.ts';

export const lastStep = 3;
export const options = { run: 'test', keep: { last: 1, best: 1 }, chunkBytes: 400, now: () => new Date(0) };

/** Three chunks, of which one never changes. */
export const stateAt = (step: number): Tensors =>
  new Map([
    ['constant', float32(new Float32Array(90).fill(7))],
    ['kernel', float32(Float32Array.from({ length: 90 }, (_, i) => step + i / 90))],
    ['momentum', float32(Float32Array.from({ length: 60 }, (_, i) => step - i))],
    ['steps', int32Scalar(step)],
  ]);
/** The second is the best. */
export const scoreAt = (step: number): number => (step === 2 ? 0.9 : 0.1 * step);

/** Goes on from what the store holds. */
export async function writeCheckpoints(store: Store, saved: (step: number) => void = () => {}): Promise<void> {
  const from = (await restore(store))?.manifest.step ?? 0;
  const checkpoints = await Checkpoints.claim(store, options);
  for (let step = from + 1; step <= lastStep; step++) {
    await checkpoints.save({ state: stateAt(step), step, score: scoreAt(step), position: { step } });
    saved(step);
  }
}

if (import.meta.main) {
  const [, , url, when, number] = process.argv;
  const die = (_operation: string, _key: string, count: number) => {
    if (count === Number(number)) process.kill(process.pid, 'SIGKILL');
  };
  const store = hookedStore(await openStore(url), when === 'before' ? { before: die } : { after: die });
  await writeCheckpoints(store, step => process.stdout.write(`${step}\n`));
}
