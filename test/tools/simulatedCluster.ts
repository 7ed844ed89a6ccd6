/**
 * A cluster as plain data, for what the operator decides: carries plans out as an API server would, and has a Job controller and kubelets that do as
 * those of Kubernetes 1.35 do, step by step, when they are told to. Its waits after failures are left out. What is real is tested on a real one.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Progress } from '../../coordinator/progress.ts';
import { annotations, type Component, childNames, labels } from '../../k8s/names.ts';
import type { AnyObject, BatchJob, KubeEvent, KubeObject, ObjectRef, Pod, TrainingJob } from '../../k8s/objects.ts';
import type { Context, EventDraft, Observed, Plan } from '../../k8s/plan.ts';
import { reconcile } from '../../k8s/reconcile.ts';
import { fatalExitCodes } from '../../k8s/resources/podFailurePolicy.ts';
import { type JobStatus, statusSchema } from '../../k8s/status.ts';
import { timestamp } from '../../k8s/timestamp.ts';
import { settings, trainingJob } from './trainingJobs.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends object | undefined ? Mutable<T[K]> : T[K] };

const indexKey = 'batch.kubernetes.io/job-completion-index';
const graceMs = 60_000;

export class SimulatedCluster {
  now: Date;
  job: Mutable<TrainingJob> | undefined;
  readonly children = new Map<string, KubeObject>();
  readonly jobs = new Map<string, Mutable<BatchJob>>();
  readonly pods = new Map<string, Mutable<Pod>>();
  readonly warnings: KubeEvent[] = [];
  /** What the operator said so far. */
  readonly said: EventDraft[] = [];
  progress: Progress | undefined;
  rejected: Observed['rejected'];
  log: Observed['log'];
  settings = settings;
  /** Of the last reconcile. */
  plan: Plan | undefined;
  #count = 0;

  constructor(job: TrainingJob = trainingJob(), now = '2026-11-26T10:00:00Z') {
    this.job = structuredClone(job) as Mutable<TrainingJob>;
    this.now = new Date(now);
  }

  get status(): JobStatus {
    return (this.job?.status ?? {}) as JobStatus;
  }

  get names() {
    return childNames(this.job!.metadata.name);
  }

  get coordinator(): Mutable<BatchJob> | undefined {
    return this.jobs.get(this.names.coordinator);
  }

  get workers(): Mutable<BatchJob> | undefined {
    return this.jobs.get(this.names.workers);
  }

  wait(seconds: number): this {
    this.now = new Date(this.now.getTime() + seconds * 1000);
    return this;
  }

  edit(change: (spec: Record<string, never>) => void): this {
    change(this.job!.spec as never);
    this.job!.metadata.generation = (this.job!.metadata.generation ?? 0) + 1;
    return this;
  }

  observed(): Observed {
    return structuredClone({
      job: this.job as TrainingJob,
      children: [...this.children.values()],
      coordinator: this.coordinator as BatchJob | undefined,
      workers: this.workers as BatchJob | undefined,
      pods: [...this.pods.values()] as Pod[],
      progress: this.progress,
      events: this.plan?.needsEvents ? this.warnings : [],
      log: this.log,
      rejected: this.rejected,
    });
  }

  get context(): Context {
    return { now: this.now, settings: this.settings, makeKeys: run => `{"run":"${run}"}` };
  }

  /** One look, and what follows from it. */
  reconcile(): Plan {
    this.plan = reconcile(this.observed(), this.context);
    this.carryOut(this.plan);
    return this.plan;
  }

  /** Looks until there is nothing to do. @returns what was said meanwhile */
  settle(): string[] {
    const before = this.said.length;
    for (let round = 0; this.job; round++) {
      if (round > 10) throw new Error(`the operator finds no rest: ${JSON.stringify(this.plan)}`);
      const status = this.status;
      const plan = this.reconcile();
      if (isIdle(plan) && isDeepStrictEqual(plan.status, status)) break;
    }
    return this.said.slice(before).map(({ reason }) => reason);
  }

  /** Until neither the operator nor the Job controller has anything to do. */
  live(): string[] {
    const before = this.said.length;
    for (let round = 0; round < 10; round++) {
      this.settle();
      if (!this.controlJobs()) break;
    }
    return this.said.slice(before).map(({ reason }) => reason);
  }

  carryOut({ create, apply, remove, status, events }: Plan): void {
    for (const object of create) this.#create(object);
    for (const object of apply) this.#apply(object);
    for (const ref of remove) this.#remove(ref);
    if (this.job) this.job.status = structuredClone(statusSchema.parse(status)) as Mutable<JobStatus>;
    this.said.push(...events);
  }

  #meta(object: AnyObject) {
    return { ...structuredClone(object.metadata), uid: this.uid(), creationTimestamp: timestamp(this.now) };
  }

  uid(): string {
    return `0d9f4b1c-0000-4000-8000-${String(++this.#count).padStart(12, '0')}`;
  }

  #create(object: AnyObject): void {
    const { kind, metadata } = object;
    if (kind === 'Job') {
      if (this.jobs.has(metadata.name)) return;
      const job = structuredClone({ ...object, metadata: this.#meta(object), status: {} }) as unknown as Mutable<BatchJob>;
      // As Kueue's webhook does.
      if (metadata.labels?.[labels.queue]) job.spec.suspend = true;
      this.jobs.set(metadata.name, job);
    } else if (!this.children.has(`${kind}/${metadata.name}`)) {
      this.children.set(`${kind}/${metadata.name}`, { apiVersion: object.apiVersion, kind, metadata: this.#meta(object) });
    }
  }

  #apply(object: AnyObject): void {
    const { kind, metadata } = object;
    const key = `${kind}/${metadata.name}`;
    if (kind === 'Job') {
      const job = this.jobs.get(metadata.name);
      if (job?.metadata.uid !== metadata.uid) throw new Error(`${key}: there is none with that uid`);
      const fields = object.spec as Record<string, unknown>;
      if ('template' in fields) throw new Error(`${key}: the template of a Job cannot be changed`);
      Object.assign(job!.spec, fields);
      if (job!.spec.completions !== job!.spec.parallelism) throw new Error(`${key}: completions and parallelism change together`);
    } else {
      const uid = this.children.get(key)?.metadata.uid;
      const meta = this.#meta(object);
      this.children.set(key, { apiVersion: object.apiVersion, kind, metadata: { ...meta, uid: uid ?? meta.uid } });
    }
  }

  #remove({ kind, metadata }: ObjectRef): void {
    if (kind === 'TrainingJob') this.job = undefined;
    else if (kind === 'Job') {
      const job = this.jobs.get(metadata.name);
      if (!job || job.metadata.uid !== metadata.uid) return;
      this.jobs.delete(metadata.name);
      for (const pod of this.#podsOf(job)) this.#letGo(pod);
    } else throw new Error(`the operator removes a ${kind}`);
  }

  #podsOf({ metadata }: Mutable<BatchJob>): Mutable<Pod>[] {
    return [...this.pods.values()].filter(pod => pod.metadata.ownerReferences?.[0].uid === metadata.uid);
  }

  /** Deletes a pod as Kubernetes does: at once where nothing runs. */
  #letGo(pod: Mutable<Pod>): void {
    if (!pod.spec.nodeName || pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded') this.pods.delete(pod.metadata.name);
    else pod.metadata.deletionTimestamp ??= timestamp(new Date(this.now.getTime() + graceMs));
  }

  /** One look of the Job controller at each Job. @returns whether anything has changed */
  controlJobs(): boolean {
    const state = () => JSON.stringify([[...this.jobs.values()], [...this.pods.values()]]);
    const before = state();
    for (const job of this.jobs.values()) this.#control(job);
    const uids = new Set([...this.jobs.values()].map(({ metadata }) => metadata.uid));
    for (const pod of this.pods.values()) if (!uids.has(pod.metadata.ownerReferences![0].uid)) this.#letGo(pod);
    return state() !== before;
  }

  #control(job: Mutable<BatchJob>): void {
    job.status ??= {};
    job.status.conditions ??= [];
    const { status, spec } = job;
    const conditions = status.conditions as { type: string; status: string; reason?: string; message?: string }[];
    const has = (type: string) => conditions.some(condition => condition.type === type && condition.status === 'True');
    const size = spec.completions ?? 1;
    const all = this.#podsOf(job);
    const indexOf = (pod: Mutable<Pod>) => Number(pod.metadata.labels?.[indexKey] ?? 0);
    const isOver = ({ status }: Mutable<Pod>) => status?.phase === 'Failed' || status?.phase === 'Succeeded';
    // What was deleted and has ended is let go once it is counted.
    for (const pod of all) if (pod.metadata.deletionTimestamp && isOver(pod)) this.pods.delete(pod.metadata.name);
    if (has('Complete') || has('Failed')) return;
    const active = all.filter(pod => !isOver(pod) && !pod.metadata.deletionTimestamp);
    const fail = (reason: string, message: string) => {
      for (const pod of active) this.#letGo(pod);
      conditions.push({ type: 'Failed', status: 'True', reason, message });
    };
    const fatal = all.find(pod => {
      const { exitCode = 0 } = pod.status?.containerStatuses?.[0].state?.terminated ?? {};
      const isDisrupted = pod.status?.conditions?.some(({ type, status }) => type === 'DisruptionTarget' && status === 'True');
      return pod.status?.phase === 'Failed' && !isDisrupted && fatalExitCodes.includes(exitCode);
    });
    if (fatal) {
      const { exitCode } = fatal.status!.containerStatuses![0].state!.terminated!;
      return fail(
        'PodFailurePolicy',
        `Container x for pod ${fatal.metadata.name} failed with exit code ${exitCode} matching FailJob rule at index 2`,
      );
    }
    if (spec.suspend) {
      for (const pod of active) this.#letGo(pod);
      status.startTime = undefined;
      return;
    }
    status.startTime ??= timestamp(this.now);
    if (
      spec.activeDeadlineSeconds !== undefined &&
      this.now.getTime() - Date.parse(status.startTime) >= spec.activeDeadlineSeconds * 1000
    ) {
      return fail('DeadlineExceeded', 'Job was active longer than specified deadline');
    }
    const done = new Set(all.filter(pod => pod.status?.phase === 'Succeeded').map(indexOf));
    if (done.size >= size && active.length === 0) {
      status.completionTime = timestamp(this.now);
      conditions.push({ type: 'Complete', status: 'True', reason: 'CompletionsReached' });
      return;
    }
    for (const pod of active) if (indexOf(pod) >= size) this.#letGo(pod);
    const present = new Set(all.filter(pod => this.pods.has(pod.metadata.name) && !isOver(pod)).map(indexOf));
    for (let index = 0; index < size; index++) if (!present.has(index) && !done.has(index)) this.#makePod(job, index);
    status.active = this.#podsOf(job).filter(pod => !isOver(pod) && !pod.metadata.deletionTimestamp).length;
  }

  #makePod(job: Mutable<BatchJob>, index: number): void {
    const { name, uid } = job.metadata;
    const isIndexed = job.metadata.labels?.[labels.component] === 'worker';
    const podName = `${name}${isIndexed ? `-${index}` : ''}-p${++this.#count}`;
    const component = job.metadata.labels?.[labels.component] as Component;
    this.pods.set(podName, {
      ...{ apiVersion: 'v1', kind: 'Pod' },
      metadata: {
        ...{ name: podName, namespace: job.metadata.namespace, uid: this.uid(), creationTimestamp: timestamp(this.now) },
        labels: {
          [labels.job]: this.job?.metadata.name ?? '',
          [labels.component]: component,
          ...(isIndexed && { [indexKey]: String(index) }),
        },
        ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name, uid: uid!, controller: true }],
      },
      spec: {},
      status: { phase: 'Pending' },
    });
  }

  /** Pods that have not ended, those of the coordinator first, then by index. */
  running(component?: Component): Mutable<Pod>[] {
    return [...this.pods.values()]
      .filter(({ status }) => status?.phase !== 'Failed' && status?.phase !== 'Succeeded')
      .filter(({ metadata }) => component === undefined || metadata.labels?.[labels.component] === component)
      .toSorted((a, b) => (a.metadata.labels?.[indexKey] ?? '').localeCompare(b.metadata.labels?.[indexKey] ?? ''));
  }

  coordinatorPod(): Mutable<Pod> {
    return this.running('coordinator')[0];
  }

  worker(index: number): Mutable<Pod> {
    const found = this.running('worker').find(({ metadata }) => metadata.labels?.[indexKey] === String(index));
    if (!found) throw new Error(`there is no worker ${index}`);
    return found;
  }

  /** The kubelet has started it, and it is ready. */
  start(pod: Mutable<Pod>, node = 'node-1'): void {
    pod.spec.nodeName = node;
    pod.status = {
      ...{ phase: 'Running', startTime: timestamp(this.now) },
      conditions: [
        { type: 'PodScheduled', status: 'True' },
        { type: 'Ready', status: 'True', lastTransitionTime: timestamp(this.now) },
      ],
      containerStatuses: [
        {
          name: pod.metadata.labels![labels.component],
          ready: true,
          restartCount: 0,
          state: { running: { startedAt: timestamp(this.now) } },
        },
      ],
    };
  }

  startAll(): this {
    for (const pod of this.running()) if (pod.status?.phase === 'Pending') this.start(pod);
    return this;
  }

  /** Its process has ended. */
  end(
    pod: Mutable<Pod>,
    exitCode: number,
    { message, reason = exitCode === 0 ? 'Completed' : 'Error' }: { message?: unknown; reason?: string } = {},
  ): this {
    pod.spec.nodeName ??= 'node-1';
    pod.status = {
      ...pod.status,
      phase: exitCode === 0 ? 'Succeeded' : 'Failed',
      conditions: [
        ...(pod.status?.conditions ?? []).filter(({ type }) => type !== 'Ready'),
        { type: 'Ready', status: 'False', lastTransitionTime: timestamp(this.now) },
      ],
      containerStatuses: [
        {
          ...{ name: pod.metadata.labels![labels.component], ready: false, restartCount: 0 },
          state: {
            terminated: {
              ...{ exitCode, reason, finishedAt: timestamp(this.now) },
              ...(message !== undefined && { message: typeof message === 'string' ? message : JSON.stringify(message) }),
            },
          },
        },
      ],
    };
    return this;
  }

  /** @param disruption reason of its DisruptionTarget; none: somebody's `kubectl delete pod` */
  delete(pod: Mutable<Pod>, disruption?: string): this {
    if (disruption) {
      pod.status = {
        ...pod.status,
        conditions: [...(pod.status?.conditions ?? []), { type: 'DisruptionTarget', status: 'True', reason: disruption }],
      };
    }
    this.#letGo(pod);
    return this;
  }

  /** Pods that were told to end have ended. */
  reap(exitCode = 75): this {
    for (const pod of this.running()) if (pod.metadata.deletionTimestamp) this.end(pod, exitCode);
    return this;
  }

  warn(about: KubeObject, reason: string, message: string): this {
    const involvedObject = { kind: about.kind, name: about.metadata.name, uid: about.metadata.uid };
    const metadata = { name: `warning-${++this.#count}` };
    this.warnings.push({
      ...{ apiVersion: 'v1', kind: 'Event', metadata, type: 'Warning' },
      reason,
      message,
      involvedObject,
      lastTimestamp: timestamp(this.now),
    });
    return this;
  }

  condition(type: string) {
    const found = this.status.conditions?.find(condition => condition.type === type);
    return found && { status: found.status, reason: found.reason, message: found.message };
  }

  /** Accepted, made, and all of it running. */
  begin(): this {
    this.live();
    this.startAll();
    this.settle();
    return this;
  }
}

export const isIdle = ({ create, apply, remove, events }: Plan): boolean =>
  [create, apply, remove, events].every(({ length }) => length === 0);

export const keysAnnotation = annotations.keys;
