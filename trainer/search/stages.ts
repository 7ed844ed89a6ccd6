/**
 * Searches one after another, each from what an earlier one found: the paper's own way, omega and epsilon first and then gamma. A stage is a search
 * that sees its own trials only, numbered from 0.
 */
import { best, isLive } from './history.ts';
import type { Choice, Search, Stop } from './searches.ts';
import type { Values } from './space.ts';
import type { Trial } from './strategy.ts';

export interface Stage {
  readonly name: string;
  /** The earlier stage, by its place, whose best trial it begins from. */
  readonly from?: number;
  /** @param fixed the parameters of that trial */
  readonly search: (fixed: Values | undefined) => Search;
  /** The most trials of this stage. */
  readonly maxTrials: number;
}

/** The trials of a stage as its search sees them, and how they are numbered in the sweep. */
interface View {
  readonly trials: readonly Trial[];
  readonly numbers: readonly number[];
}

const nothing: View = { trials: [], numbers: [] };

export function inStages(stages: readonly Stage[]): Search {
  const searches = new Map<string, Search>();
  /** The search of a stage; undefined where what it begins from has no result. */
  const searchOf = (index: number, views: readonly View[]): Search | undefined => {
    const { from, search } = stages[index];
    const fixed = from === undefined ? undefined : best(views[from].trials)?.parameters;
    if (from !== undefined && fixed === undefined) return;
    const key = `${index} ${JSON.stringify(fixed)}`;
    if (!searches.has(key)) searches.set(key, search(fixed));
    return searches.get(key);
  };
  const roomOf = (index: number, { trials }: View, room: number) => Math.min(room, stages[index].maxTrials - trials.length);

  /** The stages that have begun or may begin, in order; the last one may be the one that is to begin. */
  function* begun(views: readonly View[], room: number) {
    for (const [index, { from }] of stages.entries()) {
      if (from !== undefined && views[from].trials.some(({ state }) => state === 'paused' || isLive({ state } as Trial))) return;
      const search = searchOf(index, views);
      const view = views[index];
      const choice: Choice = search?.next(view.trials, roomOf(index, view, room)) ?? {
        do: 'finish',
        reason: `no trial of the stage ${stages[from!].name} has a result that the stage ${stages[index].name} could begin from`,
      };
      yield { index, search, view, choice };
      if (choice.do !== 'finish' || !search) return;
    }
  }

  return {
    next: (trials, room) => {
      const views = viewsOf(trials, stages);
      let last: Choice = { do: 'wait' };
      let numFinished = 0;
      for (const { index, view, choice, search } of begun(views, room)) {
        last = choice;
        if (choice.do === 'finish') {
          numFinished += 1;
          if (!search) return choice;
        } else return outward(choice, stages[index].name, view);
      }
      return numFinished === stages.length ? last : { do: 'wait' };
    },
    stops: (trials, room) => {
      const stops: Stop[] = [];
      for (const { index, search, view, choice } of begun(viewsOf(trials, stages), room)) {
        const own = search?.stops?.(view.trials, roomOf(index, view, room)) ?? [];
        stops.push(...own.map(stop => ({ ...stop, trial: view.numbers[stop.trial] })));
        if (choice.do !== 'finish') continue;
        const named = new Set(own.map(({ trial }) => trial));
        for (const { number, state } of view.trials) {
          if (state !== 'paused' || named.has(number)) continue;
          stops.push({ do: 'stop', trial: view.numbers[number], reason: `it was not among the best of the stage ${stages[index].name}` });
        }
      }
      return stops;
    },
  };
}

/** By group: the stage's name, then, after a slash, what the search of the stage calls its group. */
function viewsOf(trials: readonly Trial[], stages: readonly Stage[]): View[] {
  const byStage = Map.groupBy(trials, ({ group = '' }) => group.split('/')[0]);
  return stages.map(({ name }) => {
    const own = byStage.get(name);
    if (!own) return nothing;
    const numbers = own.map(({ number }) => number);
    const inner = new Map(numbers.map((number, index) => [number, index]));
    return {
      numbers,
      trials: own.map((trial, number) => {
        const { group = '', forkedFrom } = trial;
        const slash = group.indexOf('/');
        return {
          ...trial,
          number,
          group: slash < 0 ? undefined : group.slice(slash + 1),
          forkedFrom: forkedFrom && { ...forkedFrom, trial: inner.get(forkedFrom.trial)! },
        };
      }),
    };
  });
}

function outward(choice: Choice, stage: string, { numbers }: View): Choice {
  if (choice.do === 'continue') return { ...choice, trial: numbers[choice.trial] };
  if (choice.do !== 'start') return choice;
  const { group, forkedFrom } = choice;
  return {
    ...choice,
    group: group === undefined ? stage : `${stage}/${group}`,
    ...(forkedFrom && { forkedFrom: { ...forkedFrom, trial: numbers[forkedFrom.trial] } }),
  };
}
