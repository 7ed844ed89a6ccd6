/**
 * What there is of a kind and what changes, for as long as a user looks on, through restarts of the API server.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Api, Kind, Selection } from './api.ts';
import { systemClock } from './clock.ts';
import type { KubeObject } from './objects.ts';
import { type RestartReason, Watch } from './watch.ts';

export type Change<T> =
  /** All that there is: once, at first. */
  | { readonly type: 'listed'; readonly objects: readonly T[] }
  | { readonly type: 'changed'; readonly object: T }
  | { readonly type: 'deleted'; readonly object: T }
  | Interruption;

/** The API server does not answer, which is said once, until it is back. */
export type Interruption = { readonly type: 'lost'; readonly why: SegfleetError } | { readonly type: 'back' };

export interface FollowOptions extends Selection {
  /** Ends it, without an error. */
  readonly signal: AbortSignal;
}

/** Somebody sits there and waits. */
const backOff = { firstMs: 250, longestMs: 5000 };

/** A server that has just started may refuse what it will allow when it has read its rules, and not know kinds that it will serve: for a minute. */
const maxRefusals = 15;

/** A user who may list and not watch is told at once. */
const firstWatchMs = 2000;

/** @throws what the API server refuses at the start; later only what it goes on refusing */
export async function* follow<T extends KubeObject>(
  api: Api,
  kind: Kind,
  { signal, ...selection }: FollowOptions,
): AsyncGenerator<Change<T>> {
  const queue = new Queue<Change<T>>();
  const stop = new AbortController();
  const connection = new Connection(queue);
  const watch: Watch<T> = new Watch<T>({
    ...{ api, kind, selection, backOff, clock: systemClock, random: Math.random },
    onChange({ type, object }) {
      if (!watch.isSynced) return;
      connection.isThere();
      queue.put({ type: type === 'removed' ? 'deleted' : 'changed', object });
    },
    onListed() {
      if (connection.isNew) queue.put({ type: 'listed', objects: [...watch.values()] });
      connection.isThere();
    },
    onRestart: (reason, error) => connection.broke(reason, error),
  });
  const running = watch.run(AbortSignal.any([signal, stop.signal])).then(() => queue.end());
  try {
    yield* queue.taken();
  } finally {
    stop.abort();
    await running;
  }
}

/** What of the fate of a watch is told, and what ends it. */
class Connection {
  /** Nothing has come yet. */
  isNew = true;
  readonly #queue: Pick<Queue<Interruption>, 'put' | 'fail'>;
  #since = 0;
  #failures = 0;
  #refusals = 0;
  #isLost = false;

  constructor(queue: Pick<Queue<Interruption>, 'put' | 'fail'>) {
    this.#queue = queue;
  }

  isThere(): void {
    if (this.isNew) this.#since = systemClock.now();
    this.isNew = false;
    this.#failures = 0;
    if (this.#isLost) this.#queue.put({ type: 'back' });
    this.#isLost = false;
  }

  broke(reason: RestartReason, error: unknown): void {
    if (reason === 'ended' || reason === 'resync' || reason === 'expired') {
      this.#refusals = 0;
      return;
    }
    if (this.isNew || !(error instanceof SegfleetError)) return this.#queue.fail(error);
    if (error.code === 'unavailable') this.#refusals = 0;
    else if (++this.#refusals >= maxRefusals || systemClock.now() - this.#since < firstWatchMs) return this.#queue.fail(error);
    // A watch that breaks is made again at once, and nobody needs to know.
    if (++this.#failures < 2 || this.#isLost) return;
    this.#isLost = true;
    this.#queue.put({ type: 'lost', why: error });
  }
}

/** Put in by callbacks, taken out by one loop. */
class Queue<T> {
  readonly #values: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #hasEnded = false;
  #wake = () => {};

  put(value: T): void {
    this.#values.push(value);
    this.#wake();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wake();
  }

  end(): void {
    this.#hasEnded = true;
    this.#wake();
  }

  async *taken(): AsyncGenerator<T> {
    while (true) {
      while (this.#values.length > 0) yield this.#values.shift()!;
      if (this.#failure) throw this.#failure.error;
      if (this.#hasEnded) return;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
  }
}

/** Several watches break together: tells which of their interruptions are worth telling. */
export function interruptions(): (one: { readonly type: Interruption['type'] }) => boolean {
  let numLost = 0;
  return ({ type }) => (type === 'lost' ? numLost++ === 0 : --numLost === 0);
}

/** What several sources give, as it comes. Ends when all have ended; whoever stops earlier ends the sources by their signal. */
export async function* together<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const queue = new Queue<T>();
  const read = async (source: AsyncIterable<T>) => {
    for await (const one of source) queue.put(one);
  };
  void Promise.all(sources.map(read)).then(
    () => queue.end(),
    error => queue.fail(error),
  );
  yield* queue.taken();
}
