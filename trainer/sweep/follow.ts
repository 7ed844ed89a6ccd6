/**
 * Looks on while another process drives a sweep: what its journal tells, as it comes.
 */
import { statSync } from 'node:fs';
import { SegfleetError } from '../errors.ts';
import { lockFile } from '../storage/flock.ts';
import { watchFile } from './control.ts';
import { readJournal, type Told } from './journal.ts';
import { endingOf } from './record.ts';
import type { SweepFolder, SweepRecord } from './sweepFolder.ts';

/**
 * What is told from now on, until the process that drives the sweep ends.
 *
 * @throws as that process does; unavailable: it ended without a word; interrupted, preempted: as the signal says, and the sweep goes on
 */
export async function* followSweep(folder: SweepFolder, signal?: AbortSignal): AsyncGenerator<Told, SweepRecord> {
  for await (const event of tail(folder, { signal })) {
    yield event;
    if (event.event !== 'ended') continue;
    const record = folder.readRecord();
    const ending = endingOf(record, folder.path);
    if (ending) throw ending;
    return record;
  }
  throw new SegfleetError('unavailable', `the process that drove ${folder.path} has ended without a word; run the sweep again to go on`);
}

/**
 * Events that are told from now on; ends when nobody drives the sweep.
 *
 * @param from bytes of the journal that are passed over. @default all that are there
 * @throws interrupted, preempted
 */
export async function* tail(folder: SweepFolder, { signal, from }: { signal?: AbortSignal; from?: number } = {}): AsyncGenerator<Told> {
  let at = from ?? statSync(folder.journal, { throwIfNoEntry: false })?.size ?? 0;
  let wake = () => {};
  const unwatch = watchFile(folder.journal, () => wake());
  const stop = () => wake();
  signal?.addEventListener('abort', stop);
  try {
    for (;;) {
      const changed = new Promise<void>(resolve => {
        wake = resolve;
      });
      // Asked before reading: what it told before it ended is read.
      const isDriven = await isHeld(folder);
      const { events, bytes } = statSync(folder.journal, { throwIfNoEntry: false })
        ? readJournal(folder.journal, at)
        : { events: [], bytes: at };
      at = bytes;
      yield* events;
      if (!isDriven) return;
      if (signal?.aborted) {
        const code = signal.reason === 'preempted' ? 'preempted' : 'interrupted';
        throw new SegfleetError(code, `${code}; the process that drives ${folder.path} goes on`);
      }
      await changed;
    }
  } finally {
    unwatch();
    signal?.removeEventListener('abort', stop);
  }
}

/** Whether a process drives the sweep. */
export async function isHeld(folder: SweepFolder): Promise<boolean> {
  if (!statSync(folder.lock, { throwIfNoEntry: false })) return false;
  const lock = await lockFile(folder.lock);
  await lock?.release();
  return lock === undefined;
}
