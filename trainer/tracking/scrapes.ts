/**
 * When metrics were read, so that a process that ends can wait for the last time: else what happened since the time before is seen by nobody.
 */

/** Nobody is waited for longer. */
const patienceSeconds = 60;

export class Scrapes {
  /** The last one, and the one before; in seconds. */
  #at: readonly number[] = [];
  #onScrape = () => {};

  note(now: Date): void {
    this.#at = [now.getTime() / 1000, ...this.#at].slice(0, 2);
    this.#onScrape();
  }

  /** Done at the next one, or when it is overdue; at once where nobody reads again and again. @param signal ends it */
  async next(signal?: AbortSignal): Promise<void> {
    const [last, before] = this.#at;
    if (before === undefined || signal?.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const stop = () => resolve();
    this.#onScrape = stop;
    signal?.addEventListener('abort', stop);
    const timer = setTimeout(stop, 1000 * Math.min(patienceSeconds, 1.5 * (last - before)));
    await promise;
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}
