/**
 * What strategies are put together from. A source says which parameters the next trial has; a search says what is to be done next, one thing at a
 * time: each answer stands in the history that it is asked about next, so that two answers at once are those that it would have given one by one.
 */
import { generator, hash32 } from '../random.ts';
import { sobol } from './sobol.ts';
import { gridOf, type Space, sample, type Values } from './space.ts';
import type { Decision, Trial } from './strategy.ts';

/** Parameters of the trial after these; undefined when there are no more. */
export type Source = (trials: readonly Trial[]) => Values | undefined;

export type Stop = Extract<Decision, { do: 'stop' }>;
/** wait: nothing before something that runs has got on. */
export type Choice = Exclude<Decision, Stop> | { readonly do: 'wait' };

export interface Search {
  /** @param room how many more trials there may be */
  readonly next: (trials: readonly Trial[], room: number) => Choice;
  /** Trials to end now. */
  readonly stops?: (trials: readonly Trial[], room: number) => Stop[];
}

/** A number in [0, 1) for each parameter, by the trial's number and the parameter's name alone. */
export const chance = (seed: number, ...purpose: readonly (number | string)[]) => {
  return (name: string) => generator(seed, ...purpose, name)() / 2 ** 32;
};

/** Cell after cell. */
export function gridSource(space: Space): Source {
  const cells = gridOf(space);
  return trials => cells[trials.length];
}

export const randomSource =
  (space: Space, seed: number): Source =>
  trials =>
    sample(space, chance(seed, 'trial', trials.length));

/** Point after point, moved by the same random number in each dimension (a digital shift, which keeps them as even as they are). */
export function sobolSource(space: Space, seed: number): Source {
  const varying = space.dimensions.filter(({ scale }) => scale).map(({ name }) => name);
  const dimensions = new Map(varying.sort().map((name, index) => [name, { index, shift: hash32(seed, 'sobol', name) }]));
  return trials =>
    sample(space, name => {
      const { index, shift } = dimensions.get(name)!;
      return ((sobol(trials.length, index) ^ shift) >>> 0) / 2 ** 32;
    });
}

/** Each trial from beginning to end. */
export const straight = (source: Source, until?: number): Search => ({
  next: (trials, room) => {
    const parameters = room > 0 ? source(trials) : undefined;
    if (parameters) return { do: 'start', parameters, ...(until !== undefined && { until }) };
    return { do: 'finish', reason: 'all trials have been chosen' };
  },
});
