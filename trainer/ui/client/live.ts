/**
 * What the server tells as it happens. The browser connects again by itself, and then gets all there is.
 */
import type { Changes, Problem, RunSummary, SweepSummary } from '../api.ts';

export const runs = new Map<string, RunSummary>();
export const sweeps = new Map<string, SweepSummary>();
export const problems = new Map<string, Problem>();

/** @param changed with the ids that are new, other than before, or gone */
export function follow(changed: (ids: ReadonlySet<string>) => void): void {
  const sign = document.querySelector('#live')!;
  const events = new EventSource('/api/events');
  const say = (state: string, text: string) => {
    sign.className = state;
    sign.textContent = text;
  };
  events.onopen = () => say('on', 'live');
  events.onerror = () => say('off', 'not connected: `segfleet ui` has ended, or is busy');
  events.onmessage = message => {
    const { isWhole, gone, ...news }: Changes = JSON.parse(message.data);
    const ids = new Set([
      ...gone,
      ...news.runs.map(({ id }) => id),
      ...news.sweeps.map(({ id }) => id),
      ...news.problems.map(({ id }) => id),
    ]);
    for (const known of [runs, sweeps, problems]) {
      for (const id of known.keys()) if (isWhole || ids.has(id)) known.delete(id);
    }
    for (const run of news.runs) runs.set(run.id, run);
    for (const sweep of news.sweeps) sweeps.set(sweep.id, sweep);
    for (const problem of news.problems) problems.set(problem.id, problem);
    changed(ids);
  };
}
