/**
 * A clock that goes on only when it is told to, and runs what is due on the way, in order.
 */
import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../k8s/clock.ts';

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export class FakeClock implements Clock {
  #now: number;
  #timers: Timer[] = [];
  /** Added to the date, and to nothing else. */
  skewMs = 0;

  constructor(now = 1000) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  date(): Date {
    return new Date(Date.UTC(2026, 0, 1) + this.#now + this.skewMs);
  }

  after(ms: number, run: () => void): () => void {
    const timer = { at: this.#now + ms, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter(other => other !== timer);
    };
  }

  /** What is pending. */
  get timers(): number {
    return this.#timers.length;
  }

  /** Lets promises settle before, between and after. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await setImmediate();
    for (;;) {
      const next = this.#timers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.#timers = this.#timers.filter(other => other !== next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await setImmediate();
    }
    this.#now = end;
    await setImmediate();
  }

  /** Time passes and nothing runs, as in a process that is stopped. */
  freeze(ms: number): void {
    this.#now += ms;
  }
}
