/**
 * The shell around `reconcile` and `reconcileSweep`: whatever happens to a job or a sweep, or to what was made for it, queues its key, and a keeper of its
 * kind does what is decided then. All that it knows is in the caches, so it may end at any moment and begin anew elsewhere.
 */
import type { Api } from './api.ts';
import { Caches, type CachesOptions } from './caches.ts';
import type { BackOff, Clock } from './clock.ts';
import { coordinatorPodOf, Decisions, type DecisionsOptions } from './decisions.ts';
import { EventRecorder } from './eventRecorder.ts';
import { Evidence } from './evidence.ts';
import { Keeper, type KeeperOptions } from './keeper.ts';
import { KeySecrets } from './keySecrets.ts';
import { errorFields, type Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { operatorName } from './names.ts';
import type { Sweep, TrainingJob } from './objects.ts';
import { ProgressPoller, type ProgressTarget } from './progress.ts';
import { phases } from './status.ts';
import { SweepDecisions } from './sweep/decisions.ts';
import { measureSweeps } from './sweep/measure.ts';
import { sweepPhases } from './sweepStatus.ts';
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
  readonly trace?: KeeperOptions<never>['trace'];
  readonly times?: ControllerTimes;
}

export interface ControllerTimes extends NonNullable<CachesOptions['watchTimes']> {
  /** Of keys whose reconcile failed. */
  readonly errorBackOff?: BackOff;
  /** Every job and sweep is looked at so often even if nothing happens. @default 600_000 */
  readonly lookAgainMs?: number;
  readonly progressPort?: number;
  readonly progressPollMs?: number;
}

export class Controller {
  readonly #options: ControllerOptions;
  readonly #caches: Caches;
  readonly #jobs: Keeper<TrainingJob>;
  readonly #sweeps: Keeper<Sweep>;
  readonly #progress: ProgressPoller;

  constructor(options: ControllerOptions) {
    this.#options = options;
    const { api, namespaces, identity, check, clock, random, log, metrics, trace, settings, times } = options;
    const caches = new Caches({
      api,
      namespaces,
      clock,
      random,
      watchTimes: definedOf({ silentMs: times?.silentMs, resyncMs: times?.resyncMs, backOff: times?.backOff }),
      onChange: key => this.#jobs.add(key),
      onSweep: key => this.#sweeps.add(key),
      onPod: (key, pod) => decisions.notePod(key, pod),
      onRestart: (kind, reason, error) => {
        metrics.watchRestarts.inc({ kind, reason });
        if (error !== undefined) log('warn', `the watch of ${kind} begins anew`, { kind, reason, ...errorFields(error) });
      },
    });
    this.#caches = caches;
    const secrets = new KeySecrets(api, clock);
    const recorder = new EventRecorder({
      api,
      identity,
      clock,
      check,
      onOutcome: error => {
        metrics.events.inc({ outcome: error === undefined ? 'recorded' : 'lost' });
        if (error !== undefined) log('warn', 'an event is lost', errorFields(error));
      },
    });
    this.#progress = new ProgressPoller({
      ...definedOf({ port: times?.progressPort, pollMs: times?.progressPollMs }),
      clock,
      targets: () => this.#progressTargets(),
      onChange: key => this.#jobs.add(key),
      onPoll: outcome => metrics.progressPolls.inc({ outcome }),
    });
    const evidence = new Evidence({ api, clock, onError: (doing, error) => log('warn', doing, errorFields(error)) });
    const decisions = new Decisions({ ...options, caches, progress: this.#progress, secrets, evidence });
    const common = {
      ...{ api, caches, secrets, recorder, check, clock, random, log, metrics, trace },
      ...definedOf({ errorBackOff: times?.errorBackOff, lookAgainMs: times?.lookAgainMs }),
    };
    this.#jobs = new Keeper({
      ...common,
      what: 'job',
      find: key => caches.job(key),
      all: () => caches.jobs(),
      isOthers,
      decider: decisions,
    });
    this.#sweeps = new Keeper({
      ...common,
      what: 'sweep',
      find: key => caches.sweep(key),
      all: () => caches.sweeps(),
      isOthers: () => false,
      decider: new SweepDecisions({ caches, settings, clock }),
    });
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
    await Promise.all([this.#jobs.lead(signal), this.#sweeps.lead(signal), this.#progress.run(signal)]);
  }

  /** Brings up to date what is read off rather than counted. */
  measure(): void {
    const { metrics } = this.#options;
    metrics.queueDepth.set(this.#jobs.depth + this.#sweeps.depth);
    metrics.queueWorking.set(this.#jobs.working + this.#sweeps.working);
    for (const [phase, count] of countByPhase(phases, this.#caches.jobs())) metrics.jobs.set({ phase }, count);
    for (const [phase, count] of countByPhase(sweepPhases, this.#caches.sweeps())) metrics.sweeps.set({ phase }, count);
    measureSweeps(metrics, this.#caches.sweeps(), this.#options.clock.date());
    const heard = new Map<string, number>();
    for (const { kind, lastEvent } of this.#caches.watches) {
      heard.set(kind, Math.min(heard.get(kind) ?? Number.POSITIVE_INFINITY, (lastEvent?.getTime() ?? 0) / 1000));
    }
    for (const [kind, seconds] of heard) metrics.watchLastEvent.set({ kind }, seconds);
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

function countByPhase(
  phases: readonly string[],
  objects: Iterable<{ readonly status?: { readonly phase?: string } }>,
): Map<string, number> {
  const counts = new Map(phases.map(phase => [phase, 0]));
  for (const { status } of objects) {
    const phase = status?.phase ?? 'Pending';
    counts.set(phase, (counts.get(phase) ?? 0) + 1);
  }
  return counts;
}
