/**
 * The folder of a sweep: what lies where, and what its record says. Everything that a report or a table needs is in `sweep.json` and in the
 * run folders that it names.
 *
 *     runs/<name>/
 *       sweep.json            the record (`SweepRecord`): made again from the two below; written at most once a second, and at the end
 *       sweep.yaml            the sweep file with its job in it, paths relative to this folder
 *       journal.ndjson        every decision and what came of it, one event a line (`JournalEvent`); only ever added to
 *       trials/<number>[-r<replicate>]/
 *                             run folders as `segfleet train` makes them (run.json, metrics.ndjson, weights/, ...): the trial's number of at least four
 *                             digits, and where there are several replicates that of the run, from 1: trials/0007-r2
 *       forks/<number>[-r<replicate>]-<epoch>/
 *                             checkpoints that other trials may be forked from; they share their chunks with those of the run (hard links)
 *       control.json          what `pause`, `resume` and `stop` ask for
 *       .driver               locked while a process drives the sweep
 *       earlier/<n>/          journal and trials of the sweep as it was before its file was changed; what of them is still asked for is taken over
 *
 * Checkpoints of runs that have ended are deleted; weights stay.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SegfleetError } from '../errors.ts';
import type { TrialState } from '../search/strategy.ts';
import type { SweepSpec } from '../search/sweepSpec.ts';
import { RunFolder } from '../storage/runFolder.ts';

/**
 * - running: a process drives it, or did until it was killed; `sweep run` goes on
 * - paused: as `sweep pause` asked
 * - stopped: on request, or by a limit; `sweep run` goes on
 * - succeeded: all that was chosen came to its end
 * - partial: it ended, and some runs failed
 */
export type SweepStatus = 'running' | 'paused' | 'stopped' | 'succeeded' | 'partial';

export interface SweepRecord {
  readonly schema: 'segfleet/sweep/1';
  readonly name: string;
  readonly status: SweepStatus;
  /** Why it ended, or does not go on, in one sentence. */
  readonly reason?: string;
  /** As in sweep.yaml, all defaults written out. */
  readonly spec: SweepSpec;
  readonly startedAt: string;
  readonly updatedAt: string;
  readonly endedAt?: string;
  /** Of each run: part of what its bits depend on, so the same in all. */
  readonly threads: number;
  /** Of what trials are made of: part of their keys. */
  readonly code: string;
  /** By number. */
  readonly trials: readonly TrialRecord[];
  /** Of the trial with the best value so far. */
  readonly best?: number;
  readonly counts: Readonly<Record<TrialState, number>>;
}

export interface TrialRecord {
  /** From 0, in the order in which they were chosen. */
  readonly number: number;
  /** Fields of the job by path: what this trial sets. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly state: TrialState;
  /** The stage or bracket. */
  readonly group?: string;
  readonly forkedFrom?: { readonly trial: number; readonly time: number };
  /** Of the objective, as it is (not turned), over the runs that have a result: mean, and with two or more the sample standard deviation. */
  readonly value?: number;
  readonly deviation?: number;
  /** How many runs that is over. */
  readonly n: number;
  /** One a replicate. */
  readonly runs: readonly TrialRunRecord[];
}

export type RunState = 'waiting' | 'running' | 'paused' | 'succeeded' | 'stopped' | 'failed';

export interface TrialRunRecord {
  /** From 1. */
  readonly replicate: number;
  /** The run folder, relative to that of the sweep; it may not be there yet. */
  readonly folder: string;
  /** SHA-256 of resolved job, data, code and replicate: two runs with the same key end in the same bits. Known once it was begun. */
  readonly key?: string;
  readonly state: RunState;
  /** Of the objective at the best epoch (by validation Jaccard, as run.json says) so far. */
  readonly value?: number;
  readonly epoch?: number;
  /** Epochs done, those of the run that it was forked from included. */
  readonly epochs: number;
  /** Spent on it here. */
  readonly seconds?: number;
  /** Not run: taken over from that folder, relative to that of the sweep. */
  readonly reusedFrom?: string;
  readonly error?: { readonly code: string; readonly message: string };
}

export class SweepFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get record(): string {
    return join(this.path, 'sweep.json');
  }
  get file(): string {
    return join(this.path, 'sweep.yaml');
  }
  get journal(): string {
    return join(this.path, 'journal.ndjson');
  }
  get trials(): string {
    return join(this.path, 'trials');
  }
  get forks(): string {
    return join(this.path, 'forks');
  }
  get control(): string {
    return join(this.path, 'control.json');
  }
  get lock(): string {
    return join(this.path, '.driver');
  }
  get earlier(): string {
    return join(this.path, 'earlier');
  }

  get isSweep(): boolean {
    return existsSync(this.journal);
  }

  /** @param replicate from 1; @param of how many there are */
  run(trial: number, replicate: number, of: number): RunFolder {
    return new RunFolder(join(this.trials, runName(trial, replicate, of)));
  }

  /** @throws notFound, integrity */
  readRecord(): SweepRecord {
    if (!existsSync(this.record)) {
      throw new SegfleetError(
        'notFound',
        `${this.path} is not the folder of a sweep (it has no sweep.json); name the folder that \`segfleet sweep run\` printed`,
      );
    }
    try {
      return JSON.parse(readFileSync(this.record, 'utf8')) as SweepRecord;
    } catch (cause) {
      throw new SegfleetError('integrity', `${this.record} is not JSON; \`segfleet sweep run\` writes it again`, { cause });
    }
  }
}

export function runName(trial: number, replicate: number, of: number): string {
  const number = String(trial).padStart(4, '0');
  return of > 1 ? `${number}-r${replicate}` : number;
}

export const defaultSweepOut = (name: string): string => join('runs', name);
