/**
 * The coordinator of a run: listens for workers and leads them through the steps. The socket, heartbeats and the check of keys live in
 * a thread of their own (serverThread.ts), so that whatever this process does meanwhile, nobody is taken for dead.
 */
import { on } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { SegfleetError } from '../trainer/errors.ts';
import { checkListen, listenError, removeSocket } from './exchange/address.ts';
import type { RunKeys } from './exchange/keys.ts';
import { type SocketThread, startThread } from './exchange/socketThread.ts';
import type { RoundOptions } from './round.ts';
import type { CoordinatorEvent, FromServer, ServerThreadOptions, ToServer } from './serverMessages.ts';

export interface CoordinatorOptions {
  readonly run: string;
  /** `tcp://10.1.2.3:*` (with keys), or `ipc:///folder/name`, the folder being this user's alone. */
  readonly listen: string;
  readonly keys?: RunKeys;
  readonly round: RoundOptions;
}

export class Coordinator {
  /** Where workers connect to. */
  readonly endpoint: string;
  /** What happens, from the first moment on; ends when every worker has heard of the end. */
  readonly events: AsyncIterable<CoordinatorEvent>;
  readonly #thread: Worker;
  readonly #exited: Promise<unknown>;

  private constructor({ thread, exited }: SocketThread, endpoint: string, messages: AsyncIterable<[FromServer]>, listen: string) {
    this.#thread = thread;
    this.endpoint = endpoint;
    this.events = eventsOf(messages);
    this.#exited = exited.then(() => removeSocket(listen));
  }

  /** @throws usage, notAllowed, conflict: what is wrong with the address to listen on */
  static async start({ run, listen, keys, round }: CoordinatorOptions): Promise<Coordinator> {
    await checkListen(listen, keys !== undefined, 'control');
    const { min } = round.workers;
    if (min > round.lanes)
      throw new SegfleetError('usage', `workers.min is ${min}, but a run of ${round.lanes} lanes has no work for so many`);
    const workerData: ServerThreadOptions = { run, listen, round, keys: keys && { coordinator: keys.coordinator, worker: keys.worker } };
    const closing: ToServer = 'close';
    const started = startThread(import.meta.url, 'serverThread', workerData, closing);
    const messages = on(started.thread, 'message', { close: ['exit'] }) as AsyncIterableIterator<[FromServer]>;
    const first = await messages.next().catch(error => {
      throw listenError(error, listen);
    });
    const said = first.done ? undefined : first.value[0];
    if (said?.type === 'deaf') throw listenError(Object.assign(new Error(said.error.message), said.error), listen);
    if (said?.type !== 'listening') throw new Error('the coordinator ended before it listened');
    return new Coordinator(started, said.endpoint, messages, listen);
  }

  /** At the next boundary. */
  checkpoint(): void {
    this.#tell({ ask: 'checkpoint' });
  }

  /** The manifest of the checkpoint of this step is written: the answer to each `checkpointed`, without which no step is committed. */
  durable(step: number): void {
    this.#tell({ durable: step });
  }

  /** Saves at the next boundary and ends; asked twice, ends at once. */
  stop(code: 'preempted' | 'interrupted'): void {
    this.#tell({ ask: 'stop', code });
  }

  /** Goes without a word to the workers. */
  async close(): Promise<void> {
    this.#tell('close');
    await this.#exited;
  }

  #tell(message: ToServer): void {
    this.#thread.postMessage(message);
  }
}

async function* eventsOf(messages: AsyncIterable<[FromServer]>): AsyncGenerator<CoordinatorEvent> {
  for await (const [message] of messages) if (message.type === 'event') yield message.event;
}
