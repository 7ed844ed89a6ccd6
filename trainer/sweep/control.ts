/**
 * What somebody else asks of the process that drives a sweep: a small file in its folder. It is read when it changes, and when a sweep is taken up.
 */
import { readFileSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { SegfleetError } from '../errors.ts';
import { writeAtomically } from '../storage/files.ts';
import type { SweepFolder } from './sweepFolder.ts';

const wishes = ['run', 'pause', 'stop'] as const;
export type Wish = (typeof wishes)[number];

const controlSchema = z.object({ wish: z.enum(wishes), at: z.string() });

/** File systems that tell nothing of changes elsewhere are looked at so often. */
const pollMs = 1000;

/** By default it is to run. @throws integrity */
export function readWish(folder: SweepFolder): Wish {
  let text: string;
  try {
    text = readFileSync(folder.control, 'utf8');
  } catch {
    return 'run';
  }
  try {
    return controlSchema.parse(JSON.parse(text)).wish;
  } catch (cause) {
    throw new SegfleetError('integrity', `${folder.control} says nothing that can be understood; remove it`, { cause });
  }
}

export async function writeWish(folder: SweepFolder, wish: Wish, now: Date): Promise<void> {
  await writeAtomically(folder.control, `${JSON.stringify({ wish, at: now.toISOString() })}\n`);
}

/** Calls whenever a file may have changed. @returns ends it */
export function watchFile(file: string, changed: () => void): () => void {
  const timer = setInterval(changed, pollMs);
  const watcher = watcherOf(file, changed);
  return () => {
    clearInterval(timer);
    watcher?.close();
  };
}

/** Where there is none to be had, the clock does. */
function watcherOf(file: string, changed: () => void) {
  try {
    // Files are replaced by others of the same name: it is the folder that tells.
    const watcher = watch(dirname(file), (_, name) => {
      if (name === null || name === basename(file)) changed();
    });
    return watcher.on('error', () => {});
  } catch {
    return undefined;
  }
}
