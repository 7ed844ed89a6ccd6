/**
 * The journal of a sweep: one event a line, only ever added to. What the sweep decided is on disk before it is carried out; so whoever comes after a
 * kill knows it, and decides on as if nothing had happened.
 */
import { closeSync, existsSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fromSystemError } from '../errors.ts';
import type { Decision } from '../search/strategy.ts';
import type { SweepStatus } from './sweepFolder.ts';

/** Which run of which trial: replicates count from 1. */
export interface RunId {
  readonly trial: number;
  readonly replicate: number;
}

export interface RunError {
  readonly code: string;
  readonly message: string;
}

/** What a run has shown at the end of an epoch; `value` as the objective has it, null where it is no number. */
export interface EpochReport {
  readonly epoch: number;
  readonly step: number;
  readonly value: number | null;
  /** Pooled validation Jaccard: the best epoch of a run is that with the highest. */
  readonly jaccard: number | null;
}

export type RunNews =
  | { readonly status: 'begins'; readonly folder: string; readonly key: string; readonly attempt: number }
  /** It came to where it is to wait. */
  | { readonly status: 'paused'; readonly seconds: number }
  | { readonly status: 'succeeded'; readonly seconds: number }
  /** Ended on the strategy's word. */
  | { readonly status: 'stopped'; readonly seconds: number }
  /** Ended before its time, with a checkpoint where it had got so far; it goes on later. */
  | { readonly status: 'interrupted'; readonly seconds: number }
  /** It is tried once more. */
  | { readonly status: 'tried'; readonly seconds: number; readonly error: RunError }
  | { readonly status: 'failed'; readonly seconds: number; readonly error: RunError }
  /** Not run: its result was there. */
  | {
      readonly status: 'reused';
      readonly folder: string;
      readonly key: string;
      readonly from: string;
      readonly reports: readonly EpochReport[];
    };

export type JournalEvent =
  | {
      readonly event: 'sweep';
      readonly name: string;
      readonly folder: string;
      /** SHA-256 of what decides which trials there are: another one is another sweep. */
      readonly chosenBy: string;
      readonly threads: number;
      readonly replicates: number;
      readonly code: string;
    }
  /** A process goes on with it. */
  | { readonly event: 'driver'; readonly pid: number; readonly parallel: number; readonly cores: number }
  | ({ readonly event: 'start'; readonly trial: number } & Omit<Extract<Decision, { do: 'start' }>, 'do'>)
  | ({ readonly event: 'continue' } & Omit<Extract<Decision, { do: 'continue' }>, 'do'>)
  | ({ readonly event: 'stop' } & Omit<Extract<Decision, { do: 'stop' }>, 'do'>)
  | { readonly event: 'finish'; readonly reason: string }
  | ({ readonly event: 'run' } & RunId & RunNews)
  | ({ readonly event: 'report' } & RunId & EpochReport)
  /** These runs are done anew. */
  | { readonly event: 'rerun'; readonly runs: readonly RunId[] }
  | { readonly event: 'paused'; readonly reason: string }
  | { readonly event: 'resumed' }
  /** The process that drove it ends. */
  | { readonly event: 'ended'; readonly status: SweepStatus; readonly reason: string };

export type Told = JournalEvent & { readonly time: string };

/**
 * What nothing but the journal tells. Where a machine fails, reports and ends are read again from the run folders; where only a process does, the lines
 * are in the file anyway.
 */
function isDurable(event: JournalEvent): boolean {
  if (event.event === 'run') return event.status === 'failed' || event.status === 'tried';
  return event.event !== 'report' && event.event !== 'driver';
}

export class Journal {
  readonly #file: string;
  readonly #descriptor: number;
  readonly #now: () => Date;

  private constructor(file: string, descriptor: number, now: () => Date) {
    this.#file = file;
    this.#descriptor = descriptor;
    this.#now = now;
  }

  /** Opens or makes it; a last line that was cut off by a kill is removed. @returns it and what it tells so far */
  static open(file: string, now: () => Date): { journal: Journal; told: readonly Told[] } {
    try {
      const { events, bytes } = existsSync(file) ? readJournal(file) : { events: [], bytes: 0 };
      const descriptor = openSync(file, 'a');
      ftruncateSync(descriptor, bytes);
      return { journal: new Journal(file, descriptor, now), told: events };
    } catch (error) {
      throw fromSystemError(error, `the journal ${file}`);
    }
  }

  /** @returns when all is on disk, of what nothing else tells */
  append(events: readonly JournalEvent[]): Told[] {
    const time = this.#now().toISOString();
    const told = events.map(event => ({ time, ...event }));
    const bytes = Buffer.from(told.map(event => `${JSON.stringify(event)}\n`).join(''));
    try {
      for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor, bytes, done);
      if (events.some(isDurable)) fsyncSync(this.#descriptor);
    } catch (error) {
      throw fromSystemError(error, `writing ${this.#file}`);
    }
    return told;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** The whole lines of a journal, and how many bytes they are. */
export function readJournal(file: string, from = 0): { events: Told[]; bytes: number } {
  const text = readFileSync(file).subarray(from);
  const end = text.lastIndexOf(0x0a) + 1;
  const lines = text.subarray(0, end).toString().split('\n').slice(0, -1);
  const events: Told[] = [];
  let bytes = 0;
  for (const line of lines) {
    try {
      events.push(JSON.parse(line) as Told);
    } catch {
      break; // a disk that was full in the middle of a line: what follows was never meant to stand behind it
    }
    bytes += Buffer.byteLength(line) + 1;
  }
  return { events, bytes: from + bytes };
}
