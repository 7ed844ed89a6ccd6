/**
 * The keys by which the processes of a run know each other. Made once, and never read again by the operator.
 */
import { childNames, places } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe } from './owner.ts';

export const keysSecret = ({ owner }: Pick<Recipe, 'owner'>, makeKeys: (run: string) => string): AnyObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: metaOf(owner, childNames(owner.metadata.name).keys),
  type: 'Opaque',
  immutable: true,
  stringData: { [places.keys.slice(places.keys.lastIndexOf('/') + 1)]: makeKeys(owner.metadata.name) },
});
