/**
 * What there is of a kind and what changes, for as long as a user looks on: a connection that dies is made again, and everything is listed anew.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { SegfleetError } from '../trainer/errors.ts';
import type { Api, Kind, Selection } from './api.ts';
import { isStatus } from './apiError.ts';
import type { KubeObject } from './objects.ts';

export type Change<T> =
  /** All that there is: at first, and whenever changes may have been missed. */
  | { readonly type: 'listed'; readonly objects: readonly T[] }
  | { readonly type: 'changed'; readonly object: T }
  | { readonly type: 'deleted'; readonly object: T }
  | Interruption;

/** The API server does not answer, which is said once, until it is back. */
export type Interruption = { readonly type: 'lost'; readonly why: SegfleetError } | { readonly type: 'back' };

export interface FollowOptions extends Selection {
  /** Ends it, without an error. */
  readonly signal: AbortSignal;
}

/** Between attempts: from the first to the last of these. */
const [firstPauseMs, lastPauseMs] = [250, 5000];

/** A server that has just started may refuse what it will allow when it has read its rules, and not know kinds that it will serve. */
const refusedForMs = 60_000;

/** @throws what the API server refuses at the start; later only what it goes on refusing */
export async function* follow<T extends KubeObject>(api: Api, kind: Kind, options: FollowOptions): AsyncGenerator<Change<T>> {
  const { signal } = options;
  let hasBegun = false;
  let hasWatched = false;
  let isLost = false;
  let refusedSince: number | undefined;
  let pauseMs = firstPauseMs;
  const allIsWell = () => {
    hasWatched = true;
    refusedSince = undefined;
    pauseMs = firstPauseMs;
  };
  while (!signal.aborted) {
    try {
      const { items: objects, resourceVersion } = await api.list<T>(kind, options);
      if (isLost) yield { type: 'back' };
      isLost = false;
      hasBegun = true;
      yield { type: 'listed', objects };
      let version = resourceVersion;
      // The server ends a watch after some minutes; the next goes on where it ended.
      while (!signal.aborted) {
        const since = Date.now();
        for await (const { type, object } of api.watch<T>(kind, { ...options, resourceVersion: version })) {
          allIsWell();
          version = object.metadata.resourceVersion!;
          if (type === 'DELETED') yield { type: 'deleted', object };
          else if (type !== 'BOOKMARK') yield { type: 'changed', object };
        }
        if (Date.now() - since > 1000) allIsWell();
        else await wait(pauseMs, undefined, { signal });
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!hasBegun || !(error instanceof SegfleetError)) throw error;
      if (isStatus(error, 410)) continue;
      if (error.code !== 'unavailable') {
        refusedSince ??= Date.now();
        if (!hasWatched || Date.now() - refusedSince > refusedForMs) throw error;
      }
      // A watch that breaks is made again at once, and nobody needs to know.
      if (pauseMs > firstPauseMs && !isLost) {
        isLost = true;
        yield { type: 'lost', why: error };
      }
      await wait(pauseMs, undefined, { signal }).catch(() => {});
      pauseMs = Math.min(2 * pauseMs, lastPauseMs);
    }
  }
}

/** Several watches break together: tells which of their interruptions are worth telling. */
export function interruptions(): (one: { readonly type: Interruption['type'] }) => boolean {
  let numLost = 0;
  return ({ type }) => (type === 'lost' ? numLost++ === 0 : --numLost === 0);
}

/** What several sources give, as it comes. Ends when all have ended; whoever stops earlier ends the sources by their signal. */
export async function* together<T>(sources: readonly AsyncIterable<T>[]): AsyncGenerator<T> {
  const came: T[] = [];
  let numOpen = sources.length;
  let failure: { readonly error: unknown } | undefined;
  let wake = () => {};
  const read = async (source: AsyncIterable<T>) => {
    try {
      for await (const one of source) {
        came.push(one);
        wake();
      }
    } catch (error) {
      failure ??= { error };
    }
    numOpen--;
    wake();
  };
  for (const source of sources) void read(source);
  while (true) {
    for (const one of came.splice(0)) yield one;
    if (failure) throw failure.error;
    if (came.length > 0) continue;
    if (numOpen === 0) return;
    await new Promise<void>(resolve => {
      wake = resolve;
    });
  }
}
