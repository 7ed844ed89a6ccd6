/**
 * What we wrote and the watches have not shown yet. A reconcile that does not know of its own last writes would decide anew what is decided; it waits
 * for them instead, not forever: what is never shown was undone by another in between.
 */

interface Expectation {
  /** What the watch showed when it was written; undefined: nothing. */
  readonly before: string | undefined;
  readonly until: number;
  readonly shown: () => string | undefined;
}

const patienceMs = 5000;

export class Expectations {
  readonly #byKey = new Map<string, Expectation[]>();

  /** @param shown the version that the watch shows now */
  add(key: string, before: string | undefined, shown: () => string | undefined, now: number): void {
    const all = this.#byKey.get(key) ?? [];
    this.#byKey.set(key, [...all, { before, shown, until: now + patienceMs }]);
  }

  /** For how long to wait at most before the key is reconciled; 0: all was shown. Whatever is shown queues the key anyway. */
  waitMs(key: string, now: number): number {
    const open = (this.#byKey.get(key) ?? []).filter(({ before, shown, until }) => until > now && shown() === before);
    if (open.length === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, open);
    return Math.max(0, ...open.map(({ until }) => until - now));
  }

  forget(key: string): void {
    this.#byKey.delete(key);
  }
}
