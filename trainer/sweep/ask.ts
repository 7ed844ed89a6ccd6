/**
 * Asks a sweep to pause, to go on or to stop, from any process on the machine.
 */
import { statSync } from 'node:fs';
import { type Wish, writeWish } from './control.ts';
import { isHeld, tail } from './follow.ts';
import { readJournal } from './journal.ts';
import type { SweepFolder } from './sweepFolder.ts';

export interface Answer {
  /** Whether a process drives the sweep; else it is as asked when one next does. */
  readonly isDriven: boolean;
  readonly wish: Wish;
}

const answers = { pause: 'paused', run: 'resumed', stop: 'ended' } as const;

/** Returns when it is so. @throws interrupted, preempted: as the signal says; it has been asked all the same */
export async function askSweep(
  folder: SweepFolder,
  wish: Wish,
  { now = () => new Date(), signal }: { now?: () => Date; signal?: AbortSignal } = {},
) {
  const from = statSync(folder.journal).size;
  const isDriven = await isHeld(folder);
  await writeWish(folder, wish, now());
  const answer: Answer = { isDriven, wish };
  if (!isDriven) return answer;
  const isPaused =
    readJournal(folder.journal).events.findLast(({ event }) => event === 'paused' || event === 'resumed')?.event === 'paused';
  if ((wish === 'pause' && isPaused) || (wish === 'run' && !isPaused)) return answer;
  for await (const { event } of tail(folder, { signal, from })) if (event === answers[wish] || event === 'ended') break;
  return answer;
}
