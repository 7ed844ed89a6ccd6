/**
 * Letters between a running graph and the host, through TensorFlow queues. With it sums over the whole batch meet in the middle of a
 * step although its lanes run apart, and gradients leave while the backward pass goes on.
 *
 * A graph that waits for an answer holds no TensorFlow thread (queue operations are asynchronous kernels), but every run in flight
 * holds one of libuv's: `UV_THREADPOOL_SIZE` of at least 2 x lanes + 8 before the process starts.
 *
 * Each letter carries the ticket of its run (generation and step). An answer with another ticket turns into NaN, never into a wrong sum.
 */
import type * as tf from '@tensorflow/tfjs';
import { nativeFunction } from './backend.ts';
import { type Graph, int, type Operation, type Output, string, type, types } from './graph.ts';
import type { Session } from './session.ts';
import { float32, float32Scalar, type HostTensor, int32, int32Scalar, sizeOf } from './tensor.ts';

export interface Ticket {
  readonly generation: number;
  readonly step: number;
}

export interface Letter {
  /** Which of the graph's meeting points or posts it is from. */
  readonly point: number;
  readonly ticket: Ticket;
  readonly value: HostTensor;
}

interface Meeting {
  readonly point: number;
  readonly dimensions: readonly number[];
  readonly size: Output;
  /** Takes an answer out, in a run. */
  readonly taken: Operation;
  /** The same; only for draining. */
  readonly drain: Operation;
  readonly fedTicket: Output;
  readonly fedValue: Output;
  readonly answer: Operation;
}

/** The point of the letter that says that no more will come. */
const lastPoint = -1;

const onHost = { device: '/cpu:0' };
const letterTypes = types('int32', 'int32', 'float32');
const answerTypes = types('int32', 'float32');

export class Mailbox {
  readonly #graph: Graph;
  readonly #name: string;
  readonly #ticket: Output;
  readonly #out: Output;
  readonly #letter: Operation;
  readonly #last: Operation;
  readonly #meetings = new Map<number, Meeting>();

  /** @param name unlike any other in the session: queues are found by it */
  constructor(graph: Graph, name: string) {
    this.#graph = graph;
    this.#name = name;
    this.#ticket = graph.placeholder('int32', [2], `${name}/ticket`);
    this.#out = this.#queue('out', letterTypes);
    this.#letter = graph.add('QueueDequeueV2', [this.#out], { component_types: letterTypes }, onHost);
    const last = [int32Scalar(lastPoint), int32(Int32Array.of(0, 0)), float32Scalar(0)].map(value => graph.constant(value));
    this.#last = graph.add('QueueEnqueueV2', [this.#out, last], { Tcomponents: letterTypes }, onHost);
  }

  /** Must be fed to every run of the graph that posts or meets. */
  feed({ generation, step }: Ticket): [Output, HostTensor] {
    return [this.#ticket, int32(Int32Array.of(generation, step))];
  }

  /** Building: sends a value as soon as it is there. The operation must be among the targets of the run. */
  post(point: number, value: Output): Operation {
    const inputs = [this.#graph.constant(int32Scalar(point)), this.#ticket, this.#graph.passOn(value)];
    return this.#graph.add('QueueEnqueueV2', [this.#out, inputs], { Tcomponents: letterTypes }, onHost);
  }

  /** Building: sends a value and goes on with what the host answers, of the same shape. */
  meet(point: number, value: Output, dimensions: readonly number[]): Output {
    const graph = this.#graph;
    if (this.#meetings.has(point)) throw new Error(`the mailbox ${this.#name} has a meeting point ${point} already`);
    const sent = this.post(point, value);
    const queue = this.#queue(`answer${point}`, answerTypes);
    const taken = graph.add('QueueDequeueV2', [queue], { component_types: answerTypes }, { ...onHost, after: [sent] });
    const fedTicket = graph.placeholder('int32', [2]);
    const fedValue = graph.placeholder('float32', null);
    this.#meetings.set(point, {
      point,
      dimensions,
      taken,
      size: graph.output('QueueSizeV2', [queue], {}, onHost),
      drain: graph.add('QueueDequeueV2', [queue], { component_types: answerTypes }, onHost),
      fedTicket,
      fedValue,
      answer: graph.add('QueueEnqueueV2', [queue, [fedTicket, fedValue]], { Tcomponents: answerTypes }, onHost),
    });
    // 0 where the ticket is ours, else NaN.
    const same = graph.output('Equal', [{ oper: taken, index: 0 }, this.#ticket], { T: type('int32') });
    const all = graph.output('All', [same, graph.constant(int32(Int32Array.of(0)))], { Tidx: type('int32') });
    const [zero, nan] = [0, Number.NaN].map(constant => graph.constant(float32Scalar(constant)));
    const guard = graph.output('SelectV2', [all, zero, nan], { T: type('float32') });
    const answered = graph.output('AddV2', [{ oper: taken, index: 1 }, guard], { T: type('float32') });
    const dimensionsNode = graph.constant(int32(Int32Array.from(dimensions)));
    return graph.output('Reshape', [answered, dimensionsNode], { T: type('float32'), Tshape: type('int32') });
  }

  /** Of what meets, by meeting point, where these were numbered from 0. */
  get dimensions(): readonly (readonly number[])[] {
    return [...this.#meetings.values()].map(({ dimensions }) => dimensions);
  }

  /**
   * Must be among the targets of the run: a meeting whose sum nothing uses would be left out of it, while the host waits for its letter.
   */
  get meetings(): Operation[] {
    return [...this.#meetings.values()].map(({ taken }) => taken);
  }

  /** Building, under `trace`: the sum of this value over all lanes, made by the host. The derivative of that sum by its own part is 1. */
  sumOverLanes<T extends tf.Tensor>(point: number, x: T): T {
    return nativeFunction([x], value => ({ value: this.meet(point, value, x.shape), gradient: dy => [dy] })) as T;
  }

  /**
   * The letters of a run as they come, until it has ended, however it ends: then nothing of it is left for the next run to find. Whoever
   * reads must read to the end, also after an `abort`.
   */
  async *letters(session: Session, run: Promise<unknown>): AsyncGenerator<Letter, void> {
    // All letters of the run are in the queue before this one.
    const ended = run.catch(() => {}).then(() => session.run([], [], [this.#last], { onCaller: true }));
    for (;;) {
      const letter = await this.#next(session);
      if (letter.point === lastPoint) break;
      yield letter;
    }
    await ended;
  }

  async answer(session: Session, point: number, { generation, step }: Ticket, value: HostTensor): Promise<void> {
    const meeting = this.#meetings.get(point);
    if (!meeting) throw new Error(`the mailbox ${this.#name} has no meeting point ${point}`);
    const feeds = [[meeting.fedTicket, int32(Int32Array.of(generation, step))] as const, [meeting.fedValue, value] as const];
    await session.run(feeds, [], [meeting.answer], { onCaller: true });
  }

  /**
   * Ends a run that will not get its answers: every meeting point is answered with poison, the run is awaited and what it gives is
   * dropped, and the answers that nobody took are taken out, so that the next run finds none of them. Its letters end with it.
   */
  async abort(session: Session, run: Promise<unknown>): Promise<void> {
    const poison = { generation: -1, step: -1 };
    for (const { point, dimensions } of this.#meetings.values()) {
      await this.answer(session, point, poison, float32(new Float32Array(sizeOf(dimensions)).fill(Number.NaN), dimensions));
    }
    await run.catch(() => {});
    for (const { size, drain } of this.#meetings.values()) {
      const [waiting] = await session.run([], [size]);
      for (let i = 0; i < Number(waiting.data[0]); i++) await session.run([], [], [drain]);
    }
  }

  async #next(session: Session): Promise<Letter> {
    const parts = [0, 1, 2].map(index => ({ oper: this.#letter, index }));
    const [point, ticket, value] = await session.run([], parts, [], { onCaller: true });
    const [generation, step] = ticket.data as Int32Array;
    return { point: Number(point.data[0]), ticket: { generation, step }, value };
  }

  #queue(suffix: string, componentTypes: ReturnType<typeof types>): Output {
    const name = `${this.#name}/${suffix}`;
    // -1: as many as memory holds; a run's own posts bound it.
    const attributes = { component_types: componentTypes, capacity: int(-1), shared_name: string(name) };
    return this.#graph.output('FIFOQueueV2', [], attributes, { ...onHost, name });
  }
}
