/**
 * Leads a run whose steps are shared: workers come and go, and this process, which computes nothing itself, writes the same run folder
 * as `trainer/train.ts`. A process that takes a run over goes on from what the workers hold and what is stored.
 */
import { Course } from '../trainer/course.ts';
import { SegfleetError } from '../trainer/errors.ts';
import { afterEpoch, isBest, type Position, startOfRun } from '../trainer/position.ts';
import { Program } from '../trainer/program.ts';
import type { RunRecord } from '../trainer/runRecord.ts';
import { type Entered, inRunFolder, type Restored, type RunOptions, RunWriter } from '../trainer/runWriter.ts';
import { readState } from '../trainer/storage/checkpoints.ts';
import { type CheckpointEvent, checkpointEvent, epochEvent, type StepEvent, type TrainEvent } from '../trainer/tracking/events.ts';
import { stopped } from '../trainer/train.ts';
import { digestsOf } from './digests.ts';
import type { RunKeys } from './exchange/keys.ts';
import { HandOver } from './handOver.ts';
import { type Report, readReport, readShare } from './reports.ts';
import { defaultTiming, type LostReason, type RoundOptions } from './round.ts';
import { placeOfRound, roundOf } from './rounds.ts';
import { Coordinator } from './server.ts';
import type { CoordinatorEvent, Status } from './serverMessages.ts';

export interface LeadOptions extends RunOptions {
  /** As for a coordinator: `tcp://10.1.2.3:5555`, or `ipc:///folder/name` in a folder of this user alone. */
  readonly listen: string;
  readonly keys?: RunKeys;
  /** Aborted with 'preempted' or 'interrupted': a checkpoint at the next boundary, then the error of that name. */
  readonly signal?: AbortSignal;
  /** Aborted with an error: there will be no more workers, and the run ends with it. */
  readonly forsaken?: AbortSignal;
  readonly timing?: Partial<RoundOptions['timing']>;
  /** Called once workers can join there. */
  readonly onListening?: (endpoint: string) => void;
}

/** Not in the log of the run: they are of this moment. */
export type FleetEvent =
  /** Workers can join there. */
  | { readonly event: 'listening'; readonly endpoint: string }
  | ({ readonly event: 'workers' } & Status)
  /** A run that is resumed: the checkpoint that it has got to, and the validation Jaccard of the epochs that are done. */
  | (Omit<CheckpointEvent, 'event'> & { readonly event: 'restored'; readonly written: string; readonly scores: readonly number[] })
  | {
      readonly event: 'lost';
      readonly worker: string;
      readonly reason: LostReason;
      readonly why: string;
      readonly afterStep: number;
      /** In the middle of a step, which the others compute again. */
      readonly repeats: boolean;
    };

export type LeadEvent = TrainEvent | FleetEvent;

/** How often losses may break one and the same step. */
const attempts = 5;

/** Yields what happens; returns the final record. @throws SegfleetError, after it is recorded in `run.json` */
export const lead = (options: LeadOptions): AsyncGenerator<LeadEvent, RunRecord> => inRunFolder(options, entered => run(options, entered));

async function* run(options: LeadOptions, entered: Entered): AsyncGenerator<LeadEvent, RunRecord> {
  const { job, base, signal, forsaken, listen, keys, timing } = options;
  const { workers, training } = job.spec;
  const course = await Course.open(job, base);
  const writer = await RunWriter.open(entered, course, options, { mayBeAhead: true });
  let coordinator: Coordinator | undefined;
  let handOver: HandOver | undefined;
  const stop = () => {
    if (options.resume === 'ifBegun' && signal!.reason === 'preempted') handOver = new HandOver(coordinator!);
    else coordinator?.stop(signal!.reason === 'preempted' ? 'preempted' : 'interrupted');
  };
  try {
    yield await writer.begin({ devices: [], workers: workers.replicas });
    const { restored, term } = writer;
    if (restored) yield restoredEvent(restored);
    // What computes is where the workers are: this process may have no GPU, or another processor.
    const digests = await digestsOf(course, signal).catch(error => {
      throw signal?.aborted ? stoppedEarly(signal.reason) : error;
    });
    await writer.knowData(digests.data);
    const { library } = (options.resume === 'ifBegun' && writer.record.fleet) || {};
    coordinator = await Coordinator.start({
      run: job.metadata.name,
      listen,
      keys,
      round: {
        ...{ term, attempts, lanes: training.lanes },
        digests: { ...digests, ...(library && { library }) },
        workers: { min: workers.min, expected: workers.replicas },
        timing: { ...defaultTiming, ...timing },
        savedStep: restored ? roundOf(course, restored.position, 0) : 0,
        isOver: restored !== undefined && course.isOver(restored.position),
      },
    });
    signal?.addEventListener('abort', stop);
    if (signal?.aborted) stop();
    forsaken?.addEventListener('abort', () => void coordinator!.close());
    options.onListening?.(coordinator.endpoint);
    yield { event: 'listening', endpoint: coordinator.endpoint };

    const book = new Book(course, writer);
    let end: Extract<CoordinatorEvent, { do: 'end' }> | undefined;
    for await (const event of coordinator.events) {
      if (event.do === 'end') end = event;
      else yield* book.take(event, handOver ?? coordinator);
      handOver?.see(event);
    }
    forsaken?.throwIfAborted();
    if (handOver?.isDone && !end) throw stopped('preempted', book.saved);
    if (end?.code === 'ok') {
      const { optimizer, ...forPrediction } = course.options;
      const program = await Program.create(forPrediction);
      try {
        yield await writer.finish(program, book.saved);
      } finally {
        await program.close();
      }
      return writer.record;
    }
    throw failure(end, book.saved);
  } catch (error) {
    await writer.fail(error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    await coordinator?.close();
    writer.close();
  }
}

const restoredEvent = ({ position, written }: Restored): FleetEvent => ({
  ...checkpointEvent(position),
  event: 'restored',
  written,
  scores: position.scores,
});

/** Nothing was done that a checkpoint would have to hold. */
const stoppedEarly = (reason: unknown): SegfleetError => {
  const code = reason === 'preempted' ? 'preempted' : 'interrupted';
  return new SegfleetError(code, `${code} before the run went on; the last checkpoint stands, continue with --resume`);
};

function failure(end: Extract<CoordinatorEvent, { do: 'end' }> | undefined, saved: Position): SegfleetError {
  if (!end) return new SegfleetError('bug', 'the coordinator ended without a word');
  const { code, sentence, images } = end;
  if (code === 'ok' || code === 'left') return new SegfleetError('bug', sentence);
  if (code === 'preempted' || code === 'interrupted') return stopped(code, saved);
  return new SegfleetError(code, sentence, { details: images.length > 0 ? { images } : {} });
}

/** Workers read back what they have stored, so what is not here is elsewhere. */
function stored(error: unknown, url: string): unknown {
  if (!(error instanceof SegfleetError && error.code === 'notFound')) return error;
  const sentence = `a worker has stored its part of a checkpoint elsewhere than in ${url}; name a place that all reach in checkpoint.url, or on one machine the same --out`;
  return new SegfleetError('usage', sentence, { cause: error });
}

/** What is known of the run, from what the coordinator says; writes it down. */
class Book {
  /** Of the last checkpoint. */
  saved: Position;
  /** The furthest checkpoint: what it covers has been told, and stays so. */
  #covered: Position;
  readonly #course: Course;
  readonly #writer: RunWriter;
  /** Validation Jaccard of the epochs that are done. */
  #scores: readonly number[];
  #steps: StepEvent[] = [];
  #epochStarted = performance.now();
  #members = 0;
  /** An epoch or a checkpoint has come since the record last told of the workers. */
  #isNews = false;

  constructor(course: Course, writer: RunWriter) {
    const { position } = writer.restored ?? { position: startOfRun };
    this.#course = course;
    this.#writer = writer;
    this.saved = position;
    this.#covered = position;
    this.#scores = position.scores;
  }

  async *take(event: Exclude<CoordinatorEvent, { do: 'end' }>, coordinator: Pick<Coordinator, 'durable'>): AsyncGenerator<LeadEvent> {
    switch (event.do) {
      case 'status':
        if (this.#isNews) await this.#recordWorkers(event.status);
        return yield { event: 'workers', ...event.status };
      case 'position': {
        const place = placeOfRound(this.#course, event.step);
        await this.#writer.rewind(further(place, this.#covered));
        this.#scores = this.#scores.slice(0, place.epoch - 1);
        this.#steps = [];
        return;
      }
      case 'committed':
        if (event.members.length === this.#members) return;
        this.#members = event.members.length;
        return this.#record({ size: { fromStep: placeOfRound(this.#course, event.step).step, workers: this.#members } });
      case 'applied':
        return yield* this.#applied(readReport(event.report));
      case 'checkpointed': {
        const shares = event.shares.map(readShare);
        const { position } = shares[0];
        const chunks = shares.flatMap(share => share.chunks);
        this.saved = { ...position, scores: this.#scores.slice(0, position.epoch - 1) };
        this.#covered = further(this.saved, this.#covered);
        const { step, stepOfEpoch } = this.saved;
        const state = await readState(this.#writer.store, { chunks }).catch(error => {
          throw stored(error, this.#writer.store.url);
        });
        if (stepOfEpoch === 0 && step > 0) await this.#writer.writeWeights(state, this.saved);
        const checkpoint = await this.#writer.checkpoint(this.saved, { chunks });
        coordinator.durable(event.step);
        this.#isNews = true;
        return yield checkpoint;
      }
      case 'settled':
        return this.#record({ library: event.digests.library });
      case 'lost': {
        const lost = { worker: event.id, afterStep: this.#writer.told.step, why: event.why };
        await this.#record({ lost: { ...lost, at: this.#writer.now().toISOString() } });
        return yield { event: 'lost', ...lost, reason: event.reason, repeats: event.repeats };
      }
      default:
        event satisfies never;
    }
  }

  async *#applied(report: Report): AsyncGenerator<LeadEvent> {
    switch (report.event) {
      case 'step':
        if (report.step <= this.#writer.told.step) return;
        this.#steps.push(report);
        return yield this.#writer.say(report);
      case 'validated': {
        const { position, validation } = report;
        if (position.epoch !== this.#scores.length + 1) return;
        const before = { ...position, scores: this.#scores };
        const ended = afterEpoch(before, validation.pooled.jaccard);
        this.#scores = ended.scores;
        // The coordinator before this one may have told of it.
        if (position.epoch <= this.#writer.told.epoch) return;
        yield this.#writer.say(
          epochEvent(before, this.#steps, {
            loss: this.#course.job.spec.loss,
            stepsPerEpoch: this.#course.stepsPerEpoch,
            validation,
            isBest: isBest(ended),
            learningRate: this.#course.learningRateAt(position.step - 1, before),
            epochStarted: this.#epochStarted,
          }),
        );
        this.#epochStarted = performance.now();
        this.#steps = [];
        this.#isNews = true;
        return this.#writer.writeResults();
      }
      case 'validating':
        return;
      default:
        report satisfies never;
    }
  }

  async #recordWorkers({ workers }: Status): Promise<void> {
    const members = workers.flatMap(({ id: worker, rank, lanes = 0, seconds, lateMs }) =>
      rank === undefined ? [] : [{ worker, rank, lanes, seconds, lateMs }],
    );
    // Between two crews, and once the run is over, nobody shares a step: who shared the last one stands.
    if (members.length === 0) return;
    this.#isNews = false;
    return this.#record({ latest: { step: this.#writer.told.step, at: this.#writer.now().toISOString(), workers: members } });
  }

  #record({ size, lost, library, latest }: FleetChange): Promise<void> {
    const before: Fleet = this.#writer.record.fleet ?? { sizes: [], lost: [] };
    return this.#writer.updateFleet({
      library: library ?? before.library,
      latest: latest ?? before.latest,
      sizes: size ? [...before.sizes, size] : before.sizes,
      lost: lost ? [...before.lost, lost] : before.lost,
    });
  }
}

type Place = Pick<Position, 'step' | 'epoch'>;

const further = <P extends Place>(one: P, other: P): P =>
  one.step > other.step || (one.step === other.step && one.epoch > other.epoch) ? one : other;

type Fleet = NonNullable<RunRecord['fleet']>;
interface FleetChange extends Pick<Fleet, 'library' | 'latest'> {
  readonly size?: Fleet['sizes'][number];
  readonly lost?: Fleet['lost'][number];
}
