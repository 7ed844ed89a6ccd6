/**
 * Asks the coordinators of running jobs where they stand. What a pod answers is checked as anything from outside is; whatever is wrong with it means
 * that there is no progress to tell, and is counted. Only what a reader of the status would notice makes work.
 */
import { isIPv6 } from 'node:net';
import { Agent, request } from 'undici';
import { type Progress, progressSchema } from '../coordinator/progress.ts';
import { type Clock, pause } from './clock.ts';
import { ports } from './names.ts';

export interface ProgressTarget {
  readonly key: string;
  /** Of the coordinator's pod: what another pod said is forgotten. */
  readonly pod: string;
  readonly address: string;
  /** What it must say that it runs: addresses are given to other pods in time. */
  readonly run: string;
}

export type PollOutcome = 'answered' | 'unanswered' | 'refused' | 'garbled';

export interface ProgressOptions {
  /** Whom to ask now. */
  targets(): readonly ProgressTarget[];
  /** It has changed so that the job is worth a look. */
  onChange(key: string): void;
  onPoll?(outcome: PollOutcome): void;
  readonly clock: Clock;
  readonly port?: number;
  readonly pollMs?: number;
  readonly timeoutMs?: number;
  /** Requests at a time. */
  readonly concurrency?: number;
}

interface Known {
  readonly pod: string;
  progress: Progress;
  heardAt: number;
  /** What the job was last queued for, and when. */
  told: Progress;
  toldAt: number;
}

const largestBytes = 65_536;
/** An answer counts for so long after it. */
const freshMs = 30_000;
/** Small changes are told so often. */
const quietMs = 30_000;

export class ProgressPoller {
  readonly #options: Required<Omit<ProgressOptions, 'onPoll'>> & Pick<ProgressOptions, 'onPoll'>;
  readonly #known = new Map<string, Known>();

  constructor(options: ProgressOptions) {
    this.#options = { port: ports.progress, pollMs: 5000, timeoutMs: 2000, concurrency: 16, ...options };
  }

  /** What that pod said last, if that is not long ago. */
  of(key: string, pod: string): Progress | undefined {
    const known = this.#known.get(key);
    return known?.pod === pod && this.#options.clock.now() - known.heardAt < freshMs ? known.progress : undefined;
  }

  /** Until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, pollMs, concurrency, timeoutMs } = this.#options;
    const agent = new Agent({ connections: 1, keepAliveTimeout: 2 * pollMs, connect: { timeout: timeoutMs } });
    try {
      while (!signal.aborted) {
        const began = clock.now();
        const line = [...this.#options.targets()];
        this.#forgetOthers(line);
        const asker = async () => {
          for (let target = line.shift(); target && !signal.aborted; target = line.shift()) await this.#ask(target, agent, signal);
        };
        await Promise.all(Array.from({ length: concurrency }, asker));
        await pause(clock, Math.max(100, began + pollMs - clock.now()), signal);
      }
    } finally {
      await agent.destroy();
    }
  }

  async #ask({ key, pod, address, run }: ProgressTarget, agent: Agent, signal: AbortSignal): Promise<void> {
    const { clock, port, timeoutMs, onPoll, onChange } = this.#options;
    const said = await ask(`http://${isIPv6(address) ? `[${address}]` : address}:${port}/progress`, agent, timeoutMs, signal);
    if (signal.aborted) return;
    const answer = typeof said === 'string' || said.run === run ? said : 'garbled';
    onPoll?.(typeof answer === 'string' ? answer : 'answered');
    const now = clock.now();
    const known = this.#known.get(key);
    if (typeof answer === 'string') {
      if (known && now - known.heardAt >= freshMs) {
        this.#known.delete(key);
        onChange(key);
      }
      return;
    }
    if (known?.pod !== pod) {
      this.#known.set(key, { pod, progress: answer, heardAt: now, told: answer, toldAt: now });
      return onChange(key);
    }
    known.progress = answer;
    known.heardAt = now;
    if (!isWorthTelling(known.told, answer, now - known.toldAt)) return;
    known.told = answer;
    known.toldAt = now;
    onChange(key);
  }

  #forgetOthers(targets: readonly ProgressTarget[]): void {
    const asked = new Set(targets.map(({ key }) => key));
    for (const key of this.#known.keys()) if (!asked.has(key)) this.#known.delete(key);
  }
}

/** Steps alone are told now and then, or when a hundredth of the run is done; all else at once. */
export function isWorthTelling(told: Progress, now: Progress, sinceMs: number): boolean {
  const outline = ({ phase, workers, expected, generation, epoch, checkpoint, metric, weightsDigest }: Progress) =>
    JSON.stringify([phase, workers, expected, generation, epoch, checkpoint?.step, metric?.best, weightsDigest]);
  if (outline(told) !== outline(now)) return true;
  if (told.step === now.step) return false;
  return sinceMs >= quietMs || Math.abs((now.step ?? 0) - (told.step ?? 0)) * 100 >= (now.steps ?? Number.POSITIVE_INFINITY);
}

async function ask(
  url: string,
  agent: Agent,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Progress | Exclude<PollOutcome, 'answered'>> {
  try {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const { statusCode, body } = await request(url, { dispatcher: agent, signal: limited, headers: { accept: 'application/json' } });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of body as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      // Leaving the loop closes the connection.
      if (bytes > largestBytes) return 'garbled';
      chunks.push(chunk);
    }
    if (statusCode !== 200) return 'refused';
    const parsed = progressSchema.safeParse(parse(Buffer.concat(chunks).toString('utf8')));
    return parsed.success ? parsed.data : 'garbled';
  } catch {
    return 'unanswered';
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
