/**
 * What a check of a cluster says.
 */
import { SegfleetError } from '../../trainer/errors.ts';
import type { Api, Kind, Selection } from '../api.ts';
import { isStatus } from '../apiError.ts';
import type { KubeObject } from '../objects.ts';

export interface Finding {
  readonly name: string;
  /** warning: it may be in order, or jobs run without. */
  readonly state: 'ok' | 'warning' | 'missing';
  readonly found: string;
  /** What to do, where it is not in order. */
  readonly fix?: string;
}

export const install = 'helm install segfleet charts/segfleet';
export const upgrade = 'helm upgrade segfleet charts/segfleet';

/** What the user may not see is no fault. */
export function unseen(name: string, error: unknown): Finding {
  if (!(error instanceof SegfleetError) || error.code !== 'notAllowed') throw error;
  return { name, state: 'warning', found: 'you have no right to see it', fix: 'ask whoever runs the cluster' };
}

/** undefined: it is not there. */
export const ifThere = <T>(asked: Promise<T>): Promise<T | undefined> =>
  asked.catch(error => (isStatus(error, 404) ? undefined : Promise.reject(error)));

/** In all namespaces; where that is not allowed, in those where it is likely. */
export async function listEverywhere<T extends KubeObject>(
  api: Api,
  kind: Kind,
  likely: readonly string[],
  selection: Selection,
): Promise<T[]> {
  const otherwise =
    <R>(instead: R) =>
    (error: unknown) =>
      isStatus(error, 403) ? instead : Promise.reject(error);
  const all = await api.list<T>(kind, selection).catch(otherwise(undefined));
  if (all) return all.items;
  const names = [...new Set(likely)];
  const lists = await Promise.all(names.map(namespace => api.list<T>(kind, { ...selection, namespace }).catch(otherwise({ items: [] }))));
  return lists.flatMap(({ items }) => items);
}
