/**
 * Training in one process: from a job to a run folder, as a stream of events. The loop reads from top to bottom; what it calls is
 * pure or owns one thing. After a kill at any moment the folder holds the last checkpoint whole, and `resume` goes on from it to
 * the same bits.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { cutIntoBatches, readBatches } from './data/batches.ts';
import { dataPath, findCases } from './data/cases.ts';
import { TrainingSamples } from './data/samples.ts';
import { splitOf } from './data/splitFile.ts';
import { CaseStore, type StoredShape } from './data/store.ts';
import { endsEarly } from './earlyStopping.ts';
import { loadTensorFlow } from './engine/native.ts';
import { resolvePrecision } from './engine/precision.ts';
import { learningRateFactor } from './engine/schedule.ts';
import { SegfleetError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { stepInLanes } from './lanes.ts';
import type { LossSpec } from './losses/catalogue.ts';
import { describeMachine, versions } from './machine.ts';
import { createNetwork, numHeads } from './models/catalogue.ts';
import { countParameters } from './models/layers.ts';
import { Program, type ProgramOptions, type State, type StepResult } from './program.ts';
import { writeResults, writeRunReport } from './report/run.ts';
import { differences, type RunRecord, refuseOtherJob, withPathsFrom } from './runRecord.ts';
import { inputSizeOf, type Job, type LoadedJob, loadJob, renderJob, threadsOf } from './spec.ts';
import { loadCheckpoint, type Position, readSafetensors, saveCheckpoint, startOfRun } from './storage/checkpoint.ts';
import { writeAtomically } from './storage/files.ts';
import { RunFolder } from './storage/runFolder.ts';
import { encodeSafetensors } from './storage/safetensors.ts';
import { type EpochEvent, EventLog, type StepEvent, type TrainEvent } from './tracking/events.ts';

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

/** Yields what happens; returns the final record. @throws SegfleetError, after it is recorded in `run.json` */
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
  const { batch: batchSize, epochs, earlyStopping, optimizer, schedule } = spec.training;
  const started = performance.now();

  const cases = await findCases(dataPath(base, spec.data.path));
  const split = await splitOf(spec.data.split, cases, base);
  const programOptions = programOf(job);
  const store = new CaseStore(cases, storedShapeOf(job), spec.data);
  const { patches, augmentation } = spec.data;
  const samples = new TrainingSamples(store, split.training, { seed: spec.seed, image: programOptions.image, patches, augmentation });
  if (batchSize > samples.perEpoch) {
    throw new SegfleetError(
      'usage',
      `training.batch is ${batchSize}, more than the ${samples.perEpoch} training ${patches ? 'patches' : 'images'} of data.path; use a smaller batch`,
    );
  }
  const stepsPerEpoch = Math.ceil(samples.perEpoch / batchSize);

  const movedJob = withPathsFrom(job, base, folder.path);
  const before = options.resume ? folder.readRecord<RunRecord>() : undefined;
  if (before) refuseOtherJob(before, movedJob);
  const checkpoint = before && (await loadCheckpoint(folder.checkpoint));
  let position = checkpoint?.position ?? startOfRun;

  const filling = store.fill(samples.order(position.epoch).map(sample => samples.caseOf(sample)));
  let fillError: unknown;
  filling.catch(error => {
    fillError = error;
  });
  const program = await Program.create(programOptions, checkpoint?.state);
  const { version, library } = loadTensorFlow();

  let record: RunRecord = {
    schema: 'segfleet/run/1',
    name: job.metadata.name,
    status: 'running',
    job: movedJob,
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
      test: split.test.length,
      split: split.digest,
    },
    startedAt: before?.startedAt ?? now().toISOString(),
    resumed: before?.resumed ?? [],
  };
  if (before) {
    record = {
      ...record,
      resumed: [...record.resumed, { at: now().toISOString(), step: position.step, differs: differences(before, record) }],
    };
  }
  const update = async (change: Partial<RunRecord>) => {
    record = { ...record, ...change };
    await folder.writeRecord(record);
  };

  const log = await EventLog.open(folder.events, position);
  const say = <E extends TrainEvent>(event: E): E => {
    log.append(event, now());
    return event;
  };

  /** All files are read and sound, and they are those that the run began with. */
  const checkData = async () => {
    await filling;
    if (record.data.digest) return;
    const digest = await store.digest();
    if (split.data !== undefined && split.data !== digest) {
      throw new SegfleetError(
        'integrity',
        `${spec.data.split.file} was made of other data than those in ${spec.data.path}; write it again with dataset split`,
      );
    }
    if (before?.data.digest && before.data.digest !== digest) {
      throw new SegfleetError(
        'integrity',
        `the data set in ${spec.data.path} has changed since the run began; restore it, or start a new run`,
      );
    }
    await update({ data: { ...record.data, digest } });
  };

  const learningRateAt = (step: number) =>
    optimizer.learningRate * learningRateFactor(schedule, { step, stepsPerEpoch, epochs, scores: position.scores });

  const stopIfAsked = async () => {
    if (!signal?.aborted) return;
    await saveCheckpoint(folder.checkpoint, await program.state(), position);
    throw stopped(signal.reason, position);
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
      ...(patches && { patchesPerImage: patches.perImage }),
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

    while (position.epoch <= epochs && !endsEarly(position.scores, earlyStopping)) {
      const { epoch } = position;
      const epochStarted = performance.now();
      const steps: StepEvent[] = [];
      const batches = cutIntoBatches(samples.order(epoch), batchSize).slice(position.stepOfEpoch);
      const reader = readBatches(batches, part => samples.batch(part, epoch));
      for (;;) {
        await stopIfAsked();
        const waitingSince = performance.now();
        const next = await reader.next();
        if (next.done) break;
        const { batch } = next.value;
        const waited = performance.now() - waitingSince;

        const step = position.step + 1;
        const learningRate = learningRateAt(position.step);
        const { lanes } = spec.training;
        const at = { step, learningRate };
        const result = await (lanes === 1 ? program.step(batch, at) : stepInLanes(program, batch, lanes, at));
        refuseNotFinite(result, step, epoch, [...new Set(next.value.samples.map(sample => cases[samples.caseOf(sample)].id))]);
        if (fillError) throw fillError;

        const { logShare } = result;
        position = {
          ...position,
          step,
          stepOfEpoch: position.stepOfEpoch + 1,
          lossSum: position.lossSum + result.loss * batch.count,
          images: position.images + batch.count,
          logShareSum: position.logShareSum + (logShare ?? 0),
          logShareTotal: position.logShareTotal + (logShare ?? 0),
        };
        const event: StepEvent = {
          event: 'step',
          step,
          epoch,
          loss: result.loss,
          gradientNorm: result.gradientNorm,
          learningRate,
          ...(logShare !== undefined && { logShare }),
          images: batch.count,
          seconds: (performance.now() - waitingSince) / 1000,
          waitSeconds: waited / 1000,
        };
        steps.push(event);
        yield say(event);
      }
      await checkData();

      const { scores } = await evaluate(program, store, split.validation, { batch: batchSize, signal }).catch(async error => {
        await stopIfAsked();
        throw error;
      });
      const score = scores.pooled.jaccard;
      const isBest = position.scores.every(earlier => score > earlier);
      const learningRate = learningRateAt(position.step - 1);
      yield say(epochEvent(spec.loss, position, stepsPerEpoch, steps, { validation: scores, isBest, learningRate, epochStarted }));
      await writeResults(folder.results, log.epochs);

      // The checkpoint comes last: whatever a kill leaves half done before it is done again, to the same bits.
      const state = await program.state();
      const weights = encodeSafetensors(weightsOf(state, program));
      if (isBest) await writeAtomically(folder.weights('best'), weights);
      await writeAtomically(folder.weights('last'), weights);
      const { step, logShareTotal } = position;
      position = { ...startOfRun, step, epoch: epoch + 1, logShareTotal, scores: [...position.scores, score] };
      await saveCheckpoint(folder.checkpoint, state, position);
      yield say({ event: 'checkpoint', step, epoch });
    }

    await checkData();
    const bestEpoch = position.scores.indexOf(Math.max(...position.scores)) + 1;
    await program.assign((await readSafetensors(folder.weights('best'))).tensors);
    const best = await evaluate(program, store, split.validation, { batch: batchSize });
    await writeRunReport(folder, job.metadata.name, log.epochs, { program, store, evaluation: best, batch: batchSize });
    const stoppedEarly = position.epoch <= epochs;
    const logShare = spec.loss.name === 'adaptiveLog' ? position.logShareTotal / position.step : undefined;
    const [digest, bestDigest] = await Promise.all((['last', 'best'] as const).map(selection => digestOf(folder.weights(selection))));
    const done = say({
      event: 'done',
      folder: folder.path,
      steps: position.step,
      bestEpoch,
      stoppedEarly,
      best: best.scores,
      ...(logShare !== undefined && { logShare }),
      weightsDigest: digest,
      seconds: (performance.now() - started) / 1000,
    });
    await update({
      status: 'succeeded',
      steps: position.step,
      stoppedEarly,
      logShare,
      weights: { digest, bestDigest },
      best: { epoch: bestEpoch, validation: best.scores },
      endedAt: now().toISOString(),
      exit: { code: 0 },
    });
    yield done;
    return record;
  } catch (error) {
    const known = error instanceof SegfleetError ? error : undefined;
    const status = known?.code === 'preempted' || known?.code === 'interrupted' ? 'stopped' : 'failed';
    const exit = { code: known?.exitCode ?? 1, error: known?.code ?? 'bug', message: (error as Error).message };
    // If the disk is full this fails too; the first error is the one to tell.
    await update({ status, endedAt: now().toISOString(), exit }).catch(() => {});
    throw error;
  } finally {
    log.close();
    await filling.catch(() => {});
    await program.close();
  }
}

/** A job file and the folder that its paths are relative to. */
export function readJob(file: string, settings: readonly string[]): LoadedJob & { readonly base: string } {
  return { ...loadJob(file, settings), base: dirname(file) };
}

export const defaultOut = (job: Job): string => join('runs', job.metadata.name);

/** What a program needs to know of a job. */
export function programOf(job: Job): ProgramOptions & { readonly optimizer: Job['spec']['training']['optimizer'] } {
  const { spec } = job;
  const { channels, classes, exclusive } = spec.data;
  return {
    network: createNetwork(spec.model, classes),
    image: { ...inputSizeOf(spec.data), channels },
    classes,
    exclusive,
    ignore: spec.data.ignore !== undefined,
    loss: spec.loss,
    heads: {
      loss: spec.deepSupervision?.loss ?? spec.loss,
      weights: spec.deepSupervision?.weights ?? new Array(numHeads(spec.model)).fill(1),
    },
    optimizer: spec.training.optimizer,
    clipNorm: spec.training.clipNorm,
    dtype: resolvePrecision(spec.training.precision),
    threads: threadsOf(job),
    seed: spec.seed,
  };
}

/** How a job's cases are kept: at the size of the network, or where patches are on at their own. */
export const storedShapeOf = ({ spec: { data } }: Job): StoredShape => ({ ...(!data.patches && data.size), channels: data.channels });

export const describeLoss = (loss: LossSpec): string => (loss.name === 'adaptiveLog' ? `adaptiveLog(${loss.of.name})` : loss.name);

/** @param steps those of the epoch that this process ran: all, unless it was resumed in the middle of one */
function epochEvent(
  loss: LossSpec,
  position: Position,
  stepsPerEpoch: number,
  steps: readonly StepEvent[],
  { epochStarted, ...rest }: Pick<EpochEvent, 'validation' | 'isBest' | 'learningRate'> & { epochStarted: number },
): EpochEvent {
  const sum = (value: (step: StepEvent) => number) => steps.reduce((total, step) => total + value(step), 0);
  const seconds = sum(step => step.seconds);
  return {
    event: 'epoch',
    epoch: position.epoch,
    step: position.step,
    loss: position.lossSum / position.images,
    ...(loss.name === 'adaptiveLog' && { logShare: position.logShareSum / stepsPerEpoch }),
    ...rest,
    seconds: (performance.now() - epochStarted) / 1000,
    imagesPerSecond: seconds > 0 ? sum(step => step.images) / seconds : 0,
    waitShare: seconds > 0 ? sum(step => step.waitSeconds) / seconds : 0,
  };
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

const weightsOf = (state: State, program: Program): State => new Map(program.parameters.map(({ name }) => [name, state.get(name)!]));

const digestOf = async (file: string): Promise<string> => hash('sha256', await readFile(file));
