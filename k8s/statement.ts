/**
 * The status as it is to be, and what goes with it: whether that is urgent, and the events.
 */
import { isDeepStrictEqual } from 'node:util';
import { type AnyConditionType, type Statements, withConditions } from './conditions.ts';
import { eventDrafts } from './eventDrafts.ts';
import type { KubeObject } from './objects.ts';
import type { Plan } from './plan.ts';
import { volatileFields } from './progressFields.ts';
import type { ConditionType, JobStatus } from './status.ts';
import { noChanges } from './steer.ts';

/** @param said what is said anew @param fields undefined: is not there any more @param types all conditions that there may be; by default those of a job */
export function stated<S extends Pick<JobStatus, 'conditions'> = JobStatus, T extends AnyConditionType = ConditionType>(
  { metadata: { generation } }: KubeObject,
  before: S,
  said: Statements<T>,
  fields: S,
  now: Date,
  types?: readonly T[],
): S {
  const conditions = withConditions(before, said, { generation, now, types });
  const status = { ...before, observedGeneration: generation, ...fields, conditions };
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined)) as S;
}

/** A plan that does nothing yet but to say how things stand. */
export function planOf(before: JobStatus, status: JobStatus, said: Parameters<typeof eventDrafts>[2] = {}): Plan {
  const lasting = (of: JobStatus) => Object.entries(of).filter(([name]) => !volatileFields.some(field => field === name));
  return {
    ...noChanges,
    status,
    urgent: !isDeepStrictEqual(new Map(lasting(before)), new Map(lasting(status))),
    events: eventDrafts(before, status, said),
  };
}
