import * as tf from '@tensorflow/tfjs';
import { describe, expect, test } from 'vitest';
import { nativeFunction, outputOf, tensorOf, trace } from '../../../trainer/engine/backend.ts';
import { Graph, type Operation, type Output } from '../../../trainer/engine/graph.ts';
import { type Letter, Mailbox, type Ticket } from '../../../trainer/engine/mailbox.ts';
import { conv2d, relu } from '../../../trainer/engine/ops.ts';
import { type Feeds, Session } from '../../../trainer/engine/session.ts';
import { float32 } from '../../../trainer/engine/tensor.ts';
import { relativeDifference, uniform } from '../../tools/numbers.ts';

const side = 16;
const kernels = [
  [3, 3, 3, 8],
  [3, 3, 8, 8],
  [3, 3, 8, 1],
];
const kernelValues = kernels.map((shape, i) =>
  uniform(
    shape.reduce((a, b) => a * b),
    `kernel${i}`,
    -0.3,
    0.3,
  ),
);
const images = uniform(4 * side * side * 3, 'images', 0, 1);
const masks = uniform(4 * side * side, 'masks').map(value => (value > 0.4 ? 1 : 0));
const sums = 100;
const pause = 200;

/**
 * ALL(Dice) over the whole batch on a small network, for a lane that holds `count` of the four images: the three sums of the
 * Dice loss meet at the host, and each gradient leaves as soon as it is there.
 */
class Lane {
  readonly session: Session;
  readonly mailbox: Mailbox;
  readonly #inputs: Output[];
  readonly #posts: Operation[];
  readonly #loss: Output;
  readonly #count: number;
  #letters!: AsyncGenerator<Letter, void>;

  constructor(name: string, count: number, { pauseBackward = false } = {}) {
    const graph = new Graph();
    this.#count = count;
    this.mailbox = new Mailbox(graph, name);
    const [x, t, ...weights] = [[count, side, side, 3], [count, side, side, 1], ...kernels].map(shape =>
      graph.placeholder('float32', shape),
    );
    this.#inputs = [x, t, ...weights];
    const traced = trace(graph, () => {
      const target = tensorOf(t);
      const { value, grads } = tf.valueAndGrads((...ks: tf.Tensor[]) => {
        let y = tensorOf(x) as tf.Tensor4D;
        ks.forEach((k, i) => {
          y = conv2d(y, k as tf.Tensor4D);
          if (i < ks.length - 1) y = relu(y);
          if (i === 0 && pauseBackward) y = this.#pausing(y);
        });
        const p = tf.sigmoid(y);
        const local = tf.stack([tf.sum(tf.mul(p, target)), tf.sum(p), tf.sum(target)]);
        const [intersection, predicted, truth] = tf.unstack(this.mailbox.sumOverLanes(sums, local));
        const dice = tf.sub(1, tf.div(tf.add(tf.mul(intersection, 2), 1), tf.add(tf.add(predicted, truth), 1)));
        return tf.mul(tf.log1p(tf.div(dice, 0.5)), 10) as tf.Scalar;
      })(weights.map(tensorOf));
      return { loss: outputOf(value), gradients: grads.map(outputOf) };
    });
    this.#loss = traced.loss;
    this.#posts = traced.gradients.map((gradient, i) => this.mailbox.post(i, gradient));
    this.session = new Session(graph, { threads: 1 });
  }

  /** @param first which of the four images this lane's begin with */
  start(first: number, ticket: Ticket, { numImages = this.#count } = {}): Promise<number> {
    const part = (data: Float32Array, channels: number, count = this.#count) =>
      data.slice(first * side * side * channels, (first + count) * side * side * channels);
    const values = [part(images, 3, numImages), part(masks, 1), ...kernelValues];
    const shapes = [[numImages, side, side, 3], [this.#count, side, side, 1], ...kernels];
    const feeds: Feeds = [...this.#inputs.map((input, i) => [input, float32(values[i], shapes[i])] as const), this.mailbox.feed(ticket)];
    const run = this.session.run(feeds, [this.#loss], this.#posts).then(([loss]) => Number(loss.data[0]));
    this.#letters = this.mailbox.letters(this.session, run);
    return run;
  }

  async next(): Promise<Letter> {
    return (await this.#letters.next()).value!;
  }

  /** Those that have not been read. */
  async rest(): Promise<Letter[]> {
    return Array.fromAsync(this.#letters);
  }

  async abort(run: Promise<unknown>): Promise<void> {
    await Promise.all([this.mailbox.abort(this.session, run), this.rest()]);
  }

  /** x itself; its gradient goes by way of the host. */
  #pausing(x: tf.Tensor4D): tf.Tensor4D {
    return nativeFunction([x], value => ({ value, gradient: dy => [this.mailbox.meet(pause, dy, x.shape)] })) as tf.Tensor4D;
  }

  async gradients(): Promise<Float32Array[]> {
    const values: Float32Array[] = [];
    for (const { point, value } of await this.rest()) values[point] = value.data as Float32Array;
    return values;
  }
}

/** Runs lanes side by side and does the host's part: adds up what they send and answers all with the sum. */
async function step(lanes: readonly Lane[], ticket: Ticket) {
  const count = 4 / lanes.length;
  const runs = lanes.map((lane, i) => lane.start(i * count, ticket));
  const letters = await Promise.all(lanes.map(lane => lane.next()));
  for (const letter of letters) expect(letter).toMatchObject({ point: sums, ticket });
  const total = letters.map(({ value }) => value.data as Float32Array).reduce((a, b) => a.map((v, i) => v + b[i]));
  await Promise.all(lanes.map(lane => lane.mailbox.answer(lane.session, sums, ticket, float32(total))));
  const gradients = await Promise.all(lanes.map(lane => lane.gradients()));
  const losses = await Promise.all(runs);
  const summed = kernels.map((_, k) => gradients.map(values => values[k]).reduce((a, b) => a.map((v, i) => v + b[i])));
  return { losses, summed };
}

const ticket = { generation: 1, step: 7 };

async function closing(lanes: readonly Lane[]): Promise<void> {
  for (const lane of lanes) await lane.session.close();
}

describe('sums that meet in the middle of a step', () => {
  test.each([2, 4])('%i lanes have the loss and the gradient of one lane with all four images', async numLanes => {
    const one = [new Lane('one', 4)];
    const many = Array.from({ length: numLanes }, (_, i) => new Lane(`lane${i}`, 4 / numLanes));
    const expected = await step(one, ticket);
    const actual = await step(many, ticket);
    for (const loss of actual.losses) expect(relativeDifference([loss], expected.losses)).toBeLessThan(1e-6);
    for (const k of kernels.keys()) expect(relativeDifference(actual.summed[k], expected.summed[k])).toBeLessThan(2e-6);
    await closing([...one, ...many]);
  });

  test('gradients of the last layers leave while the backward pass is not yet at the first', async () => {
    const lane = new Lane('lane', 4, { pauseBackward: true });
    const run = lane.start(0, ticket);
    const { value } = await lane.next();
    await lane.mailbox.answer(lane.session, sums, ticket, value);
    // The backward pass waits in front of the first layer now, and cannot have made its gradient.
    const early = [await lane.next(), await lane.next(), await lane.next()];
    expect(early.map(({ point }) => point).sort((a, b) => a - b)).toEqual([1, 2, pause]);
    await lane.mailbox.answer(lane.session, pause, ticket, early.find(({ point }) => point === pause)!.value);
    expect((await lane.rest()).map(({ point }) => point)).toEqual([0]);
    expect(await run).toBeGreaterThan(0);
    await closing([lane]);
  });

  test('eight lanes of one process run side by side', async () => {
    const lanes = Array.from({ length: 8 }, (_, i) => new Lane(`lane${i}`, 1));
    const runs = lanes.map((lane, i) => lane.start(i % 4, ticket));
    // All are parked at the meeting point before the first is answered.
    const letters = await Promise.all(lanes.map(lane => lane.next()));
    expect(letters).toHaveLength(8);
    await Promise.all(lanes.map((lane, i) => lane.mailbox.answer(lane.session, sums, ticket, letters[i].value)));
    for (const loss of await Promise.all(runs)) expect(loss).toBeGreaterThan(0);
    for (const lane of lanes) expect(await lane.rest()).toHaveLength(kernels.length);
    await closing(lanes);
  });
});

describe('a run that fails', () => {
  test.each([
    ['before its first letter', async (lane: Lane) => lane.start(0, ticket, { numImages: 3 })],
    [
      'after a letter, while the next one is waited for',
      async (lane: Lane) => {
        const run = lane.start(0, ticket);
        await lane.next();
        const next = lane.next();
        await lane.mailbox.answer(lane.session, sums, ticket, float32(new Float32Array(2))); // three are expected
        expect(await next).toBeUndefined();
        await run;
      },
    ],
  ])('%s: its letters end, and the next step is as if it had not been', async (_, fail) => {
    const lane = new Lane('lane', 4);
    const expected = await step([lane], ticket);
    await expect(fail(lane)).rejects.toThrow('TensorFlow');
    expect(await lane.rest()).toEqual([]);
    expect((await step([lane], ticket)).summed).toEqual(expected.summed);
    await closing([lane]);
  });
});

describe('a run that is aborted', () => {
  test('ends, leaves nothing behind, and the next step is as if it had not been', async () => {
    const lane = new Lane('lane', 4);
    const expected = await step([lane], ticket);
    const run = lane.start(0, { generation: 2, step: 8 });
    await lane.next(); // it waits for its answer now
    await lane.abort(run);
    const again = await step([lane], { generation: 3, step: 8 });
    expect(again.losses).toEqual(expected.losses);
    expect(again.summed).toEqual(expected.summed);
    await closing([lane]);
  });

  test('may have been answered and have posted already', async () => {
    const lane = new Lane('lane', 4);
    const expected = await step([lane], ticket);
    const run = lane.start(0, ticket);
    const { value } = await lane.next();
    await lane.mailbox.answer(lane.session, sums, ticket, value);
    await run; // all gradients lie in the queue, and nobody has taken them out
    await lane.abort(run);
    expect((await step([lane], ticket)).summed).toEqual(expected.summed);
    await closing([lane]);
  });
});

test('an answer to another step is NaN, never a wrong sum', async () => {
  const lane = new Lane('lane', 4);
  const run = lane.start(0, { generation: 1, step: 8 });
  const { value } = await lane.next();
  await lane.mailbox.answer(lane.session, sums, { generation: 1, step: 7 }, value);
  expect(await run).toBeNaN();
  await lane.rest();
  await closing([lane]);
});
