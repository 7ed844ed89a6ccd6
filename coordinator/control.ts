/**
 * A worker's line to the coordinator, as the main thread has it: orders come in one after the other, what was done goes back. The
 * socket lives in a thread of its own (controlThread.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Worker } from 'node:worker_threads';
import { type ControlThreadOptions, type FromControl, monotonicMs, type ToControl } from './controlThread.ts';
import type { RunKeys } from './exchange/keys.ts';
import { startThread } from './exchange/socketThread.ts';
import { type Done, defaultMemberTiming, type MemberTiming, type Order } from './member.ts';
import type { Digests } from './messages.ts';

export interface ControlOptions {
  readonly run: string;
  /** The name of this worker in the run, unlike any other's: letters, digits, `.`, `_` and `-`, at most 63. */
  readonly id: string;
  /** The coordinator's endpoint. */
  readonly coordinator: string;
  readonly keys?: RunKeys;
  /** How often this worker was started, as far as its starter knows. Default 0. */
  readonly incarnation?: number;
  readonly digests: Digests;
  /** The most lanes that fit here. */
  readonly capacity: number;
  readonly timing?: Partial<MemberTiming>;
}

type Queued = Exclude<Order, { order: 'abort' }>;

const stampMs = 100;

export class Control {
  readonly #thread: Worker;
  readonly #exited: Promise<void>;
  readonly #queue: Queued[] = [];
  readonly #stamping: NodeJS.Timeout;
  #wake = Promise.withResolvers<void>();
  #running = new AbortController();
  #failure: unknown;

  constructor({ run, id, coordinator, keys, incarnation = 0, digests, capacity, timing }: ControlOptions) {
    const stamp = new BigInt64Array(new SharedArrayBuffer(8));
    const sign = () => Atomics.store(stamp, 0, BigInt(monotonicMs()));
    sign();
    this.#stamping = setInterval(sign, stampMs);
    const member = { id, process: randomUUID(), incarnation, digests, capacity, timing: { ...defaultMemberTiming, ...timing } };
    const workerData: ControlThreadOptions = {
      ...{ run, coordinator, member, stamp },
      keys: keys && { own: keys.worker, coordinator: keys.coordinator.publicKey },
    };
    const closing: ToControl = { close: true };
    const { thread, exited } = startThread(import.meta.url, 'controlThread', workerData, closing);
    this.#thread = thread;
    this.#exited = exited;
    this.#thread.on('message', (order: FromControl) => this.#take(order));
    this.#thread.on('error', error => {
      this.#failure = error;
      this.#running.abort();
      this.#wake.resolve();
    });
  }

  /** The next order; its signal is raised when it is not worth going on with. `end` is the last one. */
  async next(): Promise<{ order: Queued; signal: AbortSignal }> {
    while (this.#queue.length === 0) {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers<void>();
    }
    if (this.#running.signal.aborted) this.#running = new AbortController();
    return { order: this.#queue.shift()!, signal: this.#running.signal };
  }

  done(done: Done): void {
    this.#tell({ done });
  }

  /** Goes at the next boundary. */
  leave(): void {
    this.#tell({ leave: true });
  }

  async close(): Promise<void> {
    clearInterval(this.#stamping);
    this.#tell({ close: true });
    await this.#exited;
  }

  #take(order: Order): void {
    if (order.order === 'abort' || order.order === 'end') {
      this.#running.abort();
      const kept = order.order === 'end' ? [] : this.#queue.filter(({ order }) => order !== 'compute' && order !== 'fetch');
      this.#queue.splice(0, Number.POSITIVE_INFINITY, ...kept);
    }
    if (order.order !== 'abort') this.#queue.push(order);
    this.#wake.resolve();
  }

  #tell(message: ToControl): void {
    this.#thread.postMessage(message);
  }
}
