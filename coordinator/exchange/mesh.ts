/**
 * Sums over the workers of one generation: every worker opens a mesh, tells the others its endpoint (by whatever control channel there
 * is), connects to all, and then adds its lanes step by step. When a worker is lost or the generation changes, everything of the mesh
 * is dropped and a new one is opened: no socket, no frame and no sum outlives its generation.
 */
import type { Worker } from 'node:worker_threads';
import { type ErrorCode, errorCodes, SegfleetError } from '../../trainer/errors.ts';
import { checkListen, listenError, removeSocket } from './address.ts';
import { arenaOf } from './arena.ts';
import { type Refusal, refusals } from './frame.ts';
import { createMemory } from './kernels.ts';
import type { KeyPair } from './keys.ts';
import { Counters, type FromThread, handshakeFailures, sharesMemory, type ThreadOptions, type ToThread } from './messages.ts';
import { type Plan, type PlanOptions, planOf } from './plan.ts';
import { type SocketThread, startThread } from './socketThread.ts';

export interface MeshOptions extends PlanOptions {
  readonly run: string;
  readonly generation: number;
  /** Number of the first step; each that follows has the next one. Default 0. */
  readonly firstStep?: number;
  /**
   * `tcp://10.1.2.3:*`; between workers of one machine `shm:///folder/name` (numbers in shared memory) or `ipc:///folder/name` (through
   * sockets), the folder being this user's alone (mode 0700), for `shm:` one in /dev/shm. The same for all workers.
   */
  readonly listen: string;
  /** The pair that all workers of the run share: whoever has another one is refused. Needed for `tcp:`. */
  readonly keys?: KeyPair;
  /** `tcp:` without keys, where a network is closed to others: who can connect can send. */
  readonly trustNetwork?: boolean;
  /** Called where a peer can no longer be reached, also while nothing is being summed: it may lack what was sent to it last. */
  readonly broken?: (rank: number) => void;
  /** Closes the mesh; what is being summed is rejected with its reason. */
  readonly signal?: AbortSignal;
}

/** One step under way. */
export interface Step {
  /** Where the values of one lane of this worker belong: whoever can write them there saves a copy. */
  place(lane: number, bucket: number): Float32Array;
  /** Gives the values of a lane (copied before it returns), or says that they are in their place. Buckets in whatever order; one that no worker adds takes no part. */
  add(lane: number, bucket: number, values?: Float32Array): void;
  /** The sum over all lanes, once it is here. It stays as it is until the step after the next begins. */
  bucket(index: number): Promise<Float32Array>;
  /** All of them. */
  total(): Promise<Float32Array[]>;
}

export interface PeerStats {
  readonly rank: number;
  /** Milliseconds that this rank's part of a bucket came after the first one, whoever sent that; of the step under way or the last. */
  readonly contributionMs: number;
  /** Milliseconds that its sum came after all contributions were known. */
  readonly sumMs: number;
  /** The same over all steps before. */
  readonly contributionTotalMs: number;
  readonly sumTotalMs: number;
  /** Frames that this worker waits for. */
  readonly framesMissing: number;
}

export interface MeshStats {
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly framesReceived: number;
  readonly framesDropped: Readonly<Record<Refusal, number>>;
  readonly connectionsRefused: Readonly<Record<(typeof handshakeFailures)[number], number>>;
  /** By rank, this one among them: its own lateness is how long the others' parts lay here before its own was ready. */
  readonly ranks: readonly PeerStats[];
}

/** Time in which workers that have all opened their meshes must have found each other. */
const connectTimeoutMs = 20_000;

/** @throws usage: what is wrong with the options; unavailable: where the endpoint cannot be listened on; notAllowed: a folder that others can enter */
export async function openMesh(options: MeshOptions): Promise<Mesh> {
  const plan = planOf(options);
  await checkListen(options.listen, options.keys !== undefined || options.trustNetwork === true, 'mesh');
  options.signal?.throwIfAborted();
  const memory = createMemory(arenaOf(plan, !sharesMemory(options.listen)).bytes);
  const counters = new Counters(plan.workers);
  const { run, generation, rank, ranges, buckets, chunkLength, listen, keys, firstStep = 0 } = options;
  const workerData: ThreadOptions = {
    ...{ run, generation, rank, ranges, buckets, chunkLength, listen, keys, firstStep, memory },
    counters: counters.buffer,
  };
  const closing: ToThread = { type: 'close' };
  const mesh = new Mesh(startThread(import.meta.url, 'meshThread', workerData, closing), plan, workerData, counters, options);
  await mesh.bound;
  return mesh;
}

type StepState = { readonly number: number; readonly buckets: BucketState[] };
interface BucketState {
  readonly lanes: Set<number>;
  readonly done: PromiseWithResolvers<Float32Array>;
  complete: boolean;
}

export class Mesh {
  readonly #thread: Worker;
  readonly #plan: Plan;
  readonly #arena: ReturnType<typeof arenaOf>;
  readonly #memory: WebAssembly.Memory;
  readonly #counters: Counters;
  readonly #signal: AbortSignal | undefined;
  readonly #broken: ((rank: number) => void) | undefined;
  readonly #generation: number;
  readonly #listen: string;
  readonly #bound = quiet<string>();
  readonly #connected = quiet<void>();
  /** The other ranks that have not let this worker in yet. */
  readonly #unconnected: Set<number>;
  readonly #exited: Promise<void>;
  #endpoint = '';
  #nextStep: number;
  #step: StepState | undefined;
  #failure: unknown;

  /** @internal Use `openMesh`. */
  constructor(
    { thread, exited }: SocketThread,
    plan: Plan,
    options: ThreadOptions,
    counters: Counters,
    { signal, broken }: Pick<MeshOptions, 'signal' | 'broken'>,
  ) {
    this.#thread = thread;
    this.#plan = plan;
    this.#unconnected = new Set(plan.ranges.keys().filter(rank => rank !== plan.rank));
    this.#memory = options.memory;
    this.#arena = arenaOf(plan, !sharesMemory(options.listen));
    this.#counters = counters;
    this.#nextStep = options.firstStep;
    this.#generation = options.generation;
    this.#listen = options.listen;
    this.#signal = signal;
    this.#broken = broken;
    thread.on('message', message => this.#handle(message as FromThread));
    thread.on('error', error => this.#fail(error));
    this.#exited = exited.then(() => removeSocket(options.listen));
    void this.#exited.then(() => this.#fail(closedError()));
    signal?.addEventListener('abort', this.#abort, { once: true });
  }

  /** @internal */
  get bound(): Promise<string> {
    return this.#bound.promise;
  }

  /** Where others connect to. */
  get endpoint(): string {
    return this.#endpoint;
  }

  /**
   * Connects to all others, and waits until each has let this worker in.
   *
   * @param endpoints by rank, this one's own among them
   * @throws unavailable: who could not be reached in time; notAllowed: where a peer has other keys
   */
  async connect(endpoints: readonly string[]): Promise<void> {
    this.#check();
    if (endpoints.length !== this.#plan.workers) {
      throw new SegfleetError('usage', `${endpoints.length} endpoints for ${this.#plan.workers} workers; give one for each rank`);
    }
    const scheme = this.#endpoint.slice(0, 6);
    const other = endpoints.find(endpoint => !endpoint.startsWith(scheme));
    if (other) throw new SegfleetError('usage', `${other}: this worker is at ${this.#endpoint}; all must be reached the same way`);
    this.#tell({ type: 'connect', endpoints });
    const late = () => {
      const [rank] = this.#unconnected;
      const sentence = `worker ${rank} of generation ${this.#generation} could not be reached in ${connectTimeoutMs / 1000} s`;
      this.#reject(new SegfleetError('unavailable', sentence, { details: { rank } }));
    };
    this.#settleConnected();
    const timer = setTimeout(late, connectTimeoutMs);
    try {
      await this.#connected.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Begins the next step. All buckets that were added in the one before must be complete. @throws what the mesh failed of */
  begin(number: number): Step {
    this.#check();
    const open = this.#step?.buckets.findIndex(({ lanes, complete }) => lanes.size > 0 && !complete) ?? -1;
    if (open >= 0) throw new Error(`step ${number} begins while bucket ${open} of step ${this.#step!.number} is being summed`);
    if (number !== this.#nextStep) throw new Error(`step ${number} begins where ${this.#nextStep} is the next one`);
    this.#nextStep = number + 1;
    const buckets = this.#plan.buckets.map((): BucketState => ({ lanes: new Set(), done: quiet(), complete: false }));
    const step: StepState = { number, buckets };
    this.#step = step;
    this.#tell({ type: 'begin', step: number });
    return {
      place: (lane, bucket) => this.#place(step, lane, bucket),
      add: (lane, bucket, values) => this.#add(step, lane, bucket, values),
      bucket: index => buckets[index].done.promise,
      total: () => Promise.all(buckets.map(({ done }) => done.promise)),
    };
  }

  stats(): MeshStats {
    const count = (name: string) => this.#counters.get(name);
    const named = <Name extends string>(names: readonly Name[], prefix: string) =>
      Object.fromEntries(names.map(name => [name, count(`${prefix}:${name}`)])) as Record<Name, number>;
    return {
      bytesSent: count('bytesSent'),
      bytesReceived: count('bytesReceived'),
      framesReceived: count('framesReceived'),
      framesDropped: named(refusals, 'frame'),
      connectionsRefused: named(handshakeFailures, 'handshake'),
      ranks: this.#plan.ranges.map((_, rank) => ({ rank, ...this.#counters.ofRank(rank) })),
    };
  }

  /**
   * Drops everything, what is still to be sent included: not before the others have said that they have all they need. Resolves when
   * the sockets are closed and the thread is gone.
   */
  async close(): Promise<void> {
    this.#fail(closedError());
    await this.#exited;
  }

  readonly #abort = () => this.#fail(this.#signal!.reason);

  #place(step: StepState, lane: number, bucket: number): Float32Array {
    this.#check();
    const { ranges, rank, buckets } = this.#plan;
    const { start, end } = ranges[rank];
    const which = `lane ${lane} of bucket ${bucket} in step ${step.number}`;
    if (step !== this.#step) throw new Error(`${which}: the step is over`);
    if (!buckets[bucket] || lane < start || lane >= end) throw new Error(`${which}: this worker has lanes ${start} to ${end - 1}`);
    if (step.buckets[bucket].lanes.has(lane)) throw new Error(`${which} is there already`);
    return new Float32Array(this.#memory.buffer, this.#arena.lanes[lane - start] + buckets[bucket].start * 4, buckets[bucket].length);
  }

  #add(step: StepState, lane: number, bucket: number, values: Float32Array | undefined): void {
    const place = this.#place(step, lane, bucket);
    if (values && values.length !== place.length)
      throw new Error(`${values.length} values for bucket ${bucket}, which has ${place.length}`);
    if (values) place.set(values);
    step.buckets[bucket].lanes.add(lane);
    this.#tell({ type: 'lane', bucket });
  }

  #handle(message: FromThread): void {
    switch (message.type) {
      case 'bound':
        this.#endpoint = message.endpoint;
        return this.#bound.resolve(message.endpoint);
      case 'connected':
        this.#unconnected.delete(message.rank);
        return this.#settleConnected();
      case 'complete': {
        if (this.#failure !== undefined) return;
        const { start, length } = this.#plan.buckets[message.bucket];
        const state = this.#step!.buckets[message.bucket];
        state.complete = true;
        return state.done.resolve(new Float32Array(this.#memory.buffer, this.#arena.totals[message.step & 1] + start * 4, length));
      }
      case 'failed':
        return this.#fail(threadError(message, this.#listen));
      case 'broken':
        if (this.#failure === undefined) this.#broken?.(message.rank);
        return this.#reject(brokenError(message, this.#step?.number));
      default:
        message satisfies never;
    }
  }

  #settleConnected(): void {
    if (this.#unconnected.size === 0) this.#connected.resolve();
  }

  #fail(reason: unknown): void {
    this.#reject(reason);
    this.#signal?.removeEventListener('abort', this.#abort);
    this.#tell({ type: 'close' });
  }

  /**
   * The first reason counts: what is being summed and whatever is asked later is rejected with it. The sockets stay open: closed at once,
   * they would look to the others as if this worker had left.
   */
  #reject(reason: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = reason;
    this.#bound.reject(reason);
    this.#connected.reject(reason);
    for (const { done } of this.#step?.buckets ?? []) done.reject(reason);
  }

  #check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #tell(message: ToThread): void {
    this.#thread.postMessage(message);
  }
}

/** A promise that nobody may be waiting for when it is rejected. */
function quiet<T>(): PromiseWithResolvers<T> {
  const resolvers = Promise.withResolvers<T>();
  resolvers.promise.catch(() => {});
  return resolvers;
}

const closedError = () => new SegfleetError('interrupted', 'the mesh was closed');

function brokenError({ rank, why }: Extract<FromThread, { type: 'broken' }>, step: number | undefined): SegfleetError {
  const details = { rank, step };
  switch (why) {
    case 'left':
      return new SegfleetError('unavailable', `the connection to worker ${rank} broke; the step is summed again by those that are left`, {
        details,
      });
    case 'damaged':
      return new SegfleetError('integrity', `numbers of worker ${rank} do not match their checksum; the step has to be summed again`, {
        details,
      });
    case 'refused':
      return new SegfleetError(
        'notAllowed',
        `worker ${rank} does not know the key of this one; give all workers the key file of this run`,
        { details },
      );
    default:
      return why satisfies never;
  }
}

function threadError({ error, code }: Extract<FromThread, { type: 'failed' }>, listen: string): unknown {
  if (code && code in errorCodes) return new SegfleetError(code as ErrorCode, (error as Error).message, { cause: error });
  return listenError(Object.assign(error as Error, { code }), listen);
}
