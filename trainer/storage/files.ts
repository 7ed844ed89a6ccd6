/**
 * Files that are either as they were or as they should be, whatever happens in between.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fromSystemError } from '../errors.ts';

/** Writes beside the target, makes it durable, then renames: a reader or a crash sees the old file or the new one, never a part. */
export async function writeAtomically(file: string, contents: Uint8Array | string): Promise<void> {
  const folder = dirname(file);
  const temporary = join(folder, `.${basename(file)}.${randomUUID()}.partial`);
  try {
    await mkdir(folder, { recursive: true });
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(contents);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    await syncFolder(folder);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw fromSystemError(error, `writing ${file}`);
  }
}

/** A rename is durable once its folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** What a file or folder is called until it is complete. */
export const partialName = (name: string): string => `.${name}.partial-${process.pid}`;

/** Removes what processes that are gone have left incomplete in a folder. */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const owner = /\.partial-(\d+)$/.exec(name)?.[1];
    if (owner && !existsSync(`/proc/${owner}`)) await rm(join(folder, name), { recursive: true, force: true });
  }
}
