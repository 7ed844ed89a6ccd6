/**
 * A network, a loss and an optimiser as one TensorFlow graph with its variables and a session: what a lane of training runs.
 * Each batch size gets its own step in that graph, traced when it first comes (the last batch of an epoch may be short).
 */
import * as tf from '@tensorflow/tfjs';
import { type Batch, type ImageShape, ignoredLabel } from './data/batch.ts';
import { distancesOf } from './data/distances.ts';
import { outputOf, tensorOf, trace } from './engine/backend.ts';
import { Graph, type Operation, type Output, type } from './engine/graph.ts';
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
import { float32, float32Scalar, type HostTensor, int32 } from './engine/tensor.ts';
import { type LossSpec, needsDistance } from './losses/catalogue.ts';
import { createLoss } from './losses/create.ts';
import type { Truth } from './losses/prediction.ts';
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
  /** With `adaptiveLog`: the wrapped losses of all units and classes. */
  readonly wrapped?: Float32Array;
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
  readonly #predictions = new Map<number, Prediction>();

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
    const lane = 0;
    const key = Int32Array.of(hash32(this.options.seed, 'dropout'), hash32(step, lane));
    const feeds: Feeds = [
      ...this.#batchFeeds(inputs, batch),
      [this.#dropoutKey, int32(key)],
      ...this.#requireOptimizer().feeds(step, learningRate),
    ];
    const [loss, gradientNorm, wrapped] = await this.#session.run(feeds, fetches, targets);
    return { loss: Number(loss.data[0]), gradientNorm: Number(gradientNorm.data[0]), wrapped: wrapped?.data as Float32Array | undefined };
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
    const { image, classes, loss, heads } = this.options;
    const { height, width, channels } = image;
    const graph = this.#graph;
    const wanted = [loss, ...(heads?.weights.length ? [heads.loss] : [])].some(needsDistance);
    return {
      images: graph.placeholder('uint8', [count, height, width, channels]),
      labels: graph.placeholder('uint8', [count, height, width]),
      ...(wanted && { distances: graph.placeholder('float32', [count, height, width, classes]) }),
    };
  }

  /** Network and loss, on tensors that stand for the current values of the variables. Only within `trace`. */
  #forward({ images, labels, distances }: Inputs, values: ReadonlyMap<string, tf.Tensor>, training: boolean) {
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
    };
    const { value, wrapped } = createLoss(loss, exclusive)(logits, truth);
    const parts = coarser.map((output, i) => {
      const ofHead = createLoss(heads!.loss, exclusive)(output, everyNth(truth, logits.shape[1] / output.shape[1])).value;
      return tf.mul<tf.Scalar>(ofHead, heads!.weights[i]);
    });
    return { logits, loss: parts.reduce<tf.Scalar>((sum, part) => tf.add(sum, part), value), wrapped, statistics: layers.statistics };
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
      const trainable = this.parameters.filter(isTrainable);
      const targets: Operation[] = [];
      let wrapped: Output | undefined;
      const traced = trace(graph, () => {
        const values = this.#values();
        let reported: Output;
        const gradientsOf = tf.grads(() => {
          const forward = this.#forward(inputs, values, true);
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
        const { logits, loss } = this.#forward(inputs, this.#values(), false);
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

function memoize<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  let value = cache.get(key);
  if (value === undefined) {
    value = make();
    cache.set(key, value);
  }
  return value;
}
