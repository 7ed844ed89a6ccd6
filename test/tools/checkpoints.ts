/**
 * The checkpoints in a run folder, as tests look at them.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Position } from '../../trainer/position.ts';
import { Checkpoints, restore } from '../../trainer/storage/checkpoints.ts';
import { openStore } from '../../trainer/storage/openStore.ts';
import type { Tensors } from '../../trainer/storage/safetensors.ts';

const storeOf = (run: string) => openStore(join(run, 'checkpoints'));

/** Whether there is one, whole or not. */
export function hasCheckpoint(run: string): boolean {
  try {
    return readdirSync(join(run, 'checkpoints', 'manifests')).some(name => name.endsWith('.json'));
  } catch {
    return false;
  }
}

/** The newest one; reads and verifies every byte of it. */
export async function newestCheckpoint(run: string): Promise<{ state: Tensors; position: Position }> {
  const { state, manifest } = (await restore(await storeOf(run)))!;
  return { state, position: manifest.position as unknown as Position };
}

/** Puts another one on top. */
export async function writeCheckpoint(run: string, name: string, state: Tensors, position: Position): Promise<void> {
  const checkpoints = await Checkpoints.claim(await storeOf(run), { run: name, keep: { last: 2, best: 1 } });
  await checkpoints.save({ state, step: position.step, position: { ...position, scores: [...position.scores] } });
}
