/**
 * Runs a graph. Every run is asynchronous: it holds one thread of libuv's pool, never the event loop.
 * Nodes that were added to the graph after the session was opened are taken up by the next run.
 */
import { SegfleetError } from '../errors.ts';
import type { Graph, Operation, Output } from './graph.ts';
import { loadTensorFlow, type Pointer } from './native.ts';
import { fromNative, type HostTensor, toNative } from './tensor.ts';

export type Feeds = readonly (readonly [Output, HostTensor])[];

export interface Device {
  readonly name: string;
  readonly type: string;
}

export interface RunSettings {
  /**
   * On the thread that calls instead of TensorFlow's own, where it would wait until a step that runs has nothing else to do. For what is
   * short and on the CPU.
   */
  readonly onCaller?: boolean;
}

const RESOURCE_EXHAUSTED = 8;

/** A `RunOptions` in protobuf's wire form: inter_op_thread_pool (field 3) -1. */
const onCallerOptions = Uint8Array.of(3 << 3, ...new Array<number>(9).fill(0xff), 1);

export class Session {
  readonly #api = loadTensorFlow().api;
  readonly #session: Pointer;
  readonly #onCaller: Pointer;
  readonly #running = new Set<Promise<unknown>>();
  #closed = false;

  /** @param threads for the work inside one operation; part of what a run's bits depend on */
  constructor(graph: Graph, { threads }: { threads: number }) {
    const api = this.#api;
    const options = api.newSessionOptions();
    const config = sessionConfig(threads);
    this.#session = withStatus(status => {
      api.setConfig(options, config, config.length, status);
      return api.newSession(graph.pointer, options, status);
    });
    api.deleteSessionOptions(options);
    this.#onCaller = api.newBuffer(onCallerOptions, onCallerOptions.length);
  }

  /** Feeds, runs, and fetches; `targets` run without giving a value. */
  async run(
    feeds: Feeds,
    fetches: readonly Output[] = [],
    targets: readonly Operation[] = [],
    settings: RunSettings = {},
  ): Promise<HostTensor[]> {
    if (this.#closed) throw new Error('the session is closed');
    const run = this.#run(feeds, fetches, targets, settings);
    this.#running.add(run);
    try {
      return await run;
    } finally {
      this.#running.delete(run);
    }
  }

  #run(feeds: Feeds, fetches: readonly Output[], targets: readonly Operation[], { onCaller }: RunSettings): Promise<HostTensor[]> {
    const api = this.#api;
    const inputs = feeds.map(([output]) => output);
    const values = feeds.map(([, tensor]) => toNative(tensor));
    const results: (Pointer | null)[] = new Array(fetches.length).fill(null);
    const status = api.newStatus();
    return new Promise((resolve, reject) => {
      const done = (error: unknown) => {
        for (const value of values) api.deleteTensor(value);
        const code = api.statusCode(status);
        const message = api.statusMessage(status);
        api.deleteStatus(status);
        if (error) reject(error);
        else if (code !== 0) reject(runError(code, message));
        else resolve(results.map(pointer => fromNative(pointer!)));
      };
      api.sessionRun.async(
        this.#session,
        onCaller ? this.#onCaller : null,
        inputs,
        values,
        values.length,
        fetches,
        results,
        results.length,
        targets,
        targets.length,
        null,
        status,
        done,
      );
    });
  }

  devices(): Device[] {
    const api = this.#api;
    return withStatus(status => {
      const list = api.listDevices(this.#session, status);
      const devices = Array.from({ length: api.deviceCount(list) }, (_, index) => ({
        name: api.deviceName(list, index, status),
        type: api.deviceType(list, index, status),
      }));
      api.deleteDeviceList(list);
      return devices;
    });
  }

  /** Waits for the runs in flight, then frees what the session holds, its variables included. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await Promise.allSettled(this.#running);
    withStatus(status => this.#api.closeSession(this.#session, status));
    withStatus(status => this.#api.deleteSession(this.#session, status));
    this.#api.deleteBuffer(this.#onCaller);
  }
}

function withStatus<T>(call: (status: Pointer) => T): T {
  const { api } = loadTensorFlow();
  const status = api.newStatus();
  try {
    const result = call(status);
    const code = api.statusCode(status);
    if (code !== 0) throw runError(code, api.statusMessage(status));
    return result;
  } finally {
    api.deleteStatus(status);
  }
}

function runError(code: number, message: string): Error {
  if (code === RESOURCE_EXHAUSTED) {
    return new SegfleetError('resources', 'out of memory while running a step; use a smaller training.batch, data.size or model.width', {
      cause: new Error(message),
    });
  }
  return new Error(`TensorFlow: ${message}`);
}

/** A `ConfigProto` in protobuf's wire form: some numbers and two nested messages need no library. */
function sessionConfig(threads: number): Uint8Array {
  const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
  const number = (field: number, value: number) => [...varint(field << 3), ...varint(value)];
  const message = (field: number, bytes: readonly number[]) => [(field << 3) | 2, bytes.length, ...bytes];
  const off = 2;
  // Of TensorFlow's rewriting of a graph only what pays: it takes longer than a step, for each batch size again. What is left out
  // here made no step faster.
  const rewriting = [
    ...number(12, 1), // meta_optimizer_iterations: one
    ...number(4, 1), // memory_optimization: none
    ...number(7, off), // arithmetic_optimization
    ...number(9, off), // loop_optimization
    ...number(10, off), // function_optimization
    ...number(22, off), // implementation_selector
    ...number(32, 1), // disable_tfg_optimizer
  ];
  return Uint8Array.from([
    ...number(2, threads), // intra_op_parallelism_threads
    // One operation after the other, each on all threads: measured as fast as two side by side, and with less memory.
    ...number(5, 1), // inter_op_parallelism_threads
    ...message(6, number(4, 1)), // gpu_options.allow_growth: take GPU memory as needed, not all of it
    ...number(7, 1), // allow_soft_placement
    ...message(10, message(10, rewriting)), // graph_options.rewrite_options
  ]);
}
