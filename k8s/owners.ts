/**
 * Whose an object is: its owner reference tells. Names alone do not, as a job may be deleted and made again under its name.
 */
import type { KubeObject, OwnerReference } from './objects.ts';

export const controllerOf = ({ metadata }: KubeObject): OwnerReference | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller);

/** The key of the batch Job that a pod belongs to. */
export function batchJobKeyOf(pod: KubeObject): string | undefined {
  const owner = controllerOf(pod);
  return owner?.kind === 'Job' ? `${pod.metadata.namespace}/${owner.name}` : undefined;
}

export const belongsTo = (object: KubeObject, owner: KubeObject): boolean => controllerOf(object)?.uid === owner.metadata.uid;
