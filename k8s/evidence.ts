/**
 * What is asked for only while a job needs it: warnings about its Jobs and pods, and the last lines of the log of a pod that failed. A job asks again
 * after half a minute at the soonest; jobs of one namespace share an answer about warnings. Whoever refuses it costs the job a reason, nothing else.
 */
import type { Api } from './api.ts';
import { isStatus } from './apiError.ts';
import type { Clock } from './clock.ts';
import type { KubeEvent } from './objects.ts';
import type { Observed } from './plan.ts';

export interface EvidenceOptions {
  readonly api: Pick<Api, 'list' | 'logs'>;
  readonly clock: Clock;
  onError(doing: string, error: unknown): void;
}

/** How soon the same job asks again. */
export const evidenceAgainMs = 30_000;
const sharedMs = 5000;
const log = { lines: 20, bytes: 65_536, kept: 8192 } as const;

type Log = NonNullable<Observed['log']>;

export class Evidence {
  readonly #options: EvidenceOptions;
  readonly #warnings = new Map<string, { at: number; events: readonly KubeEvent[] }>();
  readonly #logs = new Map<string, { at: number; pod: string; log: Log | undefined }>();
  readonly #lists = new Map<string, { at: number; events: Promise<readonly KubeEvent[]> }>();

  constructor(options: EvidenceOptions) {
    this.#options = options;
  }

  /** Warnings about these objects, the newest answer that there is. */
  async warnings(key: string, namespace: string, uids: ReadonlySet<string>): Promise<readonly KubeEvent[]> {
    const now = this.#options.clock.now();
    const known = this.#warnings.get(key);
    if (known && now - known.at < evidenceAgainMs) return known.events;
    const answer = { at: now, events: known?.events ?? [] };
    this.#warnings.set(key, answer);
    try {
      const all = await this.#listOf(namespace, now);
      answer.events = all.filter(({ involvedObject: { uid } }) => uid !== undefined && uids.has(uid));
    } catch (error) {
      this.#options.onError('asking for warnings', error);
    }
    return answer.events;
  }

  /** The last lines of a pod; none where it has said nothing that could be had. */
  async log(key: string, namespace: string, pod: string): Promise<Log | undefined> {
    const now = this.#options.clock.now();
    const known = this.#logs.get(key);
    if (known?.pod === pod && (known.log || now - known.at < evidenceAgainMs)) return known.log;
    const answer: { at: number; pod: string; log: Log | undefined } = { at: now, pod, log: undefined };
    this.#logs.set(key, answer);
    try {
      const lines: string[] = [];
      for await (const line of this.#options.api.logs(pod, { namespace, tailLines: log.lines, limitBytes: log.bytes })) lines.push(line);
      answer.log = { pod, lines: lines.join('\n').slice(-log.kept) };
    } catch (error) {
      // It is gone, or its container never began: there is nothing to wait for.
      if (isStatus(error, 404) || isStatus(error, 400)) answer.log = { pod, lines: '' };
      else this.#options.onError('asking for a log', error);
    }
    return answer.log;
  }

  forget(key: string): void {
    this.#warnings.delete(key);
    this.#logs.delete(key);
  }

  #listOf(namespace: string, now: number): Promise<readonly KubeEvent[]> {
    const known = this.#lists.get(namespace);
    if (known && now - known.at < sharedMs) return known.events;
    const events = this.#options.api.list<KubeEvent>('Event', { namespace, fieldSelector: 'type=Warning' }).then(({ items }) => items);
    const list = { at: now, events };
    this.#lists.set(namespace, list);
    const drop = () => void (this.#lists.get(namespace) === list && this.#lists.delete(namespace));
    events.then(() => this.#options.clock.after(sharedMs, drop), drop);
    return events;
  }
}
