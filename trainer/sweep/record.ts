/**
 * From where a sweep stands to what its record says, and to how its commands end.
 */
import { deviation, mean } from '../averages.ts';
import { SegfleetError } from '../errors.ts';
import type { TrialState } from '../search/strategy.ts';
import type { Objective } from './objective.ts';
import { describeParameters } from './parameters.ts';
import { bestReport } from './runFiles.ts';
import { type Run, type SweepState, type SweepTrial, stateOf } from './state.ts';
import { runName, type SweepRecord, type TrialRecord, type TrialRunRecord } from './sweepFolder.ts';

type About = Pick<SweepRecord, 'name' | 'status' | 'reason' | 'spec' | 'startedAt' | 'updatedAt' | 'endedAt' | 'threads' | 'code'>;

const states: readonly TrialState[] = ['waiting', 'running', 'paused', 'succeeded', 'stopped', 'failed'];

export function recordOf(about: About, state: SweepState, objective: Objective): SweepRecord {
  const trials = state.trials.map(trialRecord);
  const counts = Object.fromEntries(states.map(name => [name, trials.filter(trial => trial.state === name).length]));
  const best = bestOf(trials, objective);
  return { schema: 'segfleet/sweep/1', ...about, trials, ...(best && { best: best.number }), counts: counts as SweepRecord['counts'] };
}

/** Of equal ones the first. Where some have come to their end, only these: a number on the way there is another one. */
export function bestOf(trials: readonly TrialRecord[], objective: Pick<Objective, 'isBetter'>): TrialRecord | undefined {
  const valued = trials.filter(({ value, state }) => value !== undefined && state !== 'failed');
  const ended = valued.filter(({ state }) => state === 'succeeded');
  let best: TrialRecord | undefined;
  for (const trial of ended.length > 0 ? ended : valued) if (!best || objective.isBetter(trial.value!, best.value!)) best = trial;
  return best;
}

export function trialRecord(trial: SweepTrial): TrialRecord {
  const { number, parameters, group, forkedFrom } = trial;
  const runs = trial.runs.map(run => runRecord(run, trial.runs.length));
  const values = runs.flatMap(({ value, state }) => (value === undefined || state === 'failed' ? [] : [value]));
  return {
    number,
    parameters,
    state: stateOf(trial),
    ...(group !== undefined && { group }),
    ...(forkedFrom && { forkedFrom }),
    ...(values.length > 0 && { value: mean(values) }),
    ...(values.length > 1 && { deviation: deviation(values) }),
    n: values.length,
    runs,
  };
}

function runRecord(run: Run, replicates: number): TrialRunRecord {
  const { trial, replicate, state, reports, seconds, key, reusedFrom, error } = run;
  const best = bestReport(reports);
  return {
    replicate,
    folder: run.folder ?? `trials/${runName(trial, replicate, replicates)}`,
    ...(key !== undefined && { key }),
    state,
    ...(best?.value != null && { value: best.value, epoch: best.epoch }),
    epochs: reports.at(-1)?.epoch ?? 0,
    seconds,
    ...(reusedFrom !== undefined && { reusedFrom }),
    ...(error && { error }),
  };
}

/** How a sweep's driver, and whoever followed it, end where it did not succeed. */
export function endingOf({ status, reason, trials }: SweepRecord, folder: string): SegfleetError | undefined {
  const runs = trials.flatMap(({ number, parameters, runs }) => runs.map(run => ({ number, parameters, ...run })));
  const failed = runs.filter(({ state }) => state === 'failed');
  const details = { folder, failed: failed.map(({ folder, error }) => ({ run: folder, ...error })) };
  switch (status) {
    case 'partial': {
      if (failed.length === 0) return new SegfleetError('partial', `${reason}; run it again to go on`, { details });
      const [{ number, parameters, error }] = failed;
      const first = `trial ${number} (${describeParameters(parameters)}): ${error?.message}`;
      return new SegfleetError('partial', `${failed.length} of ${runs.length} runs failed, the first of them ${first}`, { details });
    }
    case 'stopped':
      return new SegfleetError('preempted', `${reason}; run it again to go on`, { details: { folder } });
    default:
      return undefined;
  }
}
