/**
 * What the API server said when it last refused to create or apply a child, until it takes that child, or there is another spec.
 */
import type { Caches } from './caches.ts';
import type { Rejection } from './effects.ts';
import type { KubeObject } from './objects.ts';
import type { Plan } from './plan.ts';

export interface Rejected {
  readonly kind: string;
  readonly name: string;
  readonly message: string;
  readonly generation: number | undefined;
}

export class Rejections {
  readonly #caches: Pick<Caches, 'find'>;
  readonly #rejected = new Map<string, Rejected>();

  constructor(caches: Pick<Caches, 'find'>) {
    this.#caches = caches;
  }

  of(key: string): Rejected | undefined {
    return this.#rejected.get(key);
  }

  note(key: string, { metadata: { generation } }: KubeObject, { kind, child, message }: Rejection): void {
    this.#rejected.set(key, { kind, name: child, message, generation });
  }

  /** A plan was carried out: whether what was refused before is not to be said any more. */
  isOver(key: string, { metadata: { generation, namespace } }: KubeObject, { create, apply }: Pick<Plan, 'create' | 'apply'>): boolean {
    const rejected = this.#rejected.get(key);
    const isIt = ({ kind, metadata }: KubeObject) => kind === rejected?.kind && metadata.name === rejected.name;
    if (!rejected) return false;
    const isThere = this.#caches.find(rejected.kind, `${namespace}/${rejected.name}`) !== undefined;
    if (rejected.generation === generation && !isThere && ![...create, ...apply].some(isIt)) return false;
    return this.#rejected.delete(key);
  }

  forget(key: string): void {
    this.#rejected.delete(key);
  }
}
