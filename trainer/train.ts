/**
 * Training in one process: from a job to a run folder, as a stream of events. The loop reads from top to bottom; what it calls is
 * pure or owns one thing. After a kill at any moment the folder holds the last checkpoint whole, and `resume` goes on from it to
 * the same bits.
 */
import { dirname, join } from 'node:path';
import { Course, predictedAtOnce } from './course.ts';
import { readBatches } from './data/batches.ts';
import { SegfleetError } from './errors.ts';
import { evaluate } from './evaluate.ts';
import { stepInLanes } from './lanes.ts';
import { afterEpoch, afterStep, isBest, type Position, startOfRun } from './position.ts';
import { Program, type StepResult } from './program.ts';
import type { RunRecord } from './runRecord.ts';
import { type Entered, inRunFolder, type RunOptions, RunWriter } from './runWriter.ts';
import { type Job, type LoadedJob, loadJob } from './spec.ts';
import { epochEvent, type StepEvent, stepEvent, type TrainEvent } from './tracking/events.ts';

export interface TrainOptions extends RunOptions {
  /** Aborted with 'preempted' or 'interrupted': the run stops at the next step, writes a checkpoint and throws the error of that name. */
  readonly signal?: AbortSignal;
  /** The last epoch before the run pauses: it ends there with a checkpoint and goes on later as if it had not, to the same bits. */
  readonly untilEpoch?: number;
}

/** Yields what happens; returns the final record. @throws SegfleetError, after it is recorded in `run.json` */
export const train = (options: TrainOptions): AsyncGenerator<TrainEvent, RunRecord> =>
  inRunFolder(options, entered => run(options, entered));

async function* run(options: TrainOptions, entered: Entered): AsyncGenerator<TrainEvent, RunRecord> {
  const { job, base, signal, untilEpoch = Number.POSITIVE_INFINITY } = options;
  const { lanes, wire } = job.spec.training;
  const { everySteps } = job.spec.checkpoint;
  const course = await Course.open(job, base);
  const { samples, store, split, stepsPerEpoch } = course;
  const writer = await RunWriter.open(entered, course, options);
  let position = writer.restored?.position ?? startOfRun;

  const filling = store.fill(samples.order(position.epoch).map(sample => samples.caseOf(sample)));
  let fillError: unknown;
  filling.catch(error => {
    fillError = error;
  });
  const program = await Program.create(course.options, writer.restored?.state);

  /** All files are read and sound, and they are those that the run began with. */
  const checkData = async () => {
    await filling;
    if (!writer.record.data.digest) await writer.knowData(await store.digest());
  };
  const stopIfAsked = async () => {
    if (!signal?.aborted) return;
    await writer.checkpoint(position, { state: await program.state() });
    throw stopped(signal.reason, position);
  };

  try {
    yield await writer.begin({ devices: program.devices().map(({ type }) => type) });

    while (!course.isOver(position) && position.epoch <= untilEpoch) {
      const { epoch } = position;
      const epochStarted = performance.now();
      const steps: StepEvent[] = [];
      const reader = readBatches(course.batches(epoch).slice(position.stepOfEpoch), part => samples.batch(part, epoch));
      for (;;) {
        await stopIfAsked();
        const started = performance.now();
        const next = await reader.next();
        if (next.done) break;
        const { batch } = next.value;
        const waitSeconds = (performance.now() - started) / 1000;

        const at = { step: position.step + 1, learningRate: course.learningRateAt(position.step, position) };
        const result = await (lanes === 1 ? program.step(batch, at) : stepInLanes(program, batch, lanes, at, wire));
        refuseNotFinite(result, at.step, epoch, course.idsOf(next.value.samples));
        if (fillError) throw fillError;

        position = afterStep(position, result, batch.count);
        const seconds = (performance.now() - started) / 1000;
        const event = stepEvent(position, result, { ...at, images: batch.count, seconds, waitSeconds });
        steps.push(event);
        yield writer.say(event);
        if (everySteps && position.step % everySteps === 0 && position.stepOfEpoch < stepsPerEpoch) {
          yield await writer.checkpoint(position, { state: await program.state() });
        }
      }
      await checkData();

      const { scores } = await evaluate(program, store, split.validation, { batch: predictedAtOnce(job), signal }).catch(async error => {
        await stopIfAsked();
        throw error;
      });
      const ended = afterEpoch(position, scores.pooled.jaccard);
      const learningRate = course.learningRateAt(position.step - 1, position);
      yield writer.say(
        epochEvent(position, steps, {
          loss: job.spec.loss,
          stepsPerEpoch,
          validation: scores,
          isBest: isBest(ended),
          learningRate,
          epochStarted,
        }),
      );
      await writer.writeResults();

      // The checkpoint comes last: whatever a kill leaves half done before it is done again, to the same bits.
      const state = await program.state();
      await writer.writeWeights(state, ended);
      position = ended;
      yield await writer.checkpoint(position, { state });
    }

    await checkData();
    yield await (course.isOver(position) ? writer.finish(program, position) : writer.pause(position));
    return writer.record;
  } catch (error) {
    await writer.fail(error);
    throw error;
  } finally {
    writer.close();
    await filling.catch(() => {});
    await program.close();
  }
}

/** A job file and the folder that its paths are relative to. */
export function readJob(file: string, settings: readonly string[]): LoadedJob & { readonly base: string } {
  return { ...loadJob(file, settings), base: dirname(file) };
}

export const defaultOut = (job: Job): string => join('runs', job.metadata.name);

/** How a run ends that was asked to. @param reason of the signal */
export function stopped(reason: unknown, { step }: Position): SegfleetError {
  const code = reason === 'preempted' ? 'preempted' : 'interrupted';
  return new SegfleetError(code, `${code} after step ${step}; the checkpoint is written, continue with --resume`, { details: { step } });
}

/** @throws diverged */
export function refuseNotFinite(
  { loss, gradientNorm }: Pick<StepResult, 'loss' | 'gradientNorm'>,
  step: number,
  epoch: number,
  ids: readonly string[],
): void {
  if (Number.isFinite(loss) && Number.isFinite(gradientNorm)) return;
  const what = Number.isFinite(loss) ? `the gradient is ${gradientNorm}` : `the loss is ${loss}`;
  throw new SegfleetError(
    'diverged',
    `${what} at step ${step} (epoch ${epoch}), on the images ${ids.join(', ')}; try a smaller training.optimizer.learningRate or training.clipNorm, or look at these images`,
    { details: { step, epoch, images: ids } },
  );
}
