/**
 * What the server tells as it happens. The browser connects again by itself, and then gets all there is.
 */

import type { Changes, Problem, RunSummary, SweepSummary } from '../api.ts';
import { address } from './dom.ts';

export const runs = new Map<string, RunSummary>();
export const sweeps = new Map<string, SweepSummary>();
export const problems = new Map<string, Problem>();

/**
 * @param changed with the ids that are new, other than before, or gone; at the next picture, so that a page that nobody sees does nothing
 * @param after an event that all is known of
 * @param only one run or sweep
 */
export function follow(changed: (ids: ReadonlySet<string>) => void, { after, only }: { after?: string; only?: string }): void {
  const sign = document.querySelector('#live')!;
  const events = new EventSource(address('/api/events', { after, only }));
  const say = (state: string, text: string) => {
    sign.className = state;
    sign.textContent = text;
  };
  events.onopen = () => say('on', 'live');
  events.onerror = () => say('off', 'not connected: `segfleet ui` has ended, or is busy');
  let untold: Set<string> | undefined;
  events.onmessage = message => {
    const ids = take(JSON.parse(message.data));
    if (untold) {
      for (const id of ids) untold.add(id);
      return;
    }
    untold = ids;
    requestAnimationFrame(() => {
      untold = undefined;
      changed(ids);
    });
  };
}

/** @returns the ids that are new, other than before, or gone */
export function take({ isWhole, gone, ...news }: Changes): Set<string> {
  const ids = new Set([
    ...gone,
    ...news.runs.map(({ id }) => id),
    ...news.sweeps.map(({ id }) => id),
    ...news.problems.map(({ id }) => id),
  ]);
  for (const known of [runs, sweeps, problems]) {
    for (const id of known.keys()) {
      if (!isWhole && !ids.has(id)) continue;
      known.delete(id);
      ids.add(id);
    }
  }
  for (const run of news.runs) runs.set(run.id, run);
  for (const sweep of news.sweeps) sweeps.set(sweep.id, sweep);
  for (const problem of news.problems) problems.set(problem.id, problem);
  return ids;
}
