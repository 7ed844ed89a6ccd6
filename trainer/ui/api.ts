/**
 * What the server of the live page and the page say to each other, as JSON. Types alone: both sides import them. Times are milliseconds since 1970.
 */

/** - silent: says that it runs, and has said nothing for long; killed: its process is gone */
export type RunState = 'running' | 'silent' | 'killed' | 'paused' | 'stopped' | 'failed' | 'succeeded';

export interface RunSummary {
  /** Its folder, relative to where the page looks; `.` for that itself. */
  readonly id: string;
  readonly name: string;
  /** As commands have to name it. */
  readonly path: string;
  readonly state: RunState;
  readonly loss: string;
  readonly model: string;
  readonly dataset: string;
  /** The id of the sweep whose trial it is. */
  readonly sweep?: string;
  /** Done. */
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  /** Validation Jaccard, pooled, of the best epoch. */
  readonly best?: number;
  readonly bestEpoch?: number;
  /** Training loss of the last epoch. */
  readonly trainingLoss?: number;
  readonly restarts: number;
  readonly startedAt: number;
  /** When it said something last. */
  readonly heardAt: number;
  readonly endedAt?: number;
  /** Why it ended, where it did not succeed. */
  readonly why?: string;
}

export interface SweepSummary {
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly status: string;
  readonly metric: string;
  readonly method: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly trials: number;
  readonly best?: number;
  readonly updatedAt: number;
}

/** A folder that should be a run or a sweep and cannot be read. */
export interface Problem {
  readonly id: string;
  readonly path: string;
  readonly why: string;
}

export interface Overview {
  /** Events after this one are news. */
  readonly event: string;
  readonly place: string;
  readonly runs: readonly RunSummary[];
  readonly sweeps: readonly SweepSummary[];
  readonly problems: readonly Problem[];
}

/** What has changed since the message before: entries replace those of the same id. */
export interface Changes {
  /** All there is: what is not in it is gone. */
  readonly isWhole: boolean;
  readonly runs: readonly RunSummary[];
  readonly sweeps: readonly SweepSummary[];
  readonly problems: readonly Problem[];
  /** Ids. */
  readonly gone: readonly string[];
}

export const axes = ['step', 'time', 'wall'] as const;
export type Axis = (typeof axes)[number];

/** Steps of a run, in at most so many parts as was asked for: of each the mean of what is in it, and its range. */
export interface SeriesAnswer {
  readonly axis: Axis;
  /** Of each part: the last step in it, or seconds since the first step, or seconds since 1970. */
  readonly x: readonly number[];
  readonly series: Readonly<Record<string, SeriesPart>>;
  /** Validation, after each epoch: on the same axis. */
  readonly epochs: { readonly x: readonly number[]; readonly values: Readonly<Record<string, readonly (number | null)[]>> };
  readonly steps: number;
  /** Lines of the log that could not be read. */
  readonly damagedLines: number;
  /** Of very long runs every so manieth step is kept. */
  readonly stride: number;
}

export interface SeriesPart {
  readonly mean: readonly (number | null)[];
  readonly low: readonly (number | null)[];
  readonly high: readonly (number | null)[];
}

export interface RunDetail {
  readonly summary: RunSummary;
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly settings: readonly { readonly path: string; readonly value: string; readonly from: string }[];
  readonly health: {
    readonly checkpoint?: { readonly step: number; readonly at: number; readonly bytes?: number; readonly seconds?: number };
    readonly checkpoints: number;
    readonly restarts: readonly { readonly at: number; readonly step: number; readonly after: string }[];
    readonly sizes: readonly { readonly fromStep: number; readonly workers: number }[];
    /** `at` as ISO 8601, where the record tells it. */
    readonly lost: readonly { readonly worker: string; readonly afterStep: number; readonly at?: string; readonly why: string }[];
    /** Who shared the steps after the newest epoch or checkpoint, and how late each was. */
    readonly latest?: {
      readonly step: number;
      readonly workers: readonly {
        readonly worker: string;
        readonly rank: number;
        readonly lanes: number;
        readonly seconds?: number;
        readonly lateMs?: number;
      }[];
    };
    readonly stepSeconds?: number;
    readonly nonFinite: number;
  };
  readonly overlays: readonly OverlayAnswer[];
  readonly roc?: { readonly auc?: number; readonly classes: readonly (readonly (readonly [x: number, y: number])[])[] };
}

export interface OverlayAnswer {
  readonly kind: string;
  readonly picture: string;
  /** With both of them the threshold can be moved. */
  readonly probability?: string;
  readonly truth?: string;
}

export const convergenceMetrics = ['jaccard', 'normalisedLoss', 'loss'] as const;
export type ConvergenceMetric = (typeof convergenceMetrics)[number];

export interface ConvergenceAnswer {
  readonly metric: ConvergenceMetric;
  readonly dataset: string;
  readonly datasets: readonly string[];
  readonly arms: readonly ConvergenceArm[];
  /** Arms that are not drawn: only those with the best mean are. */
  readonly more: number;
}

export interface ConvergenceArm {
  readonly name: string;
  readonly runs: number;
  /** Not half as far as the others. */
  readonly behind: number;
  readonly x: readonly number[];
  readonly mean: readonly number[];
  readonly low: readonly number[];
  readonly high: readonly number[];
  /** Of the best validation Jaccard of each run. */
  readonly best: number;
  /** Mean over runs: epochs to within each of `deltas`. */
  readonly within: readonly number[];
  readonly restlessness?: number;
  /** First epoch at which the line is near its best. */
  readonly there?: number;
}

export interface SweepDetail {
  readonly summary: SweepSummary;
  readonly reason?: string;
  readonly goal: 'maximize' | 'minimize';
  readonly parameters: readonly string[];
  readonly trials: readonly {
    readonly number: number;
    readonly state: string;
    readonly value?: number;
    readonly deviation?: number;
    readonly n: number;
    readonly epochs: number;
    readonly parameters: Readonly<Record<string, string | number | boolean>>;
    readonly error?: string;
    /** Ids of those that are there. */
    readonly runs: readonly string[];
  }[];
}
