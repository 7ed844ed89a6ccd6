/**
 * Asynchronous successive halving (L. Li, K. Jamieson, A. Rostamizadeh, E. Gonina, M. Hardt, B. Recht, A. Talwalkar, "A system for massively parallel
 * hyperparameter tuning", 2018, algorithm 2). Every trial pauses at the first rung. When there is room, a paused trial that is among the best 1/eta of
 * its rung so far goes on to the next, from the highest rung down; where there is none, a new trial begins. Nothing ever waits for a rung to fill.
 *
 * What is not in the paper, which goes on for ever: when no more trials may begin and nothing runs, and no trial has come to the end, the best one
 * of the highest rung goes on, so that a search ends with a trained model.
 */
import { bestBy, isLive } from './history.ts';
import type { Search, Source } from './searches.ts';
import type { Trial } from './strategy.ts';

/** Times of pauses from minTime on, each eta times the last, as many as the paper has below maxTime, one at least. */
export function rungsOf(minTime: number, maxTime: number, eta: number): number[] {
  const rungs: number[] = [];
  // What is no factor of eta before the end would hardly tell more than the rung before: the last stretch is eta long at least.
  const isFarEnough = (time: number) => Math.round(time) * eta <= maxTime * (1 + 1e-9);
  for (let time = minTime; time < maxTime && (rungs.length === 0 || isFarEnough(time)); time *= eta) rungs.push(Math.round(time));
  return rungs;
}

/** The rung that a trial is on its way to, or rests at; the number of rungs where it goes to the end. */
const rungOf = ({ until = Infinity }: Trial, rungs: readonly number[]) => {
  const index = rungs.findIndex(time => time >= until);
  return index < 0 ? rungs.length : index;
};

/** @param end the time at which trials end that are not paused by a rung; undefined where that is the end of their training */
export function asha(source: Source, rungs: readonly number[], eta: number, end?: number): Search {
  const untilOf = (rung: number) => {
    const until = rungs[rung] ?? end;
    return until === undefined ? {} : { until };
  };
  return {
    next: (trials, room) => {
      const at = trials.map(trial => rungOf(trial, rungs));
      const isPausedAt = (trial: Trial, rung: number) => at[trial.number] === rung && trial.state === 'paused';
      for (let rung = rungs.length - 1; rung >= 0; rung--) {
        const promotable = trials.filter(trial => isPausedAt(trial, rung));
        if (promotable.length === 0) continue;
        const cameHere = trials.filter(trial => at[trial.number] > rung || (at[trial.number] === rung && hasRested(trial)));
        const chosen = bestOf(cameHere, Math.floor(cameHere.length / eta), rungs[rung]).find(trial => isPausedAt(trial, rung));
        if (chosen) return { do: 'continue', trial: chosen.number, ...untilOf(rung + 1) };
      }
      const parameters = room > 0 ? source(trials) : undefined;
      if (parameters) return { do: 'start', parameters, ...untilOf(0) };
      if (trials.some(isLive)) return { do: 'wait' };
      const cameToEnd = trials.some(
        trial => trial.state === 'succeeded' || (at[trial.number] === rungs.length && trial.state !== 'failed'),
      );
      for (let rung = rungs.length - 1; rung >= 0 && !cameToEnd; rung--) {
        const [chosen] = bestOf(
          trials.filter(trial => isPausedAt(trial, rung)),
          1,
          rungs[rung],
        );
        if (chosen) return { do: 'continue', trial: chosen.number, ...untilOf(rung + 1) };
      }
      return { do: 'finish', reason: 'all trials have been chosen, and the best of them trained' };
    },
  };
}

/** Whether it came to the rung that it was sent to; what failed or was ended on its way did not. */
const hasRested = ({ state }: Trial) => state === 'paused' || state === 'succeeded';

/** The best at a time, best first, those without a number left out. */
export function bestOf(trials: readonly Trial[], count: number, time: number): Trial[] {
  return trials
    .map(trial => ({ trial, value: bestBy(trial, time) }))
    .filter(({ value }) => value > -Infinity)
    .sort((a, b) => b.value - a.value || a.trial.number - b.trial.number)
    .slice(0, count)
    .map(({ trial }) => trial);
}
