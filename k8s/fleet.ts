/**
 * What is there of a job: its two Jobs and their pods, and the few questions that all policies ask about them.
 */
import { type Component, labels } from './names.ts';
import type { BatchJob, ContainerStatus, KubeObject, Pod } from './objects.ts';
import type { Observed } from './plan.ts';

/** One of the two Jobs, and pods in its role. */
export interface Crew {
  readonly component: Component;
  /** Missing where there is none, or one that belongs to somebody else. */
  readonly job?: BatchJob;
  /** An object of that name is there, and it is not of this job: one of a job before, of the same name, or a stranger's. */
  readonly isTaken: boolean;
  /** Also of a Job that is gone. The oldest index first. */
  readonly pods: readonly Pod[];
  /** Those that hold their resources. */
  readonly live: readonly Pod[];
  /** Those whose node does not say that they are gone, long after they should be. */
  readonly stuck: readonly Pod[];
  readonly ready: readonly Pod[];
}

export interface Fleet {
  readonly coordinator: Crew;
  readonly workers: Crew;
}

/** A pod that is to end has its grace period, which its deletionTimestamp includes; a node that is there needs little more. */
export const stuckAfterMs = 60_000;

export function fleetOf({ job, coordinator, workers, pods }: Observed, now: Date): Fleet {
  const crew = (component: Component, found: BatchJob | undefined): Crew => {
    const own = pods.filter(pod => componentOf(pod) === component).toSorted(inOrder);
    return {
      component,
      job: found && isOwnedBy(found, job) ? found : undefined,
      isTaken: found !== undefined && !isOwnedBy(found, job),
      pods: own,
      live: own.filter(pod => !hasEnded(pod) && !isStuck(pod, now)),
      stuck: own.filter(pod => isStuck(pod, now)),
      ready: own.filter(isReady),
    };
  };
  return { coordinator: crew('coordinator', coordinator), workers: crew('worker', workers) };
}

export const isOwnedBy = ({ metadata }: KubeObject, owner: KubeObject): boolean =>
  metadata.ownerReferences?.some(({ uid, controller }) => controller && uid === owner.metadata.uid) ?? false;

const componentOf = ({ metadata }: Pod): Component => (metadata.labels?.[labels.component] === 'coordinator' ? 'coordinator' : 'worker');

const indexKey = 'batch.kubernetes.io/job-completion-index';
export const indexOf = ({ metadata }: Pod): number => Number(metadata.labels?.[indexKey] ?? metadata.annotations?.[indexKey] ?? 0);

/** What a pod is in the run, whichever pod it is: `coordinator`, `worker 3`. */
export const roleOf = (pod: Pod): string => (componentOf(pod) === 'coordinator' ? 'coordinator' : `worker ${indexOf(pod)}`);

const inOrder = (a: Pod, b: Pod) => indexOf(a) - indexOf(b) || (a.metadata.name < b.metadata.name ? -1 : 1);

export const hasEnded = ({ status }: Pod): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';

const isStuck = (pod: Pod, now: Date) => !hasEnded(pod) && now.getTime() >= stuckAt(pod);

/** Infinity: it is not to end. */
export const stuckAt = ({ metadata }: Pod): number =>
  metadata.deletionTimestamp === undefined ? Number.POSITIVE_INFINITY : Date.parse(metadata.deletionTimestamp) + stuckAfterMs;

const isReady = (pod: Pod) =>
  !hasEnded(pod) && pod.metadata.deletionTimestamp === undefined && podCondition(pod, 'Ready')?.status === 'True';

export const podCondition = ({ status }: Pod, type: string) => status?.conditions?.find(condition => condition.type === type);

/** Ours: a cluster may put others into the pod. */
export function containerOf(pod: Pod): ContainerStatus | undefined {
  const all = pod.status?.containerStatuses;
  return all?.find(({ name }) => name === componentOf(pod)) ?? all?.[0];
}

export const terminatedOf = (pod: Pod) => containerOf(pod)?.state?.terminated;

/** Of a Job: undefined unless it is so. */
export const jobCondition = (job: BatchJob | undefined, type: 'Complete' | 'Failed' | 'FailureTarget' | 'Suspended') =>
  job?.status?.conditions?.find(condition => condition.type === type && condition.status === 'True');

/** It makes no pods any more, whatever is asked of it. */
export const isFinished = (job: BatchJob | undefined): boolean =>
  jobCondition(job, 'Complete') !== undefined || jobCondition(job, 'Failed') !== undefined;

/** Kueue decides when the pods of a Job of its queues may be there. */
export const queueOf = ({ metadata }: KubeObject): string | undefined => metadata.labels?.[labels.queue] || undefined;
