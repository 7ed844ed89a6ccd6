/**
 * Whose the children of a job are: they go with it, and carry its name.
 */
import type { Job } from '../../trainer/spec.ts';
import { apiVersion, type Component, fieldManager, labels } from '../names.ts';
import type { KubeObject, ObjectMeta, OwnerReference, TrainingJob } from '../objects.ts';
import type { Settings } from '../plan.ts';

/** What the children of a job are made of. */
export interface Recipe {
  readonly owner: TrainingJob;
  /** As it was accepted: whole, and fit for a cluster. */
  readonly job: Job;
  readonly settings: Settings;
}

export const ownerReference = ({ kind, metadata }: KubeObject): OwnerReference => ({
  apiVersion,
  kind,
  name: metadata.name,
  uid: metadata.uid!,
  controller: true,
  blockOwnerDeletion: true,
});

/** Of all children and their pods. */
export const labelsOf = ({ metadata }: TrainingJob, component?: Component): Record<string, string> => ({
  [labels.app]: 'segfleet',
  [labels.managedBy]: fieldManager,
  [labels.job]: metadata.name,
  ...(component && { [labels.component]: component }),
});

/** Selects the pods of a job, or those in one role. */
export const selectorOf = ({ metadata }: TrainingJob, component?: Component): Record<string, string> => ({
  [labels.job]: metadata.name,
  ...(component && { [labels.component]: component }),
});

export const metaOf = (owner: TrainingJob, name: string, component?: Component): ObjectMeta => ({
  name,
  namespace: owner.metadata.namespace,
  labels: labelsOf(owner, component),
  ownerReferences: [ownerReference(owner)],
});
