/**
 * What a training run says while it goes on: one object an event, one line an event in `metrics.ndjson` and under `--json`.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { fromSystemError } from '../errors.ts';
import type { Scores } from '../evaluate.ts';
import type { LossSpec } from '../losses/catalogue.ts';
import type { Position } from '../position.ts';
import type { StepResult } from '../program.ts';
import { writeAtomically } from '../storage/files.ts';
import { StepTable } from './stepTable.ts';

export interface StartEvent {
  readonly event: 'start';
  readonly name: string;
  readonly folder: string;
  readonly loss: string;
  readonly model: string;
  readonly parameters: number;
  readonly trainingImages: number;
  readonly validationImages: number;
  /** In an epoch, where training is on patches. */
  readonly patchesPerImage?: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  readonly batch: number;
  readonly precision: string;
  readonly threads: number;
  readonly tensorflow: string;
  readonly library: string;
  /** Of this process; where there are workers they have their own. */
  readonly devices: readonly string[];
  /** How many share a step, where it is shared. */
  readonly workers?: number;
  /** Steps that were done before, where the run is resumed. */
  readonly resumedAtStep?: number;
  /** Steps that were done beyond these, and are done again. */
  readonly undoneSteps?: number;
  /** How often a process went on with the run, by how the one before had ended (`RunRecord.resumed`). */
  readonly restarts?: Readonly<Record<string, number>>;
}

export interface StepEvent {
  readonly event: 'step';
  readonly step: number;
  readonly epoch: number;
  readonly loss: number;
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** With adaptiveLog: share of units and classes whose wrapped loss was below gamma. */
  readonly logShare?: number;
  readonly images: number;
  readonly seconds: number;
  /** Of those, spent waiting for data. */
  readonly waitSeconds: number;
  /** Of those, where workers share the step: waiting for sums of others, then until all had agreed, then applying it. */
  readonly phases?: StepPhases;
}

export interface StepPhases {
  readonly exchange: number;
  readonly commit: number;
  readonly apply: number;
}

export interface EpochEvent {
  readonly event: 'epoch';
  readonly epoch: number;
  readonly step: number;
  /** Mean over the images of the epoch, while weights changed. */
  readonly loss: number;
  readonly logShare?: number;
  readonly learningRate: number;
  readonly validation: Scores;
  readonly isBest: boolean;
  readonly seconds: number;
  readonly imagesPerSecond: number;
  /** Share of the time of its steps that was spent waiting for data. */
  readonly waitShare: number;
}

export interface CheckpointEvent {
  readonly event: 'checkpoint';
  readonly step: number;
  readonly epoch: number;
  /** Of all its chunks, new or not. */
  readonly bytes?: number;
  /** What it took this process to write it, or its manifest. */
  readonly seconds?: number;
}

export interface DoneEvent {
  readonly event: 'done';
  readonly folder: string;
  readonly steps: number;
  readonly bestEpoch: number;
  /** Before the last epoch, as `training.earlyStopping` says. */
  readonly stoppedEarly: boolean;
  /** Validation scores of the best epoch's weights. */
  readonly best: Scores;
  readonly logShare?: number;
  readonly weightsDigest: string;
  readonly seconds: number;
}

/** It has come to where it was to wait: it goes on when it is resumed. */
export interface PausedEvent {
  readonly event: 'paused';
  readonly step: number;
  /** The last one that is done. */
  readonly epoch: number;
}

export type TrainEvent = StartEvent | StepEvent | EpochEvent | CheckpointEvent | PausedEvent | DoneEvent;

export type Told = TrainEvent & { readonly time: string };

/** @param position after the step */
export function stepEvent(
  { step, epoch }: Position,
  { loss, gradientNorm, logShare }: StepResult,
  { learningRate, images, ...times }: Pick<StepEvent, 'learningRate' | 'images' | 'seconds' | 'waitSeconds' | 'phases'>,
): StepEvent {
  const { seconds, waitSeconds, phases } = times;
  const share = logShare !== undefined && { logShare };
  return {
    event: 'step',
    step,
    epoch,
    loss,
    gradientNorm,
    learningRate,
    ...share,
    images,
    seconds,
    waitSeconds,
    ...(phases && { phases }),
  };
}

/** What the seconds of a step were spent on; in one process there is no exchange, and what it would be is left out. */
export function spentIn({ seconds, waitSeconds, phases }: Pick<StepEvent, 'seconds' | 'waitSeconds' | 'phases'>) {
  const { exchange = 0, commit = 0, apply = 0 } = phases ?? {};
  const compute = Math.max(0, seconds - waitSeconds - exchange - commit - apply);
  return { data: waitSeconds, compute, ...(phases && { exchange, commit, apply }) };
}

/**
 * @param position after the last step of the epoch
 * @param steps those of the epoch that this process saw: all, unless the run was resumed in the middle of one
 */
export function epochEvent(
  { epoch, step, lossSum, images, logShareSum }: Position,
  steps: readonly StepEvent[],
  {
    loss,
    stepsPerEpoch,
    epochStarted,
    ...rest
  }: Pick<EpochEvent, 'validation' | 'isBest' | 'learningRate'> & {
    readonly loss: LossSpec;
    readonly stepsPerEpoch: number;
    readonly epochStarted: number;
  },
): EpochEvent {
  const sum = (value: (step: StepEvent) => number) => steps.reduce((total, step) => total + value(step), 0);
  const seconds = sum(step => step.seconds);
  return {
    event: 'epoch',
    epoch,
    step,
    loss: lossSum / images,
    ...(loss.name === 'adaptiveLog' && { logShare: logShareSum / stepsPerEpoch }),
    ...rest,
    seconds: (performance.now() - epochStarted) / 1000,
    imagesPerSecond: seconds > 0 ? sum(step => step.images) / seconds : 0,
    waitShare: seconds > 0 ? sum(step => step.waitSeconds) / seconds : 0,
  };
}

/** @param position that it holds: after an epoch, it is of that one */
export const checkpointEvent = ({ step, epoch, stepOfEpoch }: Position): CheckpointEvent => ({
  event: 'checkpoint',
  step,
  epoch: stepOfEpoch === 0 && step > 0 ? epoch - 1 : epoch,
});

/** What a run has said so far; nothing where it has not begun. */
export const readEvents = (file: string): TrainEvent[] => (existsSync(file) ? eventsIn(readFileSync(file, 'utf8')) : []);

/** Of lines of the log; each has its time. */
export const eventsIn = (lines: string): Told[] =>
  lines.split('\n').flatMap(line => {
    try {
      return [JSON.parse(line) as Told];
    } catch {
      return []; // the line that was being written when the process was killed, or the empty one at the end
    }
  });

/** Of what an earlier part of the run told, what happened before `position`, by default all. */
function eventsBefore(
  told: readonly TrainEvent[],
  position: Place = { step: Number.POSITIVE_INFINITY, epoch: Number.POSITIVE_INFINITY },
): TrainEvent[] {
  const events: TrainEvent[] = [];
  for (const event of told) {
    if (event.event === 'step' && event.step > position.step) continue;
    if (event.event === 'epoch' && event.epoch >= position.epoch) continue;
    if (event.event === 'checkpoint' && event.step > position.step) continue;
    if (event.event === 'done' || event.event === 'paused') continue;
    events.push(event);
  }
  return events;
}

type Place = Pick<Position, 'step' | 'epoch'>;

export class EventLog {
  readonly epochs: EpochEvent[] = [];
  /** The last step that it tells of, 0 if none. */
  lastStep = 0;
  /** How many steps it told of that are done again: beyond the position at which it was opened. */
  readonly undoneSteps: number;
  /** The last checkpoint that it tells of, and how many epochs it had told of by then. */
  #checkpoint: { readonly step: number; readonly epochs: number } | undefined;
  readonly #file: string;
  readonly #descriptor: number;
  readonly #steps: StepTable | undefined;

  private constructor(file: string, events: readonly TrainEvent[], undoneSteps: number, steps: StepTable | undefined) {
    this.#file = file;
    this.#steps = steps;
    this.undoneSteps = undoneSteps;
    for (const event of events) this.#take(event);
    this.#descriptor = openSync(file, 'a');
  }

  /**
   * Opens the log at `position`, by default at its end: what was written beyond, by a part of the run that is done again, is dropped.
   *
   * @param table a file for the steps alone, as CSV
   */
  static async open(file: string, position?: Place, { table }: { readonly table?: string } = {}): Promise<EventLog> {
    const told = readEvents(file);
    const events = eventsBefore(told, position);
    const numSteps = (some: readonly TrainEvent[]) => some.filter(({ event }) => event === 'step').length;
    await writeAtomically(file, events.map(event => `${JSON.stringify(event)}\n`).join(''));
    const steps = table === undefined ? undefined : await StepTable.open(table, events);
    return new EventLog(file, events, numSteps(told) - numSteps(events), steps);
  }

  /** Whether it tells of the checkpoint of this position, or of a later one. */
  hasCheckpoint({ step, scores }: Position): boolean {
    const last = this.#checkpoint;
    return last !== undefined && (last.step > step || (last.step === step && last.epochs >= scores.length));
  }

  #take(event: TrainEvent): void {
    if (event.event === 'epoch') this.epochs.push(event);
    if (event.event === 'step') this.lastStep = event.step;
    if (event.event === 'checkpoint') this.#checkpoint = { step: event.step, epochs: this.epochs.length };
  }

  append(event: TrainEvent, now: Date): void {
    this.#take(event);
    try {
      writeSync(this.#descriptor, `${JSON.stringify({ time: now.toISOString(), ...event })}\n`);
      if (event.event === 'epoch') fsyncSync(this.#descriptor);
      if (event.event === 'step') this.#steps?.append(event);
    } catch (error) {
      throw fromSystemError(error, `writing ${this.#file}`);
    }
  }

  close(): void {
    closeSync(this.#descriptor);
    this.#steps?.close();
  }
}
