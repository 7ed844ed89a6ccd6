/**
 * Training in one process: from a job to a run folder, as a stream of events. The loop reads from top to bottom; what it calls is
 * pure or owns one thing. After a kill at any moment the folder holds the last checkpoint whole, and `resume` goes on from it to
 * the same bits.
 */
import { createHash } from 'node:crypto';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { cutIntoBatches, readBatches } from './data/batches.ts';
import { findCases } from './data/cases.ts';
import { epochOrder, splitCases } from './data/split.ts';
import { CaseStore } from './data/store.ts';
import { loadTensorFlow } from './engine/native.ts';
import { resolvePrecision } from './engine/precision.ts';
import { learningRateFactor } from './engine/schedule.ts';
import { SegfleetError } from './errors.ts';
import { type Evaluation, evaluate } from './evaluate.ts';
import type { LossSpec } from './losses/catalogue.ts';
import { describeMachine, versions } from './machine.ts';
import { models } from './models/catalogue.ts';
import { countParameters } from './models/layers.ts';
import { Program, type ProgramOptions, type State, type StepResult } from './program.ts';
import { writeResults, writeRunReport } from './report/run.ts';
import { type Job, type LoadedJob, loadJob, renderJob, threadsOf } from './spec.ts';
import { loadCheckpoint, type Position, readSafetensors, saveCheckpoint, startOfRun } from './storage/checkpoint.ts';
import { writeAtomically } from './storage/files.ts';
import { RunFolder } from './storage/runFolder.ts';
import { encodeSafetensors } from './storage/safetensors.ts';
import { type EpochEvent, EventLog, type TrainEvent } from './tracking/events.ts';

export interface TrainOptions extends LoadedJob {
  /** Folder that paths in the job are relative to. */
  readonly base: string;
  /** The run folder. */
  readonly out: string;
  readonly resume?: boolean;
  /** Aborted with 'preempted' or 'interrupted': the run stops at the next step, writes a checkpoint and throws the error of that name. */
  readonly signal?: AbortSignal;
  readonly now?: () => Date;
}

/** `run.json`. Fields are only ever added within a schema. */
export interface RunRecord {
  readonly schema: 'segfleet/run/1';
  readonly name: string;
  readonly status: 'running' | 'succeeded' | 'failed' | 'stopped';
  readonly job: Job;
  readonly provenance: LoadedJob['provenance'];
  readonly versions: ReturnType<typeof versions>;
  readonly library: string;
  readonly machine: ReturnType<typeof describeMachine>;
  readonly precision: string;
  readonly threads: number;
  readonly data: {
    readonly cases: number;
    readonly training: number;
    readonly validation: number;
    readonly split: string;
    readonly digest?: string;
  };
  readonly startedAt: string;
  readonly resumed: readonly { readonly at: string; readonly step: number; readonly differs: readonly string[] }[];
  readonly steps?: number;
  readonly logShare?: number;
  readonly weights?: { readonly digest: string; readonly bestDigest: string };
  readonly best?: { readonly epoch: number; readonly validation: Evaluation['scores'] };
  readonly endedAt?: string;
  readonly exit?: { readonly code: number; readonly error?: string; readonly message?: string };
}

export async function* train(options: TrainOptions): AsyncGenerator<TrainEvent, RunRecord> {
  const folder = new RunFolder(options.out);
  if (!options.resume) await folder.create();
  else if (!folder.isRun) {
    throw new SegfleetError(
      'notFound',
      `there is no run to resume in ${folder.path}; start it without --resume, or name its folder with --out`,
    );
  }
  const release = await folder.lock();
  try {
    return yield* run(options, folder);
  } finally {
    await release();
  }
}

async function* run(options: TrainOptions, folder: RunFolder): AsyncGenerator<TrainEvent, RunRecord> {
  const { job, base, signal, now = () => new Date() } = options;
  const { spec } = job;
  const { batch: batchSize, epochs, optimizer, schedule } = spec.training;
  const started = performance.now();

  const cases = await findCases(resolve(base, spec.data.path));
  const split = splitCases(
    cases.map(({ id }) => id),
    { share: spec.data.split.validation, seed: spec.data.split.seed },
  );
  if (batchSize > split.training.length) {
    throw new SegfleetError(
      'usage',
      `training.batch is ${batchSize}, more than the ${split.training.length} training images of data.path; use a smaller batch`,
    );
  }
  const stepsPerEpoch = Math.ceil(split.training.length / batchSize);
  const orderOf = (epoch: number) => Array.from(epochOrder(split.training.length, spec.seed, epoch), i => split.training[i]);

  const before = options.resume ? folder.readRecord<RunRecord>() : undefined;
  if (before) refuseOtherJob(before, withPathsFrom(job, base, folder.path));
  const checkpoint = before && (await loadCheckpoint(folder.checkpoint));
  let position = checkpoint?.position ?? startOfRun;

  const programOptions = programOf(job);
  const store = new CaseStore(cases, programOptions.image, spec.data);
  let fillError: unknown;
  const filled = store.fill(orderOf(position.epoch)).catch(error => {
    fillError = error;
  });
  const program = await Program.create(programOptions, checkpoint?.state);
  const { version, library } = loadTensorFlow();

  let record: RunRecord = {
    schema: 'segfleet/run/1',
    name: job.metadata.name,
    status: 'running',
    job: withPathsFrom(job, base, folder.path),
    provenance: options.provenance,
    versions: versions(version),
    library: library.source,
    machine: describeMachine(),
    precision: programOptions.dtype,
    threads: programOptions.threads,
    data: {
      cases: cases.length,
      training: split.training.length,
      validation: split.validation.length,
      split: split.digest,
      digest: before?.data.digest,
    },
    startedAt: before?.startedAt ?? now().toISOString(),
    resumed: before?.resumed ?? [],
  };
  if (before)
    record = {
      ...record,
      resumed: [...record.resumed, { at: now().toISOString(), step: position.step, differs: differences(before, record) }],
    };
  const update = async (change: Partial<RunRecord>) => {
    record = { ...record, ...change };
    await folder.writeRecord(record);
  };

  const log = await EventLog.open(folder.events, position);
  const say = <E extends TrainEvent>(event: E): E => {
    log.append(event, now());
    return event;
  };

  try {
    await writeAtomically(folder.job, renderJob(record.job));
    await update({});
    yield say({
      event: 'start',
      name: job.metadata.name,
      folder: folder.path,
      loss: describeLoss(spec.loss),
      model: spec.model.name,
      parameters: countParameters(program.parameters),
      trainingImages: split.training.length,
      validationImages: split.validation.length,
      stepsPerEpoch,
      epochs,
      batch: batchSize,
      precision: programOptions.dtype,
      threads: programOptions.threads,
      tensorflow: version,
      library: library.source,
      devices: program.devices().map(({ type }) => type),
      ...(before && { resumedAtStep: position.step }),
    });

    const stopAt = async (): Promise<void> => {
      if (!signal?.aborted) return;
      await saveCheckpoint(folder.checkpoint, await program.state(), position);
      throw stopped(signal.reason, position);
    };

    while (position.epoch <= epochs) {
      const { epoch } = position;
      const epochStarted = performance.now();
      const atStart = position;
      let waitSeconds = 0;
      let stepSeconds = 0;
      let rate = 0;
      const batches = cutIntoBatches(orderOf(epoch), batchSize).slice(position.stepOfEpoch);
      const reader = readBatches(store, batches)[Symbol.asyncIterator]();
      for (;;) {
        await stopAt();
        const waitingSince = performance.now();
        const next = await reader.next();
        if (next.done) break;
        const { indices, batch } = next.value;
        const stepStarted = performance.now();
        const step = position.step + 1;
        rate =
          optimizer.learningRate * learningRateFactor(schedule, { step: position.step, stepsPerEpoch, epochs, scores: position.scores });
        const result = await program.step(batch, { step, learningRate: rate });
        refuseNotFinite(
          result,
          step,
          epoch,
          indices.map(index => cases[index].id),
        );
        if (fillError) throw fillError;
        const logShare = logShareOf(spec.loss, result);
        position = {
          ...position,
          step,
          stepOfEpoch: position.stepOfEpoch + 1,
          lossSum: position.lossSum + result.loss * batch.count,
          images: position.images + batch.count,
          logShareSum: position.logShareSum + (logShare ?? 0),
          logShareTotal: position.logShareTotal + (logShare ?? 0),
        };
        const wait = (stepStarted - waitingSince) / 1000;
        const seconds = (performance.now() - waitingSince) / 1000;
        waitSeconds += wait;
        stepSeconds += seconds;
        yield say({
          event: 'step',
          step,
          epoch,
          loss: result.loss,
          gradientNorm: result.gradientNorm,
          learningRate: rate,
          ...(logShare !== undefined && { logShare }),
          images: batch.count,
          seconds,
          waitSeconds: wait,
        });
      }
      if (epoch === 1) {
        await filled;
        if (fillError) throw fillError;
      }

      const { scores } = await evaluate(program, store, split.validation, { batch: batchSize, signal }).catch(async error => {
        await stopAt();
        throw error;
      });
      const score = scores.pooled.jaccard;
      const isBest = position.scores.every(earlier => score > earlier);
      const event: EpochEvent = {
        event: 'epoch',
        epoch,
        step: position.step,
        loss: position.lossSum / position.images,
        ...(spec.loss.name === 'adaptiveLog' && { logShare: position.logShareSum / stepsPerEpoch }),
        learningRate: rate,
        validation: scores,
        isBest,
        seconds: (performance.now() - epochStarted) / 1000,
        imagesPerSecond: (position.images - atStart.images) / stepSeconds,
        waitShare: waitSeconds / stepSeconds,
      };
      yield say(event);
      await writeResults(folder.results, log.epochs);

      // The checkpoint comes last: whatever a kill leaves half done before it is done again, to the same bits.
      const state = await program.state();
      const weights = encodeSafetensors(weightsOf(state, program));
      if (isBest) await writeAtomically(folder.weights('best'), weights);
      await writeAtomically(folder.weights('last'), weights);
      position = {
        ...startOfRun,
        step: position.step,
        epoch: epoch + 1,
        logShareTotal: position.logShareTotal,
        scores: [...position.scores, score],
      };
      await saveCheckpoint(folder.checkpoint, state, position);
      yield say({ event: 'checkpoint', step: position.step, epoch });
    }

    await filled;
    if (fillError) throw fillError;
    const digest = await store.digest();
    if (before?.data.digest && before.data.digest !== digest) {
      throw new SegfleetError(
        'integrity',
        `the data set in ${spec.data.path} has changed since the run began; restore it, or start a new run`,
      );
    }
    const bestEpoch = position.scores.indexOf(Math.max(...position.scores)) + 1;
    await program.assign((await readSafetensors(folder.weights('best'))).tensors);
    const best = await evaluate(program, store, split.validation, { batch: batchSize });
    await writeRunReport(folder, job.metadata.name, log.epochs, { program, store, evaluation: best });
    const logShare = spec.loss.name === 'adaptiveLog' ? position.logShareTotal / position.step : undefined;
    const [lastDigest, bestDigest] = await Promise.all([digestOf(folder.weights('last')), digestOf(folder.weights('best'))]);
    const done = say({
      event: 'done',
      folder: folder.path,
      steps: position.step,
      bestEpoch,
      best: best.scores,
      ...(logShare !== undefined && { logShare }),
      weightsDigest: lastDigest,
      seconds: (performance.now() - started) / 1000,
    });
    await update({
      status: 'succeeded',
      data: { ...record.data, digest },
      steps: position.step,
      logShare,
      weights: { digest: lastDigest, bestDigest },
      best: { epoch: bestEpoch, validation: best.scores },
      endedAt: now().toISOString(),
      exit: { code: 0 },
    });
    yield done;
    return record;
  } catch (error) {
    const known = error instanceof SegfleetError ? error : undefined;
    const stoppedOnRequest = known?.code === 'preempted' || known?.code === 'interrupted';
    const exit = { code: known?.exitCode ?? 1, error: known?.code ?? 'bug', message: (error as Error).message };
    // If the disk is full this fails too; the first error is the one to tell.
    await update({ status: stoppedOnRequest ? 'stopped' : 'failed', endedAt: now().toISOString(), exit }).catch(() => {});
    throw error;
  } finally {
    log.close();
    await filled;
    await program.close();
  }
}

/** What a program needs to know of a job. */
export function programOf(job: Job): ProgramOptions & { readonly optimizer: Job['spec']['training']['optimizer'] } {
  const { spec } = job;
  const { size, channels, classes, exclusive } = spec.data;
  return {
    network: models[spec.model.name].create(spec.model, classes),
    image: { ...size, channels },
    classes,
    exclusive,
    loss: spec.loss,
    optimizer: spec.training.optimizer,
    clipNorm: spec.training.clipNorm,
    dtype: resolvePrecision(spec.training.precision),
    threads: threadsOf(job),
    seed: spec.seed,
  };
}

/** The job with paths that are right when read from `folder`; absolute ones stay. */
function withPathsFrom(job: Job, base: string, folder: string): Job {
  const { path } = job.spec.data;
  const moved = isAbsolute(path) ? path : relative(resolve(folder), resolve(base, path)) || '.';
  return { ...job, spec: { ...job.spec, data: { ...job.spec.data, path: moved } } };
}

/** A resumed run must be the same run; only its length may change. */
function refuseOtherJob(before: RunRecord, job: Job): void {
  const [now, then] = [job, before.job].map(({ spec }) => ({ ...spec, training: { ...spec.training, epochs: 0 } }));
  for (const key of Object.keys(now) as (keyof typeof now)[]) {
    if (JSON.stringify(now[key]) !== JSON.stringify(then[key])) {
      throw new SegfleetError(
        'usage',
        `${key} is ${JSON.stringify(now[key])} in the job and ${JSON.stringify(then[key])} in the run that is resumed; only training.epochs may change: restore the rest, or start a new run with --out`,
      );
    }
  }
}

/** What of the surroundings is not as it was, so that the bits may not be either. */
function differences(before: RunRecord, after: RunRecord): string[] {
  const pick = ({ versions: { tensorflow }, machine: { instructions }, precision, threads }: RunRecord) => ({
    tensorflow,
    instructions: instructions.join(' '),
    precision,
    threads,
  });
  const [then, now] = [pick(before), pick(after)];
  return (Object.keys(now) as (keyof typeof now)[]).filter(key => then[key] !== now[key]).map(key => `${key}: ${then[key]} -> ${now[key]}`);
}

function stopped(reason: unknown, { step }: Position): SegfleetError {
  const code = reason === 'preempted' ? 'preempted' : 'interrupted';
  return new SegfleetError(code, `${code} after step ${step}; the checkpoint is written, continue with --resume`, { details: { step } });
}

function refuseNotFinite({ loss, gradientNorm }: StepResult, step: number, epoch: number, ids: readonly string[]): void {
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
  const what = Number.isFinite(loss) ? `the gradient is ${gradientNorm}` : `the loss is ${loss}`;
  throw new SegfleetError(
    'diverged',
    `${what} at step ${step} (epoch ${epoch}), on the images ${ids.join(', ')}; try a smaller training.optimizer.learningRate or training.clipNorm, or look at these images`,
    { details: { step, epoch, images: ids } },
  );
}

function logShareOf(loss: LossSpec, { wrapped }: StepResult): number | undefined {
  if (loss.name !== 'adaptiveLog' || !wrapped) return undefined;
  return wrapped.filter(value => value < loss.gamma).length / wrapped.length;
}

export const describeLoss = (loss: LossSpec): string => (loss.name === 'adaptiveLog' ? `adaptiveLog(${loss.of.name})` : loss.name);

const weightsOf = (state: State, program: Program): State => new Map(program.parameters.map(({ name }) => [name, state.get(name)!]));

async function digestOf(file: string): Promise<string> {
  const { readFile } = await import('node:fs/promises');
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}

/** A job file and the folder that its paths are relative to. */
export function readJob(file: string, settings: readonly string[]): LoadedJob & { readonly base: string } {
  return { ...loadJob(file, settings), base: dirname(file) };
}

export const defaultOut = (job: Job): string => join('runs', job.metadata.name);
