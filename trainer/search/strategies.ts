/**
 * The strategy that a sweep file asks for.
 */
import { SegfleetError } from '../errors.ts';
import { bestBy, isOver } from './history.ts';
import { gridSource, randomSource, type Search, type Source, type Stop, straight } from './searches.ts';
import { readSpace, type Space } from './space.ts';
import type { Strategy, Trial } from './strategy.ts';
import type { SweepSpec } from './sweepSpec.ts';

export interface AboutTraining {
  /** Epochs of the whole training of the job, or its steps where the sweep counts these. */
  readonly maxTime: number;
}

/**
 * Of the file's limits maxTrials and maxFailedTrials are kept here, and the objective's target (the values are told with the larger the better);
 * the others (deadline, GPU hours, how many run at a time) are the driver's.
 *
 * @throws usage: what the file says that cannot be searched
 */
export function makeStrategy(spec: SweepSpec, about: AboutTraining): Strategy {
  const search = searchOf(spec, about);
  const { maxTrials = Infinity } = spec.limits;
  return (trials, free) => {
    const end = endOf(spec, trials);
    if (end !== undefined) return [...trials.filter(trial => !isOver(trial)).map(stop(end)), { do: 'finish', reason: end }];
    const stops = search.stops?.(trials) ?? [];
    const history = [...trials];
    for (const { trial } of stops) history[trial] = { ...history[trial], state: 'stopped' };
    const decisions: ReturnType<Strategy> = [...stops];
    for (let left = free; ; left--) {
      const choice = search.next(history, history.length < maxTrials);
      if (choice.do === 'wait') break;
      if (choice.do === 'finish') {
        const paused = history.filter(({ state }) => state === 'paused');
        decisions.push(...paused.map(stop('it was not among the best when the search ended')), choice);
        break;
      }
      if (left <= 0) break;
      decisions.push(choice);
      if (choice.do === 'start') {
        const { do: _, ...chosen } = choice;
        history.push({ number: history.length, state: 'waiting', reports: [], ...chosen });
      } else history[choice.trial] = { ...history[choice.trial], state: 'running', until: choice.until };
    }
    return decisions;
  };
}

const stop =
  (reason: string) =>
  ({ number }: Trial): Stop => ({ do: 'stop', trial: number, reason });

/** Why the whole sweep ends now, what runs included. */
function endOf({ objective, limits }: SweepSpec, trials: readonly Trial[]): string | undefined {
  const { maxFailedTrials = Infinity } = limits;
  const numFailed = trials.filter(({ state }) => state === 'failed').length;
  if (numFailed > maxFailedTrials) return `${numFailed} trials have failed, more than limits.maxFailedTrials, ${maxFailedTrials}`;
  if (objective.target === undefined) return;
  const target = objective.goal === 'minimize' ? -objective.target : objective.target;
  const reached = trials.find(trial => trial.state !== 'failed' && bestBy(trial) >= target);
  return reached && `trial ${reached.number} has reached objective.target, ${objective.target}`;
}

function searchOf(spec: SweepSpec, _about: AboutTraining): Search {
  return straight(sourceOf(spec, readSpace(spec.parameters, spec.base.spec)));
}

function sourceOf({ method, seed }: SweepSpec, space: Space): Source {
  switch (method) {
    case 'grid':
    case 'staged':
      return gridSource(space);
    case 'random':
      return randomSource(space, seed);
    default:
      throw new SegfleetError('usage', `the method ${method} cannot be run yet; take grid or random`);
  }
}
