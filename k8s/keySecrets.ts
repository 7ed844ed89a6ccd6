/**
 * The Secrets with the keys of runs: that they are there, and whose they are, never what is in them. There is no watch of them, so that the operator
 * need not see the Secrets of others; what it made it remembers, and after a new start the Jobs tell whose keys their pods have. Only where one is there
 * that nobody knows of is it asked for, by its name.
 */
import type { Api } from './api.ts';
import { isStatus } from './apiError.ts';
import type { Clock } from './clock.ts';
import { evidenceAgainMs } from './evidence.ts';
import { annotations, childNames } from './names.ts';
import type { KubeObject } from './objects.ts';
import { belongsTo } from './owners.ts';
import { ownerReference } from './resources/owner.ts';
import { keyOf } from './watch.ts';

interface Seen {
  /** The uid of the job. */
  readonly job: string;
  readonly at: number;
  /** Undefined: what was known is not believed any more. */
  readonly secret: KubeObject | undefined;
}

export class KeySecrets {
  readonly #api: Pick<Api, 'get'>;
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();

  constructor(api: Pick<Api, 'get'>, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** @param jobs the two Jobs, if they are there */
  of(job: KubeObject, jobs: readonly KubeObject[]): KubeObject | undefined {
    const seen = this.#seen.get(keyOf(job));
    return seen && seen.job === job.metadata.uid ? seen.secret : namedBy(job, jobs);
  }

  /** One is there already: what it is. @throws notAllowed: where the operator may not ask, and no Job tells */
  async find(job: KubeObject, jobs: readonly KubeObject[]): Promise<KubeObject> {
    const { name, namespace } = job.metadata;
    try {
      return await this.#api.get<KubeObject>('Secret', childNames(name).keys, { namespace });
    } catch (error) {
      const named = isStatus(error, 403) ? namedBy(job, jobs) : undefined;
      if (named) return named;
      throw error;
    }
  }

  /** It was made, or found. */
  note(job: KubeObject, secret: KubeObject): void {
    this.#seen.set(keyOf(job), { job: job.metadata.uid!, at: this.#clock.now(), secret: bare(secret) });
  }

  /** Kubernetes says that it is gone; that may be an old story. */
  doubt(job: KubeObject): void {
    const seen = this.#seen.get(keyOf(job));
    const now = this.#clock.now();
    if (seen && now - seen.at < evidenceAgainMs) return;
    this.#seen.set(keyOf(job), { job: job.metadata.uid!, at: now, secret: undefined });
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}

/** Where both Jobs agree. */
function namedBy(job: KubeObject, jobs: readonly KubeObject[]): KubeObject | undefined {
  const uids = new Set(jobs.filter(one => belongsTo(one, job)).flatMap(({ metadata }) => metadata.annotations?.[annotations.keys] ?? []));
  const [uid] = uids;
  if (uids.size !== 1) return undefined;
  const { name, namespace } = job.metadata;
  const metadata = { name: childNames(name).keys, namespace, uid, ownerReferences: [ownerReference(job)] };
  return { apiVersion: 'v1', kind: 'Secret', metadata };
}

function bare({ metadata: { name, namespace, uid, ownerReferences } }: KubeObject): KubeObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace, uid, ownerReferences } };
}
