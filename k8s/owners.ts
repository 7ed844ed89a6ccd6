/**
 * Whose an object is: its owner reference tells. Names alone do not, as a job may be deleted and made again under its name.
 */
import type { KubeObject, OwnerReference } from './objects.ts';

export const controllerOf = ({ metadata }: KubeObject): OwnerReference | undefined =>
  metadata.ownerReferences?.find(({ controller }) => controller);

const keyOfOwner = (object: KubeObject, kind: string): string | undefined => {
  const owner = controllerOf(object);
  return owner?.kind === kind ? `${object.metadata.namespace}/${owner.name}` : undefined;
};

/** The key of the batch Job that a pod belongs to. */
export const batchJobKeyOf = (pod: KubeObject): string | undefined => keyOfOwner(pod, 'Job');

/** The key of the Sweep that a TrainingJob is a trial of. */
export const sweepKeyOf = (job: KubeObject): string | undefined => keyOfOwner(job, 'Sweep');

export const belongsTo = (object: KubeObject, owner: KubeObject): boolean => controllerOf(object)?.uid === owner.metadata.uid;
