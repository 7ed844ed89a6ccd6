/**
 * All objects of one kind as they are now, kept by a watch that never gives up: when it ends, breaks, is silent, or is told that its version is too old,
 * all are listed again, and what changed meanwhile is reported like any other change, deletions too. Now and then they are listed anyway.
 */
import type { Api, Kind, Selection } from './api.ts';
import { ApiError } from './apiError.ts';
import { type BackOff, backOffMs, type Clock, pause } from './clock.ts';
import type { KubeObject, ObjectRef } from './objects.ts';

export interface Change<T> {
  readonly type: 'added' | 'changed' | 'removed';
  /** As it is, or was last. */
  readonly object: T;
}

/** Why a watch began anew. */
export type RestartReason = 'ended' | 'resync' | 'expired' | 'silent' | 'unanswered' | 'refused' | 'garbled';

export interface WatchOptions<T> {
  readonly api: Pick<Api, 'list' | 'watch'>;
  readonly kind: Kind;
  readonly selection?: Selection;
  readonly clock: Clock;
  readonly random: () => number;
  /** Nothing for so long, not even a bookmark, which comes every minute: the connection is dead. @default 90_000 */
  readonly silentMs?: number;
  /** List again after this time, whatever the watch says. @default 600_000 */
  readonly resyncMs?: number;
  readonly backOff?: BackOff;
  /** Objects of the same group are found together, see `group`. */
  groupOf?(object: T): string | undefined;
  onChange(change: Change<T>): void;
  /** All that there is was seen, at first and again. */
  onListed?(): void;
  onRestart?(reason: RestartReason, error: unknown): void;
}

/** How an object is found: its namespace, if it has one, and its name. */
export const keyOf = ({ metadata: { namespace, name } }: Pick<ObjectRef, 'metadata'>): string =>
  namespace === undefined ? name : `${namespace}/${name}`;

/** A watch that lived so long was a good one: what comes after it is a first failure. */
const healthyMs = 30_000;

export class Watch<T extends KubeObject> {
  readonly kind: Kind;
  /** When all that there is has been seen once. */
  readonly synced: Promise<void>;
  isSynced = false;
  /** Anything that came: a list, a change, a bookmark. */
  lastEvent: Date | undefined;
  readonly #options: WatchOptions<T> & { silentMs: number; resyncMs: number; backOff: BackOff };
  readonly #objects = new Map<string, T>();
  readonly #groups = new Map<string, Map<string, T>>();
  readonly #sync = Promise.withResolvers<void>();

  constructor(options: WatchOptions<T>) {
    this.#options = { silentMs: 90_000, resyncMs: 600_000, backOff: { firstMs: 1000, longestMs: 30_000 }, ...options };
    this.kind = options.kind;
    this.synced = this.#sync.promise;
  }

  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  get size(): number {
    return this.#objects.size;
  }

  group(name: string): readonly T[] {
    return [...(this.#groups.get(name)?.values() ?? [])];
  }

  /** Until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, backOff, onRestart } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      const began = clock.now();
      let reason: RestartReason;
      let error: unknown;
      try {
        reason = await this.#listAndFollow(signal);
      } catch (thrown) {
        error = thrown;
        reason = reasonOf(thrown);
      }
      if (signal.aborted) return;
      failures = clock.now() - began >= healthyMs ? 1 : failures + 1;
      onRestart?.(reason, error);
      if (reason !== 'resync') await pause(clock, backOffMs(backOff, failures, random), signal);
    }
  }

  async #listAndFollow(signal: AbortSignal): Promise<'ended' | 'resync'> {
    const { api, kind, selection, clock, random, silentMs, resyncMs } = this.#options;
    const { items, resourceVersion } = await api.list<T>(kind, { ...selection, signal });
    this.#replaceAll(items);
    const resync = new AbortController();
    const cancel = clock.after(resyncMs * (0.75 + random() / 4), () => resync.abort());
    try {
      const both = AbortSignal.any([signal, resync.signal]);
      for await (const { type, object } of api.watch<T>(kind, { ...selection, resourceVersion, silentMs, signal: both })) {
        this.lastEvent = clock.date();
        if (type === 'DELETED') this.#remove(object);
        else if (type !== 'BOOKMARK') this.#put(object);
      }
      return 'ended';
    } catch (error) {
      if (resync.signal.aborted) return 'resync';
      throw error;
    } finally {
      cancel();
    }
  }

  #replaceAll(items: readonly T[]): void {
    this.lastEvent = this.#options.clock.date();
    const present = new Set(items.map(keyOf));
    for (const [key, object] of this.#objects) if (!present.has(key)) this.#remove(object);
    for (const item of items) {
      const known = this.#objects.get(keyOf(item));
      // Another of the same name: the first one is gone.
      if (known && known.metadata.uid !== item.metadata.uid) this.#remove(known);
      if (known?.metadata.resourceVersion !== item.metadata.resourceVersion) this.#put(item);
    }
    this.isSynced = true;
    this.#sync.resolve();
    this.#options.onListed?.();
  }

  #put(given: T): void {
    const object = withoutManagedFields(given);
    const key = keyOf(object);
    const known = this.#objects.get(key);
    this.#objects.set(key, object);
    this.#regroup(key, known, object);
    this.#options.onChange({ type: known ? 'changed' : 'added', object });
  }

  #remove(object: T): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (!known) return;
    this.#objects.delete(key);
    this.#regroup(key, known, undefined);
    this.#options.onChange({ type: 'removed', object });
  }

  #regroup(key: string, before: T | undefined, after: T | undefined): void {
    const { groupOf } = this.#options;
    if (!groupOf) return;
    const from = before && groupOf(before);
    const to = after && groupOf(after);
    if (from !== undefined && from !== to) {
      const group = this.#groups.get(from)!;
      group.delete(key);
      if (group.size === 0) this.#groups.delete(from);
    }
    if (to === undefined) return;
    const group = this.#groups.get(to) ?? new Map<string, T>();
    this.#groups.set(to, group.set(key, after!));
  }
}

function reasonOf(error: unknown): RestartReason {
  if (!(error instanceof ApiError)) return 'unanswered';
  if (error.status === 410) return 'expired';
  if (error.status > 0) return 'refused';
  if (error.reason === 'Silent') return 'silent';
  return error.reason === 'Garbled' ? 'garbled' : 'unanswered';
}

/** They are the larger half of many objects, and nothing here reads them. */
function withoutManagedFields<T extends KubeObject>(object: T): T {
  const { managedFields: _, ...metadata } = object.metadata as T['metadata'] & { managedFields?: unknown };
  return { ...object, metadata };
}
