/**
 * Whose an object is: the job that its owner reference names. Names alone do not tell, as a job may be deleted and made again under its name.
 */
import { group } from './names.ts';
import type { KubeObject, OwnerReference } from './objects.ts';

export const controllerOf = ({ metadata }: KubeObject): OwnerReference | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller);

/** The key of the TrainingJob that an object belongs to. */
export function jobKeyOf(object: KubeObject): string | undefined {
  const owner = controllerOf(object);
  if (owner?.kind !== 'TrainingJob' || !owner.apiVersion.startsWith(`${group}/`)) return undefined;
  return `${object.metadata.namespace}/${owner.name}`;
}

/** The key of the batch Job that a pod belongs to. */
export function batchJobKeyOf(pod: KubeObject): string | undefined {
  const owner = controllerOf(pod);
  return owner?.kind === 'Job' ? `${pod.metadata.namespace}/${owner.name}` : undefined;
}

export const belongsTo = (object: KubeObject, owner: KubeObject): boolean => controllerOf(object)?.uid === owner.metadata.uid;
