/**
 * The strategy that a sweep file asks for.
 */
import { SegfleetError } from '../errors.ts';
import { hash32 } from '../random.ts';
import { asha, rungsOf } from './asha.ts';
import { bestBy, isOver } from './history.ts';
import { bracketsOf, hyperband } from './hyperband.ts';
import { withMedianStop } from './medianStop.ts';
import { pbt } from './pbt.ts';
import { gridSource, randomSource, type Search, type Source, type Stop, sobolSource, straight } from './searches.ts';
import { neverSet, type Parameters, readSpace, type Space, sample, type Values } from './space.ts';
import { inStages, type Stage } from './stages.ts';
import type { Decision, Strategy, Trial } from './strategy.ts';
import { endlessMethods, type SweepSpec } from './sweepSpec.ts';
import { tpeSource } from './tpe.ts';

export interface AboutTraining {
  /** Epochs of the whole training of the job, or its steps where the sweep counts these. */
  readonly maxTime: number;
}

/**
 * Of the file's limits maxTrials and maxFailedTrials are kept here, and the objective's target (the values are told with the larger the better);
 * the others (deadline, GPU hours, how many run at a time) are the driver's. When too many have failed, or the target is reached, all that runs is
 * stopped.
 *
 * @throws usage: what the file says that cannot be searched
 */
export function makeStrategy(spec: SweepSpec, about: AboutTraining): Strategy {
  const search = searchOf(spec, about);
  const { maxTrials = Infinity } = spec.limits;
  const maxTime = endOf(spec, about);
  return (trials, free) => {
    const reason = endReason(spec, trials);
    if (reason !== undefined) return [...trials.filter(trial => !isOver(trial)).map(stopping(reason)), { do: 'finish', reason }];
    const history = [...trials];
    const decisions: Decision[] = [];
    const decide = (decision: Decision) => {
      decisions.push(decision);
      apply(history, decision);
    };
    for (const trial of trials) {
      if (trial.state === 'paused' && trial.until !== undefined && trial.until >= maxTime) {
        decide(stopping(`it has come to ${maxTime}, where trials end`)(trial));
      }
    }
    for (const stop of search.stops?.(history, maxTrials - history.length) ?? []) decide(stop);
    for (let left = free; ; left--) {
      const room = maxTrials - history.length;
      const choice = search.next(history, room);
      if (choice.do === 'finish') {
        for (const trial of history)
          if (trial.state === 'paused') decide(stopping('it was not among the best when the search ended')(trial));
        decide(room <= 0 ? { do: 'finish', reason: `limits.maxTrials, ${maxTrials}, is reached` } : choice);
      }
      if (choice.do === 'wait' || choice.do === 'finish' || left <= 0) return decisions;
      decide(choice);
    }
  };
}

/** What a decision makes of the history. A driver's own is the same once it has done it. */
function apply(history: Trial[], decision: Decision): void {
  if (decision.do === 'start') {
    const { do: _, ...chosen } = decision;
    history.push({ number: history.length, state: 'waiting', reports: [], ...chosen });
  } else if (decision.do === 'continue') history[decision.trial] = { ...history[decision.trial], state: 'running', until: decision.until };
  else if (decision.do === 'stop') history[decision.trial] = { ...history[decision.trial], state: 'stopped' };
}

const stopping =
  (reason: string) =>
  ({ number }: Trial): Stop => ({ do: 'stop', trial: number, reason });

/** Why the whole sweep ends now, what runs included. */
function endReason({ objective, limits }: SweepSpec, trials: readonly Trial[]): string | undefined {
  const { maxFailedTrials = Infinity } = limits;
  const numFailed = trials.filter(({ state }) => state === 'failed').length;
  if (numFailed > maxFailedTrials) return `${numFailed} trials have failed, more than limits.maxFailedTrials, ${maxFailedTrials}`;
  if (objective.target === undefined) return;
  const target = objective.goal === 'minimize' ? -objective.target : objective.target;
  const reached = trials.find(trial => trial.state !== 'failed' && bestBy(trial) >= target);
  return reached && `trial ${reached.number} has reached objective.target, ${objective.target}`;
}

/** When the longest trials end. */
function endOf({ method, hyperband, earlyStop, pbt }: SweepSpec, { maxTime }: AboutTraining): number {
  const refuse = (field: string, value: number, what: string): never => {
    throw new SegfleetError('usage', `${field} is ${value}, and the training of the job ends at ${maxTime}: ${what}`, {
      details: { field },
    });
  };
  if (method === 'hyperband' && hyperband!.maxTime > maxTime) {
    refuse('hyperband.maxTime', hyperband!.maxTime, 'lower it, or raise training.epochs of the job');
  }
  const end = Math.min(maxTime, earlyStop?.maxTime ?? Infinity, method === 'hyperband' ? hyperband!.maxTime : Infinity);
  if (earlyStop && earlyStop.minTime >= end) refuse('earlyStop.minTime', earlyStop.minTime, 'no trial would ever end early; lower it');
  if (method === 'pbt' && pbt!.interval >= end) refuse('pbt.interval', pbt!.interval, 'members would never meet; lower it');
  return end;
}

function searchOf(spec: SweepSpec, about: AboutTraining): Search {
  const { parameters, stages, method, seed, limits } = spec;
  const job = spec.base.spec;
  const named = new Set([parameters, ...(stages ?? []).map(stage => stage.parameters ?? {})].flatMap(space => Object.keys(space)));
  const read = (space: Parameters) => readSpace(space, job, named);
  if (!stages) {
    const space = read(parameters);
    refuseNeverSet([space]);
    return methodOf(spec, space, seed, about);
  }
  const merged = stages.map(stage => read({ ...parameters, ...stage.parameters }));
  refuseNeverSet(merged);
  const made = stages.map(({ name, fixFrom, parameters: own }, index): Stage => {
    const search = (fixed: Values | undefined) => {
      const space = fixed ? read({ ...constants(fixed), ...own }) : merged[index];
      return methodOf(spec, space, hash32(seed, 'stage', name), about);
    };
    const from = fixFrom === undefined ? undefined : stages.findIndex(stage => `${stage.name}.best` === fixFrom);
    // What cannot be searched is found out now, not when its turn comes: any choice of the earlier stage does for that.
    search(from === undefined ? undefined : sample(merged[from], () => 0.5));
    return { name, from, search, maxTrials: shareOf(limits.maxTrials, stages.length, index) };
  });
  return inStages(made);

  /** Searches without end have equal shares of the trials; a grid ends of itself. */
  function shareOf(maxTrials = Infinity, numStages: number, index: number): number {
    if (!endlessMethods.includes(method)) return Infinity;
    return Math.floor(maxTrials / numStages) + Number(index < maxTrials % numStages);
  }
}

const constants = (fixed: Values): Parameters => Object.fromEntries(Object.entries(fixed).map(([name, value]) => [name, { value }]));

/** A parameter that is set in no trial of any stage is a mistake in its condition. */
function refuseNeverSet(spaces: readonly Space[]): void {
  const never = spaces.map(space => new Set(neverSet(space).map(({ name }) => name)));
  const all = new Map(spaces.flatMap(({ dimensions }) => dimensions.map(dimension => [dimension.name, dimension])));
  for (const { name, parameter } of all.values()) {
    if (!spaces.every(({ dimensions }, i) => never[i].has(name) || !dimensions.some(dimension => dimension.name === name))) continue;
    throw new SegfleetError(
      'usage',
      `parameters.${name} would never be set: ${parameter.when} holds for no choice of the parameters that it reads; mend the condition, or leave the parameter out`,
      { details: { field: `parameters.${name}.when` } },
    );
  }
}

function methodOf(spec: SweepSpec, space: Space, seed: number, about: AboutTraining): Search {
  const { method, earlyStop } = spec;
  const maxTime = endOf(spec, about);
  const end = maxTime < about.maxTime ? maxTime : undefined;
  const search = () => {
    if (method === 'hyperband') {
      const { eta, brackets } = spec.hyperband!;
      return hyperband(randomSource(space, seed), bracketsOf(maxTime, eta, brackets), eta, end);
    }
    if (method === 'pbt') return pbt(space, seed, checkedMutations(spec.pbt!, space), maxTime, end);
    const source = sourceOf(method, space, seed);
    if (earlyStop?.type !== 'asha') return straight(source, end);
    const { minTime, reductionFactor } = earlyStop;
    return asha(source, rungsOf(minTime, maxTime, reductionFactor), reductionFactor, end);
  };
  return earlyStop?.type === 'median' ? withMedianStop(search(), earlyStop.minTime, maxTime) : search();
}

function sourceOf(method: Exclude<SweepSpec['method'], 'hyperband' | 'pbt'>, space: Space, seed: number): Source {
  switch (method) {
    case 'grid':
    case 'staged':
      return gridSource(space);
    case 'random':
    case 'asha':
      return randomSource(space, seed);
    case 'sobol':
      return sobolSource(space, seed);
    case 'tpe':
      return tpeSource(space, seed);
    default:
      return method satisfies never;
  }
}

function checkedMutations<P extends { readonly mutations: readonly string[] }>(options: P, { dimensions }: Space): P {
  for (const name of options.mutations) {
    const dimension = dimensions.find(candidate => candidate.name === name);
    if (dimension?.scale) continue;
    const why = dimension ? 'has one value only' : 'is none of the parameters of the sweep';
    throw new SegfleetError('usage', `pbt.mutations has ${name}, which ${why}; name a parameter that has several values`);
  }
  return options;
}
