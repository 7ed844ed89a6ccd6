/**
 * What the commands that lead a run share of telling others of it.
 */
import { Flags } from '@oclif/core';
import type { Job } from '../trainer/spec.ts';
import type { TellOptions } from '../trainer/sweep/trialProgram.ts';
import type { RunMetrics } from '../trainer/tracking/liveMetrics.ts';
import type { RunNews } from '../trainer/tracking/runMetrics.ts';
import { program } from './base.ts';

export const metricsPortFlag = Flags.string({
  helpValue: '[HOST:]PORT',
  description: 'Serve GET /metrics for Prometheus there, on this machine alone unless a host is given; 0 for any free port.',
});
export const mlflowFlag = Flags.string({
  helpValue: 'URL',
  description: 'Tell each run to this MLflow server, while it goes on. [default: $MLFLOW_TRACKING_URI, if it is set]',
});
export const trackerFlags = {
  tensorboard: Flags.boolean({ description: 'Write event files for TensorBoard, into tensorboard/ of each run folder.' }),
  mlflow: mlflowFlag,
};

interface Watchers {
  /** Where they are to be served. */
  readonly metrics?: RunMetrics;
  watch<E extends RunNews, R>(events: AsyncGenerator<E, R>, signal: AbortSignal): AsyncGenerator<E, R>;
}

/** @param onProblem told of a tracker that cannot be reached @throws usage: the address of a tracker is none */
export async function watchersOf(
  job: Job,
  { tensorboard, mlflow }: { readonly tensorboard: boolean; readonly mlflow?: string },
  { withMetrics, onProblem }: { readonly withMetrics: boolean; readonly onProblem: (problem: string) => void },
): Promise<Watchers> {
  const { Trackers } = await import('../trainer/tracking/trackers.ts');
  const laterWith = (folder: string, url: string) => `${program} track ${folder} --mlflow ${url}`;
  const trackers = await Trackers.open(job, { tensorboard, mlflow, laterWith, onProblem });
  const metrics = withMetrics ? await metricsOf(job) : undefined;
  return { metrics, watch: (events, signal) => trackers.watch(metrics ? metrics.watch(events) : events, signal) };
}

/** Of the runs of a sweep. @param out its folder */
export const tellOf = ({ tensorboard, mlflow }: { readonly tensorboard: boolean; readonly mlflow?: string }, out: string): TellOptions => ({
  tensorboard,
  mlflow,
  laterWith: `${program} track ${out}`,
});

async function metricsOf(job: Job): Promise<RunMetrics> {
  const { identityOf } = await import('../trainer/tracking/identity.ts');
  const { RunMetrics } = await import('../trainer/tracking/liveMetrics.ts');
  return new RunMetrics(identityOf(job));
}
