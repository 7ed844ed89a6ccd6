/**
 * Which of several operators acts: the one that holds a Lease. Whether the lease of another has run out is judged by when we saw it change last, on our
 * own clock that only goes forward: what other machines wrote into it is compared, never computed with. The holder gives itself a shorter time than
 * the others give it, and is asked before every effect, so that one that was stopped for a while does nothing before it has renewed.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Api } from './api.ts';
import { ApiError, isStatus } from './apiError.ts';
import { type Clock, pause } from './clock.ts';
import type { KubeObject } from './objects.ts';

export interface Lease extends KubeObject {
  readonly spec?: {
    readonly holderIdentity?: string;
    readonly leaseDurationSeconds?: number;
    readonly acquireTime?: string;
    readonly renewTime?: string;
    readonly leaseTransitions?: number;
  };
}

export interface LeaseTimes {
  /** So long after its last change nobody takes a lease from its holder. */
  readonly durationMs: number;
  /** So long after its last renewal the holder acts; shorter than the duration by more than a request may take. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

export const defaultTimes: LeaseTimes = { durationMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2000 };

/** What a lease looked like, and when we saw it like that first. */
export interface Sight {
  readonly mark: string;
  readonly since: number;
}

export function look(last: Sight | undefined, { metadata, spec }: Lease, now: number): Sight {
  const mark = JSON.stringify([metadata.uid, spec?.holderIdentity, spec?.acquireTime, spec?.renewTime, spec?.leaseTransitions]);
  return last?.mark === mark ? last : { mark, since: now };
}

/** How long another must wait for a lease that it saw like this; 0 where nobody holds it. */
export function standsForMs({ spec }: Lease, { since }: Sight, now: number, { durationMs }: LeaseTimes): number {
  if (!spec?.holderIdentity) return 0;
  const granted = spec.leaseDurationSeconds ? spec.leaseDurationSeconds * 1000 : durationMs;
  return Math.max(0, since + granted - now);
}

/** This process must not change anything. */
export class NotLeading extends SegfleetError {
  constructor({ namespace, name }: ElectionOptions['lease']) {
    super('conflict', `this operator does not hold the lease ${namespace}/${name}, so it changes nothing`);
  }
}

export interface ElectionOptions {
  readonly api: Pick<Api, 'get' | 'create' | 'replace'>;
  readonly lease: { readonly namespace: string; readonly name: string };
  /** Of this process, and of no other one ever. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly times?: LeaseTimes;
  onChange(leading: boolean): void;
  /** The lease could not be read or written; it is tried again. */
  onError(error: unknown): void;
}

export class Election {
  readonly #options: ElectionOptions & { times: LeaseTimes };
  /** As we wrote it last, as long as nothing tells that it is another's. */
  #held: Lease | undefined;
  #renewedAt = 0;
  #sight: Sight | undefined;
  /** Of another, as we saw it last. */
  #standsForMs = 0;
  #reported = false;
  #cancelDeadline: (() => void) | undefined;

  constructor(options: ElectionOptions) {
    this.#options = { times: defaultTimes, ...options };
  }

  get leading(): boolean {
    const { clock, times } = this.#options;
    return this.#held !== undefined && clock.now() - this.#renewedAt < times.renewDeadlineMs;
  }

  /** Before every effect. @throws NotLeading: not, or not any more */
  check(): void {
    if (!this.leading) throw new NotLeading(this.#options.lease);
  }

  /** Contends, and renews, until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, times, onError } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#within(request => this.#attempt(request));
      } catch (error) {
        // A conflict: another was faster.
        if (!signal.aborted && !isStatus(error, 409)) onError(error);
      }
      this.#report();
      const waitMs = this.#held ? times.retryMs : Math.min(times.retryMs, this.#standsForMs || times.retryMs);
      await pause(clock, waitMs * (1 + random() / 5), signal);
    }
  }

  /** After `run`: gives the lease up, so that another need not wait until it runs out. Nothing may be under way any more. */
  async release(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    this.#cancelDeadline?.();
    this.#report();
    if (!held) return;
    const spec = { ...held.spec, holderIdentity: undefined, leaseDurationSeconds: 1, renewTime: microTime(this.#options.clock.date()) };
    try {
      await this.#within(signal => this.#options.api.replace({ ...held, spec }, { signal }));
    } catch (error) {
      this.#options.onError(error);
    }
  }

  async #attempt(request: AbortSignal): Promise<void> {
    const { api, lease, identity, clock } = this.#options;
    const began = clock.now();
    if (this.#held) {
      try {
        return this.#won(await api.replace(this.#renewal(this.#held), { signal: request }), began);
      } catch (error) {
        if (!isStatus(error, 409) && !isStatus(error, 404)) throw error;
        // Another has changed it, or taken it.
      }
    }
    let found: Lease;
    try {
      found = await api.get<Lease>('Lease', lease.name, { namespace: lease.namespace, signal: request });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      this.#held = undefined;
      const made: Lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { ...lease }, spec: this.#claim(0) };
      return this.#won(await api.create(made, { signal: request }), began);
    }
    const holder = found.spec?.holderIdentity;
    if (holder === identity) return this.#won(await api.replace(this.#renewal(found), { signal: request }), began);
    this.#held = undefined;
    this.#sight = look(this.#sight, found, clock.now());
    this.#standsForMs = standsForMs(found, this.#sight, clock.now(), this.#options.times);
    if (this.#standsForMs > 0) return;
    const taken = { ...found, spec: this.#claim((found.spec?.leaseTransitions ?? 0) + 1) };
    this.#won(await api.replace(taken, { signal: request }), began);
  }

  /** @param began when the request was sent: the others count from later */
  #won(lease: Lease, began: number): void {
    const { clock, times } = this.#options;
    this.#held = lease;
    this.#renewedAt = began;
    this.#cancelDeadline?.();
    this.#cancelDeadline = clock.after(began + times.renewDeadlineMs - clock.now(), () => this.#report());
    this.#report();
  }

  #report(): void {
    const { leading } = this;
    if (leading === this.#reported) return;
    this.#reported = leading;
    this.#options.onChange(leading);
  }

  #claim(leaseTransitions: number): Lease['spec'] {
    const { identity, clock, times } = this.#options;
    const now = microTime(clock.date());
    const leaseDurationSeconds = Math.max(1, Math.round(times.durationMs / 1000));
    return { holderIdentity: identity, leaseDurationSeconds, acquireTime: now, renewTime: now, leaseTransitions };
  }

  #renewal(lease: Lease): Lease {
    return { ...lease, spec: { ...lease.spec, renewTime: microTime(this.#options.clock.date()) } };
  }

  /** A server that does not answer must not keep us until the lease is lost. */
  async #within<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, times } = this.#options;
    const late = new AbortController();
    const limitMs = times.renewDeadlineMs / 2;
    const sentence = `the API server has not answered about the lease for ${limitMs / 1000} s`;
    const cancel = clock.after(limitMs, () => late.abort(new ApiError(sentence, { status: 0, reason: 'Unanswered' })));
    try {
      return await work(late.signal);
    } finally {
      cancel();
    }
  }
}

/** As a Lease has it: six digits of a second. */
const microTime = (date: Date) => date.toISOString().replace('Z', '000Z');
