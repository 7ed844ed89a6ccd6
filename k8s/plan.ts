/**
 * What goes into a reconcile and what comes out of it. Both are plain data: whoever reads them needs no cluster.
 */
import type { Progress } from '../coordinator/progress.ts';
import type { AnyObject, BatchJob, KubeEvent, KubeObject, ObjectRef, Pod, TrainingJob } from './objects.ts';
import type { JobStatus } from './status.ts';

/** What the operator was started with. */
export interface Settings {
  /** Of jobs that name none. */
  readonly image: string;
  readonly imagePullPolicy?: 'Always' | 'IfNotPresent' | 'Never';
  /** `s3://bucket/prefix`: where checkpoints of jobs without checkpoint.url lie, below namespace, name and uid. */
  readonly store?: string;
  /** A Secret of that name in the namespace of each job, where the job names none. */
  readonly storeSecret?: string;
  /** A PersistentVolumeClaim of that name in the namespace of each job, with the TensorFlow library; else it is in the image. */
  readonly libraryClaim?: string;
  /** Selects the pods that may ask coordinators for progress: those of the operator, and of Prometheus. */
  readonly clients: readonly { readonly namespace: string; readonly labels: Readonly<Record<string, string>> }[];
}

/** All that is known of one job, from the watches. */
export interface Observed {
  readonly job: TrainingJob;
  /** What the operator made for it, as it is now. */
  readonly children: readonly KubeObject[];
  readonly coordinator?: BatchJob;
  readonly workers?: BatchJob;
  /** Of both Jobs, those that ended too. */
  readonly pods: readonly Pod[];
  /** What the coordinator last said, if it was reached. */
  readonly progress?: Progress;
  /** Warnings about the Jobs and pods of this job: asked for only while something is missing (Plan.needsEvents). */
  readonly events: readonly KubeEvent[];
  /** The last log lines of the pod that failed first: asked for once (Plan.needsLog). */
  readonly log?: { readonly pod: string; readonly lines: string };
}

export interface EventDraft {
  readonly type: 'Normal' | 'Warning';
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Carried out in this order: create, apply, remove, status, events. */
export interface Plan {
  /** Made only where they are not there yet: what must never be overwritten. */
  readonly create: readonly AnyObject[];
  /** Server-side apply. */
  readonly apply: readonly AnyObject[];
  readonly remove: readonly ObjectRef[];
  /** The whole status as it should be; it is written if it differs from the observed one. */
  readonly status: JobStatus;
  readonly events: readonly EventDraft[];
  /** Look again after this time, even if nothing happens. */
  readonly requeueAfterMs?: number;
  /** Something is missing, and only events tell why. */
  readonly needsEvents?: boolean;
  /** The pod whose last log lines belong into the status. */
  readonly needsLog?: string;
}

export interface Context {
  readonly now: Date;
  readonly settings: Settings;
  /** Fresh keys for a run, as the text of a key file. */
  readonly makeKeys: (run: string) => string;
}
