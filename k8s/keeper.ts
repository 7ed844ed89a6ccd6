/**
 * Keeps all objects of one kind as they should be: a key out of the queue is looked up, decided upon, and what was decided is carried out. It acts only
 * while this process leads.
 */
import type { SpanRecord } from '../trainer/tracking/spans.ts';
import type { BackOff, Clock } from './clock.ts';
import { concernsUsers, Effects, type EffectsOptions, type Owner, type PlanOf, Rejection } from './effects.ts';
import type { EventRecorder } from './eventRecorder.ts';
import { Expectations } from './expectations.ts';
import { errorFields, type Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { Queue } from './queue.ts';
import { keyOf } from './watch.ts';

export interface Decider<O extends Owner> {
  /** @returns what is to be done, and after how long there may be more to know */
  decide(key: string, object: O): Promise<{ readonly plan: PlanOf<O>; readonly againMs?: number }>;
  noteRejection(key: string, object: O, rejection: Rejection): void;
  /** A plan was carried out: whether there is less to say now, as what was refused before is taken. */
  isAcceptedBy(key: string, object: O, plan: PlanOf<O>): boolean;
  forget(key: string): void;
}

export interface KeeperOptions<O extends Owner> extends Pick<EffectsOptions, 'api' | 'caches' | 'secrets'> {
  /** In words. */
  readonly what: 'job' | 'sweep';
  find(key: string): O | undefined;
  all(): Iterable<O>;
  /** Whether it is somebody else's to look after. */
  isOthers(object: O): boolean;
  readonly decider: Decider<O>;
  readonly recorder: Pick<EventRecorder, 'record'>;
  /** Before every effect. @throws NotLeading */
  check(): void;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Told of every reconcile when it is over. */
  readonly trace?: (span: SpanRecord) => void;
  readonly errorBackOff?: BackOff;
  /** Every object is looked at so often even if nothing happens. @default 600_000 */
  readonly lookAgainMs?: number;
}

export class Keeper<O extends Owner> {
  readonly #options: KeeperOptions<O>;
  readonly #expectations = new Expectations();
  readonly #effects: Effects<O>;
  /** While this process leads. */
  #queue: Queue | undefined;

  constructor(options: KeeperOptions<O>) {
    this.#options = options;
    const { metrics } = options;
    this.#effects = new Effects<O>({ ...options, expectations: this.#expectations, onStatusWrite: () => metrics.statusWrites.inc() });
  }

  add(key: string): void {
    this.#queue?.add(key);
  }

  get depth(): number {
    return this.#queue?.depth ?? 0;
  }

  get working(): number {
    return this.#queue?.working ?? 0;
  }

  /** Acts until the signal aborts, and then ends what it is at. Never throws. */
  async lead(signal: AbortSignal): Promise<void> {
    const { clock, random, errorBackOff } = this.#options;
    const queue = new Queue({
      work: key => this.#work(key),
      onError: (key, error, againInMs) => this.#failed(key, error, againInMs),
      ...{ clock, random },
      ...(errorBackOff && { backOff: errorBackOff }),
    });
    this.#queue = queue;
    for (const object of this.#options.all()) queue.add(keyOf(object));
    if (!signal.aborted) await new Promise(resolve => signal.addEventListener('abort', resolve, { once: true }));
    await queue.stop();
    this.#queue = undefined;
  }

  async #work(key: string): Promise<number | undefined> {
    const { what, clock, random, metrics, find, isOthers, trace, lookAgainMs = 600_000 } = this.#options;
    const object = find(key);
    if (!object || object.metadata.deletionTimestamp || isOthers(object)) return this.#forget(key);
    const waitMs = this.#expectations.waitMs(key, clock.now());
    if (waitMs > 0) return waitMs;
    const end = metrics.reconcileSeconds.startTimer();
    const spans = trace && new ReconcileSpans();
    let failure: unknown;
    try {
      const againMs = await this.#reconcile(key, object, spans);
      return Math.min(againMs ?? Number.POSITIVE_INFINITY, lookAgainMs * (0.75 + random() / 4));
    } catch (error) {
      failure = error;
      throw error;
    } finally {
      end();
      if (spans) trace(spans.end({ 'segfleet.kind': what, 'segfleet.key': key }, failure));
    }
  }

  /** @returns after how long to reconcile again, if that is known */
  async #reconcile(key: string, object: O, spans?: ReconcileSpans): Promise<number | undefined> {
    const { decider, recorder } = this.#options;
    const { plan, againMs } = await decider.decide(key, object);
    spans?.next('carry out');
    try {
      const soonMs = await this.#effects.carryOut(object, plan);
      if (decider.isAcceptedBy(key, object, plan)) return 0;
      const all = [plan.requeueAfterMs, againMs, soonMs].filter(ms => ms !== undefined);
      return all.length > 0 ? Math.min(...all) : undefined;
    } catch (error) {
      if (error instanceof Rejection) {
        decider.noteRejection(key, object, error);
        await this.#effects.report(object, (await decider.decide(key, object)).plan);
        throw error.cause;
      }
      if (concernsUsers(error)) await recorder.record(object, { type: 'Warning', reason: 'ReconcileFailed', message: error.message });
      throw error;
    }
  }

  #failed(key: string, error: unknown, againInMs: number): void {
    // One that has ceased to lead has nothing to tell: the next leader does it.
    if (!this.#mayAct()) return;
    const { what, log, metrics } = this.#options;
    const fields = errorFields(error);
    metrics.reconcileErrors.inc({ code: String(fields.code) });
    log(fields.code === 'bug' ? 'error' : 'warn', `a ${what} could not be reconciled`, {
      [what]: key,
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
    this.#options.decider.forget(key);
  }
}

/** How long the parts of one reconcile take. */
class ReconcileSpans {
  readonly #start = Date.now();
  readonly #children: SpanRecord[] = [];
  #name = 'decide';
  #since = this.#start;

  /** What went on is over, and this begins. */
  next(name: string): void {
    const end = Date.now();
    this.#children.push({ name: this.#name, start: this.#since, end });
    this.#name = name;
    this.#since = end;
  }

  end(attributes: SpanRecord['attributes'], failure: unknown): SpanRecord {
    this.next('');
    const error = failure === undefined ? undefined : (failure as Error).message;
    return { name: 'reconcile', start: this.#start, end: this.#since, attributes, error, children: this.#children };
  }
}
