/**
 * What a sweep comes to, in numbers and in the end.
 */
import type { Trial } from '../../trainer/search/strategy.ts';
import { endlessMethods, type SweepSpec } from '../../trainer/search/sweepSpec.ts';
import { describeParameters } from '../../trainer/sweep/parameters.ts';
import type { TrialRecord } from '../../trainer/sweep/sweepFolder.ts';
import type { Said } from '../conditions.ts';
import { shownNumber } from '../progressFields.ts';
import type { SweepConditionType, SweepPhase, SweepStatus } from '../sweepStatus.ts';
import type { Limit } from './limits.ts';
import type { Search } from './search.ts';

type Counts = NonNullable<SweepStatus['trials']>;

/** Of a grid without end nobody counts all. */
const mostCounted = 10_000;

/** Trials that will be chosen yet, as far as that is known. */
export function notChosen({ loaded: { spec }, strategy }: Search, trials: readonly Trial[]): number {
  if (endlessMethods.includes(spec.method)) return Math.max(0, spec.limits.maxTrials! - trials.length);
  return strategy(trials, mostCounted).filter(decision => decision.do === 'start').length;
}

export function countsOf(records: readonly TrialRecord[], numNotChosen: number): Counts {
  const num = (...states: TrialRecord['state'][]) => records.filter(({ state }) => states.includes(state)).length;
  return {
    total: records.length + numNotChosen,
    pending: num('waiting') + numNotChosen,
    running: num('running', 'paused'),
    succeeded: num('succeeded'),
    failed: num('failed'),
    stopped: num('stopped'),
    reused: 0,
  };
}

/** What the columns show. */
export function standingFields(
  { loaded: { spec } }: Search,
  records: readonly TrialRecord[],
  counts: Counts,
  best: TrialRecord | undefined,
): SweepStatus {
  const { succeeded, failed, stopped, total } = counts;
  return {
    trials: counts,
    progress: `${succeeded + failed + stopped}/${total}`,
    stage: spec.stages && records.at(-1)?.group?.split('/')[0],
    best: best && { job: best.runs[0].folder, value: shownNumber(best.value!), parameters: { ...best.parameters } },
  };
}

export interface Ending {
  readonly records: readonly TrialRecord[];
  readonly best: TrialRecord | undefined;
  readonly limits: SweepSpec['limits'];
  readonly limit: Limit | undefined;
  readonly finish: string;
}

export interface SweepOutcome {
  readonly phase: SweepPhase;
  readonly said: Partial<Record<SweepConditionType, Said>>;
}

export function outcomeOf({ records, best, limits, limit, finish }: Ending): SweepOutcome {
  const failed = records.filter(({ state }) => state === 'failed');
  const first = failed.at(0);
  const why = first?.runs.find(({ error }) => error)?.error?.message;
  const failures =
    first && `${failed.length} of ${records.length} trials failed, the first of them with ${describeParameters(first.parameters)}: ${why}`;
  const end = (type: 'Complete' | 'Failed', phase: SweepPhase, reason: string, message: string): SweepOutcome => ({
    phase,
    said: { [type]: { status: 'True', reason, message } },
  });
  const found = best ? `; the best of them is ${best.runs[0].folder} with ${shownNumber(best.value!)}` : '';
  if (failed.length > (limits.maxFailedTrials ?? Infinity)) return end('Failed', 'Failed', 'TooManyFailedTrials', `${finish}: ${failures}`);
  if (!best) return end('Failed', 'Failed', limit?.reason ?? 'NoResult', failures ?? `${finish}, and no trial has a result`);
  if (limit) return end('Complete', 'Partial', limit.reason, `${limit.message}, and the trials that ran were stopped${found}`);
  if (failures !== undefined) return end('Complete', 'Partial', 'SomeTrialsFailed', `${failures}${found}`);
  return end('Complete', 'Succeeded', 'Finished', `${finish}${found}`);
}
