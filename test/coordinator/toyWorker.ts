/**
 * A worker process around the toy of toy.ts: real control, real sockets, sums exchanged over a PULL and PUSHes per generation. Started
 * with its options as JSON; says what it does in JSON lines.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { Pull, Push } from 'zeromq';
import { Control } from '../../coordinator/control.ts';
import { type RunKeys, readRunKeys } from '../../coordinator/exchange/keys.ts';
import type { Seat } from '../../coordinator/member.ts';
import type { Digests } from '../../coordinator/messages.ts';
import { runWorker, type WorkerTask } from '../../coordinator/worker.ts';
import { SegfleetError } from '../../trainer/errors.ts';
import { applySum, firstWeights, placeOf, samplesOf, sumOf, type ToyData } from './toy.ts';

export interface ToyOptions extends ToyData {
  readonly run: string;
  readonly id: string;
  readonly coordinator: string;
  readonly keys?: string;
  /** A private folder for sockets. */
  readonly folder: string;
  readonly incarnation: number;
  readonly digests: Digests;
  readonly capacity: number;
  readonly steps: number;
  readonly stepMs: number;
  readonly duplicateMs?: number;
  /** The step at which this worker's loss is not a number. */
  readonly nanAt?: number;
  /** The step at which what it prepares is wrong. */
  readonly wrongAt?: number;
  /** The step in which its main thread hangs for good. */
  readonly hangAt?: number;
}

const options = JSON.parse(process.argv[2]) as ToyOptions;
const { run, id, folder, steps, stepMs } = options;
const say = (event: string, values: object = {}) => process.stdout.write(`${JSON.stringify({ event, id, ...values })}\n`);

class Toy implements WorkerTask {
  #weights = firstWeights;
  #step = 0;
  #sums: { step: number; sum: number } | undefined;
  #pull: Pull | undefined;
  #pushes: Push[] = [];
  /** Contributions that came, by step and rank: a peer may be a step ahead. */
  #parts = new Map<number, Map<number, number>>();
  #arrived = Promise.withResolvers<void>();

  async describe() {
    return { step: this.#step, digest: String(this.#weights), ...placeOf(this.#step, options), finished: this.#step === steps };
  }

  async open({ generation }: Seat) {
    await this.close();
    this.#parts = new Map();
    this.#sums = undefined;
    const pull = new Pull({ linger: 0 });
    this.#pull = pull;
    await pull.bind(`ipc://${folder}/${id}.${process.pid}.${generation}`);
    void (async () => {
      for await (const [frame] of pull) {
        const { step, rank, sum } = JSON.parse(frame.toString());
        this.#part(step, rank, sum);
      }
    })().catch(() => {});
    say('open', { generation });
    return pull.lastEndpoint!;
  }

  #part(step: number, rank: number, sum: number): void {
    const parts = this.#parts.get(step) ?? new Map<number, number>();
    this.#parts.set(step, parts.set(rank, sum));
    this.#arrived.resolve();
    this.#arrived = Promise.withResolvers<void>();
  }

  async compute({ generation, step, rank, ranges, peers, verify }: Parameters<WorkerTask['compute']>[0], signal: AbortSignal) {
    say('computing', { generation, step, rank, workers: ranges.length });
    if (options.hangAt === step) for (;;);
    await wait(stepMs, undefined, { signal });
    if (options.nanAt === step) {
      throw new SegfleetError('diverged', `the loss is NaN at step ${step}, on the images a.png`, { details: { images: ['a.png'] } });
    }
    if (this.#pushes.length === 0) {
      this.#pushes = peers.map(peer => {
        const push = new Push({ linger: 0, sendHighWaterMark: 16 });
        push.connect(peer);
        return push;
      });
    }
    const part = { step, rank, sum: sumOf(this.#weights, step, ranges[rank]) };
    await Promise.all(
      this.#pushes.map((push, peer) => (peer === rank ? this.#part(step, rank, part.sum) : push.send(JSON.stringify(part)))),
    );
    const aborted = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    aborted.catch(() => {});
    while ((this.#parts.get(step)?.size ?? 0) < peers.length) await Promise.race([this.#arrived.promise, aborted]);
    signal.throwIfAborted();
    const sum = [...this.#parts.get(step)!.values()].reduce((a, b) => a + b, 0) + (options.wrongAt === step ? 1 : 0);
    this.#parts.delete(step);
    this.#sums = { step, sum };
    say('prepared', { generation, step });
    return {
      digest: verify ? `${sum}:${this.#weights}` : String(sum),
      samples: samplesOf(step, ranges[rank], options),
      after: step === steps ? ('finish' as const) : step % 5 === 0 ? ('checkpoint' as const) : ('next' as const),
      seconds: stepMs / 1000,
      lateMs: [],
    };
  }

  async apply(step: number) {
    if (this.#sums?.step !== step) throw new Error(`step ${step} was not prepared`);
    this.#weights = applySum(this.#weights, step, this.#sums.sum);
    this.#step = step;
    this.#sums = undefined;
    say('applied', { step, weights: this.#weights });
    return String(this.#weights);
  }

  async save({ step, rank, size }: { step: number; rank: number; size: number }) {
    const weights = this.#weights;
    return async () => {
      say('saved', { step, rank });
      return JSON.stringify({ step, rank, size, weights });
    };
  }

  async exportState(note: string) {
    return Buffer.from(JSON.stringify({ step: this.#step, weights: this.#weights, note }));
  }

  async importState(bytes: Uint8Array, step: number) {
    const state = JSON.parse(Buffer.from(bytes).toString());
    if (state.step !== step)
      throw new SegfleetError('integrity', `the state of step ${state.step} came, that of step ${step} was asked for`);
    this.#step = step;
    this.#weights = state.weights;
    this.#sums = undefined;
    say('imported', { step, weights: this.#weights });
    return state.note;
  }

  async close() {
    this.#pull?.close();
    this.#pull = undefined;
    for (const push of this.#pushes) push.close();
    this.#pushes = [];
  }
}

const keys: RunKeys | undefined = options.keys === undefined ? undefined : await readRunKeys(options.keys, run);
const control = new Control({
  run,
  id,
  coordinator: options.coordinator,
  keys,
  incarnation: options.incarnation,
  digests: options.digests,
  capacity: options.capacity,
  timing: { heartbeatMs: 100, duplicateMs: options.duplicateMs ?? 10_000, silenceMs: 10_000 },
});
process.on('SIGTERM', () => control.leave());
const offerAt = (count: number) => (keys ? 'tcp://127.0.0.1:*' : `ipc://${folder}/${id}.${process.pid}.state.${count}`);
const { code, sentence } = await runWorker({ control, task: new Toy(), link: { run, keys }, offerAt });
say('end', { code, sentence });
