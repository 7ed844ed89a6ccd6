/**
 * The Job of the coordinator: one pod, which is made again when it ends otherwise than well.
 */
import { annotations, childNames, places, ports } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe } from './owner.ts';
import { noLimit, podFailurePolicy } from './podFailurePolicy.ts';
import { podTemplate } from './podTemplate.ts';

/** @param keys the uid of the Secret that its pods mount */
export function coordinatorJob(recipe: Recipe, keys: string): AnyObject {
  const { owner } = recipe;
  const metadata = metaOf(owner, childNames(owner.metadata.name).coordinator, 'coordinator');
  const objective = owner.metadata.annotations?.[annotations.objective];
  const args = [
    ...['coordinator', places.job, '--out', places.run],
    ...['--listen', `tcp://0.0.0.0:${ports.control}`, '--keys', places.keys],
    ...['--progress', `0.0.0.0:${ports.progress}`, '--continue', '--mirror'],
    ...(objective === undefined ? [] : [`--objective=${objective}`]),
  ];
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { ...metadata, annotations: { [annotations.keys]: keys } },
    spec: {
      parallelism: 1,
      completions: 1,
      backoffLimit: noLimit,
      // Two at a time would fight for the checkpoints: a new one comes when the old one is gone.
      podReplacementPolicy: 'Failed',
      podFailurePolicy: podFailurePolicy('coordinator'),
      suspend: false,
      template: podTemplate(recipe, 'coordinator', { args }),
    },
  };
}
