/**
 * Logs of several pods become one: in the order of time, nothing lost, nothing twice, and nobody waits for a pod that is silent.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LogPosition } from '../../k8s/logPosition.ts';
import { mergeByTime, nanosecondsOf, type Timed } from '../../k8s/mergeLogs.ts';

interface Line extends Timed {
  readonly text: string;
}

async function* given<T>(values: Iterable<T>): AsyncGenerator<T> {
  yield* values;
}

async function merged(streams: readonly (readonly Line[])[], delays: readonly number[] = []): Promise<string[]> {
  /** Each line comes after as many turns of the event loop as the test says. */
  const late = async function* (lines: readonly Line[], offset: number) {
    for (const [i, line] of lines.entries()) {
      for (let turn = delays[(i + offset) % (delays.length || 1)] ?? 0; turn > 0; turn--) await new Promise(setImmediate);
      yield line;
    }
  };
  const texts: string[] = [];
  for await (const { text } of mergeByTime<Line>(given(streams.map(late)))) texts.push(text);
  return texts;
}

const at = (second: number, text: string): Line => ({ time: `2026-11-26T05:00:${String(second).padStart(2, '0')}Z`, text });

describe('nanosecondsOf', () => {
  test.each([
    ['2026-11-26T05:00:00Z', '2026-11-26T05:00:00.000000000Z', 0n],
    ['2026-11-26T05:00:00.5Z', '2026-11-26T05:00:00.4Z', 100_000_000n],
    ['2026-11-26T05:00:00.000000002Z', '2026-11-26T05:00:00.000000001Z', 1n],
    ['2026-11-26T07:00:00.1+02:00', '2026-11-26T05:00:00.1Z', 0n], // a node in another time zone
    ['2026-11-26T04:59:59.999-00:30', '2026-11-26T05:29:59.999Z', 0n],
  ])('%s less %s', (one, other, difference) => {
    expect(nanosecondsOf(one) - nanosecondsOf(other)).toBe(difference);
  });

  test.each(['', 'yesterday', '2026-11-26', '2026-11-26 05:00:00Z', 'unable to retrieve container logs'])('%j is no time', text => {
    expect(nanosecondsOf(text)).toBe(0n);
  });
});

describe('mergeByTime', () => {
  test('puts lines of several streams into the order of their times', async () => {
    const coordinator = [at(1, 'c1'), at(4, 'c4')];
    const workers = [at(2, 'w2'), at(3, 'w3'), at(5, 'w5')];
    expect(await merged([coordinator, workers, []])).toEqual(['c1', 'w2', 'w3', 'c4', 'w5']);
  });

  test('keeps the order within a stream when the clock of its node went back', async () => {
    expect(await merged([[at(5, 'a'), at(1, 'b')], [at(3, 'c')]])).toEqual(['c', 'a', 'b']);
  });

  const time = fc.integer({ min: 0, max: 30 });
  const sorted = fc.array(time, { maxLength: 8 }).map(times => times.toSorted((a, b) => a - b));
  test('loses nothing, doubles nothing, and sorts, however late lines come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sorted, { maxLength: 5 }), fc.array(fc.nat(3), { maxLength: 7 }), async (streams, delays) => {
        const lines = streams.map((times, stream) => times.map((second, i) => at(second, `${second}/${stream}/${i}`)));
        const texts = await merged(lines, delays);
        expect(texts.toSorted()).toEqual(
          lines
            .flat()
            .map(({ text }) => text)
            .toSorted(),
        );
        const seconds = texts.map(text => Number(text.split('/')[0]));
        expect(seconds).toEqual(seconds.toSorted((a, b) => a - b));
        for (const [stream, own] of lines.entries()) {
          expect(texts.filter(text => text.split('/')[1] === String(stream))).toEqual(own.map(({ text }) => text));
        }
      }),
    );
  });

  test('waits for a silent stream as long as it is told to, and then no more', async () => {
    const silence = Promise.withResolvers<void>();
    const silent = async function* () {
      await silence.promise;
      yield at(0, 'late');
    };
    const lines = Array.from({ length: 50 }, (_, i) => at(i, `line ${i}`));
    const began = performance.now();
    const merging = mergeByTime(given([given(lines), silent()]), { holdMs: 100 });
    const texts: string[] = [];
    while (texts.length < 50) texts.push((await merging.next()).value!.text);
    const tookMs = performance.now() - began;
    expect(texts).toEqual(lines.map(({ text }) => text));
    // Once, not for each line.
    expect(tookMs).toBeGreaterThan(90);
    expect(tookMs).toBeLessThan(50 * 100);
    silence.resolve();
    expect((await merging.next()).value!.text).toBe('late');
    expect((await merging.next()).done).toBe(true);
  });

  test('takes streams that come while others are read, and ends when all have', async () => {
    const second = Promise.withResolvers<void>();
    const streams = async function* () {
      yield given([at(5, 'first')]);
      await second.promise;
      yield given([at(1, 'of a new pod')]);
    };
    const merging = mergeByTime(streams(), { holdMs: 0 });
    expect((await merging.next()).value!.text).toBe('first');
    second.resolve();
    expect((await merging.next()).value!.text).toBe('of a new pod');
    expect((await merging.next()).done).toBe(true);
  });

  test('fails as one of its streams does', async () => {
    const failing = async function* (): AsyncGenerator<Line> {
      yield at(1, 'before');
      throw new Error('cut');
    };
    await expect(Array.fromAsync(mergeByTime(given([failing(), given([at(9, 'other')])])))).rejects.toThrow('cut');
  });

  test('holds one line of each stream at most, however long they are', async () => {
    let numAsked = 0;
    const endless = async function* () {
      while (true) yield at(numAsked++ % 60, 'more');
    };
    const merging = mergeByTime(given([endless()]));
    for (let i = 0; i < 10; i++) await merging.next();
    expect(numAsked).toBeLessThanOrEqual(12);
  });
});

describe('a log that is read again from the second of its last line', () => {
  const ns = (n: number) => `2026-11-26T05:00:01.00000000${n}Z`;

  test.each([
    ['ends in one line of its time', [ns(1), ns(2)], [ns(1), ns(2), ns(3)], [ns(3)]],
    ['ends in two lines of one time', [ns(1), ns(2), ns(2)], [ns(1), ns(2), ns(2), ns(2), ns(3)], [ns(2), ns(3)]],
    ['has not gone on', [ns(1), ns(2)], [ns(1), ns(2)], []],
    ['has lost what was read (rotated)', [ns(1), ns(2)], [ns(4)], [ns(4)]],
    ['goes back in time afterwards', [ns(2)], [ns(2), ns(3), ns(1)], [ns(3), ns(1)]],
    ['was empty', [], [ns(1)], [ns(1)]],
  ])('and %s', (_, before, again, expected) => {
    const position = new LogPosition();
    position.goBack();
    expect(before.filter(time => position.isNew(time))).toEqual(before);
    position.goBack();
    expect(again.filter(time => position.isNew(time))).toEqual(expected);
  });
});
