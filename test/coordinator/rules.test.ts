/**
 * The rules of round.ts one by one; every order of events is tried in round.test.ts.
 */
import { describe, expect, test } from 'vitest';
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

const digests = { job: 'j', code: 'c', data: 'd', library: 'l' };
const holds = { step: 0, digest: 'x', epoch: 0, next: 0, finished: false };

/** A coordinator under a clock of its own, and what it has said to whom. */
class Driver {
  round: Round;
  now = 0;
  effects: readonly Effect[] = [];

  constructor(options: Partial<RoundOptions> = {}) {
    const defaults = { term: 1, lanes: 4, workers: { min: 1, expected: 1 }, attempts: 3, savedStep: 0, timing: defaultTiming };
    this.round = createRound({ ...defaults, ...options });
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
    return this.joinAt(0, ...ids);
  }

  joinAt(step: number, ...ids: string[]): this {
    const held = { ...holds, step };
    return this.do(...ids.map(id => from(id, { type: 'join', incarnation: 0, term: 0, digests, capacity: 4, holds: held })));
  }

  /** The members of a new generation listen. */
  listening(): this {
    const { generation, members } = this.round;
    return this.do(...members.map(id => from(id, { type: 'listening', generation, address: `at ${id}` })));
  }

  /** Joined, listening, and the first step under way. */
  computing(...ids: string[]): this {
    return this.join(...ids).listening();
  }

  /** The members have prepared the next step. */
  prepare(change: object = {}): this {
    return this.do(...this.round.members.map(id => this.prepared(id, change)));
  }

  /** What the members say that have applied the step and stored their shares of its checkpoint. */
  saved(...ids: string[]): RoundEvent[] {
    const { committed, checkpoint } = this.round;
    const { generation, step } = committed!;
    const size = checkpoint!.ranks.length;
    return ids.flatMap(id => [
      applied(id, step),
      from(id, { type: 'saved', generation, step, rank: checkpoint!.ranks.indexOf(id), size, share: `${id} of ${size}` }),
    ]);
  }

  /** What happened, without what was sent and what was reported. */
  get happened(): readonly Effect[] {
    return this.effects.filter(effect => effect.do !== 'send' && effect.do !== 'applied');
  }

  /** The steps that were reported. */
  get told(): number[] {
    return this.effects.flatMap(effect => (effect.do === 'applied' ? [effect.step] : []));
  }

  /** So much later, and all are still there. */
  later(ms: number): this {
    this.now += ms;
    const beats = [...this.round.workers.keys()].map(id =>
      from(id, { type: 'heartbeat', generation: this.round.generation, step: 0, started: 0, prepared: 0, stalledMs: 0 }),
    );
    return this.do(...beats, { tick: true });
  }

  prepared(id: string, change: object = {}): RoundEvent {
    const { generation, committed } = this.round;
    return from(id, {
      type: 'prepared',
      generation,
      step: committed!.step + 1,
      digest: 's',
      after: 'next',
      seconds: 1,
      lateMs: [],
      ...change,
    });
  }
}

const from = (id: string, body: FromWorkerBody, attempt = 0): RoundEvent => ({
  version: 1,
  run: 'r',
  id,
  session: { process: `00000000-0000-4000-8000-0000000000${id.padStart(2, '0')}`, attempt },
  body,
});

const applied = (id: string, step: number): RoundEvent => from(id, { type: 'applied', step, report: `r${step}` });

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

test('a newcomer that cannot reach the one that passes on the state goes for a while, and the others go on', () => {
  const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').join('3').prepare();
  driver.do(from('1', { type: 'offering', step: 1, address: 'there' }));
  driver.do(from('3', { type: 'unfetched', address: 'there' }));
  const heartbeats = ['1', '2', '3'].map(id =>
    from(id, { type: 'heartbeat', generation: 1, step: 1, started: 1, prepared: 0, stalledMs: 0 }),
  );
  driver.do({ tick: true });
  for (; driver.round.phase === 'boundary'; driver.now += 100) driver.do(...heartbeats, { tick: true });
  expect(driver.now).toBe(defaultTiming.deadAfterMs + 200);
  expect(driver.happened).toEqual([
    { do: 'lost', id: '3', reason: 'unreachable', why: 'could not reach 1, which has the state', repeats: false },
  ]);
  expect(driver.round).toMatchObject({ phase: 'computing', generation: 1, members: ['1', '2'] });
  expect([...driver.round.quarantine.keys()]).toEqual(['3']);
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
  expect(driver.effects[0]).toEqual({ do: 'lost', id: '1', reason: 'returned', why: 'came back anew', repeats: true });
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

describe('a step after a checkpoint', () => {
  const saving = () => new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').prepare({ after: 'checkpoint' });

  test('is computed at once, but committed only when the checkpoint is durable', () => {
    const driver = saving();
    expect(driver.said('1')).toMatchObject([
      { type: 'commit', committed: { step: 1, checkpoint: true } },
      { type: 'start', step: 2 },
    ]);
    driver.prepare().do(...driver.saved('1'), ...driver.saved('1'));
    expect(driver.happened).toEqual([]);
    driver.do(...driver.saved('2'));
    expect(driver.happened).toEqual([{ do: 'checkpointed', step: 1, generation: 1, shares: ['1 of 2', '2 of 2'] }]);
    driver.do(...driver.saved('2'), { durable: 2 });
    expect(driver.happened).toEqual([]);
    driver.do({ durable: 1 });
    expect(driver.happened).toMatchObject([{ do: 'committed', step: 2 }]);
    expect(driver.said('1')).toMatchObject([
      { type: 'commit', committed: { checkpoint: false } },
      { type: 'start', step: 3 },
    ]);
    driver.prepare().do({ durable: 1 }, { durable: 2 });
    expect(driver.round).toMatchObject({ savedStep: 1, committed: { step: 3 } });
  });

  test('waits for another checkpoint of the same step, by those that are left, where a share was lost with its worker', () => {
    const driver = saving().prepare();
    const old = driver.saved('1');
    driver.do(...old, from('2', { type: 'gone' }));
    expect(driver.said('1')).toMatchObject([{ type: 'abort' }, { type: 'assign', committed: { step: 1, checkpoint: false } }]);
    driver.listening();
    expect(driver.said('1')).toMatchObject([
      { type: 'commit', committed: { generation: 2, step: 1, checkpoint: true } },
      { type: 'start', step: 2 },
    ]);
    driver.prepare().do(...old);
    expect(driver.happened).toEqual([]);
    driver.do(...driver.saved('1'));
    expect(driver.happened).toEqual([{ do: 'checkpointed', step: 1, generation: 2, shares: ['1 of 1'] }]);
    driver.do({ durable: 1 });
    expect(driver.happened).toMatchObject([{ do: 'committed', step: 2 }]);
  });

  test('needs no other checkpoint where a worker is lost whose share is stored', () => {
    const driver = saving();
    driver.do(...driver.saved('1', '2'), from('2', { type: 'gone' })).listening();
    expect(driver.said('1').map(({ type }) => type)).toEqual(['start']);
    driver.prepare();
    expect(driver.happened).toEqual([]);
    driver.do({ durable: 1 });
    expect(driver.happened).toMatchObject([{ do: 'committed', step: 2 }]);
  });

  test('needs another one where the share is lost of a worker that is no member any more', () => {
    const driver = saving().join('3');
    driver.do(from('2', { type: 'leave' }), ...driver.saved('1'), from('1', { type: 'gone' }));
    driver.do(from('2', { type: 'offering', step: 1, address: 'there' }));
    driver.do(from('3', { type: 'holding', holds: { ...holds, step: 1 } })).listening();
    expect(driver.round).toMatchObject({ phase: 'computing', members: ['3'], checkpoint: { ranks: ['1', '2'] } });
    driver.do(from('2', { type: 'gone' }));
    expect(driver.said('3')).toMatchObject([{ type: 'commit', committed: { step: 1, checkpoint: true } }]);
  });

  test('is the last one: the run ends when its checkpoint is durable, even if nobody is left', () => {
    const driver = new Driver().computing('1').prepare({ after: 'finish' });
    driver.do(...driver.saved('1'), from('1', { type: 'gone' }));
    expect(driver.round.phase).toBe('boundary');
    driver.do({ durable: 1 });
    expect(driver.happened).toMatchObject([{ do: 'end', code: 'ok' }]);
  });
});

test.each([
  ['older than what the workers hold is followed by one of what they hold', 5, true],
  ['of the step that the workers hold is enough', 7, false],
])('a successor: a durable checkpoint %s', (_, savedStep, checkpoint) => {
  const driver = new Driver({ term: 2, savedStep }).joinAt(7, '1').listening();
  expect(driver.said('1').map(({ type }) => type)).toEqual(checkpoint ? ['commit', 'start'] : ['start']);
  driver.prepare();
  expect(driver.round.committed).toMatchObject(checkpoint ? { step: 7, checkpoint } : { step: 8, checkpoint });
});

test('after all that held the last step were lost, the step that they fall back to is saved first, unless it is durable', () => {
  const fallBack = (savedStep: number) => {
    const driver = new Driver({ savedStep }).joinAt(7, '1').listening();
    return driver
      .do(from('1', { type: 'gone' }))
      .joinAt(6, '2')
      .listening();
  };
  expect(fallBack(5).said('2')).toMatchObject([{ type: 'commit', committed: { step: 6, checkpoint: true } }, { type: 'start' }]);
  expect(fallBack(6).said('2')).toMatchObject([{ type: 'start', step: 7 }]);
});

test('a checkpoint that was asked for and lost with all workers is made at the next boundary', () => {
  const driver = new Driver().computing('1').do({ ask: 'checkpoint' }).prepare();
  expect(driver.said('1')[0]).toMatchObject({ type: 'commit', committed: { step: 1, checkpoint: true } });
  driver
    .do(from('1', { type: 'gone' }))
    .computing('2')
    .prepare();
  expect(driver.said('2')[0]).toMatchObject({ type: 'commit', committed: { step: 1, checkpoint: true } });
});

describe('what workers report of their steps', () => {
  /** A worker that has reported these steps from there on. */
  const reports = (id: string, from_: number, until: number, ...steps: number[]): RoundEvent =>
    from(id, { type: 'reports', from: from_, until, reports: steps.map(step => ({ step, report: `r${step}` })) });
  const asked = (driver: Driver, id: string) => driver.said(id).filter(({ type }) => type === 'report');

  test('is passed on once, whoever says it', () => {
    const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').prepare();
    driver.do(applied('1', 1), applied('1', 1), applied('2', 1));
    expect(driver.effects).toEqual([{ do: 'applied', step: 1, report: 'r1' }]);
    // Of a step that is not committed.
    expect(driver.do(applied('1', 2)).told).toEqual([]);
  });

  test('is asked for again where it got lost: of one worker after the other, until one answers', () => {
    const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').prepare();
    expect(asked(driver.later(900), '1')).toEqual([]);
    expect(asked(driver.later(200), '1')).toEqual([{ type: 'report', from: 1 }]);
    expect([...asked(driver.later(900), '1'), ...asked(driver, '2')]).toEqual([]);
    expect(asked(driver.later(200), '2')).toEqual([{ type: 'report', from: 1 }]);
    expect(driver.do(reports('2', 1, 1, 1)).told).toEqual([1]);
    expect([...asked(driver.later(5000), '1'), ...asked(driver, '2')]).toEqual([]);
  });

  test('comes in order: a later one is not taken before the one that got lost', () => {
    const driver = new Driver().computing('1').prepare().prepare().do(applied('1', 2));
    expect(driver.told).toEqual([]);
    expect(asked(driver.later(1100), '1')).toEqual([{ type: 'report', from: 1 }]);
    expect(driver.do(reports('1', 1, 2, 1, 2)).told).toEqual([1, 2]);
  });

  test('and no checkpoint covers is asked for by a successor at once, answer after answer', () => {
    const driver = new Driver({ term: 2, savedStep: 3 }).joinAt(7, '1');
    expect(asked(driver, '1')).toEqual([{ type: 'report', from: 4 }]);
    driver.do(reports('1', 4, 7, 4, 5));
    expect(driver.told).toEqual([4, 5]);
    expect(asked(driver, '1')).toEqual([{ type: 'report', from: 6 }]);
    // An answer to a question of before.
    expect(driver.do(reports('1', 4, 7, 4, 5)).told).toEqual([]);
    driver.do(reports('1', 6, 7, 6, 7));
    expect(driver.told).toEqual([6, 7]);
    expect(asked(driver.later(5000), '1')).toEqual([]);
  });

  test('is waited for before a checkpoint counts: whoever goes on from that must not lack it', () => {
    const driver = new Driver().computing('1').prepare({ after: 'checkpoint' });
    driver.do(driver.saved('1')[1]);
    expect(driver.happened).toEqual([]);
    driver.do(applied('1', 1));
    expect(driver.effects.map(effect => effect.do)).toEqual(['applied', 'checkpointed']);
  });

  test('is given up where a worker that holds the state has none of it: then it is covered by a checkpoint', () => {
    const driver = new Driver({ term: 2, savedStep: 3 }).joinAt(7, '1');
    driver.do(reports('1', 4, 6));
    expect(driver.round.told).toBe(3);
    driver.do(reports('1', 4, 7));
    expect(driver.round.told).toBe(7);
  });

  test('is told again of steps that are computed again', () => {
    const driver = new Driver().computing('1').prepare().do(applied('1', 1));
    driver
      .do(from('1', { type: 'gone' }))
      .computing('2')
      .prepare();
    expect(driver.do(applied('2', 1)).told).toEqual([1]);
  });
});

describe('leaving', () => {
  const leave = (...ids: string[]) => ids.map(id => from(id, { type: 'leave' }));
  const isGone = (driver: Driver, id: string) => driver.said(id).some(body => body.type === 'end' && body.code === 'left');

  test('one of several goes at the next boundary', () => {
    const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').do(...leave('1'));
    expect(isGone(driver, '1')).toBe(false);
    expect(isGone(driver.prepare(), '1')).toBe(true);
    expect(driver.round).toMatchObject({ members: ['2'], checkpointDue: false });
  });

  test('all go when the state of the boundary is stored, and whoever comes then goes on from it', () => {
    const driver = new Driver({ workers: { min: 1, expected: 2 } }).computing('1', '2').do(...leave('1', '2'));
    driver.prepare();
    expect(driver.said('1').at(-1)).toMatchObject({ type: 'commit', committed: { step: 1, checkpoint: true } });
    driver.do(...driver.saved('1', '2'));
    expect(driver.happened).toMatchObject([{ do: 'checkpointed', step: 1 }]);
    driver.do({ durable: 1 });
    expect([isGone(driver, '1'), isGone(driver, '2')]).toEqual([true, true]);
    driver.joinAt(1, '3').listening();
    expect(driver.said('3')).toMatchObject([{ type: 'start', step: 2 }]);
  });

  test('the last one stores the state also where it waits for others', () => {
    const driver = new Driver({ workers: { min: 2, expected: 2 } }).computing('1', '2').prepare();
    driver.do(applied('1', 1), from('2', { type: 'gone' }));
    expect(driver.round).toMatchObject({ phase: 'boundary', members: [] });
    driver.do(...leave('1')).listening();
    expect(isGone(driver, '1')).toBe(false);
    driver.do(...driver.saved('1'), { durable: 1 });
    expect(isGone(driver, '1')).toBe(true);
  });

  test.each([
    ['that has gone on since the checkpoint stores its state before it goes', 7, false],
    ['that holds the checkpoint goes at once', 3, true],
  ])('after a new coordinator took over, before enough have come back, one %s', (_, step, goesAtOnce) => {
    const driver = new Driver({ term: 2, savedStep: 3, workers: { min: 2, expected: 2 } }).joinAt(step, '1').do(...leave('1'));
    expect(isGone(driver, '1')).toBe(goesAtOnce);
    if (goesAtOnce) return;
    driver.listening();
    expect(driver.said('1')).toMatchObject([{ type: 'commit', committed: { step: 7, checkpoint: true } }]);
  });

  test('one whose state another has does not store it', () => {
    const driver = new Driver({ term: 2, savedStep: 3, workers: { min: 3, expected: 3 } }).joinAt(7, '1', '2').do(...leave('1'));
    expect(isGone(driver, '1')).toBe(true);
    expect(driver.round.committed).toBeUndefined();
  });

  test('does not keep a run from ending that is asked to stop', () => {
    const driver = new Driver({ workers: { min: 1, expected: 2 } })
      .computing('1', '2')
      .do(...leave('1', '2'), { ask: 'stop', code: 'preempted' });
    driver.prepare();
    driver.do(...driver.saved('1', '2'), { durable: 1 });
    expect(driver.happened).toMatchObject([
      { do: 'end', code: 'preempted', sentence: expect.stringContaining('the checkpoint is written') },
    ]);
    expect(driver.said('1')).toMatchObject([{ type: 'end', code: 'preempted' }]);
  });
});

test('asked to stop while workers are still coming back to it, a successor has their state stored first', () => {
  const driver = new Driver({ term: 2, savedStep: 3, workers: { min: 2, expected: 2 } })
    .joinAt(7, '1')
    .do({ ask: 'stop', code: 'preempted' });
  driver.listening();
  expect(driver.said('1')).toMatchObject([{ type: 'commit', committed: { step: 7, checkpoint: true } }]);
  driver.do(from('1', { type: 'reports', from: 4, until: 7, reports: [4, 5, 6, 7].map(step => ({ step, report: '' })) }));
  driver.do(...driver.saved('1'), { durable: 7 });
  expect(driver.happened).toMatchObject([{ do: 'end', code: 'preempted' }]);
});

test('a run that is over needs nobody to come, and tells whoever comes', () => {
  const driver = new Driver({ savedStep: 9, isOver: true }).do({ tick: true });
  expect(driver.happened).toMatchObject([{ do: 'end', code: 'ok' }]);
  expect(driver.joinAt(9, '1').effects).toMatchObject([{ do: 'send', id: '1', body: { type: 'end', code: 'ok' } }]);
});

test('a worker of another job is refused', () => {
  const other = { ...digests, job: 'k', code: 'd' };
  const driver = new Driver().join('1').do(from('2', { type: 'join', incarnation: 0, term: 0, digests: other, capacity: 4, holds }));
  const sentence = 'the job of 2 is k, that of the run is j; every worker needs the same job';
  expect(driver.said('2')).toEqual([{ type: 'refuse', reason: 'digest', sentence }]);
});

test('what the coordinator leaves open must be as the first worker has it, not as one that was refused', () => {
  const { library: _, ...known } = digests;
  const joins = (id: string, change: object) =>
    from(id, { type: 'join', incarnation: 0, term: 0, digests: { ...digests, ...change }, capacity: 4, holds });
  const driver = new Driver({ digests: known }).do(joins('1', { data: 'other', library: 'CPU' }));
  expect(driver.said('1')).toMatchObject([{ type: 'refuse', reason: 'digest' }]);
  driver.do(joins('2', { library: 'GPU' }));
  expect(driver.effects.filter(effect => effect.do === 'settled')).toEqual([{ do: 'settled', digests: { ...digests, library: 'GPU' } }]);
  expect(driver.said('2')).toMatchObject([{ type: 'welcome' }, { type: 'assign' }]);
  driver.do(joins('3', { library: 'CPU' }));
  const sentence = 'the library of 3 is CPU, that of the run is GPU; every worker needs the same library';
  expect(driver.said('3')).toEqual([{ type: 'refuse', reason: 'digest', sentence }]);
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
    sentence: 'stopped at once; the last checkpoint stands',
  });
});
