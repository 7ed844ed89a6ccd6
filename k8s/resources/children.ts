/**
 * All children of a job but its two Jobs, which come when these are there.
 */

import { isOwnedBy } from '../fleet.ts';
import { childNames } from '../names.ts';
import type { AnyObject, KubeObject } from '../objects.ts';
import { isApplied, withHash } from './applied.ts';
import { configMap } from './configMap.ts';
import { keysSecret } from './keysSecret.ts';
import { networkPolicy } from './networkPolicy.ts';
import type { Recipe } from './owner.ts';
import { podDisruptionBudget } from './podDisruptionBudget.ts';
import { service } from './service.ts';

/** @param observed those that are there: what is there and of somebody else cannot be made @param size of the workers */
export function missingChildren(recipe: Recipe, size: number, observed: readonly KubeObject[], makeKeys: (run: string) => string) {
  const isTaken = (object: KubeObject) => {
    const found = find(object.kind, object.metadata.name, observed);
    return found !== undefined && !isOwnedBy(found, recipe.owner);
  };
  const applied = [service(recipe), networkPolicy(recipe), podDisruptionBudget(recipe, size)].map(withHash);
  const create: AnyObject[] = [];
  if (!jobFileIn(recipe, observed)) create.push(configMap(recipe));
  if (!keysIn(recipe, observed)) create.push(keysSecret(recipe, makeKeys));
  return { create, apply: applied.filter(object => !isTaken(object) && !isApplied(object, observed)) };
}

const find = (kind: string, name: string, among: readonly KubeObject[]) =>
  among.find(one => one.kind === kind && one.metadata.name === name);

export const keysIn = ({ owner }: Pick<Recipe, 'owner'>, observed: readonly KubeObject[]): KubeObject | undefined =>
  find('Secret', childNames(owner.metadata.name).keys, observed);

export const jobFileIn = ({ owner }: Pick<Recipe, 'owner'>, observed: readonly KubeObject[]): KubeObject | undefined =>
  find('ConfigMap', childNames(owner.metadata.name).job, observed);
