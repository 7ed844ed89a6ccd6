/**
 * What a worker computes: its lanes of each step of training and of each round of validation, summed with those of all others. State,
 * position and what was counted so far are the same on every worker after every step.
 */
import { createHash, type Hash } from 'node:crypto';
import { type Course, predictedAtOnce } from '../trainer/course.ts';
import type { Batch } from '../trainer/data/batch.ts';
import { float32, type HostTensor, sizeOf } from '../trainer/engine/tensor.ts';
import { SegfleetError } from '../trainer/errors.ts';
import { countGroup, Tally } from '../trainer/evaluate.ts';
import { cutIntoLanes, startOfLane } from '../trainer/lanes.ts';
import { afterEpoch, afterStep, type Position, startOfRun } from '../trainer/position.ts';
import { Program, type StepResult, type Stream } from '../trainer/program.ts';
import { defaultChunkBytes, restore, writeChunks } from '../trainer/storage/checkpoints.ts';
import { planChunks, shareOf } from '../trainer/storage/manifest.ts';
import { decodeSafetensors, encodeSafetensors } from '../trainer/storage/safetensors.ts';
import type { Store } from '../trainer/storage/store.ts';
import { stepEvent } from '../trainer/tracking/events.ts';
import { refuseNotFinite } from '../trainer/train.ts';
import { digestOfArithmetic } from './arithmetic.ts';
import { addCounts, encodeCounts, vectorLength } from './countsVector.ts';
import { type Mesh, type MeshOptions, openMesh, type Step } from './exchange/mesh.ts';
import type { BucketOptions } from './exchange/plan.ts';
import type { LaneRange } from './lanes.ts';
import type { Seat } from './member.ts';
import type { Holding } from './messages.ts';
import { type Report, write } from './reports.ts';
import { placeInOrder, roundOf, validationRounds } from './rounds.ts';
import type { StepResult as Prepared, StepOrder, WorkerTask } from './worker.ts';

export interface TrainTaskOptions {
  readonly run: string;
  readonly course: Course;
  /** Of the checkpoints. */
  readonly store: Store;
  /** How this worker's mesh listens in a generation. */
  readonly mesh: (generation: number) => Pick<MeshOptions, 'listen' | 'keys'>;
}

/** Numbers of a bucket: 4 MiB. */
const bucketLength = 2 ** 20;

/** What a step comes to, kept until it is applied. */
type Kept =
  | { readonly kind: 'step'; readonly round: number; readonly sums: Float32Array[]; readonly images: number; readonly times: Times }
  | { readonly kind: 'validation'; readonly round: number; readonly tally: Tally; readonly ended?: Position };

interface Times {
  readonly started: number;
  readonly waitSeconds: number;
  /** Spent waiting for sums. */
  readonly exchange: number;
  /** When all was there to be applied. */
  readonly prepared: number;
}

export class TrainTask implements WorkerTask {
  /** Digest of what this machine makes of one lane. */
  readonly arithmetic: string;
  readonly #options: TrainTaskOptions;
  readonly #program: Program;
  #position: Position;
  /** Of the epoch's validation: rounds done, and what they counted. */
  #validated = 0;
  #tally: Tally;
  #mesh: Mesh | undefined;
  #isConnected = false;
  #kept: Kept | undefined;
  #ahead: { readonly key: string; readonly batch: Promise<Batch> } | undefined;
  /** Of the mesh's buckets: sums that meet in the middle of a step, gradients, and the counts of a validation. */
  readonly #meetings: readonly (readonly number[])[];
  readonly #gradients: readonly number[];

  private constructor(options: TrainTaskOptions, program: Program, position: Position, arithmetic: string) {
    this.arithmetic = arithmetic;
    this.#options = options;
    this.#program = program;
    this.#position = position;
    const { job, options: programOptions } = options.course;
    this.#tally = new Tally(programOptions.classes);
    this.#meetings = program.meetings(job.spec.training.batch / this.#lanes);
    this.#gradients = program.buckets(bucketLength);
  }

  /** At the newest checkpoint that is whole, or at the start. */
  static async create(options: TrainTaskOptions): Promise<TrainTask> {
    const found = await restore(options.store);
    const program = await Program.create(options.course.options);
    const arithmetic = await digestOfArithmetic(options.course, program);
    if (found) await program.assign(found.state);
    return new TrainTask(options, program, (found?.manifest.position as unknown as Position | undefined) ?? startOfRun, arithmetic);
  }

  async describe(): Promise<Holding> {
    const { course } = this.#options;
    const digest = (await this.#digestState()).digest('hex');
    return { step: this.#round, digest, ...placeInOrder(course, this.#position), finished: course.isOver(this.#position) };
  }

  async open({ generation, rank, ranges }: Seat, signal: AbortSignal, unreachable: (rank: number) => void): Promise<string> {
    await this.#mesh?.close();
    this.#isConnected = false;
    this.#kept = undefined;
    const { run, course, mesh } = this.#options;
    const { wire } = course.job.spec.training;
    const gradients = this.#gradients.slice(0, -1);
    const exact = [this.#gradients.at(-1)!, this.#countsLength]; // batch statistics and loss, counts
    const buckets: BucketOptions[] = [
      ...this.#meetings.map(shape => ({ length: sizeOf(shape) })),
      ...gradients.map(length => ({ length, wire })),
      ...exact.map(length => ({ length })),
    ];
    this.#mesh = await openMesh({
      ...{ run, generation, rank, ranges, buckets, firstStep: this.#round + 1 },
      ...mesh(generation),
      signal,
      broken: unreachable,
    });
    return this.#mesh.endpoint;
  }

  async compute(order: StepOrder, signal: AbortSignal): Promise<Prepared> {
    const mesh = this.#mesh!;
    const abort = () => void mesh.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      signal.throwIfAborted();
      if (!this.#isConnected) await mesh.connect(order.peers);
      this.#isConnected = true;
      const { stepsPerEpoch } = this.#options.course;
      const computed = await (this.#position.stepOfEpoch < stepsPerEpoch ? this.#train(mesh, order, signal) : this.#validate(mesh, order));
      signal.throwIfAborted();
      return computed;
    } finally {
      signal.removeEventListener('abort', abort);
      // Its check of keys goes with it: what listens next must not count on that.
      if (signal.aborted) await mesh.close();
    }
  }

  async apply(round: number): Promise<string> {
    const kept = this.#kept;
    if (kept?.round !== round) throw new Error(`round ${round} was not prepared`);
    const report = kept.kind === 'step' ? await this.#applyStep(kept) : this.#applyCounts(kept);
    this.#kept = undefined;
    return write(report);
  }

  async save({ rank, size }: { rank: number; size: number }): Promise<() => Promise<string>> {
    const state = await this.#program.state();
    const { scores: _, ...position } = this.#position;
    const plan = shareOf(planChunks(state, defaultChunkBytes), rank, size);
    return async () => {
      return write({ position, chunks: await writeChunks(this.#options.store, state, plan) });
    };
  }

  async exportState(note: string): Promise<Uint8Array> {
    const counted = this.#tally.rocs.flatMap(({ histograms }, c) =>
      histograms.map((histogram, kind) => [histogramName(c, kind), bytesOf(histogram)] as const),
    );
    const { images } = this.#tally;
    const losses = ['validation/losses', bytesOf(Float64Array.from(images, ({ loss }) => loss))] as const;
    const stands: Stands = { position: this.#position, validated: this.#validated, counts: images.map(({ counts }) => counts) };
    return encodeSafetensors(new Map([...(await this.#program.state()), ...counted, losses]), { stands: JSON.stringify(stands), note });
  }

  async importState(bytes: Uint8Array, step: number): Promise<string> {
    const { tensors, metadata } = decodeSafetensors(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), 'the state of a worker');
    const { position, validated, counts } = JSON.parse(metadata.stands) as Stands;
    const { course } = this.#options;
    if (roundOf(course, position, validated) !== step)
      throw new SegfleetError('integrity', `a state came that is not the one after round ${step}`);
    const tally = new Tally(course.options.classes);
    for (const [c, { histograms }] of tally.rocs.entries()) {
      for (const [kind, histogram] of histograms.entries()) histogram.set(numbersOf(tensors.get(histogramName(c, kind))!));
    }
    const losses = numbersOf(tensors.get('validation/losses')!);
    for (const [i, ofImage] of counts.entries()) tally.images.push({ counts: ofImage, loss: losses[i] });
    await this.#program.assign(new Map([...tensors].filter(([name]) => !name.startsWith('validation/'))));
    this.#position = position;
    this.#validated = validated;
    this.#tally = tally;
    this.#kept = undefined;
    return metadata.note;
  }

  async close(): Promise<void> {
    await this.#mesh?.close();
    await this.#ahead?.batch.catch(() => {});
    await this.#program.close();
  }

  get #lanes(): number {
    return this.#options.course.job.spec.training.lanes;
  }

  get #round(): number {
    return roundOf(this.#options.course, this.#position, this.#validated);
  }

  /** Images of a round of validation, at most: one group a lane. */
  get #imagesOfRound(): number {
    return predictedAtOnce(this.#options.course.job) * this.#lanes;
  }

  get #countsLength(): number {
    return vectorLength(this.#imagesOfRound, this.#options.course.options.classes);
  }

  async #train(mesh: Mesh, { step: round, rank, ranges, generation, verify }: StepOrder, signal: AbortSignal): Promise<Prepared> {
    const { course } = this.#options;
    const { epoch, stepOfEpoch, step } = this.#position;
    const range = ranges[rank];
    const started = performance.now();
    const samples = course.batches(epoch)[stepOfEpoch];
    const count = samples.length;
    const own = samples.slice(...boundsOf(range, count, this.#lanes));
    const batch = await this.#read(own, epoch);
    const waitSeconds = (performance.now() - started) / 1000;
    this.#readAhead(range);

    const hash = await this.#startDigest(verify);
    const sum = mesh.begin(round);
    const summing = this.#gather(sum, hash);
    summing.catch(() => {}); // awaited when all lanes have contributed
    const lanes = cutIntoLanes(batch, course.options.image, this.#lanes, range, count);
    const first = startOfLane(range.start, count, this.#lanes);
    const idsOf = (lane: number) => {
      const [from, to] = [lane, lane + 1].map(at => startOfLane(at, count, this.#lanes) - first);
      return course.idsOf(own.slice(from, to));
    };
    const check = (lane: number, values: Float32Array, loss: number) => {
      if (allFinite(values)) return;
      refuseNotFinite({ loss, gradientNorm: Number.NaN }, step + 1, epoch, idsOf(lane));
    };
    let waited = 0;
    let point = 0;
    const meet = async (parts: readonly HostTensor[]) => {
      const bucket = point++;
      const [{ shape }] = parts;
      for (const [i, { data }] of parts.entries()) {
        check(range.start + i, data as Float32Array, Number.NaN);
        sum.add(range.start + i, bucket, data as Float32Array);
      }
      const before = performance.now();
      const whole = (await sum.bucket(bucket)).slice();
      waited += performance.now() - before;
      return float32(whole, shape);
    };
    const stream: Stream = {
      bucketLength,
      place: (lane, bucket) => sum.place(lane, this.#meetings.length + bucket),
      deliver: (lane, bucket, values) => {
        const isLast = bucket === this.#gradients.length - 1;
        check(lane, values, isLast ? values.at(-2)! : 0); // the loss comes last, and whatever else is not finite is a gradient
        sum.add(lane, this.#meetings.length + bucket);
      },
    };
    await this.#program.contribute(lanes, { ticket: { generation, step: step + 1 }, images: count, meet, signal, stream });
    const contributed = performance.now();
    const seconds = (contributed - started - waited) / 1000;
    const sums = await summing;
    const prepared = performance.now();
    const times = { started, waitSeconds, exchange: (prepared - contributed + waited) / 1000, prepared };
    this.#kept = { kind: 'step', round, sums, images: count, times };

    const { everySteps } = course.job.spec.checkpoint;
    const isDue = everySteps !== undefined && (step + 1) % everySteps === 0 && stepOfEpoch + 1 < course.stepsPerEpoch;
    const { batch: batchSize } = course.job.spec.training;
    return {
      digest: hash.digest('hex'),
      samples: { epoch, first: stepOfEpoch * batchSize + first, count: own.length, of: course.samples.perEpoch },
      after: isDue ? 'checkpoint' : 'next',
      seconds,
      lateMs: latenessOf(mesh),
    };
  }

  async #applyStep({ sums, images, times }: Extract<Kept, { kind: 'step' }>): Promise<Report> {
    const { course } = this.#options;
    const { step, epoch } = this.#position;
    const at = { step: step + 1, learningRate: course.learningRateAt(step, this.#position) };
    const { started, waitSeconds, exchange, prepared } = times;
    const agreed = performance.now();
    const result: StepResult = await this.#program.apply(sums, at);
    refuseNotFinite(result, at.step, epoch, course.idsOf(course.batches(epoch)[this.#position.stepOfEpoch]));
    this.#position = afterStep(this.#position, result, images);
    const ended = performance.now();
    const phases = { exchange, commit: (agreed - prepared) / 1000, apply: (ended - agreed) / 1000 };
    return stepEvent(this.#position, result, { ...at, images, seconds: (ended - started) / 1000, waitSeconds, phases });
  }

  async #validate(mesh: Mesh, { step: round, rank, ranges, verify }: StepOrder): Promise<Prepared> {
    const { course } = this.#options;
    const { start, end } = ranges[rank];
    const batch = predictedAtOnce(course.job);
    const started = performance.now();
    const groups = this.#groups(this.#validated);
    this.#readAhead(ranges[rank]);
    const hash = await this.#startDigest(verify);
    const sum = mesh.begin(round);
    const bucket = this.#meetings.length + this.#gradients.length;
    for (let lane = start; lane < end; lane++) {
      const counted = new Tally(course.options.classes);
      if (groups[lane]) await countGroup(this.#program, course.store, groups[lane], counted, { batch });
      sum.add(lane, bucket, encodeCounts(counted, lane * batch, this.#imagesOfRound));
    }
    const seconds = (performance.now() - started) / 1000;
    const whole = await sum.bucket(bucket);
    const tally = copyOf(this.#tally);
    addCounts(tally, whole, groups.flat().length, this.#imagesOfRound);
    const isLast = this.#validated + 1 === validationRounds(course);
    const ended = isLast ? afterEpoch(this.#position, tally.scores().pooled.jaccard) : undefined;
    this.#kept = { kind: 'validation', round, tally, ended };
    return {
      digest: hash.update(whole).digest('hex'),
      after: ended ? (course.isOver(ended) ? 'finish' : 'checkpoint') : 'next',
      seconds,
      lateMs: latenessOf(mesh),
    };
  }

  #applyCounts({ tally, ended }: Extract<Kept, { kind: 'validation' }>): Report {
    this.#validated++;
    this.#tally = tally;
    if (!ended) return { event: 'validating', images: tally.images.length };
    const { scores: _, ...position } = this.#position;
    this.#position = ended;
    this.#validated = 0;
    this.#tally = new Tally(tally.rocs.length);
    return { event: 'validated', position, validation: tally.scores() };
  }

  /** By lane: the cases of a round of validation. */
  #groups(validated: number): readonly (readonly number[])[] {
    return this.#options.course.validation.slice(validated * this.#lanes, (validated + 1) * this.#lanes);
  }

  async #read(samples: readonly number[], epoch: number): Promise<Batch> {
    const key = `${epoch} ${samples.join()}`;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead?.key === key) return ahead.batch;
    await ahead?.batch.catch(() => {});
    return this.#options.course.samples.batch(samples, epoch);
  }

  /** What these lanes will need in the next round. */
  #readAhead(range: LaneRange): void {
    const { course } = this.#options;
    const { epoch, stepOfEpoch } = this.#position;
    const next = course.batches(epoch)[stepOfEpoch + 1];
    if (next) {
      const own = next.slice(...boundsOf(range, next.length, this.#lanes));
      const batch = course.samples.batch(own, epoch);
      batch.catch(() => {}); // thrown when its turn comes
      this.#ahead = { key: `${epoch} ${own.join()}`, batch };
      return;
    }
    const validated = stepOfEpoch < course.stepsPerEpoch ? 0 : this.#validated + 1;
    for (const index of this.#groups(validated).slice(range.start, range.end).flat()) void course.store.get(index);
  }

  /** The sums of all gradients, each digested as it comes: last layers first, while the others are still computed. */
  async #gather(sum: Step, hash: Hash): Promise<Float32Array[]> {
    const last = this.#gradients.length - 1;
    const sums: Float32Array[] = [];
    for (const b of [...Array(last).keys()].reverse().concat(last)) {
      sums[b] = await sum.bucket(this.#meetings.length + b);
      hash.update(sums[b]);
    }
    return sums;
  }

  /** Of what would be applied; where a newcomer may have other weights, of what it would be applied to as well. */
  async #startDigest(verify: boolean): Promise<Hash> {
    return verify ? this.#digestState() : createHash('sha256');
  }

  async #digestState(): Promise<Hash> {
    const hash = createHash('sha256').update(JSON.stringify([this.#position, this.#validated]));
    for (const [name, { data }] of await this.#program.state()) hash.update(name).update(data);
    return hash;
  }
}

const latenessOf = (mesh: Mesh): number[] => mesh.stats().ranks.map(({ contributionMs }) => Math.round(contributionMs));

interface Stands {
  readonly position: Position;
  readonly validated: number;
  readonly counts: Tally['images'][number]['counts'][];
}

const histogramName = (c: number, kind: number): string => `validation/histogram/${c}/${kind}`;
const bytesOf = ({ buffer, byteOffset, byteLength }: Float64Array): HostTensor => ({
  dtype: 'uint8',
  shape: [byteLength],
  data: new Uint8Array(buffer, byteOffset, byteLength),
});
const numbersOf = ({ data }: HostTensor): Float64Array => new Float64Array(Uint8Array.from(data as Uint8Array).buffer);

function copyOf(tally: Tally): Tally {
  const copy = new Tally(tally.rocs.length);
  copy.images.push(...tally.images);
  for (const [c, roc] of tally.rocs.entries()) copy.rocs[c].merge(roc);
  return copy;
}

const boundsOf = ({ start, end }: LaneRange, count: number, lanes: number): [number, number] => [
  startOfLane(start, count, lanes),
  startOfLane(end, count, lanes),
];

/** What is not finite makes zeros that are not. */
function allFinite(values: Float32Array): boolean {
  let [a, b, c, d] = [0, 0, 0, 0];
  let i = 0;
  for (; i + 3 < values.length; i += 4) {
    a += values[i] * 0;
    b += values[i + 1] * 0;
    c += values[i + 2] * 0;
    d += values[i + 3] * 0;
  }
  for (; i < values.length; i++) a += values[i] * 0;
  return a + b + c + d === 0;
}
