/**
 * What is to be worked on, by key. One key is in work once at a time, whatever happens meanwhile is one more run of it; a key whose work fails comes
 * again later and later, and no request makes that a hot loop.
 */
import { type BackOff, backOffMs, type Clock } from './clock.ts';

export interface QueueOptions {
  /** Answers after how many milliseconds the key is due again even if nothing happens, if at all. */
  work(key: string): Promise<number | undefined>;
  /** Of work that threw. */
  onError(key: string, error: unknown, againInMs: number): void;
  readonly clock: Clock;
  readonly random: () => number;
  /** Keys in work at the same time. @default 8 */
  readonly concurrency?: number;
  readonly backOff?: BackOff;
}

interface Entry {
  /** In line, waiting for a free hand. */
  inLine: boolean;
  working: boolean;
  /** Waits for this time, if not in line. While it is worked on: when it was asked for again. */
  due?: number;
  cancel?: () => void;
  /** In a row. */
  failures: number;
  /** After a failure nothing brings it back sooner. */
  notBefore: number;
}

export class Queue {
  readonly #options: QueueOptions & { concurrency: number; backOff: BackOff };
  readonly #entries = new Map<string, Entry>();
  readonly #line: string[] = [];
  #working = 0;
  #stopped = false;
  #idle = Promise.withResolvers<void>();

  constructor(options: QueueOptions) {
    this.#options = { concurrency: 8, backOff: { firstMs: 500, longestMs: 60_000 }, ...options };
  }

  /** Keys that could be worked on now. */
  get depth(): number {
    return this.#line.length;
  }

  get working(): number {
    return this.#working;
  }

  /** Of requests for the same key the soonest counts. */
  add(key: string, afterMs = 0): void {
    if (this.#stopped) return;
    let entry = this.#entries.get(key);
    if (!entry) {
      entry = { inLine: false, working: false, failures: 0, notBefore: 0 };
      this.#entries.set(key, entry);
    }
    this.#request(key, entry, this.#options.clock.now() + afterMs);
  }

  /** Begins nothing any more; resolves when all that is in work has ended. */
  stop(): Promise<void> {
    this.#stopped = true;
    this.#line.length = 0;
    for (const entry of this.#entries.values()) entry.cancel?.();
    if (this.#working === 0) this.#idle.resolve();
    return this.#idle.promise;
  }

  #request(key: string, entry: Entry, at: number): void {
    if (entry.inLine) return;
    const { clock } = this.#options;
    const due = Math.max(at, entry.notBefore);
    if (entry.due !== undefined && entry.due <= due) return;
    entry.cancel?.();
    entry.cancel = undefined;
    entry.due = due;
    if (entry.working) return;
    const waitMs = due - clock.now();
    if (waitMs > 0) entry.cancel = clock.after(waitMs, () => this.#enter(key, entry));
    else this.#enter(key, entry);
  }

  #enter(key: string, entry: Entry): void {
    entry.due = undefined;
    entry.cancel = undefined;
    entry.inLine = true;
    this.#line.push(key);
    this.#pump();
  }

  #pump(): void {
    while (this.#working < this.#options.concurrency && this.#line.length > 0) {
      const key = this.#line.shift()!;
      const entry = this.#entries.get(key)!;
      entry.inLine = false;
      entry.working = true;
      this.#working++;
      void this.#run(key, entry);
    }
  }

  async #run(key: string, entry: Entry): Promise<void> {
    const { work, onError, clock, random, backOff } = this.#options;
    let againMs: number | undefined;
    try {
      againMs = await work(key);
      entry.failures = 0;
      entry.notBefore = 0;
    } catch (error) {
      againMs = backOffMs(backOff, ++entry.failures, random);
      entry.notBefore = clock.now() + backOff.firstMs / 2;
      onError(key, error, againMs);
    }
    entry.working = false;
    this.#working--;
    if (this.#stopped) {
      if (this.#working === 0) this.#idle.resolve();
      return;
    }
    const at = Math.min(entry.due ?? Number.POSITIVE_INFINITY, clock.now() + (againMs ?? Number.POSITIVE_INFINITY));
    entry.due = undefined;
    if (at < Number.POSITIVE_INFINITY) this.#request(key, entry, at);
    else this.#entries.delete(key);
    this.#pump();
  }
}
