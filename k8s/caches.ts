/**
 * What the operator knows of the cluster: all Sweeps and TrainingJobs, and what it made for these, each kind kept by watches (one for each namespace that
 * it looks after). Secrets are not among them: it never reads any but those that it makes. A change of anything is a reason to look at the job that it is part of, and
 * a change of a job to look at its sweep.
 */
import type { Api, Kind } from './api.ts';
import type { Clock } from './clock.ts';
import { type ChildNames, childNames, managedSelector } from './names.ts';
import type { BatchJob, KubeObject, Pod, Sweep, TrainingJob } from './objects.ts';
import { batchJobKeyOf, belongsTo, sweepKeyOf } from './owners.ts';
import type { Observed } from './plan.ts';
import { type Change, keyOf, type RestartReason, Watch, type WatchOptions } from './watch.ts';

/** What is made for a TrainingJob, Secrets and pods aside. */
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
  /** A pod of this job has changed, or is gone: as it was last. */
  onPod?(key: string, pod: Pod): void;
  /** This sweep has changed, or a job that is a trial of it. */
  onSweep?(key: string): void;
  onRestart?(kind: Kind, reason: RestartReason, error: unknown): void;
}

export class Caches {
  readonly #jobs: readonly Watch<TrainingJob>[];
  readonly #sweeps: readonly Watch<Sweep>[];
  readonly #pods: readonly Watch<Pod>[];
  readonly #children: ReadonlyMap<Kind, readonly Watch<KubeObject>[]>;
  /** The keys of TrainingJobs, by kind and key of what may be made for them. */
  readonly #byChild = new Map<string, string>();

  constructor(options: CachesOptions) {
    const { namespaces, onChange, onPod, onSweep, onRestart, watchTimes, ...common } = options;
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
    const tell = (kind: Kind, key: string | undefined) => {
      const job = this.#byChild.get(`${kind} ${key}`);
      if (job !== undefined) onChange(job);
    };
    this.#jobs = watches<TrainingJob>('TrainingJob', {
      groupOf: sweepKeyOf,
      onChange: change => {
        this.#index(change);
        onChange(keyOf(change.object));
        const sweep = sweepKeyOf(change.object);
        if (sweep !== undefined) onSweep?.(sweep);
      },
    });
    this.#sweeps = watches<Sweep>('Sweep', { onChange: ({ object }) => onSweep?.(keyOf(object)) });
    this.#pods = watches<Pod>('Pod', {
      selection,
      groupOf: batchJobKeyOf,
      onChange: ({ object }) => {
        const job = this.#byChild.get(`Job ${batchJobKeyOf(object)}`);
        if (job === undefined) return;
        onPod?.(job, object);
        onChange(job);
      },
    });
    this.#children = new Map(
      childKinds.map(kind => [kind, watches<KubeObject>(kind, { selection, onChange: ({ object }) => tell(kind, keyOf(object)) })]),
    );
  }

  get watches(): readonly Watch<KubeObject>[] {
    const all: readonly (readonly unknown[])[] = [this.#jobs, this.#sweeps, this.#pods, ...this.#children.values()];
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

  sweep(key: string): Sweep | undefined {
    return find(this.#sweeps, key);
  }

  *sweeps(): Generator<Sweep> {
    for (const watch of this.#sweeps) yield* watch.values();
  }

  /** The jobs that are its trials: not those of an earlier sweep of the same name. */
  trialsOf(sweep: Sweep): TrainingJob[] {
    return this.#jobs.flatMap(watch => watch.group(keyOf(sweep))).filter(job => belongsTo(job, sweep));
  }

  /** Whether changes of what is made of that kind are seen at all. */
  isWatched(kind: string): boolean {
    return kind === 'TrainingJob' || this.#children.has(kind as Kind);
  }

  /** Anything of a kind that is watched, by its key. */
  find(kind: string, key: string): KubeObject | undefined {
    if (kind === 'TrainingJob') return this.job(key);
    if (kind === 'Sweep') return this.sweep(key);
    if (kind === 'Pod') return find(this.#pods, key);
    return find(this.#children.get(kind as Kind) ?? [], key);
  }

  /** What there is under the names that belong to a job, whosever it is: an earlier job of the same name may not be gone yet. */
  observe(job: KubeObject): Pick<Observed, 'children' | 'coordinator' | 'workers' | 'pods'> {
    const { namespace, name } = job.metadata;
    const names = childNames(name);
    const found = (kind: Kind, child: string) => this.find(kind, `${namespace}/${child}`);
    const [coordinator, workers] = [names.coordinator, names.workers].map(child => found('Job', child) as BatchJob | undefined);
    const children = namedChildren(names).flatMap(([kind, child]) => found(kind, child) ?? []);
    const pods = [names.coordinator, names.workers].flatMap(child => this.#podsOf(job, `${namespace}/${child}`));
    return { children, coordinator, workers, pods };
  }

  /** Those of this job: of a Job that belongs to it, or of one that is gone already. */
  #podsOf(job: KubeObject, batchJobKey: string): Pod[] {
    const batchJob = this.find('Job', batchJobKey);
    // Pods of an earlier job of the same name are older than this one.
    const since = job.metadata.creationTimestamp ?? '';
    const isOwn = (pod: Pod) =>
      batchJob && belongsTo(pod, batchJob) ? belongsTo(batchJob, job) : (pod.metadata.creationTimestamp ?? '') >= since;
    return this.#pods.flatMap(watch => watch.group(batchJobKey)).filter(isOwn);
  }

  #index({ type, object }: Change<TrainingJob>): void {
    const { namespace, name } = object.metadata;
    const names = childNames(name);
    const all = [['Job', names.coordinator] as const, ['Job', names.workers] as const, ...namedChildren(names)];
    for (const [kind, child] of all) {
      const key = `${kind} ${namespace}/${child}`;
      if (type === 'removed') this.#byChild.delete(key);
      else this.#byChild.set(key, keyOf(object));
    }
  }
}

const namedChildren = (names: ChildNames) =>
  [
    ['Service', names.service],
    ['ConfigMap', names.job],
    ['NetworkPolicy', names.network],
    ['PodDisruptionBudget', names.disruptionBudget],
  ] as const;

function find<T extends KubeObject>(watches: readonly Watch<T>[], key: string): T | undefined {
  for (const watch of watches) {
    const object = watch.get(key);
    if (object) return object;
  }
  return undefined;
}
