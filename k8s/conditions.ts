/**
 * Conditions of a status: one of each type, in the order of their types; the time is that at which the status last changed, not what is said of it.
 */
import { type Condition, type ConditionType, conditionTypes, type JobStatus } from './status.ts';
import type { SweepConditionType } from './sweepStatus.ts';
import { timestamp } from './timestamp.ts';

export type Said = Pick<Condition, 'status' | 'reason' | 'message'>;

export type AnyConditionType = ConditionType | SweepConditionType;

export const conditionOf = ({ conditions }: Pick<JobStatus, 'conditions'>, type: AnyConditionType): Condition | undefined =>
  conditions?.find(condition => condition.type === type);

export const isTrue = (status: Pick<JobStatus, 'conditions'>, type: AnyConditionType): boolean =>
  conditionOf(status, type)?.status === 'True';

/** Undefined: nothing is said of that type any more; what is not named stays as it is. */
export type Statements<T extends AnyConditionType = ConditionType> = Readonly<Partial<Record<T, Said | undefined>>>;

/** @param types all that there may be, in their order */
export function withConditions<T extends AnyConditionType = ConditionType>(
  before: Pick<JobStatus, 'conditions'>,
  said: Statements<T>,
  {
    generation,
    now,
    types = conditionTypes as readonly AnyConditionType[] as readonly T[],
  }: { generation?: number; now: Date; types?: readonly T[] },
): Condition[] {
  return types.flatMap(type => {
    const old = conditionOf(before, type);
    if (!(type in said)) return old ?? [];
    const next = said[type];
    if (!next) return [];
    const lastTransitionTime = old?.status === next.status ? old.lastTransitionTime : timestamp(now);
    return { type, ...next, ...(generation !== undefined && { observedGeneration: generation }), lastTransitionTime };
  });
}
