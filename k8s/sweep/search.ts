/**
 * From a Sweep to its search: what the file says, as `sweep run` takes it, and whether a cluster can do it.
 */
import { SegfleetError } from '../../trainer/errors.ts';
import { makeStrategy } from '../../trainer/search/strategies.ts';
import type { Strategy } from '../../trainer/search/strategy.ts';
import { type Frame, jobOf } from '../../trainer/sweep/cells.ts';
import { Objective } from '../../trainer/sweep/objective.ts';
import { describeParameters } from '../../trainer/sweep/parameters.ts';
import { checked, epochsOf } from '../../trainer/sweep/prepare.ts';
import { checkSweep, type LoadedSweep } from '../../trainer/sweep/sweepFile.ts';
import type { Sweep } from '../objects.ts';
import type { Settings } from '../plan.ts';
import { accept } from '../policies/acceptance.ts';

export interface Search {
  readonly loaded: LoadedSweep;
  readonly objective: Objective;
  readonly strategy: Strategy;
  readonly frame: Frame;
}

/** Of the trials that can be told before any has run, so many are looked at: each job is looked at again when it is made. */
const maxLookedAt = 100;

/** @throws usage: what cannot be searched, or not on a cluster */
export function searchOf({ apiVersion, kind, metadata: { name }, spec }: Sweep): Search {
  const loaded = checkSweep({ apiVersion, kind, metadata: { name }, spec }, 'the sweep');
  refuseForks(loaded);
  const objective = new Objective(loaded.spec.objective);
  const epochs = epochsOf(loaded, 1);
  const strategy = makeStrategy(loaded.spec, { maxTime: epochs ?? loaded.base.job.job.spec.training.epochs });
  // Threads follow from pod.resources, as in any job.
  return { loaded, objective, strategy, frame: epochs === undefined ? {} : { epochs } };
}

function refuseForks({ spec: { method, earlyStop } }: LoadedSweep): void {
  if (method === 'pbt') {
    throw new SegfleetError(
      'usage',
      'the method pbt begins trials with the weights of others, which a cluster does not do; `segfleet sweep run` does it on one machine, or choose asha, hyperband, grid, random, sobol, tpe or staged',
    );
  }
  if (earlyStop?.timeMetric === 'step') {
    throw new SegfleetError('usage', 'earlyStop.timeMetric is step, and on a cluster trials are compared by epoch; write epoch');
  }
}

/** @throws usage: there is no trial, or no cluster with these settings can run one of them */
export function checkTrials({ loaded, strategy, frame }: Search, settings: Settings): void {
  const known = strategy([], maxLookedAt).flatMap(decision => (decision.do === 'start' ? [decision.parameters] : []));
  if (known.length === 0) {
    throw new SegfleetError('usage', 'the sweep has no trial: no choice of its parameters is left; give some values');
  }
  // Ends of ranges too.
  for (const _ of checked(loaded, known, frame));
  for (const [number, parameters] of known.entries()) {
    const { given } = jobOf(loaded, parameters, number, 1, frame);
    const refuse = (why: string): never => {
      throw new SegfleetError('usage', `the trial with ${describeParameters(parameters)}: ${why}`);
    };
    if (given.spec.ttlSecondsAfterFinished !== undefined) {
      refuse('ttlSecondsAfterFinished would delete it, and with it what it has shown; leave it out, trials go with their sweep');
    }
    const acceptance = accept({ ...given, metadata: { name: given.metadata.name, namespace: 'any', uid: 'any' } }, settings);
    if ('refusal' in acceptance) refuse(acceptance.refusal);
  }
}
