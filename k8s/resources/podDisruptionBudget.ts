/**
 * How many workers stay when nodes are drained: as many as the run needs to go on, but always one fewer than there are: else a drain of the node would
 * wait for the end of the run, while a worker that goes costs a step at most. A whole number, as Kubernetes wants it for pods of a Job.
 */
import { childNames } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe, selectorOf } from './owner.ts';

export const podDisruptionBudget = ({ owner, job }: Recipe, size: number): AnyObject => ({
  apiVersion: 'policy/v1',
  kind: 'PodDisruptionBudget',
  metadata: metaOf(owner, childNames(owner.metadata.name).disruptionBudget, 'worker'),
  spec: {
    minAvailable: Math.min(job.spec.workers.min, size - 1),
    // A pod that does not run keeps nothing going.
    unhealthyPodEvictionPolicy: 'AlwaysAllow',
    selector: { matchLabels: selectorOf(owner, 'worker') },
  },
});
