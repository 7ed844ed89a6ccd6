/**
 * A sweep as it is before anything of it starts: everything that can be wrong with it is said here.
 */
import { hash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { SegfleetError } from '../errors.ts';
import type { Values } from '../search/space.ts';
import { makeStrategy } from '../search/strategies.ts';
import type { Strategy } from '../search/strategy.ts';
import { endlessMethods } from '../search/sweepSpec.ts';
import type { Job } from '../spec.ts';
import { type Frame, jobOf } from './cells.ts';
import { readJournal } from './journal.ts';
import { canonical, DataSets } from './keys.ts';
import { Objective } from './objective.ts';
import { type LoadedSweep, specFrom } from './sweepFile.ts';
import type { SweepFolder } from './sweepFolder.ts';

export interface Prepared {
  readonly sweep: LoadedSweep;
  readonly frame: Frame & { readonly threads: number };
  /** SHA-256 of what decides which trials there are. */
  readonly chosenBy: string;
  readonly cores: number;
  /** Runs that may run at a time. */
  readonly parallel: number;
  readonly objective: Objective;
  readonly data: DataSets;
  readonly stepsPerEpoch: number;
  readonly strategy: Strategy;
  /** Parameters of the trials that can be told before any has run. */
  readonly known: readonly Values[];
}

export interface PrepareOptions {
  readonly sweep: LoadedSweep;
  readonly folder: SweepFolder;
  /** Processors that trials may use. @default all */
  readonly cores?: number;
}

/** So many trials are looked at before the first starts; of methods that learn from results fewer, as the later ones will be others. */
const maxLookedAt = 10_000;
const maxGuessed = 32;

/** @throws usage, and what the data say: notFound, invalidData */
export async function prepare({ sweep, folder, cores = availableParallelism() }: PrepareOptions): Promise<Prepared> {
  const { spec, base } = sweep;
  const objective = new Objective(spec.objective);
  const chosenBy = identityOf(sweep);
  const begun = folder.isSweep ? readJournal(folder.journal).events[0] : undefined;
  const before = begun?.event === 'sweep' && begun.chosenBy === chosenBy ? begun : undefined;
  const wanted = spec.limits.parallelTrials;
  const threads = base.job.job.spec.training.threads ?? before?.threads ?? Math.max(1, Math.floor(cores / wanted));
  const data = new DataSets(base.folder);
  const first = await data.of(base.job.job);
  const epochs = epochsOf(sweep, first.stepsPerEpoch);
  const frame = { threads, ...(epochs !== undefined && { epochs }) };

  const ofEpochs = epochs ?? base.job.job.spec.training.epochs;
  const maxTime = spec.earlyStop?.timeMetric === 'step' ? ofEpochs * first.stepsPerEpoch : ofEpochs;
  const strategy = makeStrategy(spec, { maxTime });
  const known = strategy([], spec.method === 'tpe' ? maxGuessed : maxLookedAt).flatMap(decision =>
    decision.do === 'start' ? [decision.parameters] : [],
  );
  if (known.length === 0)
    throw new SegfleetError('usage', `${sweep.file} has no trial: no choice of its parameters is left; give some values`);
  let mostThreads = threads;
  for (const job of checked(sweep, known, frame)) {
    await data.of(job);
    mostThreads = Math.max(mostThreads, job.spec.training.threads ?? 1);
  }
  const parallel = Math.max(1, Math.min(wanted, Math.floor(cores / mostThreads)));
  return { sweep, frame, chosenBy, cores, parallel, objective, data, stepsPerEpoch: first.stepsPerEpoch, strategy, known };
}

/** What decides which trials there are and what they are; what may change while a sweep is under way does not. */
export function identityOf(sweep: LoadedSweep): string {
  const { limits, suspend: _, table: __, baseline: ___, base, objective, ...choice } = specFrom(sweep, '/');
  const { metric, goal } = objective;
  const { maxTrials } = limits;
  // Where checkpoints and data lie is the user's business; that data are the same is told from their digest.
  const { checkpoint: ____, data, ...job } = base.spec;
  const training = { ...job, data: { ...data, path: '' } };
  return hash('sha256', canonical([choice, metric, goal, endlessMethods.includes(choice.method) ? undefined : maxTrials, training]));
}

/** Epochs after which a trial ends in any case, where the search says so. */
export function epochsOf({ spec, base }: LoadedSweep, stepsPerEpoch: number): number | undefined {
  const { epochs } = base.job.job.spec.training;
  // A longer one is refused by the strategy.
  if (spec.method === 'hyperband' && spec.hyperband) return Math.min(spec.hyperband.maxTime, epochs);
  const { maxTime, timeMetric } = spec.earlyStop ?? {};
  if (maxTime === undefined) return undefined;
  const wanted = timeMetric === 'step' ? Math.ceil(maxTime / stepsPerEpoch) : maxTime;
  if (wanted > epochs) {
    throw new SegfleetError(
      'usage',
      `earlyStop.maxTime is ${maxTime}, and the job has ${epochs} epochs${timeMetric === 'step' ? ` (${epochs * stepsPerEpoch} steps)` : ''}; raise training.epochs, or leave it out`,
    );
  }
  return wanted;
}

/** The job of each trial that is known, and of the ends of each range. */
export function* checked(sweep: LoadedSweep, known: readonly Values[], frame: Frame): Generator<Job> {
  const { count } = sweep.spec.replicates;
  for (const [number, parameters] of known.entries()) {
    yield jobOf(sweep, parameters, number, 1, frame).job;
    if (number === 0 && count > 1) yield jobOf(sweep, parameters, number, count, frame).job;
  }
  for (const [path, { distribution, min, max, when }] of Object.entries(sweep.spec.parameters)) {
    if (!distribution || when !== undefined) continue;
    const [example] = known;
    for (const end of [min, max]) if (end !== undefined) yield jobOf(sweep, { ...example, [path]: end }, 0, 1, frame).job;
  }
}
