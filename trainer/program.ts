/**
 * A network, a loss and an optimiser as one TensorFlow graph with its variables and a session: what a lane of training runs.
 * Each batch size gets its own step in that graph, traced when it first comes (the last batch of an epoch may be short).
 */

import * as tf from '@tensorflow/tfjs';
import { type Batch, type ImageShape, ignoredLabel } from './data/batch.ts';
import { distancesOf } from './data/distances.ts';
import { outputOf, tensorOf, trace } from './engine/backend.ts';
import { Graph, type Operation, type Output, type } from './engine/graph.ts';
import { Mailbox, type Ticket } from './engine/mailbox.ts';
import { type ComputeDType, countedPixels, oneHot, scaleImages } from './engine/ops.ts';
import {
  clipByGlobalNorm,
  createOptimizer,
  createVariable,
  type GraphVariable,
  type Optimizer,
  type OptimizerSpec,
} from './engine/optimizer.ts';
import { type Feeds, Session } from './engine/session.ts';
import { float32, float32Scalar, type HostTensor, int32, sizeOf } from './engine/tensor.ts';
import type { Lane } from './lanes.ts';
import { type LossSpec, needsDistance } from './losses/catalogue.ts';
import { createLoss } from './losses/create.ts';
import type { AcrossLanes, Truth } from './losses/prediction.ts';
import { memoize } from './memoize.ts';
import { declareParameters, initialValue, isTrainable, Layers, type Network, type Parameter } from './models/layers.ts';
import { hash32 } from './random.ts';

export interface ProgramOptions {
  readonly network: Network;
  readonly image: ImageShape;
  readonly classes: number;
  /** Classes exclude each other: softmax over them, class 0 is the background. Otherwise a sigmoid each, and label 0 is none of them. */
  readonly exclusive: boolean;
  /** Whether labels may be `ignoredLabel`: such pixels do not count. */
  readonly ignore?: boolean;
  readonly loss: LossSpec;
  /** Of the network's outputs at coarser levels, where it has some: what they add to the loss. */
  readonly heads?: { readonly loss: LossSpec; readonly weights: readonly number[] };
  /** Left out for prediction: no optimiser state then, and no `step`. */
  readonly optimizer?: OptimizerSpec;
  readonly clipNorm?: number;
  readonly dtype: ComputeDType;
  readonly threads: number;
  readonly seed: number;
}

export interface StepResult {
  /** Without L2 penalties. */
  readonly loss: number;
  readonly gradientNorm: number;
  /** With `adaptiveLog`: share of units and classes whose wrapped loss is below gamma. */
  readonly logShare?: number;
}

export interface ContributeOptions {
  readonly ticket: Ticket;
  /** Of the whole batch. */
  readonly images: number;
  /**
   * Joins the parts of a sum that these lanes have, in their order, with those of all other lanes. Called once for each meeting point, in
   * the same order by everybody, also by whom has only lanes without images.
   */
  readonly meet: (parts: readonly HostTensor[]) => Promise<HostTensor>;
  /** Ends the runs that wait for a sum. */
  readonly signal?: AbortSignal;
  /** Where contributions go bucket by bucket while the lanes still compute, the last layers first. */
  readonly stream?: Stream;
}

export interface Stream {
  /** As `buckets` is given it. */
  readonly bucketLength: number;
  /** Where the values of a lane are written; asked for once or several times before they are delivered. */
  readonly place: (lane: number, bucket: number) => Float32Array;
  /** All values are in their place: once for each lane and bucket, in whatever order. What it throws ends all lanes. */
  readonly deliver: (lane: number, bucket: number, values: Float32Array) => void;
}

/** Values of all variables by name. Optimiser state is named `optimizer/<slot>/<parameter>`. */
export type State = ReadonlyMap<string, HostTensor>;

/** What a batch is fed to. */
interface Inputs {
  readonly images: Output;
  readonly labels: Output;
  readonly distances?: Output;
}

interface TrainingStep extends Inputs {
  readonly fetches: readonly Output[];
  readonly targets: readonly Operation[];
}

/** Forward and backward of one lane. Gradients, statistics and loss leave as they are to be summed. */
interface LaneStep extends Inputs {
  /** Images of the lane over images of the batch, and images of the batch. */
  readonly share: Output;
  readonly batchImages: Output;
  readonly gradients: readonly Output[];
  /** Send a gradient each, under the points that follow those of the meetings. */
  readonly posts: readonly Operation[];
  /** Statistics and loss. */
  readonly rest: readonly Output[];
  /** What `adaptiveLog` wraps. */
  readonly wrapped?: Output;
  /** Where sums meet. */
  readonly mailbox: Mailbox;
}

/** Update from the sum of all lanes. */
interface UpdateStep {
  readonly gradients: readonly Output[];
  readonly statistics: readonly Output[];
  readonly norm: Output;
  readonly targets: readonly Operation[];
}

interface RunningLane {
  readonly lane: number;
  readonly mailbox: Mailbox;
  /** What it adds to each meeting. */
  readonly parts: readonly PromiseWithResolvers<HostTensor>[];
  /** All that was not posted, when the run and its letters have come to their end. */
  readonly ended: Promise<Float32Array>;
}

interface Statistic {
  readonly name: string;
  readonly momentum: number;
  readonly size: number;
}

interface Prediction extends Inputs {
  readonly logits: Output;
  readonly loss: Output;
}

const T = { T: type('float32') };
const dtype = { dtype: type('float32') };

export class Program {
  readonly options: ProgramOptions;
  readonly parameters: readonly Parameter[];
  readonly #graph = new Graph();
  readonly #session: Session;
  readonly #optimizer: Optimizer | undefined;
  readonly #dropoutKey: Output;
  /** Parameters and optimiser state. */
  readonly #variables = new Map<string, GraphVariable>();
  /** The optimiser's state of each trainable parameter. */
  readonly #slots = new Map<string, GraphVariable[]>();
  readonly #reads = new Map<string, Output>();
  readonly #trainingSteps = new Map<number, TrainingStep>();
  readonly #laneSteps = new Map<string, LaneStep>();
  readonly #predictions = new Map<number, Prediction>();
  #update: UpdateStep | undefined;
  #statistics: readonly Statistic[] | undefined;

  private constructor(options: ProgramOptions) {
    this.options = options;
    this.parameters = declareParameters(options.network, options.image);
    const graph = this.#graph;
    this.#optimizer = options.optimizer && createOptimizer(graph, options.optimizer);
    this.#dropoutKey = graph.placeholder('int32', [2], 'dropoutKey');
    const create = (name: string, shape: readonly number[]) => {
      const variable = createVariable(graph, name, shape);
      this.#variables.set(name, variable);
      this.#reads.set(name, graph.output('ReadVariableOp', [variable.handle], dtype));
      return variable;
    };
    for (const { name, shape } of this.parameters) create(name, shape);
    for (const { name, shape } of this.parameters.filter(isTrainable)) {
      const slots = (this.#optimizer?.slotNames ?? []).map(slot => create(`optimizer/${slot}/${name}`, shape));
      this.#slots.set(name, slots);
    }
    this.#session = new Session(graph, options);
  }

  /** Builds the graph and sets every variable: from the seed, or to `state`. */
  static async create(options: ProgramOptions, state?: State): Promise<Program> {
    const program = new Program(options);
    if (state) await program.assign(state);
    else await program.#initialise();
    return program;
  }

  /** Traces and runs nothing yet: so that the first step of a batch size does not wait for it. */
  prepare(count: number): void {
    this.#trainingStep(count);
  }

  get numNodes(): number {
    return this.#graph.numOperations;
  }

  devices() {
    return this.#session.devices();
  }

  /** One step of training: forward, backward and update in a single run. @param step counted from 1 over the whole run */
  async step(batch: Batch, { step, learningRate }: { step: number; learningRate: number }): Promise<StepResult> {
    const { fetches, targets, ...inputs } = this.#trainingStep(batch.count);
    const feeds: Feeds = [
      ...this.#batchFeeds(inputs, batch),
      this.#dropoutFeed(step, 0),
      ...this.#requireOptimizer().feeds(step, learningRate),
    ];
    const [loss, gradientNorm, wrapped] = await this.#session.run(feeds, fetches, targets);
    const logShare = wrapped && this.#logShareOf(wrapped);
    return { loss: Number(loss.data[0]), gradientNorm: Number(gradientNorm.data[0]), ...(wrapped && { logShare }) };
  }

  /**
   * Lengths of the parts that a contribution is cut into, so that each is at most `length` numbers long: tensors stay whole, and a longer
   * one is alone. Cut from the end, whose gradients come first: what is left over, and small, is that of the first layers, which the
   * others wait for. The last part is small too: batch statistics, loss and share of the logarithmic branch.
   */
  buckets(length: number): number[] {
    const buckets: number[] = [];
    for (const { shape } of this.#trainable().reverse()) {
      const size = sizeOf(shape);
      if (buckets.length > 0 && buckets[0] + size <= length) buckets[0] += size;
      else buckets.unshift(size);
    }
    return [...buckets, this.#followed().reduce((sum, { size }) => sum + size, 2)];
  }

  /**
   * What each lane adds to a step: one vector of gradients, batch statistics, loss and share of the logarithmic branch, to be summed over
   * all lanes; with `stream` the same in buckets, and no vector. Lanes whose sums meet run side by side, others one after the other.
   */
  async contribute(lanes: readonly Lane[], options: ContributeOptions): Promise<Float32Array[]> {
    const meets = this.#lossSpecs().some(({ pool }) => pool === 'batch');
    const { stream, signal } = options;
    const filled = lanes.filter(({ batch }) => batch.count > 0);
    const empty = lanes.filter(({ batch }) => batch.count === 0);
    const results = new Map<number, Float32Array>();
    for (const bucket of stream ? this.buckets(stream.bucketLength).keys() : []) {
      for (const { lane } of empty) stream!.deliver(lane, bucket, stream!.place(lane, bucket).fill(0));
    }
    for (const together of meets ? [filled] : filled.map(lane => [lane])) {
      signal?.throwIfAborted();
      const contributions = await this.#runLanes(together, lanes, options);
      for (const [i, { lane }] of together.entries()) results.set(lane, contributions[i]);
    }
    return stream ? [] : lanes.map(({ lane }) => results.get(lane) ?? new Float32Array(this.#contributionSize()));
  }

  /** The shapes of the sums that meet in the middle of a step, in their order. @param count images of a lane */
  meetings(count: number): readonly (readonly number[])[] {
    return this.#laneStep(0, count).mailbox.dimensions;
  }

  /** Updates all variables from the sum of the contributions of all lanes, whole or in its buckets. */
  async apply(sum: readonly Float32Array[], { step, learningRate }: { step: number; learningRate: number }): Promise<StepResult> {
    const { gradients, statistics, norm, targets } = this.#updateStep();
    let [bucket, at] = [0, 0];
    const take = (dimensions: readonly number[]): HostTensor => {
      if (at === sum[bucket].length) [bucket, at] = [bucket + 1, 0];
      const size = sizeOf(dimensions);
      at += size;
      return float32(sum[bucket].subarray(at - size, at), dimensions);
    };
    const feeds: Feeds = [
      ...this.#trainable().map(({ shape }, i) => [gradients[i], take(shape)] as const),
      ...this.#followed().map(({ size }, i) => [statistics[i], take([size])] as const),
      ...this.#requireOptimizer().feeds(step, learningRate),
    ];
    const [loss, logShare] = sum.at(-1)!.subarray(-2);
    const [gradientNorm] = await this.#session.run(feeds, [norm], targets);
    return { loss, gradientNorm: Number(gradientNorm.data[0]), ...(this.options.loss.name === 'adaptiveLog' && { logShare }) };
  }

  /** Logits [count, height, width, classes] with moving statistics and without dropout, and the loss of the batch. */
  async predict(batch: Batch): Promise<{ logits: Float32Array; loss: number }> {
    const { logits, loss, ...inputs } = this.#prediction(batch.count);
    const results = await this.#session.run(this.#batchFeeds(inputs, batch), [logits, loss]);
    return { logits: results[0].data as Float32Array, loss: Number(results[1].data[0]) };
  }

  /** Sets variables; a name that is missing keeps its value. */
  async assign(state: State): Promise<void> {
    const graph = this.#graph;
    const feeds: [Output, HostTensor][] = [];
    const targets: Operation[] = [];
    for (const [name, value] of state) {
      const variable = this.#variables.get(name);
      if (!variable) throw new Error(`the network has no variable ${name}`);
      if (variable.shape.join() !== value.shape.join()) {
        throw new Error(`${name} has shape [${value.shape}] where [${variable.shape}] is expected`);
      }
      const fed = graph.placeholder('float32', variable.shape);
      feeds.push([fed, value]);
      targets.push(graph.add('AssignVariableOp', [variable.handle, fed], dtype));
    }
    await this.#session.run(feeds, [], targets);
  }

  /** A copy of the weights, moving statistics included. */
  weights(): Promise<State> {
    return this.#read(this.parameters.map(({ name }) => name));
  }

  /** A copy of everything that the next step depends on. */
  state(): Promise<State> {
    return this.#read([...this.#reads.keys()]);
  }

  async close(): Promise<void> {
    await this.#session.close();
    this.#graph.close();
  }

  async #read(names: readonly string[]): Promise<State> {
    const values = await this.#session.run(
      [],
      names.map(name => this.#reads.get(name)!),
    );
    return new Map(names.map((name, i) => [name, values[i]]));
  }

  async #initialise(): Promise<void> {
    const graph = this.#graph;
    const zero = graph.constant(float32Scalar(0));
    const clear = [...this.#slots.values()].flat().map(({ handle, shape }) => {
      const dimensions = graph.constant(int32(Int32Array.from(shape)));
      return graph.add('AssignVariableOp', [handle, graph.output('Fill', [dimensions, zero], T)], dtype);
    });
    if (clear.length > 0) await this.#session.run([], [], clear);
    const { seed } = this.options;
    await this.assign(new Map(this.parameters.map(parameter => [parameter.name, float32(initialValue(parameter, seed), parameter.shape)])));
  }

  #requireOptimizer(): Optimizer {
    if (!this.#optimizer) throw new Error('this program was made for prediction, without an optimiser');
    return this.#optimizer;
  }

  #dropoutFeed(step: number, lane: number): [Output, HostTensor] {
    return [this.#dropoutKey, int32(Int32Array.of(hash32(this.options.seed, 'dropout'), hash32(step, lane)))];
  }

  #lossSpecs(): LossSpec[] {
    const { loss, heads } = this.options;
    return [loss, ...(heads?.weights.length ? [heads.loss] : [])];
  }

  #trainable(): Parameter[] {
    return this.parameters.filter(isTrainable);
  }

  #logShareOf({ data }: HostTensor): number {
    const { loss } = this.options;
    if (loss.name !== 'adaptiveLog') return 0;
    return (data as Float32Array).filter(value => value < loss.gamma).length / data.length;
  }

  /** Batch statistics that moving averages follow. A lane's trace says them, of whatever size. */
  #followed(): readonly Statistic[] {
    if (!this.#statistics) this.#laneStep(0, 1);
    return this.#statistics!;
  }

  #contributionSize(): number {
    const ofParameters = this.#trainable().reduce((sum, { shape }) => sum + sizeOf(shape), 0);
    return ofParameters + this.#followed().reduce((sum, { size }) => sum + size, 0) + 2;
  }

  /** Runs lanes side by side. The first error ends them all. @param all also those without images */
  async #runLanes(own: readonly Lane[], all: readonly Lane[], options: ContributeOptions): Promise<Float32Array[]> {
    const failure = new AbortController();
    const failed = new Promise<never>((_, reject) => failure.signal.addEventListener('abort', () => reject(failure.signal.reason)));
    const runs = own.map((lane, slot) => this.#startLane(lane, slot, options, failure));
    const meetings = this.#answerLetters(all, runs, options, failed);
    try {
      const ended = Promise.all(runs.map(({ ended }) => ended));
      const [contributions] = await Promise.race([Promise.all([ended, meetings]), failed]);
      return contributions;
    } catch (error) {
      failure.abort(error);
      await meetings.catch(() => {});
      await Promise.all(runs.map(({ mailbox, ended }) => mailbox.abort(this.#session, ended)));
      throw error;
    }
  }

  #startLane({ lane, batch }: Lane, slot: number, { ticket, images, stream }: ContributeOptions, failure: AbortController): RunningLane {
    const { gradients, posts, rest, wrapped, share, batchImages, mailbox, ...inputs } = this.#laneStep(slot, batch.count);
    const weight = batch.count / images;
    const feeds: Feeds = [
      ...this.#batchFeeds(inputs, batch),
      this.#dropoutFeed(ticket.step, lane),
      [share, float32Scalar(weight)],
      [batchImages, float32Scalar(images)],
      mailbox.feed(ticket),
    ];
    const fetched = [...(stream ? [] : gradients), ...rest];
    const targets = [...mailbox.meetings, ...(stream ? posts : [])];
    const run = this.#session.run(feeds, [...fetched, ...(wrapped ? [wrapped] : [])], targets);
    const parts = mailbox.dimensions.map(() => Promise.withResolvers<HostTensor>());
    const deliver = stream && this.#delivery(lane, stream);
    const end = async () => {
      for await (const { point, value } of mailbox.letters(this.#session, run)) {
        if (failure.signal.aborted) continue; // may be of poison, and is only to be taken out
        try {
          if (point < parts.length) parts[point].resolve(value);
          else deliver!(point - parts.length, value.data as Float32Array);
        } catch (error) {
          failure.abort(error);
        }
      }
      const values = await run;
      failure.signal.throwIfAborted();
      const logShare = wrapped ? weight * this.#logShareOf(values.at(-1)!) : 0;
      const contribution = this.#contributionOf(values.slice(0, fetched.length), logShare);
      deliver?.(gradients.length, contribution);
      return contribution;
    };
    const ended = end();
    ended.catch(() => {}); // whoever waits for it gets the error
    return { lane, mailbox, parts, ended };
  }

  /** Takes the gradients of a lane by their numbers, and what comes besides as the one after them; delivers each bucket that is full. */
  #delivery(lane: number, { bucketLength, place, deliver }: Stream): (number: number, values: Float32Array) => void {
    const lengths = this.buckets(bucketLength);
    const missing = [...lengths];
    let [bucket, end] = [0, 0];
    const places = this.#trainable().map(({ shape }) => {
      if (end === lengths[bucket]) [bucket, end] = [bucket + 1, 0];
      const start = end;
      end += sizeOf(shape);
      return { bucket, start };
    });
    places.push({ bucket: lengths.length - 1, start: 0 });
    return (number, values) => {
      const { bucket, start } = places[number];
      const whole = place(lane, bucket);
      whole.set(values, start);
      missing[bucket] -= values.length;
      if (missing[bucket] === 0) deliver(lane, bucket, whole);
    };
  }

  #contributionOf(values: readonly HostTensor[], logShare: number): Float32Array {
    const contribution = new Float32Array(values.reduce((sum, { data }) => sum + data.length, 1));
    let at = 0;
    for (const { data } of values) {
      contribution.set(data as Float32Array, at);
      at += data.length;
    }
    contribution[at] = logShare;
    return contribution;
  }

  /** Answers the parts of each sum from the running lanes with the whole. A lane without images adds zeros. */
  async #answerLetters(
    lanes: readonly Lane[],
    runs: readonly RunningLane[],
    { ticket, meet, signal }: ContributeOptions,
    failed: Promise<never>,
  ): Promise<void> {
    const runOf = new Map(runs.map(run => [run.lane, run]));
    for (const [point, dimensions] of this.meetings(lanes.find(({ batch }) => batch.count > 0)?.batch.count ?? 1).entries()) {
      signal?.throwIfAborted();
      const nothing = () => float32(new Float32Array(sizeOf(dimensions)), dimensions);
      const parts = lanes.map(({ lane }) => runOf.get(lane)?.parts[point].promise ?? nothing());
      const whole = await meet(await Promise.race([Promise.all(parts), failed]));
      await Promise.all(runs.map(({ mailbox }) => mailbox.answer(this.#session, point, ticket, whole)));
    }
  }

  #batchFeeds({ images, labels, distances }: Inputs, batch: Batch): [Output, HostTensor][] {
    const { image, classes, exclusive } = this.options;
    const { count } = batch;
    const { height, width, channels } = image;
    const feeds: [Output, HostTensor][] = [
      [images, { dtype: 'uint8', shape: [count, height, width, channels], data: batch.images }],
      [labels, { dtype: 'uint8', shape: [count, height, width], data: batch.labels }],
    ];
    if (distances) feeds.push([distances, float32(distancesOf(batch, image, classes, exclusive), [count, height, width, classes])]);
    return feeds;
  }

  #inputs(count: number): Inputs {
    const { image, classes } = this.options;
    const { height, width, channels } = image;
    const graph = this.#graph;
    const wanted = this.#lossSpecs().some(needsDistance);
    return {
      images: graph.placeholder('uint8', [count, height, width, channels]),
      labels: graph.placeholder('uint8', [count, height, width]),
      ...(wanted && { distances: graph.placeholder('float32', [count, height, width, classes]) }),
    };
  }

  /** Network and loss, on tensors that stand for the current values of the variables. Only within `trace`. */
  #forward(
    { images, labels, distances }: Inputs,
    values: ReadonlyMap<string, tf.Tensor>,
    { training, across, share }: { training: boolean; across?: AcrossLanes; share?: tf.Scalar },
  ) {
    const { network, dtype, classes, exclusive, ignore, loss, heads } = this.options;
    const layers = new Layers({
      parameter: ({ name }) => values.get(name)!,
      training,
      dtype,
      dropoutKey: this.#dropoutKey,
    });
    const [logits, ...coarser] = network(layers, scaleImages(images));
    const truth: Truth = {
      target_NHWC: oneHot(labels, classes, exclusive ? 0 : 1),
      ...(ignore && { valid_NHW1: countedPixels(labels, ignoredLabel) }),
      ...(distances && { distance_NHWC: tensorOf(distances) as tf.Tensor4D }),
      ...(across && { across }),
    };
    const { value, wrapped } = createLoss(loss, exclusive)(logits, truth);
    const parts = coarser.map((output, i) => {
      const ofHead = createLoss(heads!.loss, exclusive)(output, everyNth(truth, logits.shape[1] / output.shape[1])).value;
      return { pool: heads!.loss.pool, value: tf.mul<tf.Scalar>(ofHead, heads!.weights[i]) };
    });
    const all = [{ pool: loss.pool, value }, ...parts];
    const add = (sum: tf.Scalar, part: tf.Scalar): tf.Scalar => tf.add(sum, part);
    return {
      logits,
      loss: all.map(part => part.value).reduce(add),
      /** What is differentiated: a loss of the lane counts by its share, one of the whole batch is the same in each lane. */
      objective: all.map(part => (share && part.pool !== 'batch' ? tf.mul<tf.Scalar>(part.value, share) : part.value)).reduce(add),
      wrapped,
      statistics: layers.statistics,
    };
  }

  /** What training minimises besides the loss: the L2 penalties of the network's kernels. */
  #penalties(values: ReadonlyMap<string, tf.Tensor>): tf.Scalar[] {
    const penalised = this.parameters.filter(({ l2 }) => l2);
    return penalised.map(({ name, l2 }) => tf.mul<tf.Scalar>(tf.sum(tf.square(values.get(name)!)), l2!));
  }

  #values(): Map<string, tf.Tensor> {
    return new Map(this.parameters.map(({ name }) => [name, tensorOf(this.#reads.get(name)!)]));
  }

  #trainingStep(count: number): TrainingStep {
    return memoize(this.#trainingSteps, count, () => {
      const graph = this.#graph;
      const inputs = this.#inputs(count);
      const trainable = this.#trainable();
      const targets: Operation[] = [];
      let wrapped: Output | undefined;
      const traced = trace(graph, () => {
        const values = this.#values();
        let reported: Output;
        const gradientsOf = tf.grads(() => {
          const forward = this.#forward(inputs, values, { training: true });
          for (const { name, value, momentum } of forward.statistics) targets.push(this.#follow(name, outputOf(value), momentum));
          wrapped = forward.wrapped && outputOf(forward.wrapped);
          reported = outputOf(forward.loss);
          return this.#penalties(values).reduce<tf.Scalar>((sum, penalty) => tf.add(sum, penalty), forward.loss);
        });
        const gradients = gradientsOf(trainable.map(({ name }) => values.get(name)!));
        return { loss: reported!, gradients: gradients.map(outputOf) };
      });
      const optimizer = this.#requireOptimizer();
      const { norm, gradients } = clipByGlobalNorm(graph, traced.gradients, this.options.clipNorm);
      trainable.forEach(({ name, role }, i) => {
        targets.push(optimizer.apply(this.#variables.get(name)!, gradients[i], this.#slots.get(name)!, role === 'kernel'));
      });
      return { ...inputs, targets, fetches: [traced.loss, norm, ...(wrapped ? [wrapped] : [])] };
    });
  }

  /** @param slot lanes that run side by side have each their own mailbox, and so their own nodes */
  #laneStep(slot: number, count: number): LaneStep {
    return memoize(this.#laneSteps, `${slot} ${count}`, () => {
      const graph = this.#graph;
      const inputs = this.#inputs(count);
      const mailbox = new Mailbox(graph, `lane${slot}x${count}`);
      const [share, batchImages] = [0, 1].map(() => graph.placeholder('float32', []));
      let wrapped: Output | undefined;
      const traced = trace(graph, () => {
        const values = this.#values();
        const across: AcrossLanes = {
          sum: x => mailbox.sumOverLanes(mailbox.dimensions.length, x),
          images: tensorOf(batchImages) as tf.Scalar,
        };
        const rest: Output[] = [];
        const gradientsOf = tf.grads(() => {
          const weight = tensorOf(share) as tf.Scalar;
          const forward = this.#forward(inputs, values, { training: true, across, share: weight });
          this.#statistics = forward.statistics.map(({ name, momentum, value }) => ({ name, momentum, size: value.size }));
          rest.push(...forward.statistics.map(({ value }) => outputOf(tf.mul(value, weight))));
          rest.push(outputOf(tf.mul(forward.loss, weight)));
          wrapped = forward.wrapped && outputOf(forward.wrapped);
          return forward.objective;
        });
        const gradients = gradientsOf(this.#trainable().map(({ name }) => values.get(name)!));
        return { gradients: gradients.map(outputOf), rest };
      });
      // Fetched or posted, each leaves by such a node: on a GPU TensorFlow moves layouts about, but not of nodes that are themselves fetched, and a
      // gradient of batch norm in another layout has other bits.
      const gradients = traced.gradients.map(gradient => graph.passOn(gradient));
      const posts = gradients.map((gradient, i) => mailbox.post(mailbox.dimensions.length + i, gradient));
      return { ...inputs, ...traced, gradients, share, batchImages, posts, wrapped, mailbox };
    });
  }

  #updateStep(): UpdateStep {
    this.#update ??= this.#traceUpdate();
    return this.#update;
  }

  #traceUpdate(): UpdateStep {
    const graph = this.#graph;
    const optimizer = this.#requireOptimizer();
    const trainable = this.#trainable();
    const fed = trainable.map(({ shape }) => graph.placeholder('float32', shape));
    const followed = this.#followed();
    const statistics = followed.map(({ size }) => graph.placeholder('float32', [size]));
    const whole = trace(graph, () => {
      const values = this.#values();
      const penalised = trainable.filter(({ l2 }) => l2);
      if (penalised.length === 0) return fed;
      const gradientsOf = tf.grads(() => this.#penalties(values).reduce((sum, penalty) => tf.add<tf.Scalar>(sum, penalty)));
      const ofPenalties = new Map(
        gradientsOf(penalised.map(({ name }) => values.get(name)!)).map((gradient, i) => [penalised[i].name, gradient]),
      );
      return trainable.map(({ name }, i) => {
        const more = ofPenalties.get(name);
        return more ? outputOf(tf.add(tensorOf(fed[i]), more)) : fed[i];
      });
    });
    const { norm, gradients } = clipByGlobalNorm(graph, whole, this.options.clipNorm);
    const targets = [
      ...followed.map(({ name, momentum }, i) => this.#follow(name, statistics[i], momentum)),
      ...trainable.map(({ name, role }, i) =>
        optimizer.apply(this.#variables.get(name)!, gradients[i], this.#slots.get(name)!, role === 'kernel'),
      ),
    ];
    return { gradients: fed, statistics, norm, targets };
  }

  /** Moves a moving average one batch on. */
  #follow(name: string, batchStatistic: Output, momentum: number): Operation {
    const graph = this.#graph;
    const share = graph.constant(float32Scalar(1 - momentum));
    const difference = graph.output('Sub', [batchStatistic, this.#reads.get(name)!], T);
    return graph.add('AssignAddVariableOp', [this.#variables.get(name)!.handle, graph.output('Mul', [difference, share], T)], dtype);
  }

  #prediction(count: number): Prediction {
    return memoize(this.#predictions, count, () => {
      const inputs = this.#inputs(count);
      const traced = trace(this.#graph, () => {
        const { logits, loss } = this.#forward(inputs, this.#values(), { training: false });
        return { logits: outputOf(logits), loss: outputOf(loss) };
      });
      return { ...inputs, ...traced };
    });
  }
}

/** Every nth row and column, and distances in the pixels that result. */
function everyNth({ target_NHWC, valid_NHW1, distance_NHWC, ...rest }: Truth, n: number): Truth {
  const sample = (x: tf.Tensor4D) => tf.stridedSlice(x, [0, 0, 0, 0], x.shape, [1, n, n, 1]) as tf.Tensor4D;
  return {
    ...rest,
    target_NHWC: sample(target_NHWC),
    ...(valid_NHW1 && { valid_NHW1: sample(valid_NHW1) }),
    ...(distance_NHWC && { distance_NHWC: tf.div(sample(distance_NHWC), n) }),
  };
}
