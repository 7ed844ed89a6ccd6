/**
 * Which children need an apply: those that are missing, and those whose last apply was of something else. What is there is not compared itself: the
 * API server has filled in defaults.
 */
import { hash } from 'node:crypto';
import { annotations } from '../names.ts';
import type { AnyObject, KubeObject } from '../objects.ts';

export const withHash = (object: AnyObject): AnyObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    annotations: { ...object.metadata.annotations, [annotations.applied]: hash('sha256', JSON.stringify(object)).slice(0, 16) },
  },
});

export function isApplied(desired: AnyObject, observed: readonly KubeObject[]): boolean {
  const found = observed.find(({ kind, metadata }) => kind === desired.kind && metadata.name === desired.metadata.name);
  return found !== undefined && found.metadata.annotations?.[annotations.applied] === desired.metadata.annotations?.[annotations.applied];
}
