/**
 * What the operator knows of the cluster: all TrainingJobs, and what it made for them, each kind kept by watches (one for each namespace that it looks
 * after). Secrets are not among them: it never reads any but those that it makes. A change of anything is a reason to look at the job that it is part of.
 */
import type { Api, Kind } from './api.ts';
import type { Clock } from './clock.ts';
import { childNames, managedSelector } from './names.ts';
import type { BatchJob, KubeObject, Pod, TrainingJob } from './objects.ts';
import { batchJobKeyOf, belongsTo, jobKeyOf } from './owners.ts';
import type { Observed } from './plan.ts';
import { type Change, keyOf, type RestartReason, Watch, type WatchOptions } from './watch.ts';

/** What may belong to a TrainingJob by an owner reference. */
const childKinds = ['Job', 'Service', 'ConfigMap', 'NetworkPolicy', 'PodDisruptionBudget'] as const;

export interface CachesOptions {
  readonly api: Pick<Api, 'list' | 'watch'>;
  /** By default all. */
  readonly namespaces?: readonly string[];
  readonly clock: Clock;
  readonly random: () => number;
  readonly watchTimes?: Pick<WatchOptions<KubeObject>, 'silentMs' | 'resyncMs' | 'backOff'>;
  /** Something of this job has changed. */
  onChange(key: string): void;
  onRestart?(kind: Kind, reason: RestartReason, error: unknown): void;
}

export class Caches {
  readonly #jobs: readonly Watch<TrainingJob>[];
  readonly #pods: readonly Watch<Pod>[];
  readonly #children: ReadonlyMap<Kind, readonly Watch<KubeObject>[]>;
  /** The TrainingJobs by the keys of the batch Jobs that are made for them. */
  readonly #byBatchJob = new Map<string, string>();

  constructor(options: CachesOptions) {
    const { namespaces, onChange, onRestart, watchTimes, ...common } = options;
    const watches = <T extends KubeObject>(kind: Kind, more: Pick<WatchOptions<T>, 'selection' | 'groupOf' | 'onChange'>) =>
      (namespaces ?? [undefined]).map(namespace => {
        const selection = { ...more.selection, namespace };
        return new Watch<T>({
          ...common,
          ...watchTimes,
          ...more,
          kind,
          selection,
          onRestart: (reason, error) => onRestart?.(kind, reason, error),
        });
      });
    const selection = { labelSelector: managedSelector };
    const tell = (key: string | undefined) => key !== undefined && onChange(key);
    this.#jobs = watches<TrainingJob>('TrainingJob', {
      onChange: change => {
        this.#index(change);
        onChange(keyOf(change.object));
      },
    });
    this.#pods = watches<Pod>('Pod', {
      selection,
      groupOf: batchJobKeyOf,
      onChange: ({ object }) => tell(this.#byBatchJob.get(batchJobKeyOf(object) ?? '')),
    });
    const child = { selection, groupOf: jobKeyOf, onChange: ({ object }: Change<KubeObject>) => tell(jobKeyOf(object)) };
    this.#children = new Map(childKinds.map(kind => [kind, watches<KubeObject>(kind, child)]));
  }

  get watches(): readonly Watch<KubeObject>[] {
    const all: readonly (readonly unknown[])[] = [this.#jobs, this.#pods, ...this.#children.values()];
    return all.flat() as Watch<KubeObject>[];
  }

  get isSynced(): boolean {
    return this.watches.every(({ isSynced }) => isSynced);
  }

  /** When all that there is has been seen once. */
  async synced(): Promise<void> {
    await Promise.all(this.watches.map(({ synced }) => synced));
  }

  /** Until the signal aborts. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.watches.map(watch => watch.run(signal)));
  }

  job(key: string): TrainingJob | undefined {
    return find(this.#jobs, key);
  }

  *jobs(): Generator<TrainingJob> {
    for (const watch of this.#jobs) yield* watch.values();
  }

  /** Anything of a kind that is watched, by its key. */
  find(kind: string, key: string): KubeObject | undefined {
    if (kind === 'TrainingJob') return this.job(key);
    if (kind === 'Pod') return find(this.#pods, key);
    return find(this.#children.get(kind as Kind) ?? [], key);
  }

  /** What there is of a job, and only of this one: an earlier job of the same name may not be gone yet. */
  observe(job: TrainingJob): Pick<Observed, 'children' | 'coordinator' | 'workers' | 'pods'> {
    const own = (watches: readonly Watch<KubeObject>[]) =>
      watches.flatMap(watch => watch.group(keyOf(job))).filter(object => belongsTo(object, job));
    const children = [...this.#children.values()].flatMap(own);
    const names = childNames(job.metadata.name);
    const batchJob = (name: string) =>
      children.find(({ kind, metadata }) => kind === 'Job' && metadata.name === name) as BatchJob | undefined;
    const [coordinator, workers] = [batchJob(names.coordinator), batchJob(names.workers)];
    const pods = [...this.#podsOf(job, names.coordinator, coordinator), ...this.#podsOf(job, names.workers, workers)];
    return { children, coordinator, workers, pods };
  }

  #podsOf(job: TrainingJob, name: string, batchJob: BatchJob | undefined): Pod[] {
    const pods = this.#pods.flatMap(watch => watch.group(`${job.metadata.namespace}/${name}`));
    if (batchJob) return pods.filter(pod => belongsTo(pod, batchJob));
    // Their Job is gone already, and they are going; they are of this job if they are not older than it.
    const since = job.metadata.creationTimestamp ?? '';
    return pods.filter(({ metadata }) => (metadata.creationTimestamp ?? '') >= since);
  }

  #index({ type, object }: Change<TrainingJob>): void {
    const { coordinator, workers } = childNames(object.metadata.name);
    for (const name of [coordinator, workers]) {
      const key = `${object.metadata.namespace}/${name}`;
      if (type === 'removed') this.#byBatchJob.delete(key);
      else this.#byBatchJob.set(key, keyOf(object));
    }
  }
}

function find<T extends KubeObject>(watches: readonly Watch<T>[], key: string): T | undefined {
  for (const watch of watches) {
    const object = watch.get(key);
    if (object) return object;
  }
  return undefined;
}
