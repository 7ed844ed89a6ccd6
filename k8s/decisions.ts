/**
 * From a job to a plan: puts together all that is known of it, lets `reconcile` decide, and asks for what that lacks. What the status does not hold and the
 * caches do not show is remembered here, and may be forgotten at any time.
 */
import type { Caches } from './caches.ts';
import type { Clock } from './clock.ts';
import type { Rejection } from './effects.ts';
import { type Evidence, evidenceAgainMs } from './evidence.ts';
import type { Decider } from './keeper.ts';
import type { KeySecrets } from './keySecrets.ts';
import { type LastCheckpoint, lastCheckpointOf } from './lastCheckpoint.ts';
import { childNames } from './names.ts';
import type { Pod, TrainingJob } from './objects.ts';
import { controllerOf } from './owners.ts';
import type { Context, Observed, Plan, Settings } from './plan.ts';
import type { ProgressPoller } from './progress.ts';
import { Rejections } from './rejections.ts';

export interface DecisionsOptions {
  readonly caches: Pick<Caches, 'observe' | 'find'>;
  readonly secrets: Pick<KeySecrets, 'of' | 'doubt' | 'forget'>;
  readonly progress: Pick<ProgressPoller, 'of'>;
  readonly evidence: Evidence;
  readonly settings: Settings;
  readonly clock: Clock;
  reconcile(observed: Observed, context: Context): Plan;
  /** Fresh keys for a run, as the text of a key file. */
  makeKeys(run: string): string;
}

export class Decisions implements Decider<TrainingJob> {
  readonly #options: DecisionsOptions;
  readonly #rejections: Rejections;
  readonly #lastCheckpoints = new Map<string, LastCheckpoint>();

  constructor(options: DecisionsOptions) {
    this.#options = options;
    this.#rejections = new Rejections(options.caches);
  }

  /** @returns what is to be done, and after how long there may be more evidence */
  async decide(key: string, job: TrainingJob): Promise<{ plan: Plan; againMs?: number }> {
    const { reconcile, clock, settings, makeKeys, evidence, secrets } = this.#options;
    const context: Context = { now: clock.date(), settings, makeKeys };
    let observed = this.#observe(key, job);
    let plan = reconcile(observed, context);
    if (!plan.needsEvents && plan.needsLog === undefined) return { plan };
    const namespace = job.metadata.namespace!;
    if (plan.needsEvents) {
      const about = [observed.coordinator, observed.workers, ...observed.pods].flatMap(object => object?.metadata.uid ?? []);
      const events = await evidence.warnings(key, namespace, new Set(about));
      if (events.length > 0) {
        // In the words of kubelet.
        if (events.some(({ message }) => message?.includes(`secret "${childNames(job.metadata.name).keys}" not found`))) secrets.doubt(job);
        observed = { ...this.#observe(key, job), events };
        plan = reconcile(observed, context);
      }
    }
    if (plan.needsLog !== undefined) {
      const log = await evidence.log(key, namespace, plan.needsLog);
      if (log) plan = reconcile({ ...observed, log }, context);
    }
    return { plan, againMs: plan.needsEvents || plan.needsLog !== undefined ? evidenceAgainMs : undefined };
  }

  /** A pod of the job has changed, or is gone. */
  notePod(key: string, pod: Pod): void {
    const last = lastCheckpointOf(pod);
    if (last) this.#lastCheckpoints.set(key, last);
  }

  noteRejection(key: string, job: TrainingJob, rejection: Rejection): void {
    this.#rejections.note(key, job, rejection);
  }

  isAcceptedBy(key: string, job: TrainingJob, plan: Plan): boolean {
    return this.#rejections.isOver(key, job, plan);
  }

  forget(key: string): void {
    this.#options.evidence.forget(key);
    this.#options.secrets.forget(key);
    this.#rejections.forget(key);
    this.#lastCheckpoints.delete(key);
  }

  #observe(key: string, job: TrainingJob): Observed {
    const { caches, secrets, progress } = this.#options;
    const found = caches.observe(job);
    const secret = secrets.of(
      job,
      [found.coordinator, found.workers].filter(one => one !== undefined),
    );
    const pod = coordinatorPodOf(job, found.pods);
    return {
      job,
      ...found,
      children: [...found.children, ...(secret ? [secret] : [])],
      progress: pod && progress.of(key, pod.metadata.uid!),
      lastCheckpoint: this.#lastCheckpoints.get(key),
      rejected: this.#rejections.of(key),
      events: [],
    };
  }
}

/** The one that runs; while one is going and another is coming, the newer. */
export function coordinatorPodOf({ metadata: { name } }: TrainingJob, pods: readonly Pod[]): Pod | undefined {
  const { coordinator } = childNames(name);
  return pods
    .filter(pod => controllerOf(pod)?.name === coordinator && pod.status?.phase === 'Running' && !pod.metadata.deletionTimestamp)
    .sort((a, b) => (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? ''))
    .at(-1);
}
