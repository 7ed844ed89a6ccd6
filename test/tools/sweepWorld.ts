/**
 * A namespace with one sweep as plain data, for what the operator decides of it: carries plans out as an API server would, and has an operator of jobs that
 * does what it is told to, step by step. What is real is tested on a real API server.
 */
import { annotations, labels } from '../../k8s/names.ts';
import type { AnyObject, Sweep, TrainingJob } from '../../k8s/objects.ts';
import type { EventDraft, Plan } from '../../k8s/plan.ts';
import { type JobStatus, statusSchema } from '../../k8s/status.ts';
import { reconcileSweep } from '../../k8s/sweep/reconcileSweep.ts';
import { type SweepStatus, sweepStatusSchema } from '../../k8s/sweepStatus.ts';
import { timestamp } from '../../k8s/timestamp.ts';
import { settings } from './trainingJobs.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object | undefined ? Mutable<T[K]> : T[K] };

export const metric = 'validation/jaccard';

export const sweepOf = (spec: Record<string, unknown> = {}): Sweep => ({
  apiVersion: 'segfleet.dev/v1alpha1',
  kind: 'Sweep',
  metadata: { name: 'gammas', namespace: 'team', uid: 'sweep-uid', generation: 1, creationTimestamp: '2026-11-26T10:00:00Z' },
  spec: {
    objective: { metric },
    method: 'grid',
    base: { metadata: { labels: { team: 'vision' } }, spec: { data: { path: 's3://data/nuclei' }, training: { batch: 8, epochs: 4 } } },
    parameters: { 'loss.gamma': { values: [0.1, 0.2, 0.3, 0.4] }, 'loss.name': { value: 'adaptiveLog' } },
    limits: { parallelTrials: 2 },
    ...spec,
  } as Sweep['spec'],
});

export class SweepWorld {
  sweep: Mutable<Sweep>;
  readonly jobs = new Map<string, Mutable<TrainingJob>>();
  readonly said: EventDraft[] = [];
  now = new Date('2026-11-26T10:00:00Z');
  rejected: { name: string; message: string } | undefined;
  plan: Plan<SweepStatus> | undefined;

  constructor(spec: Record<string, unknown> = {}) {
    this.sweep = structuredClone(sweepOf(spec)) as Mutable<Sweep>;
  }

  get status(): SweepStatus {
    return (this.sweep.status ?? {}) as SweepStatus;
  }

  get names(): string[] {
    return [...this.jobs.keys()];
  }

  edit(change: (spec: Record<string, never>) => void): this {
    change(this.sweep.spec as never);
    this.sweep.metadata.generation!++;
    return this;
  }

  wait(seconds: number): this {
    this.now = new Date(this.now.getTime() + seconds * 1000);
    return this;
  }

  decide(): Plan<SweepStatus> {
    const jobs = [...this.jobs.values()] as TrainingJob[];
    const observed = structuredClone({ sweep: this.sweep as Sweep, jobs, rejected: this.rejected });
    return reconcileSweep(observed, { now: this.now, settings });
  }

  /** One look, and what follows from it. */
  reconcile(): Plan<SweepStatus> {
    this.plan = this.decide();
    for (const object of this.plan.create) this.#create(object);
    for (const object of this.plan.apply) this.#patch(object);
    const status = sweepStatusSchema.parse(JSON.parse(JSON.stringify(this.plan.status)));
    this.sweep.status = status as Mutable<SweepStatus>;
    this.said.push(...this.plan.events);
    return this.plan;
  }

  /** A look of an operator that ends after so many effects. */
  crash(afterEffects: number): void {
    const { create, apply } = this.decide();
    const effects = [...create.map(object => () => this.#create(object)), ...apply.map(object => () => this.#patch(object))];
    for (const effect of effects.slice(0, afterEffects)) effect();
  }

  /** Until there is nothing to do; what is started runs at once unless it is said otherwise. @returns what was said */
  settle({ starts = true } = {}): string[] {
    const before = this.said.length;
    for (let round = 0; ; round++) {
      if (round > 50) throw new Error(`the operator finds no rest: ${JSON.stringify(this.plan)}`);
      const { create, apply } = this.reconcile();
      if (create.length === 0 && apply.length === 0) break;
      for (const job of this.jobs.values()) this.obey(job.metadata.name, starts);
    }
    return this.said.slice(before).map(({ reason }) => reason);
  }

  /** What the operator makes of one job: it rests, or it runs. */
  obey(name: string, starts = true): void {
    const { spec, status } = this.job(name);
    if (status?.phase === 'Succeeded' || status?.phase === 'Failed') return;
    if (spec.suspend) this.report(name, { phase: 'Suspended' });
    else this.report(name, { phase: starts ? 'Running' : 'Pending' });
  }

  job(name: string): Mutable<TrainingJob> {
    const job = this.jobs.get(name);
    if (!job) throw new Error(`there is no job ${name}, but ${this.names.join(', ')}`);
    return job;
  }

  report(name: string, status: JobStatus): this {
    const job = this.job(name);
    const whole = statusSchema.parse({ ...job.status, ...status, observedGeneration: job.metadata.generation });
    job.status = whole as Mutable<JobStatus>;
    return this;
  }

  /** The value at the end of each epoch so far; Jaccard is the same. */
  shows(name: string, ...values: readonly number[]): this {
    const reports = values.map((value, i) => ({ epoch: i + 1, step: 10 * (i + 1), value, jaccard: value }));
    return this.report(name, { objective: { metric, reports } });
  }

  succeed(name: string, ...values: readonly number[]): this {
    return this.shows(name, ...values).report(name, { phase: 'Succeeded', exitCode: 0, completionTime: timestamp(this.now) });
  }

  fail(name: string, message = 'the loss is not finite any more'): this {
    const failed = { type: 'Failed', status: 'True', reason: 'RunFailed', message, lastTransitionTime: timestamp(this.now) } as const;
    return this.report(name, { phase: 'Failed', exitCode: 8, conditions: [failed], completionTime: timestamp(this.now) });
  }

  lacks(name: string, reason: string, message: string): this {
    const condition = { type: 'PodsReady', status: 'False', reason, message, lastTransitionTime: timestamp(this.now) } as const;
    return this.report(name, { phase: 'Pending', conditions: [condition] });
  }

  parametersOf(name: string): Record<string, unknown> {
    return JSON.parse(this.job(name).metadata.annotations![annotations.parameters]);
  }

  /** Jobs that hold pods. */
  get busy(): string[] {
    return this.names.filter(name => !['Succeeded', 'Failed', 'Suspended'].includes(this.job(name).status?.phase ?? 'Pending'));
  }

  #create(object: AnyObject): void {
    const { name } = object.metadata;
    // AlreadyExists.
    if (this.jobs.has(name)) return;
    const metadata = { ...structuredClone(object.metadata), uid: `uid-${name}`, generation: 1, creationTimestamp: timestamp(this.now) };
    this.jobs.set(name, { ...structuredClone(object), metadata } as unknown as Mutable<TrainingJob>);
  }

  #patch(object: AnyObject): void {
    const job = this.job(object.metadata.name);
    const marks = { ...job.metadata.annotations, ...object.metadata.annotations } as Record<string, string | null>;
    job.metadata.annotations = Object.fromEntries(Object.entries(marks).filter((mark): mark is [string, string] => mark[1] !== null));
    const { suspend } = object.spec as { suspend: boolean };
    if (job.spec.suspend !== suspend) job.metadata.generation!++;
    job.spec.suspend = suspend;
  }
}

export const trialOf = ({ metadata }: TrainingJob): number => Number(metadata.labels?.[labels.trial]);
