/**
 * What `kubectl describe` tells of a sweep: what is different in its status now; and the plan that says it.
 */
import { isDeepStrictEqual } from 'node:util';
import { conditionOf, isTrue } from '../conditions.ts';
import type { EventDraft, Plan } from '../plan.ts';
import { noChanges } from '../steer.ts';
import type { SweepConditionType, SweepStatus } from '../sweepStatus.ts';

const longestMessage = 1000;

/** @param news failed: the sentence of the newest failure */
export function planOf(before: SweepStatus, status: SweepStatus, news: { readonly failed?: string } = {}): Plan<SweepStatus> {
  const lasting = ({ best: _, ...rest }: SweepStatus) => rest;
  return { ...noChanges, status, urgent: !isDeepStrictEqual(lasting(before), lasting(status)), events: eventsOf(before, status, news) };
}

function eventsOf(before: SweepStatus, after: SweepStatus, { failed }: { readonly failed?: string }): EventDraft[] {
  const events: EventDraft[] = [];
  const tell = (type: EventDraft['type'], reason: string, message: string) =>
    events.push({ type, reason, message: message.slice(0, longestMessage) });
  const turned = (type: SweepConditionType) => isTrue(after, type) && !isTrue(before, type);
  const said = (type: SweepConditionType) => conditionOf(after, type)?.message ?? '';

  const accepted = conditionOf(after, 'Accepted');
  if (turned('Accepted')) tell('Normal', 'Accepted', said('Accepted'));
  if (accepted?.status === 'False' && accepted.message !== conditionOf(before, 'Accepted')?.message) {
    tell('Warning', accepted.reason, accepted.message);
  }
  const waiting = conditionOf(after, 'Waiting');
  if (waiting?.status === 'True' && waiting.reason !== conditionOf(before, 'Waiting')?.reason) {
    tell(waiting.reason === 'Queued' ? 'Normal' : 'Warning', waiting.reason, waiting.message);
  }
  const numFailed = after.trials?.failed ?? 0;
  if (numFailed > (before.trials?.failed ?? 0)) {
    tell(
      'Warning',
      'TrialFailed',
      `${numFailed} of ${after.trials!.total} trials have failed${failed === undefined ? '' : `, the last one: ${failed}`}`,
    );
  }
  if (after.phase === 'Suspending' && before.phase !== 'Suspending') tell('Normal', 'Suspending', said('Suspended'));
  if (turned('Suspended')) tell('Normal', 'Suspended', said('Suspended'));
  if (conditionOf(after, 'Suspended')?.reason === 'Resumed' && conditionOf(before, 'Suspended')?.reason !== 'Resumed') {
    tell('Normal', 'Resumed', 'the trials go on from their checkpoints');
  }
  if (turned('Complete')) tell('Normal', conditionOf(after, 'Complete')!.reason, said('Complete'));
  if (turned('Failed') && accepted?.status === 'True') tell('Warning', conditionOf(after, 'Failed')!.reason, said('Failed'));
  return events;
}
