/**
 * A sweep from what its user names.
 */
import { existsSync, statSync } from 'node:fs';
import { sweepFolderAt } from './read.ts';
import { type LoadedSweep, loadSweep } from './sweepFile.ts';
import { defaultSweepOut } from './sweepFolder.ts';

/** What `sweep run` goes on with: a sweep file, or the folder of a sweep that was begun. */
export function sweepAt(place: string, settings: readonly string[] = [], out?: string): { sweep: LoadedSweep; out: string } {
  if (statSync(place, { throwIfNoEntry: false })?.isDirectory() || (!existsSync(place) && existsSync(defaultSweepOut(place)))) {
    const folder = sweepFolderAt(place);
    return { sweep: loadSweep(folder.file, settings), out: out ?? folder.path };
  }
  const sweep = loadSweep(place, settings);
  return { sweep, out: out ?? defaultSweepOut(sweep.name) };
}
