/**
 * What `kubectl describe` tells of a job: what is different in its status now. An operator that is started again has the same status before it, and does
 * not repeat itself.
 */
import { conditionOf, isTrue } from './conditions.ts';
import type { EventDraft } from './plan.ts';
import { type Failure, sentenceOf } from './policies/failure.ts';
import type { ConditionType, JobStatus } from './status.ts';

/** Reasons of PodsReady that are no trouble. */
export const harmlessReasons: ReadonlySet<string> = new Set(['PodsReady', 'PodsStarting', 'Suspended', 'Suspending', 'RunEnded']);

/** Of an event. */
const longestMessage = 1000;

/** @param news failures that are counted now @param resized how many workers there were, and are to be */
export function eventDrafts(
  before: JobStatus,
  after: JobStatus,
  { news = [], resized }: { news?: readonly Failure[]; resized?: { from: number; to: number } } = {},
): EventDraft[] {
  const has = (type: ConditionType) => isTrue(after, type) && !isTrue(before, type);
  const message = (type: ConditionType) => conditionOf(after, type)?.message ?? '';
  const events: EventDraft[] = [];
  const normal = (reason: string, text: string) => events.push({ type: 'Normal', reason, message: text.slice(0, longestMessage) });
  const warning = (reason: string, text: string) => events.push({ type: 'Warning', reason, message: text.slice(0, longestMessage) });

  const accepted = conditionOf(after, 'Accepted');
  if (has('Accepted')) normal('Accepted', message('Accepted'));
  if (accepted?.status === 'False' && accepted.message !== conditionOf(before, 'Accepted')?.message)
    warning(accepted.reason, accepted.message);
  if (resized) normal('WorkersScaled', `from ${resized.from} to ${resized.to} workers; those that stay go on`);
  for (const failure of news) warning(failure.what.cause === 'disruption' ? 'PodDisrupted' : 'PodFailed', sentenceOf(failure));
  if (after.phase === 'Suspending' && before.phase !== 'Suspending')
    normal('Suspending', 'a checkpoint is written and all pods are released');
  if (has('Suspended')) normal('Suspended', message('Suspended'));
  if (conditionOf(after, 'Suspended')?.reason === 'Resumed' && isTrue(before, 'Suspended'))
    normal('Resumed', 'the run goes on from its checkpoint');
  if (after.phase === 'Running' && before.phase !== 'Running') normal('Started', message('PodsReady'));
  const trouble = conditionOf(after, 'PodsReady');
  if (trouble && trouble.reason !== conditionOf(before, 'PodsReady')?.reason && !harmlessReasons.has(trouble.reason)) {
    if (trouble.reason === 'Queued') normal(trouble.reason, trouble.message);
    else warning(trouble.reason, trouble.message);
  }
  if (has('Complete')) normal('Completed', message('Complete'));
  if (has('Failed') && accepted?.status === 'True') warning('Failed', `${conditionOf(after, 'Failed')!.reason}: ${message('Failed')}`);
  return events;
}
