/**
 * What a trial process runs, and what it and the driver say to each other.
 */
import type { LoadedJob } from '../spec.ts';
import type { EpochReport, RunError } from './journal.ts';

/** One run, or the next part of it. */
export interface Order {
  readonly job: LoadedJob;
  /** Folder that paths in the job are relative to. */
  readonly base: string;
  /** The run folder. */
  readonly out: string;
  /** The last epoch before it pauses; by default it goes to its end. */
  readonly untilEpoch?: number;
  /** The folder of the checkpoint that a new run begins with. */
  readonly fork?: string;
  /** Other trials may be forked from its pauses and its end: it leaves a checkpoint there, in a folder of this name and `-<epoch>`. */
  readonly keep?: string;
  readonly objective: { readonly metric: string; readonly goal: 'maximize' | 'minimize' };
  readonly tell?: TellOptions & { readonly sweep: string };
}

/** Who else is told of each run while it goes on; see `Trackers`. */
export interface TellOptions {
  readonly tensorboard: boolean;
  readonly mlflow?: string;
  /** The command that tells MLflow of all runs of the sweep later. */
  readonly laterWith: string;
}

export type Outcome =
  | { readonly status: 'succeeded' | 'paused' }
  /** As it was asked to, with a checkpoint where there was anything to keep. */
  | { readonly status: 'interrupted' }
  | { readonly status: 'failed'; readonly error: RunError; readonly diskIsFull?: boolean };

/** What a program has of its process. */
export interface Host {
  /** Tells what the run has shown, and waits for the word to go on; then `signal` may be aborted. Told twice is told once. */
  reached(reports: readonly EpochReport[]): Promise<void>;
  /** Says what does not go as it should, and keeps nothing from going on. */
  warn(problem: string): void;
  /** Aborted: ends with a checkpoint as soon as it can. */
  readonly signal: AbortSignal;
}

/** The default export of a module that trial processes load. What it throws is a bug and ends the process. */
export type TrialProgram = (order: Order, host: Host) => Promise<Outcome>;

export type ToProcess =
  | { readonly say: 'run'; readonly order: Order }
  | { readonly say: 'go' }
  /** `preempted` or `interrupted`, as signals have it. */
  | { readonly say: 'stop'; readonly reason: 'preempted' | 'interrupted' };

export type FromProcess =
  | { readonly say: 'reached'; readonly reports: readonly EpochReport[] }
  | { readonly say: 'problem'; readonly problem: string }
  | { readonly say: 'ended'; readonly outcome: Outcome; readonly residentBytes: number };
