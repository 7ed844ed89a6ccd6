/**
 * The job as the run began with it: all defaults in it, those too that follow from others. Made once: a pod that begins later, under a newer operator
 * or after a scaling, must read the same as the others.
 */
import { renderJob } from '../../trainer/spec.ts';
import { childNames, places } from '../names.ts';
import type { AnyObject } from '../objects.ts';
import { metaOf, type Recipe } from './owner.ts';

export const configMap = ({ owner, job }: Recipe): AnyObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: metaOf(owner, childNames(owner.metadata.name).job),
  immutable: true,
  data: { [places.job.slice(places.job.lastIndexOf('/') + 1)]: renderJob(job) },
});
