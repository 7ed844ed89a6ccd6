/**
 * Hyperband (L. Li, K. Jamieson, G. DeSalvo, A. Rostamizadeh, A. Talwalkar, "Hyperband: a novel bandit-based approach to hyperparameter optimization",
 * 2017): brackets of successive halving, from many trials that are short at first to a few that are long at once.
 *
 * In a bracket all trials of a rung have come to its time before the best of them go on. Brackets begin one after another, but none waits while
 * there is room: when a bracket can do nothing before something that runs has got on, the next one begins.
 */
import { bestOf } from './asha.ts';
import { isLive } from './history.ts';
import type { Choice, Search, Source, Stop } from './searches.ts';
import type { Trial } from './strategy.ts';

export interface Rung {
  readonly numTrials: number;
  /** Time to which they are trained. */
  readonly time: number;
}

/**
 * The rungs of each bracket. The first size is floor((s_max + 1) / (s + 1)) eta^s, as in the authors' program and in the paper's table for R = 81 and
 * eta = 3; its algorithm 1 has ceil((s_max + 1) eta^s / (s + 1)), which gives larger ones than its table.
 *
 * @param count of brackets; after the last one (trials that are long at once) they begin anew
 */
export function bracketsOf(maxTime: number, eta: number, count?: number): Rung[][] {
  let most = 0;
  while (eta ** (most + 1) <= maxTime * (1 + 1e-9)) most++;
  return Array.from({ length: count ?? most + 1 }, (_, index) => {
    const s = most - (index % (most + 1));
    const first = Math.ceil(Math.floor((most + 1) / (s + 1)) * eta ** s - 1e-9);
    return Array.from({ length: s + 1 }, (_, i) => ({
      numTrials: Math.max(Math.floor(first / eta ** i + 1e-9), 1),
      time: Math.round(maxTime / eta ** (s - i)),
    }));
  });
}

/** @param end the time at which the longest trials end; undefined where that is the end of their training */
export function hyperband(source: Source, brackets: readonly (readonly Rung[])[], eta: number, end?: number): Search {
  const groupOf = (bracket: number) => `bracket-${bracket}`;
  const membersOf = (trials: readonly Trial[]) => {
    const byGroup = Map.groupBy(trials, ({ group }) => group);
    return brackets.map((_, bracket) => byGroup.get(groupOf(bracket)) ?? []);
  };
  return {
    next: (trials, room) => {
      const members = membersOf(trials);
      for (const [bracket, rungs] of brackets.entries()) {
        const untilOf = (rung: number) => {
          const until = rung < rungs.length - 1 ? rungs[rung].time : end;
          return until === undefined ? {} : { until };
        };
        if (members[bracket].length < rungs[0].numTrials && room > 0) {
          const parameters = source(trials);
          if (parameters) return { do: 'start', parameters, group: groupOf(bracket), ...untilOf(0) };
        }
        const chosen = halve(members[bracket], rungs, eta, room).goOn[0];
        if (chosen) return { do: 'continue', trial: chosen.trial.number, ...untilOf(chosen.rung) } satisfies Choice;
      }
      if (trials.some(isLive)) return { do: 'wait' };
      return { do: 'finish', reason: 'all brackets have come to their end' };
    },
    stops: (trials, room) =>
      membersOf(trials).flatMap((members, bracket) =>
        halve(members, brackets[bracket], eta, room).end.map(
          ({ number }): Stop => ({
            do: 'stop',
            trial: number,
            reason: `it was not among the best 1/${eta} of its rung in bracket ${bracket}`,
          }),
        ),
      ),
  };
}

/** What is to be done in a bracket: those that go on to a rung, and those that rest below one that is made up without them. */
function halve(members: readonly Trial[], rungs: readonly Rung[], eta: number, room: number) {
  const goOn: { trial: Trial; rung: number }[] = [];
  const end: Trial[] = [];
  const complete = members.length >= rungs[0].numTrials;
  if (!complete && room > 0) return { goOn, end };
  const rungOf = ({ until = Infinity }: Trial) => {
    const index = rungs.findIndex(({ time }) => time >= until);
    return index < 0 ? rungs.length - 1 : index;
  };
  const at = new Map(members.map(trial => [trial, rungOf(trial)]));
  let came = members;
  for (let rung = 0; rung < rungs.length - 1; rung++) {
    if (came.length === 0 || came.some(trial => at.get(trial) === rung && isLive(trial))) break;
    // Fewer have begun than should have, as there may be no more: the rungs shrink with them.
    const size = complete ? rungs[rung + 1].numTrials : Math.max(Math.floor(members.length / eta ** (rung + 1) + 1e-9), 1);
    const ended = (trial: Trial) => at.get(trial) === rung && (trial.state === 'failed' || trial.state === 'stopped');
    const chosen = new Set(
      bestOf(
        came.filter(trial => !ended(trial)),
        size,
        rungs[rung].time,
      ),
    );
    for (const trial of came) {
      if (at.get(trial) !== rung || trial.state !== 'paused') continue;
      if (chosen.has(trial)) goOn.push({ trial, rung: rung + 1 });
      else end.push(trial);
    }
    // Some are yet to go on: the next rung is not made up.
    if (goOn.length > 0) break;
    came = came.filter(trial => at.get(trial)! > rung);
  }
  return { goOn, end };
}
