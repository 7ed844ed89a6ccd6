/**
 * The shell around `reconcile`: whatever happens to a job, or to what was made for it, queues the key of the job; a key out of the queue is looked up,
 * decided upon, and what was decided is carried out. All that it knows is in the caches, so it may end at any moment and begin anew elsewhere.
 */
import type { Api } from './api.ts';
import { Caches, type CachesOptions } from './caches.ts';
import type { BackOff, Clock } from './clock.ts';
import { coordinatorPodOf, Decisions, type DecisionsOptions } from './decisions.ts';
import { concernsUsers, Effects, Rejection } from './effects.ts';
import { EventRecorder } from './eventRecorder.ts';
import { Evidence } from './evidence.ts';
import { Expectations } from './expectations.ts';
import { KeySecrets } from './keySecrets.ts';
import { errorFields, type Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { operatorName } from './names.ts';
import type { TrainingJob } from './objects.ts';
import { ProgressPoller, type ProgressTarget } from './progress.ts';
import { Queue } from './queue.ts';
import { phases } from './status.ts';
import { keyOf } from './watch.ts';

export interface ControllerOptions extends Pick<DecisionsOptions, 'settings' | 'reconcile' | 'makeKeys'> {
  readonly api: Api;
  /** By default all. */
  readonly namespaces?: readonly string[];
  /** Of this process. */
  readonly identity: string;
  /** Before every effect. @throws NotLeading */
  check(): void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly times?: ControllerTimes;
}

export interface ControllerTimes extends NonNullable<CachesOptions['watchTimes']> {
  /** Of keys whose reconcile failed. */
  readonly errorBackOff?: BackOff;
  /** Every job is looked at so often even if nothing happens. @default 600_000 */
  readonly lookAgainMs?: number;
  readonly progressPort?: number;
  readonly progressPollMs?: number;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #caches: Caches;
  readonly #expectations = new Expectations();
  readonly #decisions: Decisions;
  readonly #recorder: EventRecorder;
  readonly #effects: Effects;
  readonly #progress: ProgressPoller;
  /** While this process leads. */
  #queue: Queue | undefined;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { api, namespaces, identity, check, clock, random, log, metrics, times } = options;
    const add = (key: string) => this.#queue?.add(key);
    this.#caches = new Caches({
      api,
      namespaces,
      clock,
      random,
      watchTimes: definedOf({ silentMs: times?.silentMs, resyncMs: times?.resyncMs, backOff: times?.backOff }),
      onChange: add,
      onPod: (key, pod) => this.#decisions.notePod(key, pod),
      onRestart: (kind, reason, error) => {
        metrics.watchRestarts.inc({ kind, reason });
        if (error !== undefined) log('warn', `the watch of ${kind} begins anew`, { kind, reason, ...errorFields(error) });
      },
    });
    const secrets = new KeySecrets(api, clock);
    this.#recorder = new EventRecorder({
      api,
      identity,
      clock,
      check,
      onOutcome: error => {
        metrics.events.inc({ outcome: error === undefined ? 'recorded' : 'lost' });
        if (error !== undefined) log('warn', 'an event is lost', errorFields(error));
      },
    });
    this.#effects = new Effects({
      api,
      clock,
      check,
      caches: this.#caches,
      secrets,
      expectations: this.#expectations,
      recorder: this.#recorder,
      onStatusWrite: () => metrics.statusWrites.inc(),
    });
    this.#progress = new ProgressPoller({
      ...definedOf({ port: times?.progressPort, pollMs: times?.progressPollMs }),
      clock,
      targets: () => this.#progressTargets(),
      onChange: add,
      onPoll: outcome => metrics.progressPolls.inc({ outcome }),
    });
    const evidence = new Evidence({ api, clock, onError: (doing, error) => log('warn', doing, errorFields(error)) });
    this.#decisions = new Decisions({ ...options, caches: this.#caches, progress: this.#progress, secrets, evidence });
  }

  /** All that there is has been seen once. */
  get isSynced(): boolean {
    return this.#caches.isSynced;
  }

  synced(): Promise<void> {
    return this.#caches.synced();
  }

  /** Keeps the caches until the signal aborts. Never throws. */
  run(signal: AbortSignal): Promise<void> {
    return this.#caches.run(signal);
  }

  /** Acts until the signal aborts, and then ends what it is at. Never throws. */
  async lead(signal: AbortSignal): Promise<void> {
    const { clock, random, times } = this.#options;
    const queue = new Queue({
      work: key => this.#work(key),
      onError: (key, error, againInMs) => this.#failed(key, error, againInMs),
      clock,
      random,
      ...definedOf({ backOff: times?.errorBackOff }),
    });
    this.#queue = queue;
    for (const job of this.#caches.jobs()) queue.add(keyOf(job));
    const asking = this.#progress.run(signal);
    if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
    await Promise.all([queue.stop(), asking]);
    this.#queue = undefined;
  }

  /** Brings up to date what is read off rather than counted. */
  measure(): void {
    const { metrics } = this.#options;
    metrics.queueDepth.set(this.#queue?.depth ?? 0);
    metrics.queueWorking.set(this.#queue?.working ?? 0);
    const byPhase = new Map<string, number>(phases.map(phase => [phase, 0]));
    for (const { status } of this.#caches.jobs()) {
      const phase = status?.phase ?? 'Pending';
      byPhase.set(phase, (byPhase.get(phase) ?? 0) + 1);
    }
    for (const [phase, count] of byPhase) metrics.jobs.set({ phase }, count);
    const heard = new Map<string, number>();
    for (const { kind, lastEvent } of this.#caches.watches) {
      heard.set(kind, Math.min(heard.get(kind) ?? Number.POSITIVE_INFINITY, (lastEvent?.getTime() ?? 0) / 1000));
    }
    for (const [kind, seconds] of heard) metrics.watchLastEvent.set({ kind }, seconds);
  }

  async #work(key: string): Promise<number | undefined> {
    const { clock, random, metrics, times } = this.#options;
    const job = this.#caches.job(key);
    if (!job || job.metadata.deletionTimestamp || isOthers(job)) return this.#forget(key);
    const waitMs = this.#expectations.waitMs(key, clock.now());
    if (waitMs > 0) return waitMs;
    const end = metrics.reconcileSeconds.startTimer();
    try {
      const againMs = await this.#reconcile(key, job);
      return Math.min(againMs ?? Number.POSITIVE_INFINITY, (times?.lookAgainMs ?? 600_000) * (0.75 + random() / 4));
    } finally {
      end();
    }
  }

  /** @returns after how long to reconcile again, if that is known */
  async #reconcile(key: string, job: TrainingJob): Promise<number | undefined> {
    const { plan, againMs } = await this.#decisions.decide(key, job);
    try {
      const soonMs = await this.#effects.carryOut(job, plan);
      if (this.#decisions.isAcceptedBy(key, job, plan)) return 0;
      const all = [plan.requeueAfterMs, againMs, soonMs].filter(ms => ms !== undefined);
      return all.length > 0 ? Math.min(...all) : undefined;
    } catch (error) {
      if (error instanceof Rejection) {
        this.#decisions.noteRejection(key, job, error);
        await this.#effects.report(job, (await this.#decisions.decide(key, job)).plan);
        throw error.cause;
      }
      if (concernsUsers(error)) await this.#recorder.record(job, { type: 'Warning', reason: 'ReconcileFailed', message: error.message });
      throw error;
    }
  }

  #failed(key: string, error: unknown, againInMs: number): void {
    // One that has ceased to lead has nothing to tell: the next leader does it.
    if (!this.#mayAct()) return;
    const { log, metrics } = this.#options;
    const fields = errorFields(error);
    metrics.reconcileErrors.inc({ code: String(fields.code) });
    log(fields.code === 'bug' ? 'error' : 'warn', 'a job could not be reconciled', {
      job: key,
      againInMs: Math.round(againInMs),
      ...fields,
    });
  }

  #mayAct(): boolean {
    try {
      this.#options.check();
      return true;
    } catch {
      return false;
    }
  }

  #forget(key: string): undefined {
    this.#expectations.forget(key);
    this.#effects.forget(key);
    this.#decisions.forget(key);
  }

  #progressTargets(): ProgressTarget[] {
    const targets: ProgressTarget[] = [];
    for (const job of this.#caches.jobs()) {
      if (hasEnded(job) || isOthers(job)) continue;
      const pod = coordinatorPodOf(job, this.#caches.observe(job).pods);
      const address = pod?.status?.podIP;
      if (pod && address) targets.push({ key: keyOf(job), pod: pod.metadata.uid!, address, run: job.metadata.name });
    }
    return targets;
  }
}

const hasEnded = ({ status }: TrainingJob): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** Another controller looks after it. */
const isOthers = ({ spec }: TrainingJob): boolean => spec.managedBy !== undefined && spec.managedBy !== operatorName;

/** What is not given leaves the default. */
function definedOf<T extends object>(given: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
