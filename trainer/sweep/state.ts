/**
 * Where a sweep stands: what its journal comes to, event by event. The process that drives it and one that comes after a kill go the same way.
 */
import { mean } from '../averages.ts';
import type { Report, Trial, TrialState } from '../search/strategy.ts';
import type { SweepSpec } from '../search/sweepSpec.ts';
import type { EpochReport, JournalEvent, RunError, RunId } from './journal.ts';
import type { Objective } from './objective.ts';
import type { RunState } from './sweepFolder.ts';

export interface Run extends RunId {
  state: RunState;
  /** By epoch, rising. */
  reports: EpochReport[];
  /** How often it was begun after an end that another attempt may be spared. */
  attempts: number;
  seconds: number;
  folder?: string;
  key?: string;
  error?: RunError;
  reusedFrom?: string;
}

export interface SweepTrial {
  readonly number: number;
  readonly parameters: Trial['parameters'];
  readonly group?: string;
  readonly forkedFrom?: Trial['forkedFrom'];
  until?: number;
  /** Why it was ended early. */
  stopped?: string;
  readonly runs: readonly Run[];
}

export class SweepState {
  readonly trials: SweepTrial[] = [];
  readonly #replicates: number;
  readonly #history: Trial[] = [];
  /** Of a report, as the search counts it. */
  readonly #time: (report: Pick<EpochReport, 'epoch' | 'step'>) => number;
  readonly #objective: Objective;
  /** Why nothing more will be chosen. */
  finished: string | undefined;
  paused = false;

  constructor({ replicates, earlyStop }: Pick<SweepSpec, 'replicates' | 'earlyStop'>, objective: Objective) {
    this.#replicates = replicates.count;
    this.#objective = objective;
    this.#time = earlyStop?.timeMetric === 'step' ? ({ step }) => step : ({ epoch }) => epoch;
  }

  run({ trial, replicate }: RunId): Run {
    return this.trials[trial].runs[replicate - 1];
  }

  apply(event: JournalEvent): void {
    switch (event.event) {
      case 'start': {
        const { event: _, trial, ...chosen } = event;
        const runs = Array.from({ length: this.#replicates }, (_, i): Run => {
          return { trial, replicate: i + 1, state: 'waiting', reports: [], attempts: 0, seconds: 0 };
        });
        this.trials.push({ number: trial, ...chosen, runs });
        return this.#changed(trial);
      }
      case 'continue': {
        const trial = this.trials[event.trial];
        trial.until = event.until;
        for (const run of trial.runs) if (run.state === 'paused') run.state = 'waiting';
        return this.#changed(event.trial);
      }
      case 'stop': {
        const trial = this.trials[event.trial];
        trial.stopped = event.reason;
        for (const run of trial.runs) if (run.state === 'paused' || run.state === 'waiting') run.state = 'stopped';
        return this.#changed(event.trial);
      }
      case 'finish':
        this.finished = event.reason;
        return;
      case 'report': {
        const { trial, epoch, step, value, jaccard } = event;
        addReport(this.run(event), { epoch, step, value, jaccard });
        return this.#changed(trial);
      }
      case 'run':
        applyToRun(this.run(event), event);
        return this.#changed(event.trial);
      case 'rerun':
        for (const id of event.runs) {
          Object.assign(this.run(id), { state: 'waiting', reports: [], attempts: 0, error: undefined });
          this.trials[id.trial].stopped = undefined;
          this.#changed(id.trial);
        }
        return;
      case 'paused':
        this.paused = true;
        return;
      case 'resumed':
        this.paused = false;
        return;
      case 'driver':
        // What ended the choice may have been changed since; the strategy says it again where it has not.
        this.finished = undefined;
        return;
      case 'sweep':
      case 'ended':
        return;
      default:
        event satisfies never;
    }
  }

  /** As strategies have it. */
  history(): readonly Trial[] {
    return this.#history;
  }

  #changed(number: number): void {
    const { parameters, group, forkedFrom, until, ...trial } = this.trials[number];
    const state = stateOf(trial);
    const reports = this.#reports(trial);
    this.#history[number] = { number, parameters, state, reports, until, group, forkedFrom };
  }

  /** Means over the replicates, of the times to which all have got. One that has ended stays at its last value. */
  #reports({ runs }: Pick<SweepTrial, 'runs'>): Report[] {
    const longest = runs.reduce((a, b) => (b.reports.length > a.reports.length ? b : a));
    const reports: Report[] = [];
    for (const { epoch, ...rest } of longest.reports) {
      const values: number[] = [];
      for (const run of runs) {
        const isOver = run.state === 'succeeded';
        const report = run.reports.find(one => one.epoch === epoch) ?? (isOver ? run.reports.at(-1) : undefined);
        if (run.state === 'failed') continue;
        if (!report) return reports;
        values.push(report.value ?? Number.NaN);
      }
      if (values.length === 0) return reports;
      reports.push({ time: this.#time({ epoch, ...rest }), value: this.#objective.turned(mean(values)) });
    }
    return reports;
  }
}

function addReport(run: Run, report: EpochReport): void {
  const last = run.reports.at(-1);
  if (!last || last.epoch < report.epoch) run.reports.push(report);
}

function applyToRun(run: Run, event: Extract<JournalEvent, { event: 'run' }>): void {
  if (event.status !== 'begins' && event.status !== 'reused') run.seconds += event.seconds;
  switch (event.status) {
    case 'begins':
      Object.assign(run, { state: 'running', folder: event.folder, key: event.key });
      return;
    case 'reused':
      Object.assign(run, { state: 'succeeded', folder: event.folder, key: event.key, reusedFrom: event.from, reports: [...event.reports] });
      return;
    case 'interrupted':
      run.state = 'waiting';
      return;
    case 'tried':
      Object.assign(run, { state: 'waiting', attempts: run.attempts + 1, error: event.error });
      return;
    case 'failed':
      Object.assign(run, { state: 'failed', error: event.error });
      return;
    case 'succeeded':
      Object.assign(run, { state: 'succeeded', error: undefined });
      return;
    case 'paused':
    case 'stopped':
      run.state = event.status;
      return;
    default:
      event satisfies never;
  }
}

/** Of a trial, from its runs. */
export function stateOf({ runs, stopped }: Pick<SweepTrial, 'runs' | 'stopped'>): TrialState {
  const are = (...states: RunState[]) => runs.every(({ state }) => states.includes(state));
  if (are('succeeded')) return 'succeeded';
  if (are('succeeded', 'failed')) return 'failed';
  if (stopped !== undefined) return 'stopped';
  if (are('succeeded', 'failed', 'paused')) return 'paused';
  if (are('waiting')) return runs.some(({ reports }) => reports.length > 0) ? 'running' : 'waiting';
  return 'running';
}
