/**
 * The rules of round.ts one by one; every order of events is tried in round.test.ts.
 */
import { expect, test } from 'vitest';
import type { FromCoordinatorBody, FromWorkerBody } from '../../coordinator/messages.ts';
import {
  advance,
  createRound,
  defaultTiming,
  type Effect,
  type Round,
  type RoundEvent,
  type RoundOptions,
} from '../../coordinator/round.ts';

const digests = { code: 'c', data: 'd', library: 'l' };
const holds = { step: 0, digest: 'x', epoch: 0, next: 0, finished: false };

/** A coordinator under a clock of its own, and what it has said to whom. */
class Driver {
  round: Round;
  now = 0;
  effects: readonly Effect[] = [];

  constructor(options: Partial<RoundOptions> = {}) {
    this.round = createRound({ term: 1, lanes: 4, workers: { min: 1, expected: 1 }, attempts: 3, timing: defaultTiming, ...options });
  }

  do(...events: RoundEvent[]): this {
    const next = advance(this.round, events, this.now);
    this.round = next.round;
    this.effects = next.effects;
    return this;
  }

  said(id: string): FromCoordinatorBody[] {
    return this.effects.flatMap(effect => (effect.do === 'send' && effect.id === id ? [effect.body] : []));
  }

  join(...ids: string[]): this {
    return this.do(...ids.map(id => from(id, { type: 'join', incarnation: 0, term: 0, digests, capacity: 4, holds })));
  }

  /** Joined, listening, and the first step under way. */
  computing(...ids: string[]): this {
    const { generation } = this.join(...ids).round;
    return this.do(...ids.map(id => from(id, { type: 'listening', generation, address: `at ${id}` })));
  }

  prepared(id: string, change: object = {}): RoundEvent {
    const { generation, committed } = this.round;
    return from(id, { type: 'prepared', generation, step: committed!.step + 1, digest: 's', after: 'next', seconds: 1, ...change });
  }
}

const from = (id: string, body: FromWorkerBody, attempt = 0): RoundEvent => ({
  version: 1,
  run: 'r',
  id,
  session: { process: `00000000-0000-4000-8000-0000000000${id.padStart(2, '0')}`, attempt },
  body,
});

test('the first generation: lanes are dealt by rank, and the step starts once all listen', () => {
  const driver = new Driver({ workers: { min: 1, expected: 3 } }).join('1', '2', '3');
  const ranges = [
    { start: 0, end: 2 },
    { start: 2, end: 3 },
    { start: 3, end: 4 },
  ];
  expect(driver.said('2')).toMatchObject([{ type: 'welcome' }, { type: 'assign', generation: 1, rank: 1, ranges, committed: { step: 0 } }]);
  driver.do(from('1', { type: 'listening', generation: 1, address: 'a' }), from('3', { type: 'listening', generation: 1, address: 'c' }));
  expect(driver.effects).toEqual([]);
  driver.do(from('2', { type: 'listening', generation: 1, address: 'b' }));
  expect(driver.said('2')).toEqual([{ type: 'start', generation: 1, step: 1, peers: ['a', 'b', 'c'] }]);
});

test('below the least number of workers the run waits; with it but fewer than expected, for a while', () => {
  const driver = new Driver({ workers: { min: 2, expected: 3 } }).join('1');
  expect(driver.round.generation).toBe(0);
  driver.join('2');
  expect(driver.round.generation).toBe(0);
  for (driver.now = 0; driver.now <= defaultTiming.gatherMs; driver.now += 1000) {
    driver.do(...['1', '2'].map(id => from(id, { type: 'heartbeat', generation: 0, step: 0, started: 0, prepared: 0, stalledMs: 0 })), {
      tick: true,
    });
  }
  expect(driver.round).toMatchObject({ generation: 1, members: ['1', '2'] });
});

test('commit and the start of the next step are said together, once all have prepared the same', () => {
  const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2');
  driver.do(driver.prepared('1'));
  expect(driver.effects).toEqual([]);
  driver.do(driver.prepared('2'));
  expect(driver.said('1')).toEqual([
    { type: 'commit', committed: { generation: 1, step: 1, digest: 's', checkpoint: false } },
    { type: 'start', generation: 1, step: 2, peers: ['at 1', 'at 2'] },
  ]);
});

test('digests that differ stop the run before anything is applied', () => {
  const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2');
  driver.do(driver.prepared('1'), driver.prepared('2', { digest: 't' }));
  const sentence = 'the workers do not agree on step 1: 1 has s (next), 2 has t (next); nothing of it was applied';
  expect(driver.effects[0]).toEqual({ do: 'end', code: 'integrity', sentence, images: [] });
  expect(driver.said('1')).toEqual([{ type: 'end', code: 'integrity', sentence }]);
});

test('a sample that two workers used stops the run', () => {
  const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2');
  const samples = { epoch: 0, first: 0, count: 4, of: 10 };
  driver.do(driver.prepared('1', { samples }), driver.prepared('2', { samples }));
  expect(driver.effects[0]).toMatchObject({
    code: 'integrity',
    sentence: expect.stringContaining('rank 1 used samples from 0 of epoch 0'),
  });
});

test('two that are lost at once make one new generation; the step starts anew from the same weights', () => {
  const driver = new Driver({ workers: { min: 1, expected: 3 } }).computing('1', '2', '3');
  driver.do(driver.prepared('1'), driver.prepared('2'));
  driver.do(from('2', { type: 'gone' }), from('3', { type: 'gone' }));
  expect(driver.round).toMatchObject({ generation: 2, members: ['1'], committed: { step: 0 } });
  expect(driver.said('1').map(({ type }) => type)).toEqual(['abort', 'assign']);
});

test('what was prepared in an older generation counts for nothing', () => {
  const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2');
  const old = driver.prepared('1');
  driver.do(from('2', { type: 'gone' }));
  driver.do(from('1', { type: 'listening', generation: 2, address: 'a' }));
  expect(driver.round.phase).toBe('computing');
  driver.do(old);
  expect(driver.round).toMatchObject({ phase: 'computing', committed: { step: 0 } });
});

test('a newcomer waits for the boundary, then for the state of that step, and then for a new generation', () => {
  const driver = new Driver().computing('1').join('2');
  expect(driver.effects).toMatchObject([{ id: '2', body: { type: 'welcome' } }]);
  driver.do(driver.prepared('1'));
  expect(driver.said('1').map(({ type }) => type)).toEqual(['commit', 'offerState']);
  driver.do(from('1', { type: 'offering', step: 1, address: 'there' }));
  expect(driver.said('2')).toEqual([{ type: 'fetchState', step: 1, address: 'there' }]);
  driver.do(from('2', { type: 'holding', holds: { ...holds, step: 1 } }));
  expect(driver.round).toMatchObject({ generation: 2, members: ['1', '2'] });
});

test('a coordinator that hears of a higher term than its own ends, and touches nothing more', () => {
  const driver = new Driver().computing('1');
  driver.do(from('2', { type: 'join', incarnation: 0, term: 2, digests, capacity: 4, holds }));
  expect(driver.effects[0]).toMatchObject({ do: 'end', code: 'conflict' });
});

test('a worker of the same name replaces one only with a higher incarnation', () => {
  const driver = new Driver().computing('1');
  const other = (incarnation: number): RoundEvent => ({
    ...(from('2', { type: 'join', incarnation, term: 0, digests, capacity: 4, holds }) as Extract<RoundEvent, { id: string }>),
    id: '1',
  });
  driver.do(other(0));
  expect(driver.said('1')).toMatchObject([{ type: 'refuse', reason: 'duplicate' }]);
  expect(driver.round.phase).toBe('computing');
  driver.do(other(1));
  expect(driver.effects[0]).toEqual({ do: 'lost', id: '1', why: 'came back anew' });
});

test('of two that cannot reach each other although both are heard here, the higher rank goes for a while', () => {
  const driver = new Driver({ workers: { min: 1, expected: 3 } }).computing('1', '2', '3');
  driver.do(from('1', { type: 'unreachable', generation: 1, rank: 2 }));
  const heartbeats = ['1', '2', '3'].map(id =>
    from(id, { type: 'heartbeat', generation: 1, step: 0, started: 1, prepared: 0, stalledMs: 0 }),
  );
  for (; driver.now <= defaultTiming.deadAfterMs + 100; driver.now += 100) driver.do(...heartbeats, { tick: true });
  expect(driver.round).toMatchObject({ generation: 2, members: ['1', '2'] });
  expect([...driver.round.quarantine.keys()]).toEqual(['3']);
});

test('a coordinator that was itself stopped blames nobody for its silence', () => {
  const driver = new Driver().computing('1').do({ tick: true });
  driver.now = 3_600_000;
  driver.do({ tick: true });
  expect([...driver.round.workers.keys()]).toEqual(['1']);
});

test('a checkpoint that a share of is lost with its worker is asked for again at the next boundary', () => {
  const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').do({ ask: 'checkpoint' });
  driver.do(driver.prepared('1'), driver.prepared('2'));
  expect(driver.said('1')[0]).toMatchObject({ type: 'commit', committed: { step: 1, checkpoint: true } });
  driver.do(from('1', { type: 'saved', generation: 1, step: 1, share: 'one' }), from('2', { type: 'gone' }));
  expect(driver.effects.some(effect => effect.do === 'checkpointed')).toBe(false);
  driver.do(from('1', { type: 'listening', generation: 2, address: 'a' })).do(driver.prepared('1'));
  expect(driver.said('1')[0]).toMatchObject({ type: 'commit', committed: { step: 2, checkpoint: true } });
  driver.do(from('1', { type: 'saved', generation: 2, step: 2, share: 'all' }));
  expect(driver.effects).toContainEqual({ do: 'checkpointed', step: 2, generation: 2, shares: ['all'] });
});

test('a failure that is the data\u2019s or the numbers\u2019 ends the run; one for want of memory only that worker', () => {
  const failed = { type: 'failed' as const, generation: 1, step: 1, sentence: 's', images: ['i'] };
  const ends = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').do(from('1', { ...failed, code: 'diverged' }));
  expect(ends.effects[0]).toEqual({ do: 'end', code: 'diverged', sentence: 's', images: ['i'] });
  const goesOn = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').do(from('1', { ...failed, code: 'resources' }));
  expect(goesOn.said('1')).toEqual([{ type: 'end', code: 'left', sentence: 's' }]);
  expect(goesOn.round).toMatchObject({ generation: 2, members: ['2'] });
});

test('asked to stop twice, the run ends at once', () => {
  const driver = new Driver().computing('1').do({ ask: 'stop', code: 'interrupted' });
  expect(driver.round.phase).toBe('computing');
  driver.do({ ask: 'stop', code: 'interrupted' });
  expect(driver.effects[0]).toMatchObject({
    do: 'end',
    code: 'interrupted',
    sentence: 'stopped at once, after step 0; the last checkpoint stands',
  });
});
