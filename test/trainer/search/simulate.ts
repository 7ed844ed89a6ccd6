/**
 * A sweep without trainings: trials get on one report at a time, in any order, and what the strategy decides is done as a driver does it.
 */
import { makeStrategy } from '../../../trainer/search/strategies.ts';
import type { Decision, Strategy, Trial } from '../../../trainer/search/strategy.ts';
import { type SweepSpec, sweepSpecSchema } from '../../../trainer/search/sweepSpec.ts';

export type SweepInput = Readonly<Record<string, unknown>>;

/** A sweep over a U-Net, with what a test is not about filled in. */
export const sweep = (given: SweepInput): SweepSpec =>
  sweepSpecSchema.parse({ objective: { metric: 'val/jaccard' }, base: { spec: { data: { path: 'data' } } }, ...given });

export interface Course {
  readonly maxTime: number;
  /** How many run at a time. */
  readonly parallel?: number;
  /** The value of a trial at a time; 'fail' where it fails, undefined where it tells nothing. */
  readonly objective: (trial: Trial, time: number) => number | 'fail' | undefined;
  /** Which of those that run gets on next. */
  readonly pick?: (running: readonly Trial[]) => Trial;
  /** Called with each question to the strategy and its answer. */
  readonly asked?: (trials: readonly Trial[], free: number, decisions: readonly Decision[], strategy: Strategy) => void;
}

export interface Outcome {
  readonly trials: readonly Trial[];
  /** Time trained, over all trials. */
  readonly budget: number;
  readonly finish: string;
}

export const timeOf = (trial: Trial) => trial.reports.at(-1)?.time ?? trial.forkedFrom?.time ?? 0;
const live = ({ state }: Trial) => state === 'running' || state === 'waiting';

export function apply(trials: Trial[], decisions: readonly Decision[]): string | undefined {
  for (const decision of decisions) {
    switch (decision.do) {
      case 'start': {
        const { do: _, ...chosen } = decision;
        trials.push({ number: trials.length, state: 'running', reports: [], ...chosen });
        break;
      }
      case 'continue': {
        if (trials[decision.trial].state !== 'paused') throw new Error(`trial ${decision.trial} is not paused`);
        const { until: _, ...rest } = trials[decision.trial];
        trials[decision.trial] = { ...rest, state: 'running', ...(decision.until !== undefined && { until: decision.until }) };
        break;
      }
      case 'stop':
        if (['succeeded', 'stopped', 'failed'].includes(trials[decision.trial].state)) throw new Error(`${decision.trial} is over`);
        trials[decision.trial] = { ...trials[decision.trial], state: 'stopped' };
        break;
      case 'finish':
        return decision.reason;
    }
  }
  return;
}

/** @throws where the strategy does what it must not: a dead end, more than there is room for, a paused trial left behind */
export function simulate(spec: SweepSpec, course: Course): Outcome {
  const { maxTime, parallel = 1, objective, pick = running => running[0], asked } = course;
  const strategy = makeStrategy(spec, { maxTime });
  const trials: Trial[] = [];
  const clocks: number[] = [];
  let budget = 0;
  let finish: string | undefined;
  for (;;) {
    const free = parallel - trials.filter(live).length;
    const decisions = strategy(trials, free);
    asked?.(trials, free, decisions, strategy);
    if (decisions.filter(decision => decision.do === 'start' || decision.do === 'continue').length > free) throw new Error('too many');
    finish = apply(trials, decisions) ?? finish;
    const running = trials.filter(live);
    if (running.length === 0) {
      if (finish !== undefined) break;
      if (!decisions.some(({ do: what }) => what === 'stop')) throw new Error('a dead end: nothing runs, and nothing is to be done');
      continue;
    }
    const trial = pick(running);
    const time = (clocks[trial.number] ?? trial.forkedFrom?.time ?? 0) + 1;
    clocks[trial.number] = time;
    const value = objective(trial, time);
    budget += 1;
    if (value === 'fail') trials[trial.number] = { ...trial, state: 'failed' };
    else {
      const state = time >= maxTime ? 'succeeded' : time >= (trial.until ?? Infinity) ? 'paused' : 'running';
      trials[trial.number] = { ...trial, state, reports: value === undefined ? trial.reports : [...trial.reports, { time, value }] };
    }
  }
  const left = trials.filter(({ state }) => state === 'paused');
  if (left.length > 0) throw new Error(`trial ${left[0].number} was left behind, paused`);
  return { trials, budget, finish };
}
