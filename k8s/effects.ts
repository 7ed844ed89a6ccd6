/**
 * Carries out what a reconcile has decided: create, apply, remove, one write of the status, and events at last. Each request is fenced: whether this
 * process still leads is asked before it, and the server is told which version or which object is meant, so that what was decided on an old view of the
 * cluster is refused. The first failure ends it; what is left is decided anew the next time.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Api, Kind } from './api.ts';
import { ApiError, isStatus } from './apiError.ts';
import type { Caches } from './caches.ts';
import type { Clock } from './clock.ts';
import type { EventRecorder } from './eventRecorder.ts';
import type { Expectations } from './expectations.ts';
import type { KeySecrets } from './keySecrets.ts';
import { NotLeading } from './lease.ts';
import { mergePatch } from './mergePatch.ts';
import type { AnyObject, KubeObject, ObjectRef, TrainingJob } from './objects.ts';
import { belongsTo } from './owners.ts';
import type { EventDraft, Plan } from './plan.ts';
import { keyOf } from './watch.ts';

export interface EffectsOptions {
  readonly api: Pick<Api, 'create' | 'apply' | 'delete' | 'get' | 'patch'>;
  readonly caches: Pick<Caches, 'find' | 'isWatched' | 'observe'>;
  readonly secrets: Pick<KeySecrets, 'note' | 'find'>;
  readonly expectations: Expectations;
  readonly recorder: Pick<EventRecorder, 'record'>;
  readonly clock: Clock;
  /** Right before each request. @throws where this process may change nothing */
  check(): void;
  onStatusWrite?(): void;
}

/** A status that is not urgent is written at most so often. */
const statusMs = 5000;

const mostUntold = 20;

/** A child that the API server does not want as it is: a user, or whoever runs the cluster, has to know. */
export class Rejection extends Error {
  readonly kind: string;
  readonly child: string;

  constructor({ kind, metadata }: ObjectRef, cause: SegfleetError) {
    super(cause.message, { cause });
    this.kind = kind;
    this.child = metadata.name;
  }
}

/** What is looked after: it owns what is made for it. */
export interface Owner<S extends object = object> extends KubeObject {
  readonly status?: S;
}

export type PlanOf<O extends Owner> = Plan<NonNullable<O['status']>>;

const whatIs = ({ kind }: KubeObject): string => (kind === 'Sweep' ? 'sweep' : 'job');

export class Effects<O extends Owner = TrainingJob> {
  readonly #options: EffectsOptions;
  readonly #statusWrittenAt = new Map<string, number>();
  readonly #untold = new Map<string, readonly EventDraft[]>();

  constructor(options: EffectsOptions) {
    this.#options = options;
  }

  /**
   * @returns after how long to decide again, if that is known
   * @throws Rejection
   */
  async carryOut(owner: O, plan: PlanOf<O>): Promise<number | undefined> {
    for (const object of plan.create) await rejecting(object, () => this.#create(owner, object));
    for (const object of plan.apply) await rejecting(object, () => this.#apply(owner, object));
    for (const ref of plan.remove) {
      await this.#remove(owner, ref);
      if (ref.kind === owner.kind) return undefined;
    }
    const dueMs = await this.report(owner, plan);
    // Of these no watch tells.
    return plan.create.some(({ kind }) => !this.#options.caches.isWatched(kind)) ? 0 : dueMs;
  }

  /** Status and events alone. @returns after how long the status, which changes too fast, is due */
  async report(owner: O, { status, urgent, events }: PlanOf<O>): Promise<number | undefined> {
    // What was done is not decided again, so what tells of it must not be lost where the status could not be written.
    const untold = new Map([...(this.#untold.get(keyOf(owner)) ?? []), ...events].map(event => [JSON.stringify(event), event]));
    if (untold.size > 0) this.#untold.set(keyOf(owner), [...untold.values()].slice(-mostUntold));
    const dueMs = await this.#writeStatus(owner, status, urgent ?? false);
    if (dueMs !== undefined) return dueMs;
    this.#untold.delete(keyOf(owner));
    for (const event of untold.values()) await this.#options.recorder.record(owner, event);
    return undefined;
  }

  forget(key: string): void {
    this.#statusWrittenAt.delete(key);
    this.#untold.delete(key);
  }

  async #create(owner: O, object: AnyObject): Promise<void> {
    const { api, caches, secrets, check } = this.#options;
    let found: KubeObject;
    try {
      found = await api.create<KubeObject>(object, { guard: check });
    } catch (error) {
      if (!(isStatus(error, 409) && error.reason === 'AlreadyExists')) throw error;
      found = await this.#whatIsThere(owner, object);
    }
    mustBelong(found, owner);
    // Only what is the owner's: that another's is gone no watch would ever tell.
    if (object.kind === 'Secret') secrets.note(owner, found);
    if (caches.isWatched(object.kind)) this.#expect(owner, object, undefined);
  }

  #whatIsThere(owner: O, { kind, metadata: { name, namespace } }: AnyObject): Promise<KubeObject> {
    const { api, caches, secrets } = this.#options;
    if (kind !== 'Secret') return api.get<KubeObject>(kind as Kind, name, { namespace });
    const { coordinator, workers } = caches.observe(owner);
    return secrets.find(
      owner,
      [coordinator, workers].filter(one => one !== undefined),
    );
  }

  async #apply(owner: O, object: AnyObject): Promise<void> {
    const { api, check } = this.#options;
    const known = this.#known(object);
    if (known) mustBelong(known, owner);
    const before = known?.metadata.resourceVersion;
    const fenced = known ? { ...object, metadata: { ...object.metadata, resourceVersion: before } } : object;
    // One with a uid is a change of what is there. Applied, it would take away all that it does not repeat, and a Job does not let go of its template.
    // Of what is ours, in the very version that was seen, all that we say holds. What was not seen may be another's, and then is not overwritten.
    const { metadata } = object.metadata.uid
      ? await api.patch<KubeObject>(object, fenced, undefined, { guard: check })
      : await api.apply<KubeObject>(fenced, { force: known !== undefined, guard: check });
    if (metadata.resourceVersion !== before) this.#expect(owner, object, before);
  }

  async #remove(owner: O, ref: ObjectRef): Promise<void> {
    const { api, check } = this.#options;
    const known = this.#known(ref);
    const uid = ref.metadata.uid ?? known?.metadata.uid;
    if (!uid) return;
    try {
      await api.delete({ ...ref, metadata: { ...ref.metadata, uid } }, { guard: check });
    } catch (error) {
      // It is gone, or another one is there by now.
      if (isStatus(error, 404) || (isStatus(error, 409) && !ref.metadata.resourceVersion)) return;
      throw error;
    }
    if (known && ref.kind !== owner.kind) this.#expect(owner, ref, known.metadata.resourceVersion);
  }

  async #writeStatus(owner: O, status: object, urgent: boolean): Promise<number | undefined> {
    const { api, check, clock, onStatusWrite } = this.#options;
    const patch = mergePatch({ ...owner.status }, { ...status });
    if (!patch) return undefined;
    const key = keyOf(owner);
    const writtenAt = this.#statusWrittenAt.get(key);
    const dueMs = (writtenAt ?? Number.NEGATIVE_INFINITY) + statusMs - clock.now();
    if (dueMs > 0 && !urgent) return dueMs;
    const { resourceVersion } = owner.metadata;
    let written: KubeObject;
    try {
      written = await api.patch(owner, { metadata: { resourceVersion }, status: patch }, 'status', { guard: check });
    } catch (error) {
      // It was deleted meanwhile.
      if (isStatus(error, 404) && error.reason === 'NotFound') return undefined;
      throw error;
    }
    this.#statusWrittenAt.set(key, clock.now());
    if (written.metadata.resourceVersion !== resourceVersion) this.#expect(owner, owner, resourceVersion);
    onStatusWrite?.();
    return undefined;
  }

  #known(ref: ObjectRef): KubeObject | undefined {
    return this.#options.caches.find(ref.kind, keyOf(ref));
  }

  #expect(owner: O, ref: ObjectRef, before: string | undefined): void {
    const shown = () => this.#known(ref)?.metadata.resourceVersion;
    this.#options.expectations.add(keyOf(owner), before, shown, this.#options.clock.now());
  }
}

function mustBelong(object: KubeObject, owner: KubeObject): void {
  if (belongsTo(object, owner)) return;
  const { name, namespace } = object.metadata;
  throw new SegfleetError(
    'conflict',
    `there is a ${object.kind} ${name} in namespace ${namespace} already, which does not belong to this ${whatIs(owner)}; delete it, or give the ${whatIs(owner)} another name`,
  );
}

async function rejecting(object: AnyObject, effect: () => Promise<void>): Promise<void> {
  try {
    await effect();
  } catch (error) {
    throw concernsUsers(error) ? new Rejection(object, error) : error;
  }
}

/** Whether trying again is of no use before somebody has changed something. */
export function concernsUsers(error: unknown): error is SegfleetError {
  if (error instanceof NotLeading) return false;
  if (!(error instanceof ApiError)) return error instanceof SegfleetError && error.code === 'conflict';
  // Of conflicts those about fields of another: a version that is not the newest any more is nobody's fault.
  return [400, 403, 413, 422].includes(error.status) || (error.status === 409 && error.message.includes('conflict with'));
}
