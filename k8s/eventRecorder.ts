/**
 * Events about a job or a sweep, which `kubectl describe` shows. What was said before is not said again: its count rises. They are news, not state: one that
 * cannot be recorded is counted and left at that.
 */
import { hash } from 'node:crypto';
import type { Api } from './api.ts';
import { isStatus } from './apiError.ts';
import type { Clock } from './clock.ts';
import { operatorName } from './names.ts';
import type { AnyObject, KubeEvent, KubeObject } from './objects.ts';
import type { EventDraft } from './plan.ts';

export interface RecorderOptions {
  readonly api: Pick<Api, 'create' | 'get' | 'patch'>;
  /** Of this process. */
  readonly identity: string;
  readonly clock: Clock;
  /** Before every request. @throws where this process may change nothing */
  check(): void;
  onOutcome(error?: unknown): void;
}

const longestMessage = 1024;
/** Counts that are remembered; of others the server is asked. */
const remembered = 1000;

export class EventRecorder {
  readonly #options: RecorderOptions;
  readonly #counts = new Map<string, number>();

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Never throws. */
  async record(about: KubeObject, draft: EventDraft): Promise<void> {
    try {
      await this.#record(eventOf(about, draft, this.#options.identity, this.#options.clock.date().toISOString()));
      this.#options.onOutcome();
    } catch (error) {
      this.#options.onOutcome(error);
    }
  }

  async #record(event: AnyObject & KubeEvent): Promise<void> {
    const { api, check } = this.#options;
    const { name, namespace } = event.metadata;
    // The name says what it is about, so another process that said it before has made the same object.
    let known = this.#counts.get(`${namespace}/${name}`);
    if (known === undefined) {
      try {
        await api.create(event, { guard: check });
        return this.#remember(event, 1);
      } catch (error) {
        if (!isStatus(error, 409)) throw error;
        known = (await api.get<KubeEvent>('Event', name, { namespace })).count ?? 1;
      }
    }
    try {
      await api.patch(event, { count: known + 1, lastTimestamp: event.lastTimestamp }, undefined, { guard: check });
      this.#remember(event, known + 1);
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
      // Events are kept for an hour.
      await api.create(event, { guard: check });
      this.#remember(event, 1);
    }
  }

  #remember({ metadata: { name, namespace } }: KubeEvent, count: number): void {
    const key = `${namespace}/${name}`;
    this.#counts.delete(key);
    this.#counts.set(key, count);
    if (this.#counts.size > remembered) this.#counts.delete(this.#counts.keys().next().value!);
  }
}

function eventOf(about: KubeObject, { type, reason, message }: EventDraft, identity: string, now: string): AnyObject & KubeEvent {
  const { name, namespace, uid } = about.metadata;
  const digest = hash('sha256', JSON.stringify([uid, type, reason, message])).slice(0, 16);
  const { apiVersion, kind } = about;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name.slice(0, 200).replace(/[-.]+$/, '')}.${digest}`, namespace },
    involvedObject: { apiVersion, kind, name, namespace, uid } as KubeEvent['involvedObject'],
    type,
    reason,
    message: message.length > longestMessage ? `${message.slice(0, longestMessage - 3)}...` : message,
    count: 1,
    firstTimestamp: now,
    lastTimestamp: now,
    source: { component: operatorName },
    reportingComponent: operatorName,
    reportingInstance: identity,
  };
}
