/**
 * Results that are there already: runs that came to their end in other sweeps beside this one, or in this one before its file was changed.
 */
import { existsSync, readdirSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fromSystemError } from '../errors.ts';
import { partialName } from '../storage/files.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { readJournal } from './journal.ts';
import { readRunRecord } from './runFiles.ts';
import type { SweepFolder } from './sweepFolder.ts';

/** Folders of finished runs by key. */
export type Finished = ReadonlyMap<string, string>;

/** @param withOwn also those of the sweep itself, which is about to be another one */
export function finishedBeside(folder: SweepFolder, { withOwn = false } = {}): Finished {
  const found = new Map<string, string>();
  const siblings = namesIn(dirname(folder.path)).map(name => join(dirname(folder.path), name));
  const places = siblings.flatMap(place => [
    ...(resolve(place) === resolve(folder.path) && !withOwn ? [] : [place]),
    ...namesIn(join(place, 'earlier')).map(name => join(place, 'earlier', name)),
  ]);
  for (const place of places) for (const [key, run] of finishedIn(place)) found.set(key, run);
  return found;
}

/** A fork's key says nothing of what it began with: it is not taken. */
function finishedIn(place: string): Map<string, string> {
  const found = new Map<string, string>();
  const journal = join(place, 'journal.ndjson');
  if (!existsSync(journal)) return found;
  const forked = new Set<number>();
  const begun = new Map<string, { readonly key: string; readonly folder: string }>();
  for (const event of readJournal(journal).events) {
    if (event.event === 'start' && event.forkedFrom) forked.add(event.trial);
    if (event.event !== 'run' || forked.has(event.trial)) continue;
    const id = `${event.trial} ${event.replicate}`;
    if (event.status === 'begins' || event.status === 'reused') begun.set(id, event);
    const run = begun.get(id);
    if (run && (event.status === 'succeeded' || event.status === 'reused')) found.set(run.key, join(place, run.folder));
  }
  return found;
}

/**
 * Takes a finished run over into a folder of this sweep: its files are linked, as nothing in them is changed in place any more.
 *
 * @returns false where it is no longer there, or not whole
 */
export async function takeOver(from: string, to: RunFolder): Promise<boolean> {
  if (readRunRecord(new RunFolder(from))?.status !== 'succeeded') return false;
  const partial = join(dirname(to.path), partialName(relative(dirname(to.path), to.path)));
  try {
    await rm(partial, { recursive: true, force: true });
    await linkTree(from, partial);
    await rm(to.path, { recursive: true, force: true });
    await rename(partial, to.path);
  } catch (error) {
    throw fromSystemError(error, `taking ${from} over`);
  }
  return true;
}

async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (entry.name.startsWith('.')) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkTree(source, target);
    else if (entry.isFile()) await link(source, target).catch(() => copyFile(source, target));
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter(entry => entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .sort();
  } catch {
    return [];
  }
}
