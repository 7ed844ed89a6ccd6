/**
 * The Job of the workers: one pod for each index, so that fewer workers are those with the lowest indexes, and each index waits on its own after a
 * failure: were the wait counted for all of them together, eight pods of a node that is drained would wait for ten minutes.
 */

import { queueOf } from '../fleet.ts';
import { annotations, childNames, labels, places } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe } from './owner.ts';
import { noLimit, podFailurePolicy } from './podFailurePolicy.ts';
import { coordinatorAddress, podTemplate } from './podTemplate.ts';

/** @param keys the uid of the Secret that its pods mount */
export function workersJob(recipe: Recipe, size: number, keys: string): AnyObject {
  const { owner } = recipe;
  const queue = queueOf(owner);
  const metadata = metaOf(owner, childNames(owner.metadata.name).workers, 'worker');
  const args = [
    ...['worker', places.job, '--join', coordinatorAddress(owner), '--keys', places.keys],
    // Kubernetes puts the values in: there is no shell.
    ...['--id', '$(POD_NAME)', '--host', '$(POD_IP)', '--out', places.run],
  ];
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, ...(queue && { [labels.queue]: queue }) },
      annotations: { [annotations.keys]: keys },
    },
    spec: {
      completionMode: 'Indexed',
      parallelism: size,
      completions: size,
      backoffLimit: noLimit,
      backoffLimitPerIndex: noLimit,
      podReplacementPolicy: 'Failed',
      podFailurePolicy: podFailurePolicy('worker'),
      // In a queue Kueue says when.
      ...(queue === undefined && { suspend: false }),
      template: podTemplate(recipe, 'worker', { args }),
    },
  };
}
