/**
 * What every search strategy is: a pure function from what a sweep's trials have shown so far to what is to be done next. It holds no state: killed
 * at any moment and asked again with the same history it answers the same, here and on a cluster.
 *
 * A trial is one choice of parameters. How often it is run (replicates) is the driver's business: values are means over its replicates, told once
 * all of them have got so far.
 */

export interface Report {
  /** Epochs, or steps, trained so far: of the trial itself and of what it was forked from. */
  readonly time: number;
  /** The objective at that time, larger is better (the driver turns the sign of what is to be minimised). NaN, null in JSON, where it diverged. */
  readonly value: number;
}

/**
 * - waiting: chosen, and not started yet
 * - running: on its way to `until`, or to its end
 * - paused: came to `until`; its checkpoint waits
 * - succeeded: came to the end of its training
 * - stopped: ended on a strategy's word
 * - failed: ended with an error, as often as was tried
 */
export type TrialState = 'waiting' | 'running' | 'paused' | 'succeeded' | 'stopped' | 'failed';

export interface Trial {
  /** From 0, in the order in which trials were chosen. */
  readonly number: number;
  /** Values of the job's fields by path, all that the sweep sets: `{'loss.omega': 10}`. Parameters whose condition does not hold are absent. */
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly state: TrialState;
  /** In order of time. */
  readonly reports: readonly Report[];
  /** Time at which it pauses, as it was last told; without it the trial goes to the end of its training. */
  readonly until?: number;
  /** The stage, bracket and so on that the strategy chose it for, as it said when it started it. */
  readonly group?: string;
  /** The trial, and the time of its checkpoint, whose weights this one began with. */
  readonly forkedFrom?: { readonly trial: number; readonly time: number };
}

export type Decision =
  /** The next trial; its number is that of the history's length plus the starts before it in this answer. */
  | {
      readonly do: 'start';
      readonly parameters: Trial['parameters'];
      readonly until?: number;
      readonly group?: string;
      readonly forkedFrom?: Trial['forkedFrom'];
    }
  /** A paused trial goes on from its checkpoint. */
  | { readonly do: 'continue'; readonly trial: number; readonly until?: number }
  /** Ends a trial: paused, running, or waiting to begin. */
  | { readonly do: 'stop'; readonly trial: number; readonly reason: string }
  /**
   * Nothing more will be started or continued. What runs and is not stopped in the same answer may come to its end, and the strategy is still asked
   * about it: it may stop it.
   */
  | { readonly do: 'finish'; readonly reason: string };

/**
 * No answer is a dead end: with nothing waiting or running and at least one free place it starts, continues, or finishes.
 *
 * @param trials the history, by number
 * @param free how many more trials may run now; no more `start` and `continue` than these are answered
 */
export type Strategy = (trials: readonly Trial[], free: number) => Decision[];
