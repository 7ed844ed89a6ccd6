/**
 * From a choice of parameters to the jobs that are run: one for each replicate.
 */
import { SegfleetError } from '../errors.ts';
import type { Values } from '../search/space.ts';
import { type LoadedJob, settleJob } from '../spec.ts';
import { describeParameters } from './parameters.ts';
import type { LoadedSweep } from './sweepFile.ts';
import { runName } from './sweepFolder.ts';

/** What is the same in all runs of a sweep. */
export interface Frame {
  /** Of each run, unless the job says otherwise. Without it whoever runs them decides. */
  readonly threads?: number;
  /** Epochs after which trials end in any case, where the search says so. */
  readonly epochs?: number;
}

/**
 * @param replicate from 1
 * @throws usage: the field, and what the trial sets
 */
export function jobOf(sweep: LoadedSweep, parameters: Values, trial: number, replicate: number, frame: Frame): LoadedJob {
  const { base, spec } = sweep;
  const { count, vary } = spec.replicates;
  const settle = (settings: readonly string[]): LoadedJob => {
    try {
      return settleJob(base.job.given, settings, base.source);
    } catch (error) {
      if (!(error instanceof SegfleetError)) throw error;
      // The job by itself is sound: where in its file that stands is of no interest.
      const { file } = base.source;
      const [where] = error.message.split(': ', 1);
      const sentence = where === '--set' || where.startsWith(file) ? error.message.slice(where.length + 2) : error.message;
      throw new SegfleetError('usage', `${sweep.file}, the trial with ${describeParameters(parameters)}: ${sentence}`, {
        cause: error,
        details: { ...error.details, parameters },
      });
    }
  };
  const chosen = [...settingsOf(base.job, parameters), ...frameSettings(base.job, parameters, frame), ...placeOf(sweep, trial, replicate)];
  const name = `metadata.name=${nameOf(sweep.name, trial, replicate, count)}`;
  if (replicate === 1) return settle([name, ...chosen]);
  const { job } = settle(chosen);
  const varied = vary.map(path => `${path}=${shifted(job.spec, path, replicate - 1)}`);
  return settle([name, ...chosen, ...varied]);
}

/** Another loss, model or optimiser takes the fields of the old one away: names come before what belongs to them. */
function settingsOf(base: LoadedJob, parameters: Values): string[] {
  const rank = (path: string) => (path.split('.').at(-1) === 'name' ? path.split('.').length : Number.POSITIVE_INFINITY);
  return Object.entries({ ...namesOfDefaults(base, parameters), ...parameters })
    .toSorted(([a], [b]) => (rank(a) === rank(b) ? 0 : rank(a) - rank(b)))
    .map(([path, value]) => `${path}=${JSON.stringify(value)}`);
}

/** A field of a loss or optimiser that the job leaves out altogether, and so has by default, is one of that by default. */
function namesOfDefaults({ job, given }: LoadedJob, parameters: Values): Record<string, string> {
  const names: Record<string, string> = {};
  for (const path of Object.keys(parameters)) {
    const keys = path.split('.');
    for (let length = 1; length < keys.length; length++) {
      const group = keys.slice(0, length);
      const name = valueAt(job.spec, [...group, 'name']);
      if (typeof name === 'string' && valueAt(given.spec, group) === undefined) names[[...group, 'name'].join('.')] = name;
    }
  }
  return names;
}

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

function frameSettings({ job }: LoadedJob, parameters: Values, { threads, epochs }: Frame): string[] {
  const isSet = (path: string) => Object.keys(parameters).some(key => key === path);
  return [
    ...(threads !== undefined && job.spec.training.threads === undefined && !isSet('training.threads')
      ? [`training.threads=${threads}`]
      : []),
    ...(epochs !== undefined && !isSet('training.epochs') ? [`training.epochs=${epochs}`] : []),
  ];
}

/** Checkpoints of runs do not lie in one place. */
function placeOf({ name, spec, base }: LoadedSweep, trial: number, replicate: number): string[] {
  const { url } = base.job.job.spec.checkpoint;
  if (url === undefined) return [];
  return [`checkpoint.url=${JSON.stringify(`${url.replace(/\/$/, '')}/${name}/${runName(trial, replicate, spec.replicates.count)}`)}`];
}

function shifted(spec: unknown, path: string, by: number): number {
  const value = valueAt(spec, path.split('.'));
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    throw new SegfleetError(
      'usage',
      `replicates.vary names ${path}, which is ${JSON.stringify(value) ?? 'not there'}; name seeds (whole numbers): seed, data.split.seed`,
    );
  }
  return (value + by) % 2 ** 31;
}

/** A Kubernetes name: at most 63 characters. */
function nameOf(sweep: string, trial: number, replicate: number, count: number): string {
  const end = `-${runName(trial, replicate, count)}`;
  return `${sweep.slice(0, 63 - end.length).replace(/-+$/, '')}${end}`;
}
