/**
 * What goes into a reconcile and what comes out of it. Both are plain data: whoever reads them needs no cluster.
 */
import type { Progress } from '../coordinator/progress.ts';
import type { LastCheckpoint } from './lastCheckpoint.ts';
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
  /** Ports of the store, for the NetworkPolicy: pods may connect to them anywhere, and to 443. */
  readonly storePorts?: readonly number[];
  /** Whom coordinators tell of their runs. */
  readonly trackers?: TrackerSettings;
  /** Selects the pods that may ask coordinators for progress: those of the operator, and of Prometheus. */
  readonly clients: readonly { readonly namespace: string; readonly labels: Readonly<Record<string, string>> }[];
}

export interface TrackerSettings {
  /** The address of an MLflow server. */
  readonly mlflow?: string;
  /** A Secret in the namespace of each job, with any of the keys that are named as the variables of `mlflowCredentials`. */
  readonly mlflowSecret?: string;
  /** The address of a collector of OpenTelemetry traces. */
  readonly traces?: string;
}

/** All that is known of one job, from the watches. */
export interface Observed {
  readonly job: TrainingJob;
  /**
   * What the operator made for it, as it is now: Service, ConfigMap, Secret, NetworkPolicy, PodDisruptionBudget. Metadata are enough, with uid and
   * ownerReferences. Without its Secret and its ConfigMap a job does not start.
   */
  readonly children: readonly KubeObject[];
  readonly coordinator?: BatchJob;
  readonly workers?: BatchJob;
  /** Of both Jobs, those that ended too. */
  readonly pods: readonly Pod[];
  /** What the coordinator last said, if it was reached. */
  readonly progress?: Progress;
  /** With what the coordinator before it ended. */
  readonly lastCheckpoint?: LastCheckpoint;
  /** Warnings about the Jobs and pods of this job: asked for only while something is missing (Plan.needsEvents). */
  readonly events: readonly KubeEvent[];
  /** The last log lines of the pod that failed first: asked for once (Plan.needsLog). */
  readonly log?: { readonly pod: string; readonly lines: string };
  /** What the API server said when it last refused to create or apply a child (400, 403, 422), until that child is accepted. */
  readonly rejected?: { readonly kind: string; readonly name: string; readonly message: string };
}

export interface EventDraft {
  readonly type: 'Normal' | 'Warning';
  /** One word in CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** Carried out in this order: create, apply, remove, status, events. @typeParam S the status of what it is about */
export interface Plan<S = JobStatus> {
  /** Made only where they are not there yet: what must never be overwritten. */
  readonly create: readonly AnyObject[];
  /** Server-side apply, by force: the fields are ours. Of a Job that is there already only those that may change; its uid says which one is meant. */
  readonly apply: readonly AnyObject[];
  readonly remove: readonly ObjectRef[];
  /** The whole status as it should be; it is written if it differs from the observed one. */
  readonly status: S;
  /** More has changed in it than numbers that change all the time: it is to be written now. */
  readonly urgent?: boolean;
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
