/**
 * Workers without sockets: what one sends is delivered to the other in an order drawn at random, some of it twice.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arenaOf } from '../../../coordinator/exchange/arena.ts';
import { type Header, runTag } from '../../../coordinator/exchange/frame.ts';
import { createMemory, loadKernels } from '../../../coordinator/exchange/kernels.ts';
import { type BucketOptions, bytesSent, planOf } from '../../../coordinator/exchange/plan.ts';
import { type Outgoing, Reducer } from '../../../coordinator/exchange/reduce.ts';
import { generator } from '../../../trainer/random.ts';
import type { Node } from '../../../trainer/tree.ts';
import { wires } from '../../../trainer/wire.ts';
import { bitsOf, bucketsOf, laneValues, partition, referenceSum } from '../../tools/lanes.ts';

interface Sent extends Omit<Outgoing, 'to'> {
  readonly from: number;
  readonly to: number;
}

/** All steps of one run of the workers; returns what each ended with, bit for bit, by step and bucket. */
function simulate(
  ranges: readonly Node[],
  buckets: readonly BucketOptions[],
  steps: number,
  seed: number,
  { chunkLength = 32, inline = true } = {},
) {
  const next = generator(seed, 'deliveries');
  const inFlight: Sent[] = [];
  const refused: string[] = [];
  const workers = ranges.map((range, rank) => {
    const plan = planOf({ rank, ranges, buckets, chunkLength });
    const arena = arenaOf(plan, inline);
    const memory = createMemory(arena.bytes);
    const worker = {
      rank,
      range,
      plan,
      sent: 0,
      step: -1,
      todo: [] as { lane: number; bucket: number }[],
      complete: 0,
      totals: [] as string[][],
    };
    const reducer = new Reducer({
      ...{ plan, arena, memory, kernels: loadKernels(memory), firstStep: 0, inline, now: () => 0 },
      send: frame => {
        for (const to of frame.to) inFlight.push({ ...frame, to, from: rank });
        worker.sent += frame.bytes * frame.to.length;
      },
      complete: () => {
        worker.complete++;
      },
    });
    return { ...worker, arena, memory, reducer, state: worker };
  });
  type SimulatedWorker = (typeof workers)[number];

  const advance = ({ state, plan, arena, memory, reducer, range }: SimulatedWorker): boolean => {
    if (state.todo.length > 0) {
      const [{ lane, bucket }] = state.todo.splice(next() % state.todo.length, 1);
      const { start, length } = plan.buckets[bucket];
      const place = arena.lanes[lane - range.start] + start * 4;
      new Float32Array(memory.buffer, place, length).set(laneValues(lane, bucket, state.step, length));
      reducer.addLane(bucket);
      return true;
    }
    if (state.step >= 0 && state.complete < buckets.length) return false;
    if (state.step >= 0) {
      const total = ({ start, length }: { start: number; length: number }) =>
        bitsOf(new Float32Array(memory.buffer, arena.totals[state.step & 1] + start * 4, length));
      state.totals.push(plan.buckets.map(total));
    }
    if (state.step === steps - 1) {
      state.complete = 0; // over
      return false;
    }
    state.complete = 0;
    reducer.begin(++state.step);
    for (let lane = range.start; lane < range.end; lane++) for (const bucket of buckets.keys()) state.todo.push({ lane, bucket });
    return true;
  };

  const deliver = (frame: Sent) => {
    const { memory } = workers[frame.from];
    const { kind, wire, step, bucket, node, slice, chunk, checksum, from } = frame;
    const header: Header = { kind, wire, run: runTag('x'), generation: 0, step, bucket, from, slice, node, ...chunk, checksum };
    // Taken as late as can be: the buffer must still be as it was when it was sent, and in shared memory until the step is over.
    const numbers = new Uint8Array(memory.buffer, frame.address, frame.bytes);
    const refusal = workers[frame.to].reducer.receive(header, inline ? numbers.slice() : numbers);
    if (refusal) refused.push(refusal);
  };

  const delivered: Sent[] = [];
  for (;;) {
    const choice = next() % (workers.length + 1);
    const moved = choice < workers.length && advance(workers[choice]);
    if (!moved && inFlight.length > 0) {
      const [frame] = inFlight.splice(next() % inFlight.length, 1);
      deliver(frame);
      delivered.push(frame);
    } else if (!moved && inFlight.length === 0 && !workers.some(advance)) break;
  }
  const sum = (frames: readonly Sent[], rank: number) => frames.filter(({ to }) => to === rank).length;
  return { workers, refused, delivered, deliver, framesTo: (rank: number) => sum(delivered, rank) };
}

const reference = (lanes: number, buckets: readonly BucketOptions[], step: number) =>
  buckets.map(({ length, wire }, bucket) =>
    bitsOf(
      referenceSum(
        Array.from({ length: lanes }, (_, lane) => laneValues(lane, bucket, step, length)),
        wire,
      ),
    ),
  );

describe('sums over workers', () => {
  const lanes = fc.integer({ min: 1, max: 9 });
  const bucket = fc.record({ length: fc.integer({ min: 1, max: 150 }), wire: fc.constantFrom(...wires) });
  const mixed = fc.array(bucket, { minLength: 1, maxLength: 4 });

  test('have the bits of the whole tree on one, each bucket as it travels, in whatever order frames come', () => {
    fc.assert(
      fc.property(lanes, fc.infiniteStream(fc.boolean()), mixed, fc.integer(), fc.boolean(), (numLanes, cuts, buckets, seed, inline) => {
        const ranges = partition(numLanes, cuts);
        const steps = 4;
        const { workers, refused } = simulate(ranges, buckets, steps, seed, { inline });
        expect(refused).toEqual([]);
        for (let step = 0; step < steps; step++) {
          const expected = reference(numLanes, buckets, step);
          for (const { state } of workers) expect(state.totals[step]).toEqual(expected);
        }
        for (const { state, plan } of workers) expect(state.sent).toBe(steps * bytesSent(plan));
      }),
      { numRuns: 300 },
    );
  });

  test('over vectors longer than a block', () => {
    const ranges = partition(5, [true, false, true, false]);
    const buckets = wires.map(wire => ({ length: 10_000, wire }));
    const { workers } = simulate(ranges, buckets, 1, 1, { chunkLength: 4096 });
    for (const { state } of workers) expect(state.totals).toEqual([reference(5, buckets, 0)]);
  });

  test('do not change when frames come again: a second one is refused as duplicate, an old one for its step', () => {
    const { workers, refused, delivered, deliver } = simulate(partition(4, [true, false, true]), bucketsOf(100), 3, 5);
    for (const frame of delivered) deliver(frame);
    const last = delivered.filter(({ step }) => step === 2).length;
    expect(refused.filter(reason => reason === 'duplicate')).toHaveLength(last);
    expect(refused.filter(reason => reason === 'otherStep')).toHaveLength(delivered.length - last);
    for (const { state } of workers) expect(state.complete).toBe(0);
  });

  test('take a contribution to the next step, but no sum of it: that depends on this worker', () => {
    const { workers, delivered } = simulate(partition(2, [true]), bucketsOf(100), 1, 5);
    const early = (wanted: Header['kind']) => {
      const { kind, step, bucket, node, slice, chunk, checksum, from, to, address, bytes } = delivered.find(
        frame => frame.kind === wanted,
      )!;
      const header: Header = {
        kind,
        wire: 'float32',
        run: 0n,
        generation: 0,
        step: step + 1,
        bucket,
        from,
        slice,
        node,
        ...chunk,
        checksum,
      };
      return workers[to].reducer.receive(header, new Uint8Array(workers[from].memory.buffer, address, bytes));
    };
    expect(early('sum')).toBe('otherStep');
    expect(early('contribution')).toBeUndefined();
  });

  test('notice numbers that do not match their checksum', () => {
    const { workers, delivered } = simulate(partition(2, [true]), bucketsOf(100), 1, 5);
    const { kind, step, bucket, node, slice, chunk, checksum, from, to, bytes } = delivered.find(frame => frame.kind === 'contribution')!;
    const header: Header = { kind, wire: 'float32', run: 0n, generation: 0, step: step + 1, bucket, from, slice, node, ...chunk, checksum };
    expect(workers[to].reducer.receive(header, new Uint8Array(bytes).fill(1))).toBe('damaged');
  });
});
