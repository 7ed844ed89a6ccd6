/**
 * Time for all that waits here, passed in so that tests can set it. Durations are told by a clock that only goes forward: the date of a machine may
 * jump, and those of two machines differ.
 */

export interface Clock {
  /** Milliseconds since some moment. */
  now(): number;
  /** What objects are stamped with. */
  date(): Date;
  /** Runs something later, unless what it returns is called before. */
  after(ms: number, run: () => void): () => void;
}

/** Node's timers take no more. */
const longestMs = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  date: () => new Date(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(ms, longestMs));
    return () => clearTimeout(timer);
  },
};

/** Ends early, and without an error, when the signal aborts. */
export async function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return;
  await new Promise<void>(resolve => {
    const end = () => {
      cancel();
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const cancel = clock.after(ms, end);
    signal?.addEventListener('abort', end);
  });
}

export interface BackOff {
  readonly firstMs: number;
  readonly longestMs: number;
}

/**
 * How long to wait after so many failures in a row: twice as long each time, and then between half of that and the whole, so that many who fail at
 * once do not come again at once.
 */
export function backOffMs({ firstMs, longestMs }: BackOff, failures: number, random: () => number): number {
  const whole = Math.min(longestMs, firstMs * 2 ** Math.max(0, failures - 1));
  return whole * (0.5 + random() / 2);
}
