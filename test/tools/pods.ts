/**
 * Pods and Jobs of Kubernetes for tests, as an API server shows them.
 */
import { type Crew, fleetOf } from '../../k8s/fleet.ts';
import { type Component, childNames, labels } from '../../k8s/names.ts';
import type { BatchJob, KubeEvent, Pod, TrainingJob } from '../../k8s/objects.ts';
import { trainingJob } from './trainingJobs.ts';

export const now = new Date('2026-11-26T12:00:00Z');

/** @param seconds before now */
export const ago = (seconds: number): string => new Date(now.getTime() - seconds * 1000).toISOString().replace('.000', '');

type Status = NonNullable<Pod['status']>;

export interface PodOptions {
  readonly component?: Component;
  readonly index?: number;
  readonly name?: string;
  readonly node?: string;
  /** Seconds ago. */
  readonly created?: number;
  readonly deleted?: number;
  readonly phase?: Status['phase'];
  readonly ready?: boolean;
  readonly conditions?: Status['conditions'];
  readonly waiting?: { readonly reason?: string; readonly message?: string };
  readonly ended?: {
    readonly exitCode: number;
    readonly reason?: string;
    readonly message?: string;
    readonly signal?: number;
    /** Seconds ago. */
    readonly at?: number;
  };
  readonly reason?: string;
  readonly message?: string;
  /** Of another Job than the one that is there. */
  readonly isOrphan?: boolean;
}

export function pod(options: PodOptions = {}): Pod {
  const {
    component = 'worker',
    index = 0,
    node,
    created = 600,
    deleted,
    phase,
    ready,
    conditions = [],
    waiting,
    ended,
    reason,
    message,
  } = options;
  const { name = component === 'coordinator' ? 'coordinator-x' : `worker-${index}` } = options;
  const terminated = ended && { ...ended, finishedAt: ago(ended.at ?? 60) };
  const state = terminated ? { terminated } : waiting ? { waiting } : ready ? { running: {} } : undefined;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...{ name, uid: `uid-${name}`, namespace: 'team', creationTimestamp: ago(created) },
      ...(deleted !== undefined && { deletionTimestamp: ago(deleted) }),
      labels: {
        ...{ [labels.job]: 'nuclei', [labels.component]: component },
        ...(component === 'worker' && { 'batch.kubernetes.io/job-completion-index': String(index) }),
      },
      ownerReferences: [
        {
          apiVersion: 'batch/v1',
          kind: 'Job',
          name: component,
          uid: options.isOrphan ? 'uid-before' : `uid-${component}`,
          controller: true,
        },
      ],
    },
    spec: { ...(node !== undefined && { nodeName: node }) },
    status: {
      phase: phase ?? (ended ? (ended.exitCode === 0 ? 'Succeeded' : 'Failed') : ready ? 'Running' : 'Pending'),
      ...(reason !== undefined && { reason }),
      ...(message !== undefined && { message }),
      conditions: [...conditions, ...(ready ? [{ type: 'Ready', status: 'True' }] : [])],
      ...(state && { containerStatuses: [{ name: component, ready: ready ?? false, restartCount: 0, state }] }),
    },
  };
}

export interface JobOptions {
  readonly size?: number;
  readonly suspend?: boolean;
  readonly condition?: { readonly type: 'Complete' | 'Failed' | 'FailureTarget'; readonly reason?: string; readonly message?: string };
  readonly queue?: string;
  /** Seconds ago. */
  readonly started?: number;
  readonly completed?: number;
}

export function batchJob(
  component: Component,
  { size = 1, suspend = false, condition, queue, started = 600, completed }: JobOptions = {},
  owner = trainingJob(),
): BatchJob {
  const names = childNames(owner.metadata.name);
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      ...{
        name: component === 'coordinator' ? names.coordinator : names.workers,
        namespace: 'team',
        uid: `uid-${component}`,
        creationTimestamp: ago(started),
      },
      labels: { [labels.component]: component, ...(queue !== undefined && { [labels.queue]: queue }) },
      ownerReferences: [
        { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.metadata.name, uid: owner.metadata.uid!, controller: true },
      ],
    },
    spec: { parallelism: size, completions: size, suspend, template: { spec: { containers: [{ image: 'segfleet:1' }] } } },
    status: {
      ...(suspend ? {} : { startTime: ago(started) }),
      ...(completed !== undefined && { completionTime: ago(completed) }),
      conditions: condition ? [{ status: 'True', ...condition }] : [],
    },
  };
}

/** With both Jobs, unless it is said that one is not there. */
export function fleet(
  pods: readonly Pod[],
  {
    coordinator = {},
    workers = { size: 4 },
    job = trainingJob(),
  }: { coordinator?: JobOptions | null; workers?: JobOptions | null; job?: TrainingJob } = {},
): { readonly coordinator: Crew; readonly workers: Crew } {
  const jobs = {
    ...(coordinator && { coordinator: batchJob('coordinator', coordinator) }),
    ...(workers && { workers: batchJob('worker', workers) }),
  };
  return fleetOf({ job, children: [], pods, events: [], ...jobs }, now);
}

export const warning = (uid: string, reason: string, message: string, { seconds = 10 } = {}): KubeEvent => ({
  ...{ apiVersion: 'v1', kind: 'Event', metadata: { name: `${uid}.${reason}` }, type: 'Warning' as const, reason, message },
  ...{ involvedObject: { uid }, lastTimestamp: ago(seconds) },
});
