import { expect, test } from 'vitest';
import { Queue, type QueueOptions } from '../../k8s/queue.ts';
import { FakeClock } from '../tools/fakeClock.ts';

/** A queue whose work is held until the test lets it go; no randomness, so that back-off waits are whole. */
function held(options: Partial<QueueOptions> = {}) {
  const clock = new FakeClock();
  const begun: string[] = [];
  const errors: [key: string, error: unknown, againInMs: number][] = [];
  const open = new Map<string, PromiseWithResolvers<number | undefined>>();
  const queue = new Queue({
    work(key) {
      begun.push(key);
      const work = Promise.withResolvers<number | undefined>();
      open.set(key, work);
      return work.promise;
    },
    onError: (...error) => errors.push(error),
    clock,
    random: () => 1,
    ...options,
  });
  const end = async (key: string, againMs?: number) => {
    open.get(key)!.resolve(againMs);
    await clock.advance(0);
  };
  const fail = async (key: string, error = new Error('no')) => {
    open.get(key)!.reject(error);
    await clock.advance(0);
  };
  return { queue, clock, begun, errors, end, fail };
}

test('a key is worked on once at a time, and all requests meanwhile are one more run', async () => {
  const { queue, begun, end } = held();
  for (let i = 0; i < 5; i++) queue.add('a');
  expect(begun).toEqual(['a']);
  for (let i = 0; i < 5; i++) queue.add('a');
  expect(begun).toEqual(['a']);
  await end('a');
  expect(begun).toEqual(['a', 'a']);
  await end('a');
  expect(begun).toEqual(['a', 'a']);
});

test('so many keys at a time, the others in the order in which they came', async () => {
  const { queue, begun, end } = held({ concurrency: 2 });
  for (const key of ['a', 'b', 'c', 'd', 'c']) queue.add(key);
  expect(begun).toEqual(['a', 'b']);
  expect({ depth: queue.depth, working: queue.working }).toEqual({ depth: 2, working: 2 });
  await end('b');
  await end('a');
  expect(begun).toEqual(['a', 'b', 'c', 'd']);
});

test('a key that is busy does not hold up another', async () => {
  const { queue, begun, end } = held({ concurrency: 2 });
  queue.add('slow');
  queue.add('slow');
  for (const key of ['a', 'b', 'c']) {
    queue.add(key);
    await end(key);
  }
  expect(begun).toEqual(['slow', 'a', 'b', 'c']);
});

test('of delays the shortest counts, and work that was due later is not done twice', async () => {
  const { queue, clock, begun, end } = held();
  queue.add('a', 500);
  queue.add('a', 100);
  queue.add('a', 300);
  await clock.advance(99);
  expect(begun).toEqual([]);
  await clock.advance(1);
  expect(begun).toEqual(['a']);
  await end('a');
  await clock.advance(1000);
  expect(begun).toEqual(['a']);
});

test('a request cuts a delay short', async () => {
  const { queue, clock, begun, end } = held();
  queue.add('a', 60_000);
  queue.add('a');
  expect(begun).toEqual(['a']);
  await end('a');
  await clock.advance(120_000);
  expect(begun).toEqual(['a']);
});

test('work says when it is due again, and what comes meanwhile is sooner', async () => {
  const { queue, clock, begun, end } = held();
  queue.add('a');
  await end('a', 1000);
  await clock.advance(999);
  expect(begun.length).toBe(1);
  await clock.advance(1);
  expect(begun.length).toBe(2);
  queue.add('a', 200);
  await end('a', 1000);
  await clock.advance(200);
  expect(begun.length).toBe(3);
  await end('a');
  await clock.advance(10_000);
  expect(begun.length).toBe(3);
});

test('what fails waits twice as long each time, up to a limit, and begins anew after a success', async () => {
  const { queue, clock, errors, end, fail } = held({ backOff: { firstMs: 100, longestMs: 500 } });
  queue.add('a');
  for (let i = 0; i < 5; i++) {
    await fail('a');
    await clock.advance(errors.at(-1)![2]);
  }
  expect(errors.map(error => error[2])).toEqual([100, 200, 400, 500, 500]);
  await end('a', 10);
  await clock.advance(10);
  await fail('a');
  expect(errors.at(-1)![2]).toBe(100);
});

test('half of each wait is drawn', async () => {
  const { queue, errors, fail } = held({ random: () => 0, backOff: { firstMs: 100, longestMs: 500 } });
  queue.add('a');
  await fail('a');
  expect(errors[0]![2]).toBe(50);
});

test('requests do not make failing work a hot loop, and do not wait for the whole back-off', async () => {
  const { queue, clock, begun, fail } = held({ backOff: { firstMs: 1000, longestMs: 60_000 } });
  queue.add('a');
  for (let runs = 1; runs < 7; runs++) {
    queue.add('a');
    await fail('a');
    queue.add('a');
    await clock.advance(499);
    expect(begun.length).toBe(runs);
    await clock.advance(1);
    expect(begun.length).toBe(runs + 1);
  }
});

test('work that throws at once is a failure like any other', async () => {
  const clock = new FakeClock();
  const errors: string[] = [];
  const queue = new Queue({
    work() {
      throw new Error('at once');
    },
    onError: (_, error) => errors.push((error as Error).message),
    clock,
    random: () => 1,
    backOff: { firstMs: 100, longestMs: 100 },
  });
  queue.add('a');
  await clock.advance(250);
  expect(errors).toEqual(['at once', 'at once', 'at once']);
});

test('stopping waits for what is in work and begins nothing more', async () => {
  const { queue, clock, begun, end } = held({ concurrency: 1 });
  queue.add('a');
  queue.add('b');
  queue.add('c', 100);
  queue.add('a');
  let stopped = false;
  const stop = queue.stop().then(() => {
    stopped = true;
  });
  queue.add('d');
  expect(clock.timers).toBe(0);
  await clock.advance(1000);
  expect(stopped).toBe(false);
  await end('a', 10);
  await stop;
  await clock.advance(10_000);
  expect(begun).toEqual(['a']);
  expect(clock.timers).toBe(0);
});

test('an idle queue stops at once and keeps nothing of keys that are done', async () => {
  const { queue, clock, end } = held();
  queue.add('a');
  await end('a');
  await queue.stop();
  expect({ depth: queue.depth, working: queue.working, timers: clock.timers }).toEqual({ depth: 0, working: 0, timers: 0 });
});
