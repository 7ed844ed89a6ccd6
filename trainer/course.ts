/**
 * What a run is made of and what comes when: its cases, their split, and for each epoch the batches of its steps and the groups of its
 * validation. All of it follows from the job and the data alone, so every worker that opens the same job has the same course.
 */
import { cutIntoBatches } from './data/batches.ts';
import { dataPath, findCases, type LabelledCase } from './data/cases.ts';
import { TrainingSamples } from './data/samples.ts';
import type { Split } from './data/split.ts';
import { splitOf } from './data/splitFile.ts';
import { CaseStore, type StoredShape } from './data/store.ts';
import { endsEarly } from './earlyStopping.ts';
import { resolvePrecision } from './engine/precision.ts';
import { learningRateFactor } from './engine/schedule.ts';
import { SegfleetError } from './errors.ts';
import { createNetwork, numHeads } from './models/catalogue.ts';
import type { Position } from './position.ts';
import type { ProgramOptions } from './program.ts';
import { inputSizeOf, type Job, threadsOf } from './spec.ts';

export class Course {
  readonly job: Job;
  readonly cases: readonly LabelledCase[];
  readonly split: Split & { readonly data?: string };
  readonly store: CaseStore;
  readonly samples: TrainingSamples;
  readonly options: ReturnType<typeof programOf>;
  readonly stepsPerEpoch: number;
  /** Indices of the validation cases, in the parts that are predicted at once. */
  readonly validation: readonly (readonly number[])[];
  /** Asked for once a step. */
  #batches: { readonly epoch: number; readonly of: readonly (readonly number[])[] } | undefined;

  private constructor(job: Job, cases: readonly LabelledCase[], split: Course['split']) {
    const { seed, data, training } = job.spec;
    this.job = job;
    this.cases = cases;
    this.split = split;
    this.options = programOf(job);
    this.store = new CaseStore(cases, storedShapeOf(job), data);
    const { patches, augmentation } = data;
    this.samples = new TrainingSamples(this.store, split.training, { seed, image: this.options.image, patches, augmentation });
    if (training.batch > this.samples.perEpoch) {
      throw new SegfleetError(
        'usage',
        `training.batch is ${training.batch}, more than the ${this.samples.perEpoch} training ${patches ? 'patches' : 'images'} of data.path; use a smaller batch`,
      );
    }
    this.stepsPerEpoch = Math.ceil(this.samples.perEpoch / training.batch);
    this.validation = cutIntoBatches(split.validation, predictedAtOnce(job));
  }

  /** @param base folder that paths in the job are relative to */
  static async open(job: Job, base: string): Promise<Course> {
    const { data } = job.spec;
    const cases = await findCases(dataPath(base, data.path));
    return new Course(job, cases, await splitOf(data.split, cases, base));
  }

  /** The samples of each step of an epoch. */
  batches(epoch: number): readonly (readonly number[])[] {
    if (this.#batches?.epoch !== epoch) {
      this.#batches = { epoch, of: cutIntoBatches(this.samples.order(epoch), this.job.spec.training.batch) };
    }
    return this.#batches.of;
  }

  /** @param step steps done before, in the whole run */
  learningRateAt(step: number, { scores }: Pick<Position, 'scores'>): number {
    const { optimizer, schedule, epochs } = this.job.spec.training;
    const { stepsPerEpoch } = this;
    return optimizer.learningRate * learningRateFactor(schedule, { step, stepsPerEpoch, epochs, scores });
  }

  /** Whether no epoch follows. */
  isOver({ epoch, scores }: Position): boolean {
    const { epochs, earlyStopping } = this.job.spec.training;
    return epoch > epochs || endsEarly(scores, earlyStopping);
  }

  /** The ids of the cases that samples are from, each once. */
  idsOf(samples: readonly number[]): string[] {
    return [...new Set(samples.map(sample => this.cases[this.samples.caseOf(sample)].id))];
  }
}

/** What a program needs to know of a job. */
export function programOf(job: Job): ProgramOptions & { readonly optimizer: Job['spec']['training']['optimizer'] } {
  const { spec } = job;
  const { channels, classes, exclusive } = spec.data;
  return {
    network: createNetwork(spec.model, classes),
    image: { ...inputSizeOf(spec.data), channels },
    classes,
    exclusive,
    ignore: spec.data.ignore !== undefined,
    loss: spec.loss,
    heads: {
      loss: spec.deepSupervision?.loss ?? spec.loss,
      weights: spec.deepSupervision?.weights ?? new Array(numHeads(spec.model)).fill(1),
    },
    optimizer: spec.training.optimizer,
    clipNorm: spec.training.clipNorm,
    dtype: resolvePrecision(spec.training.precision),
    threads: threadsOf(job),
    seed: spec.seed,
  };
}

/** How a job's cases are kept: at the size of the network, or where patches are on at their own. */
export const storedShapeOf = ({ spec: { data } }: Job): StoredShape => ({ ...(!data.patches && data.size), channels: data.channels });

/** Images (or windows of them) that are predicted at once: as many as a lane has, so that it fits wherever a lane does. */
export const predictedAtOnce = ({ spec: { training } }: Job): number => training.batch / training.lanes;
