/**
 * What keeps a job from beginning at all: names that are taken, and children that do not appear. For a while both are as they should be: children of a
 * job before, of the same name, are still being deleted.
 */
import type { Fleet } from '../fleet.ts';
import { isOwnedBy } from '../fleet.ts';
import { childNames } from '../names.ts';
import type { Observed } from '../plan.ts';
import { jobFileIn, keysIn } from '../resources/children.ts';
import type { Problem } from './waiting.ts';

const patienceMs = 30_000;

/** @param since when its pods were first looked for */
export function obstacle(
  { job, children }: Pick<Observed, 'job' | 'children'>,
  fleet: Fleet,
  since: string | undefined,
  now: Date,
): Problem | undefined {
  if (since === undefined || now.getTime() - Date.parse(since) < patienceMs) return undefined;
  const names = childNames(job.metadata.name);
  const taken = [
    ...(fleet.coordinator.isTaken ? [`Job ${names.coordinator}`] : []),
    ...(fleet.workers.isTaken ? [`Job ${names.workers}`] : []),
    ...children.filter(child => !isOwnedBy(child, job)).map(({ kind, metadata }) => `${kind} ${metadata.name}`),
  ];
  if (taken.length > 0) {
    return { reason: 'NameTaken', message: `the ${taken[0]} is there and is not of this job: delete it, or give this job another name` };
  }
  const absent = [
    ...(jobFileIn({ owner: job }, children) ? [] : [`ConfigMap ${names.job}`]),
    ...(keysIn({ owner: job }, children) ? [] : [`Secret ${names.keys}`]),
  ];
  if (absent.length === 0) return undefined;
  return {
    reason: 'ChildMissing',
    message: `the ${absent[0]} cannot be made or is somebody else's: look whether there is one already, and at the log of the operator`,
  };
}
