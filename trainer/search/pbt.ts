/**
 * Population based training (M. Jaderberg et al., "Population based training of neural networks", 2017). A member of the population is a chain of
 * trials. After each interval those among the worst give up: a new trial takes over the weights of one among the best (truncation selection) and that
 * one's parameters, changed a little; so parameters change in the course of training.
 *
 * The members meet: all have come to the end of the interval before any goes on. The paper lets each compare itself with the others whenever it is
 * ready, and what is found then depends on which machine was quick; here it does not, and members may also take turns on few machines.
 */
import { generator } from '../random.ts';
import { isLive, lastBy, timeOf } from './history.ts';
import { chance, type Search, type Stop } from './searches.ts';
import { type Dimension, isSet, type Space, sample, type Values } from './space.ts';
import type { Trial } from './strategy.ts';

export interface Population {
  readonly population: number;
  readonly interval: number;
  readonly mutations: readonly string[];
  readonly quantile: number;
}

const factors = [0.8, 1.2];
/** As in Ray Tune; the paper does one or the other in all its changes. */
const redrawnShare = 0.25;

interface Member {
  readonly number: number;
  /** The trial with which it came to the meeting. */
  readonly trial: Trial;
  /** What comes of the meeting is still to be done. */
  readonly isPending: boolean;
  /** Value at the meeting; -Infinity where it diverged, failed or was ended on the way. */
  readonly value: number;
  /** It failed or was ended on the way, and cannot go on. */
  readonly isGone: boolean;
}

interface Meeting {
  /** Intervals trained so far. */
  readonly at: number;
  readonly goOn: readonly Member[];
  /** They give up for a fork of a better one. */
  readonly giveUp: readonly { readonly member: Member; readonly donor: Member }[];
}

/**
 * @param maxTime when members end
 * @param end the same; undefined where that is the end of their training
 */
export function pbt(space: Space, seed: number, options: Population, maxTime: number, end?: number): Search {
  const { population, interval, mutations, quantile } = options;
  const numIntervals = Math.ceil(maxTime / interval);
  const groupOf = (member: number) => `member-${member}`;
  const untilOf = (intervals: number) => {
    const until = intervals < numIntervals ? intervals * interval : end;
    return until === undefined ? {} : { until };
  };
  /** How many intervals a trial is to have trained when it next pauses or ends. */
  const intervalsOf = ({ until = Infinity }: Trial) => Math.min(Math.ceil(until / interval), numIntervals);
  /** The trials of each member, in order. */
  const chainsOf = (trials: readonly Trial[]) => {
    const byGroup = Map.groupBy(trials, ({ group }) => group);
    return Array.from({ length: population }, (_, member) => byGroup.get(groupOf(member)) ?? []);
  };

  /** The first meeting of which something is to be done, all members having come; undefined where there is none. */
  function nextMeeting(chains: readonly (readonly Trial[])[], room: number): Meeting | undefined {
    if (room > 0 && chains.some(chain => chain.length === 0)) return;
    for (let at = 1; at < numIntervals; at++) {
      const members = chains.flatMap((chain, number): Member | [] => {
        const trial = chain.find(candidate => intervalsOf(candidate) >= at);
        if (!trial) return [];
        const isHere = intervalsOf(trial) === at;
        const isGone = isHere && (trial.state === 'failed' || trial.state === 'stopped');
        const value = isGone ? -Infinity : lastBy(trial, at * interval);
        return { number, trial, isPending: isHere && trial === chain.at(-1), value, isGone };
      });
      if (members.some(({ isPending, trial }) => isPending && isLive(trial))) return;
      const ranked = members.toSorted((a, b) => (a.value === b.value ? a.number - b.number : a.value > b.value ? -1 : 1));
      const count = Math.min(Math.ceil(quantile * members.length), members.length >> 1);
      const donors = ranked.slice(0, count).filter(({ value }) => value > -Infinity);
      const worst = new Set(ranked.slice(members.length - count));
      const giveUp = members.flatMap(member => {
        if (!member.isPending || donors.length === 0 || !(worst.has(member) || member.isGone)) return [];
        return { member, donor: donors[generator(seed, 'donor', at, member.number)() % donors.length] };
      });
      const replaced = giveUp.slice(0, room);
      const goOn = members.filter(
        member => member.isPending && member.trial.state === 'paused' && !replaced.some(given => given.member === member),
      );
      if (replaced.length + goOn.length > 0) return { at, goOn, giveUp: replaced };
    }
    return;
  }

  return {
    next: (trials, room) => {
      const chains = chainsOf(trials);
      const missing = chains.findIndex(chain => chain.length === 0);
      if (missing >= 0 && room > 0) {
        const parameters = sample(space, chance(seed, 'trial', trials.length));
        return { do: 'start', parameters, group: groupOf(missing), ...untilOf(1) };
      }
      const meeting = nextMeeting(chains, room);
      if (meeting) {
        const { at, giveUp, goOn } = meeting;
        // Forks first: they need the checkpoints with which the better ones go on.
        if (giveUp.length > 0) {
          const { member, donor } = giveUp[0];
          return {
            do: 'start',
            parameters: explore(space, donor.trial.parameters, mutations, seed, at, member.number),
            group: groupOf(member.number),
            forkedFrom: { trial: donor.trial.number, time: checkpointOf(donor.trial, at * interval) },
            ...untilOf(at + 1),
          };
        }
        return { do: 'continue', trial: goOn[0].trial.number, ...untilOf(at + 1) };
      }
      if (trials.some(isLive)) return { do: 'wait' };
      return { do: 'finish', reason: 'all members of the population have come to their end' };
    },
    stops: (trials, room) => {
      const meeting = nextMeeting(chainsOf(trials), room);
      const paused = meeting?.giveUp.filter(({ member }) => member.trial.state === 'paused') ?? [];
      return paused.map(
        ({ member, donor }): Stop => ({
          do: 'stop',
          trial: member.trial.number,
          reason: `it was among the worst after ${meeting!.at * interval}; member ${member.number} goes on from trial ${donor.trial.number}`,
        }),
      );
    },
  };
}

/** Where a trial ended of itself before the meeting, its last. */
const checkpointOf = (trial: Trial, meeting: number) => (trial.state === 'succeeded' ? Math.min(timeOf(trial), meeting) : meeting);

function explore(space: Space, donor: Values, mutations: readonly string[], seed: number, at: number, member: number): Values {
  const chosen: Record<string, unknown> = {};
  for (const dimension of space.dimensions) {
    if (!isSet(dimension, chosen, space.base)) continue;
    const { name, parameter, scale } = dimension;
    const next = generator(seed, 'explore', at, member, name);
    const random = () => next() / 2 ** 32;
    if (!scale) chosen[name] = parameter.values?.[0] ?? parameter.value;
    else if (!Object.hasOwn(donor, name)) chosen[name] = scale.at(random());
    else chosen[name] = mutations.includes(name) ? mutate(dimension, donor[name], random) : donor[name];
  }
  return chosen;
}

/** A number of a distribution times 0.8 or 1.2, of a list the one before or after; or, as other values always, drawn anew. */
function mutate({ parameter, scale }: Dimension, value: unknown, random: () => number): unknown {
  const { ordered, numValues, at, unitOf } = scale!;
  if (!ordered || random() < redrawnShare) return at(random());
  const up = random() < 0.5;
  const neighbor = () => at(Math.min(Math.max(unitOf(value)! + (up ? 1 : -1) / numValues!, 0.5 / numValues!), 1 - 0.5 / numValues!));
  if (!parameter.distribution) return neighbor();
  const { min = -Infinity, max = Infinity, step } = parameter;
  const moved = Math.min(Math.max((value as number) * factors[Number(up)], min), max);
  if (step === undefined || parameter.min === undefined) return moved;
  const snapped = at(unitOf(moved)!);
  return snapped === value && numValues !== undefined ? neighbor() : snapped;
}
