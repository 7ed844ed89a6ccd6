/**
 * What a worker keeps from one coordinator to the next; all else of member.ts is tried together with round.ts in round.test.ts.
 */
import { expect, test } from 'vitest';
import { advanceMember, createMember, type Done, defaultMemberTiming, type MemberOutcome } from '../../coordinator/member.ts';
import type { FromCoordinatorBody, FromWorkerBody } from '../../coordinator/messages.ts';

const process = '3b241101-e2bb-4255-8caf-4136c566a962';
const digests = { job: 'j', code: 'c', data: 'd', library: 'l' };
const checkpoint: FromCoordinatorBody = { type: 'commit', committed: { generation: 1, step: 1, digest: 's', checkpoint: true } };
const applied: Done = { type: 'applied', step: 1, report: 'r' };
const lane = (start: number) => ({ start, end: start + 1 });

/** A worker, and what it last sent and ordered. */
class Driver {
  last: MemberOutcome;

  constructor() {
    this.last = createMember({ id: '1', process, incarnation: 0, digests, capacity: 4, timing: defaultMemberTiming }, 0);
  }

  hear(term: number, body: FromCoordinatorBody): this {
    const { member } = this.last;
    const heard = { version: 1, run: 'r', term, session: { process, attempt: member.attempt }, body } as const;
    this.last = advanceMember(member, { heard }, 0);
    return this;
  }

  done(done: Done): this {
    this.last = advanceMember(this.last.member, { done }, 0);
    return this;
  }

  get sent(): readonly FromWorkerBody[] {
    return this.last.send.map(({ body }) => body);
  }

  /** Holds this step, is let in and has a seat in generation 1. */
  seated(term: number, step: number, rank: number, size: number): this {
    const ranges = Array.from({ length: size }, (_, index) => lane(index));
    const committed = { generation: 0, step, digest: '', checkpoint: false };
    return this.done({ type: 'holding', holds: { step, digest: 'x', epoch: 0, next: step, finished: false } })
      .hear(term, { type: 'welcome' })
      .hear(term, { type: 'assign', generation: 1, rank, ranges, committed })
      .done({ type: 'listening', generation: 1, address: 'here' });
  }

  /** The first step, alone; then another coordinator comes. */
  static betweenTwo(): Driver {
    return new Driver()
      .seated(1, 0, 0, 1)
      .hear(1, { type: 'start', generation: 1, step: 1, peers: ['here'] })
      .done({ type: 'prepared', generation: 1, step: 1, digest: 's', after: 'checkpoint', seconds: 1 })
      .hear(1, checkpoint)
      .done(applied)
      .hear(2, { type: 'refuse', reason: 'unknown', sentence: 'join' });
  }
}

test('what was reported of the last step is said again to every coordinator that lets the worker in', () => {
  const driver = Driver.betweenTwo().done({ type: 'holding', holds: { step: 1, digest: 'x', epoch: 0, next: 1, finished: false } });
  expect(driver.hear(2, { type: 'welcome' }).sent).toEqual([applied]);
});

test('a share that was stored for the coordinator before is not taken for the one that the next one asks for', () => {
  const driver = Driver.betweenTwo().seated(2, 1, 1, 2).hear(2, checkpoint);
  const share = { generation: 1, step: 1, rank: 1, size: 2 };
  expect(driver.last.orders).toEqual([{ order: 'save', ...share }]);
  driver.done({ type: 'saved', ...share, rank: 0, size: 1, share: 'late' });
  expect(driver.hear(2, checkpoint).sent).toEqual([]);
  driver.done({ type: 'saved', ...share, share: 's' });
  expect(driver.hear(2, checkpoint).sent).toEqual([{ type: 'saved', ...share, share: 's' }]);
});
