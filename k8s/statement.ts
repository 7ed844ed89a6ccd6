/**
 * The status as it is to be, and what goes with it: whether that is urgent, and the events.
 */
import { isDeepStrictEqual } from 'node:util';
import { type Statements, withConditions } from './conditions.ts';
import { eventDrafts } from './eventDrafts.ts';
import type { TrainingJob } from './objects.ts';
import type { Plan } from './plan.ts';
import { volatileFields } from './progressFields.ts';
import type { JobStatus } from './status.ts';
import { noChanges } from './steer.ts';

/** @param said what is said anew @param fields undefined: is not there any more */
export function stated(
  { metadata: { generation } }: TrainingJob,
  before: JobStatus,
  said: Statements,
  fields: JobStatus,
  now: Date,
): JobStatus {
  const conditions = withConditions(before, said, { generation, now });
  const status = { ...before, observedGeneration: generation, ...fields, conditions };
  return Object.fromEntries(Object.entries(status).filter(([, value]) => value !== undefined));
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
