/**
 * Conditions of a status: one of each type, in the order of their types; the time is that at which the status last changed, not what is said of it.
 */
import { type Condition, type ConditionType, conditionTypes, type JobStatus } from './status.ts';
import { timestamp } from './timestamp.ts';

export type Said = Pick<Condition, 'status' | 'reason' | 'message'>;

export const conditionOf = ({ conditions }: Pick<JobStatus, 'conditions'>, type: ConditionType): Condition | undefined =>
  conditions?.find(condition => condition.type === type);

export const isTrue = (status: Pick<JobStatus, 'conditions'>, type: ConditionType): boolean => conditionOf(status, type)?.status === 'True';

/** Undefined: nothing is said of that type any more; what is not named stays as it is. */
export type Statements = Readonly<Partial<Record<ConditionType, Said | undefined>>>;

export function withConditions(
  before: Pick<JobStatus, 'conditions'>,
  said: Statements,
  { generation, now }: { generation?: number; now: Date },
): Condition[] {
  return conditionTypes.flatMap(type => {
    const old = conditionOf(before, type);
    if (!(type in said)) return old ?? [];
    const next = said[type];
    if (!next) return [];
    const lastTransitionTime = old?.status === next.status ? old.lastTransitionTime : timestamp(now);
    return { type, ...next, ...(generation !== undefined && { observedGeneration: generation }), lastTransitionTime };
  });
}
