/**
 * What a worker keeps from one coordinator to the next; all else of member.ts is tried together with round.ts in round.test.ts.
 */
import { describe, expect, test } from 'vitest';
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

  tick(now = 0): this {
    this.last = advanceMember(this.last.member, { tick: true, stalledMs: 0 }, now);
    return this;
  }

  leave(): this {
    this.last = advanceMember(this.last.member, { leave: true }, 0);
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
      .done({ type: 'prepared', generation: 1, step: 1, digest: 's', after: 'checkpoint', seconds: 1, lateMs: [] })
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

test.each<Done>([
  { type: 'unreachable', generation: 1, rank: 1 },
  { type: 'failed', generation: 1, step: 1, code: 'diverged', sentence: 'the loss is NaN', images: [] },
])('that a step cannot end is said until something follows from it, as a message may be lost: $type', trouble => {
  const driver = new Driver().seated(1, 0, 0, 2).hear(1, { type: 'start', generation: 1, step: 1, peers: ['here', 'there'] });
  expect(driver.done(trouble).sent).toEqual([trouble]);
  for (let i = 0; i < 3; i++) expect(driver.tick().sent).toEqual([expect.objectContaining({ type: 'heartbeat' }), trouble]);
  const committed = { generation: 0, step: 0, digest: '', checkpoint: false };
  driver.hear(1, { type: 'abort', generation: 1, committed });
  expect(driver.tick().sent).toEqual([expect.objectContaining({ type: 'heartbeat' })]);
});

test('what breaks in the exchange of the seat before is not taken for a fault of the one that is being opened', () => {
  const driver = new Driver().seated(1, 0, 0, 2).hear(2, { type: 'refuse', reason: 'unknown', sentence: 'join' });
  const committed = { generation: 0, step: 0, digest: '', checkpoint: false };
  driver
    .done({ type: 'holding', holds: { step: 0, digest: 'x', epoch: 0, next: 0, finished: false } })
    .hear(2, { type: 'welcome' })
    .hear(2, { type: 'assign', generation: 1, rank: 0, ranges: [lane(0), lane(1)], committed });
  const unreachable: Done = { type: 'unreachable', generation: 1, rank: 1 };
  expect(driver.done(unreachable).sent).toEqual([]);
  expect(driver.done({ type: 'listening', generation: 1, address: 'here' }).done(unreachable).sent).toEqual([unreachable]);
});

test('reports that are asked for twice are said once, unless the answer got lost', () => {
  const driver = new Driver().seated(1, 7, 0, 1).hear(1, { type: 'report', from: 4 });
  expect(driver.last.orders).toEqual([{ order: 'report', from: 4 }]);
  expect(driver.hear(1, { type: 'report', from: 4 }).last.orders).toEqual([]);
  const reports: Done = { type: 'reports', from: 4, until: 7, reports: [] };
  expect(driver.done(reports).sent).toEqual([reports]);
  expect(driver.hear(1, { type: 'report', from: 4 }).last.orders).toEqual([{ order: 'report', from: 4 }]);
});

describe('asked to go', () => {
  const left = (sentence: string) => [{ order: 'end', code: 'left', sentence: expect.stringContaining(sentence) }];

  test('before the run let it in, it goes at once', () => {
    expect(new Driver().leave().last.orders).toEqual(left('left before the run let it in'));
  });

  test('it waits for the word of the coordinator, and says so with every heartbeat', () => {
    const driver = new Driver().seated(1, 7, 0, 1).leave();
    expect(driver.sent).toEqual([{ type: 'leave' }]);
    expect(driver.tick().sent).toEqual([expect.objectContaining({ type: 'heartbeat' }), { type: 'leave' }]);
    expect(driver.hear(1, { type: 'end', code: 'left', sentence: 'left the run' }).last.orders).toEqual(left('left the run'));
  });

  test('while it comes back to a new coordinator, it does so first: it may be all that holds the state', () => {
    const driver = Driver.betweenTwo().leave();
    expect(driver.last.orders).toEqual([]);
    driver.done({ type: 'holding', holds: { step: 1, digest: 'x', epoch: 0, next: 1, finished: false } });
    expect(driver.sent).toMatchObject([{ type: 'join', holds: { step: 1 } }]);
    driver.hear(2, { type: 'welcome' });
    expect(driver.tick().sent).toEqual([expect.objectContaining({ type: 'heartbeat' }), { type: 'leave' }]);
  });

  test('it does not wait for long for a coordinator that does not answer', () => {
    const { leaveMs } = defaultMemberTiming;
    const driver = new Driver().seated(1, 7, 0, 1).leave();
    expect(driver.tick(leaveMs).last.orders).toEqual([]);
    expect(driver.tick(leaveMs + 1).last.orders).toEqual(left('whose coordinator has not answered for 25 s'));
  });
});
