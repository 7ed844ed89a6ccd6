/**
 * Whoever else is to be told of a run while it goes on: TensorBoard, MLflow, a collector of traces. What nobody has asked for is not loaded.
 */
import type { Job } from '../spec.ts';
import type { MlflowTrackerOptions } from './mlflow.ts';
import { passing } from './passing.ts';

interface Tracker {
  take(event: { readonly event: string }): void;
  close(how: Ending): void | Promise<void>;
}

interface Ending {
  readonly failed: boolean;
  /** Why, where it failed. */
  readonly error?: string;
  /** Aborted where it was asked to stop. */
  readonly signal?: AbortSignal;
}

export interface TrackersOptions extends Pick<MlflowTrackerOptions, 'laterWith' | 'onProblem' | 'patienceMs'> {
  readonly tensorboard: boolean;
  /** The address of a server; where it is not given, that in the environment. */
  readonly mlflow?: string;
  /** Whose trial it is, where the job does not say. */
  readonly sweep?: string;
}

/** The experiment of runs that belong to no sweep, where the environment names none. */
const experiment = 'segfleet';

export class Trackers {
  readonly #trackers: readonly Tracker[];

  private constructor(trackers: readonly Tracker[]) {
    this.#trackers = trackers;
  }

  /** @throws usage */
  static async open(job: Job, { tensorboard, mlflow, sweep, ...options }: TrackersOptions): Promise<Trackers> {
    const { onProblem } = options;
    const trackers: Tracker[] = [];
    const settings = await mlflowSettings(job, mlflow, sweep);
    if (settings) {
      const { MlflowTracker } = await import('./mlflow.ts');
      trackers.push(new MlflowTracker({ settings, ...options }));
    }
    if (tensorboard) {
      const { TensorBoardLog } = await import('./tensorboard.ts');
      trackers.push(new TensorBoardLog(job, { onProblem }));
    }
    const { openSpans } = await import('./spans.ts');
    const spans = await openSpans({ onProblem });
    if (spans) {
      const { RunTraces } = await import('./traces.ts');
      trackers.push(new RunTraces(spans, job.metadata.name));
    }
    return new Trackers(trackers);
  }

  /** Tells them what passes by, and waits at the end for what takes a little. @param signal aborted where the run was asked to stop */
  watch<E extends { readonly event: string }, R>(events: AsyncGenerator<E, R>, signal?: AbortSignal): AsyncGenerator<E, R> {
    return passing(
      events,
      event => {
        for (const tracker of this.#trackers) tracker.take(event);
      },
      async how => {
        const ending = { failed: how.by !== 'end', signal, ...(how.by === 'error' && { error: (how.error as Error).message }) };
        await Promise.all(this.#trackers.map(tracker => tracker.close(ending)));
      },
    );
  }
}

/** Whether they can be told, before there is anything to tell. @throws usage: an address is none */
export async function checkTrackers(job: Job, mlflow: string | undefined): Promise<void> {
  await mlflowSettings(job, mlflow);
  const { spansUrl } = await import('./spans.ts');
  spansUrl();
}

/** As the flag, the environment and the job say. @param sweep whose trial it is, where the job does not say @throws usage */
export async function mlflowSettings(job: Job, flag: string | undefined, sweep?: string) {
  if (flag === undefined && !process.env.MLFLOW_TRACKING_URI) return undefined;
  const { readMlflowSettings } = await import('./mlflowApi.ts');
  const { identityOf } = await import('./identity.ts');
  return readMlflowSettings(flag, sweep ?? (identityOf(job).sweep || experiment));
}
