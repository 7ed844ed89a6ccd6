/**
 * A store of which each operation can be watched, failed or died in.
 */
import type { Store } from '../../trainer/storage/store.ts';

export type Operation = Exclude<keyof Store, 'url'>;

export interface Hooks {
  readonly before?: (operation: Operation, key: string, count: number) => void | Promise<void>;
  /** Also when it failed. */
  readonly after?: (operation: Operation, key: string, count: number) => void | Promise<void>;
}

/** Counts operations from 1, as they begin. */
export function hookedStore(store: Store, { before, after }: Hooks): Store {
  let begun = 0;
  return new Proxy(store, {
    get: (target, name: keyof Store) => {
      if (name === 'url') return target.url;
      return async (key = '', ...rest: unknown[]) => {
        const count = ++begun;
        await before?.(name, key, count);
        try {
          return await (target[name] as (...all: unknown[]) => Promise<unknown>)(key, ...rest);
        } finally {
          await after?.(name, key, count);
        }
      };
    },
  });
}
