/**
 * What a trial sets in the job, in words.
 */
import type { Values } from '../search/space.ts';

export const describeParameters = (parameters: Values): string =>
  Object.entries(parameters)
    .map(([path, value]) => `${path}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ') || 'the job as it is';
