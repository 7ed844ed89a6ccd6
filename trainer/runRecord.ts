/**
 * `run.json`: what a run was made of and how it went. Fields are only ever added within a schema.
 */
import { isAbsolute, relative, resolve } from 'node:path';
import { movedDataPath } from './data/cases.ts';
import { SegfleetError } from './errors.ts';
import type { Scores } from './evaluate.ts';
import type { Machine } from './machine.ts';
import type { Job, LoadedJob } from './spec.ts';

export interface RunRecord {
  readonly schema: 'segfleet/run/1';
  readonly name: string;
  /** paused: as a sweep has it, before the end of its training. */
  readonly status: 'running' | 'succeeded' | 'failed' | 'stopped' | 'paused';
  /** Resolved; paths relative to the run folder. */
  readonly job: Job;
  readonly provenance: LoadedJob['provenance'];
  readonly versions: { readonly segfleet: string; readonly node: string; readonly tensorflow: string };
  readonly library: string;
  readonly machine: Machine;
  readonly precision: string;
  readonly threads: number;
  readonly data: {
    readonly cases: number;
    readonly training: number;
    readonly validation: number;
    readonly test: number;
    /** SHA-256 over the ids of the parts. */
    readonly split: string;
    /** SHA-256 over the bytes of all images and masks; known once all are read. */
    readonly digest?: string;
  };
  readonly startedAt: string;
  /** `after`: how the process before had ended: killed, preempted, interrupted, paused, failed or finished. */
  readonly resumed: readonly { readonly at: string; readonly step: number; readonly differs: readonly string[]; readonly after?: string }[];
  /** Where workers shared the steps: from which step on how many there were, and which were lost when and why. */
  readonly fleet?: {
    /** TensorFlow, processor, precision and threads of all workers; the rest of this record is of the process that led them. */
    readonly library?: string;
    readonly sizes: readonly { readonly fromStep: number; readonly workers: number }[];
    readonly lost: readonly { readonly worker: string; readonly afterStep: number; readonly at: string; readonly why: string }[];
    /** Who shared the steps after the newest epoch or checkpoint: seconds that each computed in its last step, milliseconds that it came after the first. */
    readonly latest?: {
      readonly step: number;
      readonly at: string;
      readonly workers: readonly {
        readonly worker: string;
        readonly rank: number;
        readonly lanes: number;
        readonly seconds?: number;
        readonly lateMs?: number;
      }[];
    };
  };
  /** Where it began with the weights of another run. */
  readonly forkedFrom?: { readonly run: string; readonly step: number; readonly epoch: number };
  readonly steps?: number;
  /** Before the last epoch, as `training.earlyStopping` says. */
  readonly stoppedEarly?: boolean;
  /** With adaptiveLog: share of all steps in the logarithmic branch. */
  readonly logShare?: number;
  readonly weights?: {
    /** SHA-256 of weights/last.safetensors, whose bytes are a function of the weights alone. */
    readonly digest: string;
    readonly bestDigest: string;
  };
  readonly best?: { readonly epoch: number; readonly validation: Scores };
  readonly endedAt?: string;
  readonly exit?: { readonly code: number; readonly error?: string; readonly message?: string };
}

/** The job with paths that are right when read from `folder`; absolute ones stay. */
export function withPathsFrom(job: Job, base: string, folder: string): Job {
  const moved = (path: string) => (isAbsolute(path) ? path : relative(resolve(folder), resolve(base, path)) || '.');
  const { data, checkpoint } = job.spec;
  const split = data.split.file === undefined ? data.split : { ...data.split, file: moved(data.split.file) };
  return {
    ...job,
    spec: {
      ...job.spec,
      data: { ...data, path: movedDataPath(data.path, base, folder), split },
      checkpoint: checkpoint.url === undefined ? checkpoint : { ...checkpoint, url: movedDataPath(checkpoint.url, base, folder) },
    },
  };
}

/**
 * What of a job decides what comes out. Where things lie, how many workers there are and what a cluster makes of it does not; that data are
 * the same is told from their digest.
 */
export function trainingOf({ spec: { seed, data, model, loss, deepSupervision, training } }: Pick<Job, 'spec'>) {
  return { seed, data: { ...data, path: '' }, model, loss, deepSupervision, training };
}

/** A resumed run must be the same run: only its length, its workers and its checkpoints may change. */
export function refuseOtherJob(before: RunRecord, job: Job): void {
  const [now, then] = [job, before.job].map(trainingOf).map(spec => ({ ...spec, training: { ...spec.training, epochs: 0 } }));
  for (const key of Object.keys(now) as (keyof typeof now)[]) {
    if (JSON.stringify(now[key]) !== JSON.stringify(then[key])) {
      throw new SegfleetError(
        'usage',
        `${key} is ${JSON.stringify(now[key])} in the job and ${JSON.stringify(then[key])} in the run that is resumed; only training.epochs may change: restore the rest, or start a new run with --out`,
      );
    }
  }
}

/** Whether two jobs are the same training, wherever their data lie. */
export function isSameJob(a: Job, b: Job): boolean {
  return JSON.stringify(trainingOf(a)) === JSON.stringify(trainingOf(b));
}

/** How the process ended that wrote this record last. */
export function howEnded({ status, exit }: RunRecord): string {
  switch (status) {
    case 'running':
      return 'killed';
    case 'succeeded':
      return 'finished';
    case 'stopped':
      return exit?.error ?? 'interrupted';
    default:
      return status;
  }
}

/** What of the surroundings is not as it was when the run began, so that the bits may not be either. */
export function differences(before: RunRecord, after: RunRecord): string[] {
  const pick = ({ versions: { tensorflow }, machine: { instructions }, precision, threads }: RunRecord) => ({
    tensorflow,
    instructions: instructions.join(' '),
    precision,
    threads,
  });
  const [then, now] = [pick(before), pick(after)];
  return (Object.keys(now) as (keyof typeof now)[]).filter(key => then[key] !== now[key]).map(key => `${key}: ${then[key]} -> ${now[key]}`);
}
