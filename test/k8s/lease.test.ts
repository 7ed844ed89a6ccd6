import { expect, test } from 'vitest';
import { ApiError } from '../../k8s/apiError.ts';
import { defaultTimes, Election, type ElectionOptions, type Lease, look, standsForMs } from '../../k8s/lease.ts';
import { FakeClock } from '../tools/fakeClock.ts';

const lease = (spec: Lease['spec'], uid = 'u'): Lease => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name: 'l', namespace: 'n', uid },
  spec,
});

test.each<[what: string, Lease['spec'], seenAgoMs: number, standsMs: number]>([
  ['nobody holds it', {}, 0, 0],
  ['it was given up', { holderIdentity: '', leaseDurationSeconds: 1 }, 0, 0],
  ['seen just now', { holderIdentity: 'a', leaseDurationSeconds: 15 }, 0, 15_000],
  ['seen unchanged for a while', { holderIdentity: 'a', leaseDurationSeconds: 15 }, 14_999, 1],
  ['seen unchanged for its duration', { holderIdentity: 'a', leaseDurationSeconds: 15 }, 15_000, 0],
  ['its holder asked for more', { holderIdentity: 'a', leaseDurationSeconds: 60 }, 15_000, 45_000],
  ['it says no duration', { holderIdentity: 'a' }, 10_000, 5000],
  ['renewed in a far past, by its own words', { holderIdentity: 'a', renewTime: '1970-01-01T00:00:00.000000Z' }, 0, 15_000],
])('%s: how long it stands', (_, spec, seenAgoMs, standsMs) => {
  const now = 100_000;
  expect(standsForMs(lease(spec), { mark: '', since: now - seenAgoMs }, now, defaultTimes)).toBe(standsMs);
});

test.each<[what: string, Lease]>([
  ['renewTime', lease({ holderIdentity: 'a', renewTime: '2' })],
  ['the holder', lease({ holderIdentity: 'b', renewTime: '1' })],
  ['the number of transitions', lease({ holderIdentity: 'a', renewTime: '1', leaseTransitions: 1 })],
  ['the object itself', lease({ holderIdentity: 'a', renewTime: '1' }, 'another')],
])('a change of %s begins the time anew; none does not', (_, changed) => {
  const first = look(undefined, lease({ holderIdentity: 'a', renewTime: '1' }), 1);
  expect(look(first, lease({ holderIdentity: 'a', renewTime: '1' }), 2)).toBe(first);
  expect(look(first, changed, 2).since).toBe(2);
});

/** The one object, with the optimistic lock of a server; `answer` may hold an answer up or refuse it. */
class LeaseStore {
  lease: Lease | undefined;
  requests = 0;
  #version = 0;

  at(answer: () => Promise<void> | undefined): ElectionOptions['api'] {
    const refuse = (status: number, reason: string) => new ApiError(reason, { status, reason });
    const store = (object: Lease) => {
      this.lease = { ...object, metadata: { ...object.metadata, uid: 'u', resourceVersion: String(++this.#version) } };
      return this.lease;
    };
    const request = async (signal: AbortSignal | undefined, work: () => Lease) => {
      this.requests++;
      const aborted = new Promise<never>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
      await Promise.race([answer(), aborted]);
      return work();
    };
    const api = {
      get: (_kind: string, _name: string, { signal }: { signal?: AbortSignal }) =>
        request(signal, () => {
          if (!this.lease) throw refuse(404, 'NotFound');
          return this.lease;
        }),
      create: (object: Lease, { signal }: { signal?: AbortSignal } = {}) =>
        request(signal, () => {
          if (this.lease) throw refuse(409, 'AlreadyExists');
          return store(object);
        }),
      replace: (object: Lease, { signal }: { signal?: AbortSignal } = {}) =>
        request(signal, () => {
          if (!this.lease) throw refuse(404, 'NotFound');
          if (this.lease.metadata.resourceVersion !== object.metadata.resourceVersion) throw refuse(409, 'Conflict');
          return store(object);
        }),
    };
    return api as unknown as ElectionOptions['api'];
  }
}

/** Operators that share one lease, each with a clock of its own, which start in the order of their names. */
async function operators(names: string[]) {
  const store = new LeaseStore();
  const all = names.map(name => {
    const clock = new FakeClock(1000 + name.charCodeAt(0) * 1e6);
    const stop = new AbortController();
    const changes: boolean[] = [];
    const errors: unknown[] = [];
    let answer: () => Promise<void> | undefined = () => undefined;
    const election = new Election({
      api: store.at(() => answer()),
      lease: { namespace: 'n', name: 'l' },
      identity: name,
      clock,
      random: () => 0,
      onChange: leading => changes.push(leading),
      onError: error => errors.push(error),
    });
    const ended = election.run(stop.signal);
    const answers = (how: 'well' | 'never' | 'with 500' | 'after 4 s') => {
      if (how === 'well') answer = () => undefined;
      if (how === 'never') answer = () => new Promise(() => {});
      if (how === 'after 4 s') answer = () => new Promise(resolve => void clock.after(4000, resolve));
      if (how === 'with 500') answer = () => Promise.reject(new ApiError('500', { status: 500, reason: 'InternalError' }));
    };
    const end = async () => {
      stop.abort();
      await ended;
      await election.release();
    };
    return { name, clock, end, changes, errors, election, answers };
  });
  for (const { clock } of all) await clock.advance(0);
  /** In steps, so that nobody is far ahead. */
  const pass = async (ms: number, who = all) => {
    for (let left = ms; left > 0; left -= 100) for (const { clock } of who) await clock.advance(Math.min(100, left));
  };
  const leaders = () => all.filter(({ election }) => election.leading).map(({ name }) => name);
  return { store, all, pass, leaders };
}

test('of three that start together one leads, and goes on leading', async () => {
  const { store, all, pass, leaders } = await operators(['a', 'b', 'c']);
  for (let i = 0; i < 60; i++) {
    await pass(1000);
    expect(leaders()).toEqual(['a']);
  }
  expect(store.lease!.spec).toMatchObject({ holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 0 });
  expect(store.lease!.spec!.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(all.map(({ changes }) => changes)).toEqual([[true], [], []]);
  expect(all.flatMap(({ errors }) => errors)).toEqual([]);
});

test('the holder needs one request for a renewal', async () => {
  const { store, pass } = await operators(['a']);
  const before = store.requests;
  await pass(20_000);
  expect(store.requests - before).toBe(10);
});

test('when the leader dies another leads as soon as the lease has not changed for its duration, and not before', async () => {
  const { store, all, pass, leaders } = await operators(['a', 'b']);
  const [, b] = all;
  await pass(60_000);
  // b asks every 2 s, and last saw the lease change at most that long ago.
  await pass(12_900, [b!]);
  expect(b!.election.leading).toBe(false);
  await pass(2200, [b!]);
  expect(b!.election.leading).toBe(true);
  expect(leaders()).toEqual(['a', 'b']); // a's own clock has not moved: it is as good as dead
  expect(store.lease!.spec).toMatchObject({ holderIdentity: 'b', leaseTransitions: 1 });
});

test.each([3_600_000, -3_600_000])('dates that differ by %i ms change nothing', async skewMs => {
  const { all, pass, leaders } = await operators(['a', 'b']);
  all[1]!.clock.skewMs = skewMs;
  await pass(60_000);
  expect(leaders()).toEqual(['a']);
  all[0]!.clock.skewMs = -skewMs;
  await pass(60_000);
  expect(leaders()).toEqual(['a']);
});

test('a leader that was stopped for longer than its deadline leads no more when it wakes up, before any request is answered', async () => {
  const { all, pass, leaders } = await operators(['a', 'b']);
  const [a, b] = all;
  await pass(10_000);
  a!.clock.freeze(9900);
  expect(a!.election.leading).toBe(true);
  a!.clock.freeze(200);
  expect(a!.election.leading).toBe(false);
  expect(() => a!.election.check()).toThrow('this operator does not hold the lease n/l, so it changes nothing');
  await pass(20_000, [b!]);
  expect(leaders()).toEqual(['b']);
  await pass(60_000);
  expect(leaders()).toEqual(['b']);
  expect(a!.changes).toEqual([true, false]);
});

test('a leader that was stopped and whose lease nobody took goes on after it has renewed', async () => {
  const { store, all, pass, leaders } = await operators(['a']);
  await pass(10_000);
  all[0]!.clock.freeze(60_000);
  expect(leaders()).toEqual([]);
  await pass(100);
  expect(leaders()).toEqual(['a']);
  expect(store.lease!.spec).toMatchObject({ leaseTransitions: 0 });
});

test.each(['never', 'with 500'] as const)('a leader whose requests are answered %s leads no more before another could', async how => {
  const { all, pass, leaders } = await operators(['a', 'b']);
  const [a, b] = all;
  await pass(10_000);
  a!.answers(how);
  const seen: string[][] = [];
  for (let i = 0; i < 25; i++) {
    await pass(1000);
    seen.push(leaders());
  }
  expect(seen.every(names => names.length <= 1)).toBe(true);
  // At most 10 s from its last renewal, up to 2 s before; b takes over 15 s after that renewal, and at most 2 s later.
  expect(seen[7]).toEqual(['a']);
  expect(seen[10]).toEqual([]);
  expect(seen[17]).toEqual(['b']);
  expect(a!.errors.length).toBeGreaterThan(0);
  a!.answers('well');
  await pass(20_000);
  expect(leaders()).toEqual(['b']);
  expect(b!.changes).toEqual([true]);
});

test('a renewal that is answered late counts from when it was sent', async () => {
  const { all, pass } = await operators(['a']);
  const [a] = all;
  await pass(10_000);
  a!.answers('after 4 s');
  // The next is sent within 2 s and answered 4 s later; then none any more.
  await pass(6500);
  a!.answers('never');
  await pass(3500);
  expect(a!.election.leading).toBe(true);
  await pass(4000);
  expect(a!.election.leading).toBe(false);
});

test('a leader that ends gives the lease up, and another leads at its next look', async () => {
  const { store, all, pass, leaders } = await operators(['a', 'b']);
  await pass(10_000);
  await all[0]!.end();
  expect(store.lease!.spec!.holderIdentity).toBe(undefined);
  expect(all[0]!.changes).toEqual([true, false]);
  await pass(2000, [all[1]!]);
  expect(leaders()).toEqual(['b']);
  expect(store.lease!.spec!.leaseTransitions).toBe(1);
});

test('one that does not lead gives nothing up', async () => {
  const { store, all, pass } = await operators(['a', 'b']);
  await pass(10_000);
  await all[1]!.end();
  expect(store.lease!.spec!.holderIdentity).toBe('a');
});

test('a lease that was deleted is made again by its holder', async () => {
  const { store, all, pass, leaders } = await operators(['a', 'b']);
  await pass(10_000);
  store.lease = undefined;
  await pass(3000, [all[0]!]);
  expect(leaders()).toEqual(['a']);
  expect(store.lease!.spec!.holderIdentity).toBe('a');
});

test('a lease that another wrote to is renewed all the same, as long as it says who holds it', async () => {
  const { store, pass, leaders } = await operators(['a', 'b']);
  await pass(10_000);
  store.lease = { ...store.lease!, metadata: { ...store.lease!.metadata, resourceVersion: 'x', annotations: { by: 'hand' } } };
  await pass(20_000);
  expect(leaders()).toEqual(['a']);
  expect(store.lease!.metadata.annotations).toEqual({ by: 'hand' });
});

test('a lease that was given to another by hand is let go at once', async () => {
  const { store, pass, leaders } = await operators(['a', 'b']);
  await pass(10_000);
  store.lease = { ...store.lease!, metadata: { ...store.lease!.metadata, resourceVersion: 'x' }, spec: { holderIdentity: 'hand' } };
  await pass(2500);
  expect(leaders()).toEqual([]);
  await pass(17_000);
  expect(leaders().length).toBe(1);
});
