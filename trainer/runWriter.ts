/**
 * What a run leaves behind while it goes on and when it ends: its folder, record, events, weights and checkpoints. Whoever leads the
 * steps, one process or a coordinator, writes through this, so that the folder is the same.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { type Course, predictedAtOnce } from './course.ts';
import { dataPath } from './data/cases.ts';
import { loadTensorFlow } from './engine/native.ts';
import { SegfleetError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { takeFork } from './forks.ts';
import { describeLoss } from './losses/catalogue.ts';
import { describeMachine, versions } from './machine.ts';
import { countParameters, declareParameters } from './models/layers.ts';
import { bestEpoch, isBest, type Position, startOfRun } from './position.ts';
import type { Program, State } from './program.ts';
import { writeResults, writeRunReport } from './report/run.ts';
import { differences, howEnded, type RunRecord, refuseOtherJob, withPathsFrom } from './runRecord.ts';
import { type Job, type LoadedJob, renderJob } from './spec.ts';
import { Checkpoints, manifestKeys, restore } from './storage/checkpoints.ts';
import { writeAtomically } from './storage/files.ts';
import type { Chunk } from './storage/manifest.ts';
import { Mirror } from './storage/mirror.ts';
import { openStore } from './storage/openStore.ts';
import { RunFolder } from './storage/runFolder.ts';
import { encodeSafetensors, readSafetensors } from './storage/safetensors.ts';
import type { Store } from './storage/store.ts';
import { tally } from './tally.ts';
import {
  type CheckpointEvent,
  checkpointEvent,
  type DoneEvent,
  EventLog,
  type PausedEvent,
  type StartEvent,
  type TrainEvent,
} from './tracking/events.ts';

export interface RunOptions extends LoadedJob {
  /** Folder that paths in the job are relative to. */
  readonly base: string;
  /** The run folder. */
  readonly out: string;
  /** The run that is there; `ifBegun`: where there is one, else a new one. */
  readonly resume?: boolean | 'ifBegun';
  /** Keeps a copy of the run folder in the store of the checkpoints, and begins with it where the folder is empty. */
  readonly mirror?: boolean;
  /** A new run begins with the newest checkpoint in this folder, as `keepFork` left it, instead of initial weights. */
  readonly fork?: string;
  readonly now?: () => Date;
}

/** A run folder that this process has to itself. */
export interface Entered {
  readonly folder: RunFolder;
  readonly mirror?: Mirror;
  /** The record of the run that goes on. */
  readonly before?: RunRecord;
  /** What is in the store is newer than what is in the folder. */
  readonly isBehind: boolean;
}

/** Runs in the folder of a new run, or of the one to resume, which nobody else enters meanwhile. @throws conflict, notFound, usage */
export async function* inRunFolder<E>(
  options: RunOptions,
  run: (entered: Entered) => AsyncGenerator<E, RunRecord>,
): AsyncGenerator<E, RunRecord> {
  const { out, resume } = options;
  const folder = new RunFolder(out);
  const mirror = await openMirror(options, folder);
  const copied = await mirror?.readRecord<RunRecord>();
  const isBegun = folder.isRun || copied !== undefined;
  const isResumed = resume === 'ifBegun' ? isBegun : (resume ?? false);
  if (isResumed && !isBegun) {
    throw new SegfleetError(
      'notFound',
      `there is no run to resume in ${folder.path}; start it without --resume, or name its folder with --out`,
    );
  }
  if (!isResumed && copied) {
    throw new SegfleetError(
      'conflict',
      `${mirror!.url} holds a run already; continue it with --resume, or name another place in checkpoint.url`,
    );
  }
  if (!isResumed || !folder.isRun) await folder.create({ anew: isResumed || resume === 'ifBegun' });
  const release = await folder.lock();
  try {
    const own = isResumed && folder.isRun ? folder.readRecord<RunRecord>() : undefined;
    if (own && copied && own.startedAt !== copied.startedAt) {
      throw new SegfleetError(
        'conflict',
        `${folder.path} holds a run of ${own.startedAt}, ${mirror!.url} one of ${copied.startedAt}; name another --out or checkpoint.url`,
      );
    }
    // Whoever takes a run over says so there first.
    const isBehind = isResumed && copied !== undefined && (!own || own.resumed.length < copied.resumed.length);
    return yield* run({ folder, mirror, before: isBehind ? copied : own, isBehind });
  } finally {
    await release();
  }
}

async function openMirror({ job, base, out, mirror }: RunOptions, folder: RunFolder): Promise<Mirror | undefined> {
  if (!mirror) return undefined;
  if (job.spec.checkpoint.url === undefined) {
    throw new SegfleetError(
      'usage',
      '--mirror keeps a copy of the run folder beside its checkpoints, and the job names no place for them; set checkpoint.url (s3://bucket/prefix or file:/folder)',
    );
  }
  return new Mirror(await openStore(checkpointUrl(job, base, out)), folder);
}

/** Where the checkpoints of a job lie: as it says, or in its run folder. */
export const checkpointUrl = ({ spec: { checkpoint } }: Job, base: string, folder: string): string =>
  checkpoint.url === undefined ? new RunFolder(folder).checkpoints : dataPath(base, checkpoint.url);

/** A process that was asked to end has so long for what it could also leave undone. */
const copyPatienceMs = 10_000;

/** Whence a run goes on. */
export interface Restored {
  readonly state: State;
  readonly position: Position;
  /** When that checkpoint was written. */
  readonly written: string;
}

export class RunWriter {
  readonly folder: RunFolder;
  readonly store: Store;
  /** Whence the run goes on, where it is resumed and has got as far as a checkpoint. */
  readonly restored: Restored | undefined;
  readonly #mirror: Mirror | undefined;
  readonly #course: Course;
  readonly now: () => Date;
  readonly #before: RunRecord | undefined;
  readonly #started = performance.now();
  #checkpoints: Checkpoints;
  #savedStep: number | undefined;
  #record: RunRecord;
  #log: EventLog;

  private constructor(parts: {
    folder: RunFolder;
    mirror: Mirror | undefined;
    course: Course;
    now: () => Date;
    before: RunRecord | undefined;
    store: Store;
    restored: RunWriter['restored'];
    checkpoints: Checkpoints;
    record: RunRecord;
    log: EventLog;
  }) {
    this.folder = parts.folder;
    this.store = parts.store;
    this.restored = parts.restored;
    this.#course = parts.course;
    this.now = parts.now;
    this.#mirror = parts.mirror;
    this.#before = parts.before;
    this.#checkpoints = parts.checkpoints;
    this.#record = parts.record;
    this.#log = parts.log;
  }

  /**
   * Takes the checkpoints over and begins or goes on with the record.
   *
   * @param mayBeAhead workers may hold more than is stored: so there need be no checkpoint to resume from, and what was told of later
   * steps stays until it is known where the run stands
   */
  static async open(
    entered: Entered,
    course: Course,
    { base, provenance, fork, now = () => new Date() }: RunOptions,
    { mayBeAhead = false } = {},
  ): Promise<RunWriter> {
    const { folder, mirror, isBehind } = entered;
    const { job, cases, split, options } = course;
    const { name } = job.metadata;
    const moved = withPathsFrom(job, base, folder.path);
    if (entered.before) refuseOtherJob(entered.before, moved);

    const store = await openStore(checkpointUrl(job, base, folder.path));
    if (!entered.before && (await manifestKeys(store)).length > 0) {
      throw new SegfleetError(
        'conflict',
        `${store.url} holds checkpoints already; continue their run with --resume, or name another place in checkpoint.url`,
      );
    }
    const { last, best } = job.spec.checkpoint;
    // Whoever wrote there before can write no more: what is read from here on stays as it is.
    const checkpoints = await Checkpoints.claim(store, { run: name, keep: { last, best }, now });
    if (isBehind) await mirror!.fill();
    const before = isBehind ? folder.readRecord<RunRecord>() : entered.before;
    const parent = before || fork === undefined ? undefined : await takeFork(fork, { checkpoints, store, folder });
    const found = before || parent ? await restore(store) : undefined;
    if (before && !found && !mayBeAhead) {
      throw new SegfleetError('notFound', `there is no checkpoint to resume from in ${store.url}; start the run without --resume`);
    }
    const restored = found && {
      state: found.state,
      position: found.manifest.position as unknown as Position,
      written: found.manifest.written,
    };

    const { version, library } = loadTensorFlow();
    const begun: RunRecord = {
      schema: 'segfleet/run/1',
      name,
      status: 'running',
      job: moved,
      provenance,
      versions: versions(version),
      library: library.source,
      machine: describeMachine(),
      precision: options.dtype,
      threads: options.threads,
      data: {
        cases: cases.length,
        training: split.training.length,
        validation: split.validation.length,
        test: split.test.length,
        split: split.digest,
      },
      startedAt: before?.startedAt ?? now().toISOString(),
      resumed: before?.resumed ?? [],
      ...((before?.forkedFrom ?? parent) && { forkedFrom: before?.forkedFrom ?? parent }),
    };
    const position = restored?.position ?? startOfRun;
    const again = before && { at: now().toISOString(), step: position.step, differs: differences(before, begun), after: howEnded(before) };
    const record = again ? { ...begun, fleet: before.fleet, resumed: [...begun.resumed, again] } : begun;
    const log = await EventLog.open(folder.events, mayBeAhead ? undefined : position, { table: folder.steps });
    // Whoever wrote that checkpoint may have ended before it said so.
    if (restored && !log.hasCheckpoint(position)) log.append(checkpointEvent(position), now());
    return new RunWriter({ folder, mirror, course, now, before, store, restored, checkpoints, record, log });
  }

  get record(): RunRecord {
    return this.#record;
  }

  /** Rises with each process that takes this run over. */
  get term(): number {
    return this.#checkpoints.term;
  }

  /** The last step and the last epoch that the log tells of, 0 if none. */
  get told(): { readonly step: number; readonly epoch: number } {
    return { step: this.#log.lastStep, epoch: this.#log.epochs.at(-1)?.epoch ?? 0 };
  }

  /** Drops the events beyond this place: what they tell of is done again. */
  async rewind(place: Pick<Position, 'step' | 'epoch'>): Promise<void> {
    this.#log.close();
    this.#log = await EventLog.open(this.folder.events, place, { table: this.folder.steps });
  }

  say<E extends TrainEvent>(event: E): E {
    this.#log.append(event, this.now());
    return event;
  }

  async update(change: Partial<RunRecord>): Promise<void> {
    this.#record = { ...this.#record, ...change };
    await this.folder.writeRecord(this.#record);
  }

  async begin(more: Pick<StartEvent, 'devices' | 'workers'>): Promise<StartEvent> {
    const { job, split, options, stepsPerEpoch } = this.#course;
    const { loss, model, data, training } = job.spec;
    const { versions, library, precision, threads } = this.#record;
    await writeAtomically(this.folder.job, renderJob(this.#record.job));
    await this.update({});
    const started = this.say({
      event: 'start' as const,
      name: job.metadata.name,
      folder: this.folder.path,
      loss: describeLoss(loss),
      model: model.name,
      parameters: countParameters(declareParameters(options.network, options.image)),
      trainingImages: split.training.length,
      validationImages: split.validation.length,
      ...(data.patches && { patchesPerImage: data.patches.perImage }),
      stepsPerEpoch,
      epochs: training.epochs,
      batch: training.batch,
      precision,
      threads,
      tensorflow: versions.tensorflow,
      library,
      ...more,
      ...(this.#before && {
        resumedAtStep: (this.restored?.position ?? startOfRun).step,
        ...(this.#log.undoneSteps > 0 && { undoneSteps: this.#log.undoneSteps }),
        restarts: tally(this.#record.resumed.map(({ after }) => after ?? 'other')),
      }),
    });
    await this.#copy();
    return started;
  }

  /** Who shares the steps. @throws conflict: another process has taken the run over, and its workers with it */
  async updateFleet(fleet: RunRecord['fleet']): Promise<void> {
    await this.update({ fleet });
    if (!this.#mirror) return;
    const signal = AbortSignal.timeout(copyPatienceMs);
    await this.#mirror
      .writeRecord(() => this.#checkpoints.check({ signal }), { signal })
      .catch(error => {
        // Where it fails otherwise, the next checkpoint comes to it.
        if (error instanceof SegfleetError && error.code === 'conflict') throw error;
      });
  }

  /** What the copy in the store must have before it may be gone on from a checkpoint. */
  async #copy(signal?: AbortSignal): Promise<void> {
    await this.#mirror?.write(() => this.#checkpoints.check({ signal }), { signal });
  }

  /** The data are known to the byte. @throws integrity: they are not those of the split file, or not those that the run began with */
  async knowData(digest: string): Promise<void> {
    const { split, job } = this.#course;
    const { data } = job.spec;
    if (split.data !== undefined && split.data !== digest) {
      throw new SegfleetError(
        'integrity',
        `${data.split.file} was made of other data than those in ${data.path}; write it again with dataset split`,
      );
    }
    if (this.#before?.data.digest && this.#before.data.digest !== digest) {
      throw new SegfleetError('integrity', `the data set in ${data.path} has changed since the run began; restore it, or start a new run`);
    }
    await this.update({ data: { ...this.#record.data, digest } });
  }

  /** The table so far: one row an epoch. */
  writeResults(): Promise<void> {
    return writeResults(this.folder.results, this.#log.epochs);
  }

  /** The weights after an epoch; `best` too where it was the best one. */
  async writeWeights(state: State, position: Position): Promise<void> {
    const { network, image } = this.#course.options;
    const names = declareParameters(network, image).map(({ name }) => name);
    const weights = encodeSafetensors(new Map(names.map(name => [name, state.get(name)!])));
    if (isBest(position)) await writeAtomically(this.folder.weights('best'), weights);
    await writeAtomically(this.folder.weights('last'), weights);
  }

  /** Writes a checkpoint: all of it, or the manifest where workers have stored its chunks. @throws SegfleetError with the step as `details.checkpoint` */
  async checkpoint(
    position: Position,
    contents: { readonly state: State } | { readonly chunks: readonly Chunk[] },
  ): Promise<CheckpointEvent> {
    try {
      return await this.#checkpoint(position, contents);
    } catch (error) {
      if (!(error instanceof SegfleetError)) throw error;
      throw new SegfleetError(error.code, error.message, { cause: error.cause, details: { ...error.details, checkpoint: position.step } });
    }
  }

  async #checkpoint(position: Position, contents: Parameters<RunWriter['checkpoint']>[1]): Promise<CheckpointEvent> {
    const { step, scores, stepOfEpoch } = position;
    const started = performance.now();
    // Before and after the validation of an epoch: the second needs a name of its own.
    if (this.#savedStep === step) this.#checkpoints = await this.#checkpoints.renew();
    this.#savedStep = step;
    // Whoever goes on from this checkpoint finds all that it covers told.
    await this.#copy();
    const score = stepOfEpoch === 0 ? scores.at(-1) : undefined;
    const described = { step, ...(score !== undefined && { score }), position: { ...position, scores: [...scores] } };
    const { chunks } = await ('state' in contents
      ? this.#checkpoints.save({ ...described, state: contents.state })
      : this.#checkpoints.commit({ ...described, chunks: [...contents.chunks] }));
    const bytes = chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    return this.say({ ...checkpointEvent(position), bytes, seconds: (performance.now() - started) / 1000 });
  }

  /** Evaluates the best weights, writes the report and closes the record. @param program as it will; its weights change */
  async finish(program: Program, position: Position): Promise<DoneEvent> {
    const { folder } = this;
    const { job, split, store } = this.#course;
    const best = bestEpoch(position);
    await program.assign((await readSafetensors(folder.weights('best'))).tensors);
    const batch = predictedAtOnce(job);
    const evaluation = await evaluate(program, store, split.validation, { batch });
    await writeRunReport(folder, job.metadata.name, this.#log.epochs, { program, store, evaluation, batch });
    const stoppedEarly = position.epoch <= job.spec.training.epochs;
    const logShare = job.spec.loss.name === 'adaptiveLog' ? position.logShareTotal / position.step : undefined;
    const [digest, bestDigest] = await Promise.all((['last', 'best'] as const).map(selection => digestOf(folder.weights(selection))));
    const done = this.say({
      event: 'done',
      folder: folder.path,
      steps: position.step,
      bestEpoch: best,
      stoppedEarly,
      best: evaluation.scores,
      ...(logShare !== undefined && { logShare }),
      weightsDigest: digest,
      seconds: (performance.now() - this.#started) / 1000,
    });
    await this.update({
      status: 'succeeded',
      steps: position.step,
      stoppedEarly,
      logShare,
      weights: { digest, bestDigest },
      best: { epoch: best, validation: evaluation.scores },
      endedAt: this.now().toISOString(),
      exit: { code: 0 },
    });
    await this.#copy();
    return done;
  }

  /** Closes the record for now: the checkpoint of this position is written, and the run may go on from it. */
  async pause({ step, epoch }: Position): Promise<PausedEvent> {
    const paused = this.say({ event: 'paused' as const, step, epoch: epoch - 1 });
    await this.update({ status: 'paused', steps: step, endedAt: this.now().toISOString() });
    await this.#copy();
    return paused;
  }

  /** Records how the run failed or was stopped. */
  async fail(error: unknown): Promise<void> {
    const known = error instanceof SegfleetError ? error : undefined;
    const status = known?.code === 'preempted' || known?.code === 'interrupted' ? 'stopped' : 'failed';
    const exit = { code: known?.exitCode ?? 1, error: known?.code ?? 'bug', message: (error as Error).message };
    // If the disk is full this fails too; the first error is the one to tell.
    await this.update({ status, endedAt: this.now().toISOString(), exit }).catch(() => {});
    await this.#copy(AbortSignal.timeout(copyPatienceMs)).catch(() => {});
  }

  close(): void {
    this.#log.close();
  }
}

const digestOf = async (file: string): Promise<string> => hash('sha256', await readFile(file));
