/**
 * The Secrets with the keys of runs: that they are there, and whose they are, never what is in them. There is no watch of them, so that the operator
 * need not be allowed to read the Secrets of others; one is asked for by its name, once, and again where a job lacks something.
 */
import type { Api } from './api.ts';
import { isStatus } from './apiError.ts';
import type { Clock } from './clock.ts';
import { evidenceAgainMs } from './evidence.ts';
import { childNames } from './names.ts';
import type { KubeObject, TrainingJob } from './objects.ts';
import { keyOf } from './watch.ts';

interface Seen {
  readonly job: string;
  readonly at: number;
  readonly secret: KubeObject;
  isDoubted?: boolean;
}

export class KeySecrets {
  readonly #api: Pick<Api, 'get'>;
  readonly #clock: Clock;
  readonly #seen = new Map<string, Seen>();

  constructor(api: Pick<Api, 'get'>, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  /** Whosever it is. */
  async of(job: TrainingJob): Promise<KubeObject | undefined> {
    const { name, namespace, uid } = job.metadata;
    const seen = this.#seen.get(keyOf(job));
    if (seen?.job === uid && !(seen.isDoubted && this.#clock.now() - seen.at >= evidenceAgainMs)) return seen.secret;
    this.#seen.delete(keyOf(job));
    try {
      const secret = await this.#api.get<KubeObject>('Secret', childNames(name).keys, { namespace });
      this.note(job, secret);
      return bare(secret);
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  /** It was made, or found. */
  note(job: TrainingJob, secret: KubeObject): void {
    this.#seen.set(keyOf(job), { job: job.metadata.uid!, at: this.#clock.now(), secret: bare(secret) });
  }

  /** Something is wrong with the job: perhaps it is that its Secret is gone. */
  doubt(key: string): void {
    const seen = this.#seen.get(key);
    if (seen) seen.isDoubted = true;
  }

  forget(key: string): void {
    this.#seen.delete(key);
  }
}

function bare({ metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, annotations, labels, ownerReferences } = metadata;
  const kept = { name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp, annotations, labels, ownerReferences };
  return { apiVersion: 'v1', kind: 'Secret', metadata: kept };
}
