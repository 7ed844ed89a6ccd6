/**
 * A worker of a run: does what the coordinator orders, one order after the other. What a step is, it does not know; that is the task.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Control } from './control.ts';
import { History } from './history.ts';
import type { Order, Seat, Share } from './member.ts';
import type { EndCode, Holding, Samples } from './messages.ts';
import { fetchState, type Offer, offerState, type StateLink } from './state.ts';

export interface StepOrder extends Seat {
  readonly step: number;
  /** Where the members listen, by rank. */
  readonly peers: readonly string[];
  /**
   * The first step of a generation: the digest must cover the weights that the step begins with too, so that a newcomer with other
   * weights is found before anything of it is applied.
   */
  readonly verify: boolean;
}

export interface StepResult {
  /** Of what would be applied: the same on all workers, or the run stops. */
  readonly digest: string;
  /** The part of the epoch's order that this worker's lanes used; undefined for a round that trains nothing. */
  readonly samples?: Samples;
  /** What comes after this step, the same on all workers: a function of the position (and of scores summed over all lanes). */
  readonly after: 'next' | 'checkpoint' | 'finish';
  /** Of computing, without waiting for others. */
  readonly seconds: number;
  /** By rank: milliseconds that its part of a sum came here after the first one, at most. */
  readonly lateMs: readonly number[];
}

/**
 * What plugs in. Calls come one after the other. A signal says that a step or a generation was given up: what is awaited then shall be
 * rejected soon, and the state stay as it was.
 */
export interface WorkerTask {
  /** What is held now. */
  describe(): Promise<Holding>;
  /**
   * Drops the exchange of the generation before, sets up that of this one and says where it listens.
   *
   * @param unreachable to be called when a peer can no longer be reached, also when this rank has all that it needs: the other one may not
   */
  open(seat: Seat, signal: AbortSignal, unreachable: (rank: number) => void): Promise<string>;
  /**
   * Computes this rank's lanes, sums them up with the peers, keeps the sums.
   *
   * @throws diverged with `details.images`, and whatever else must end the run; an error with `details.rank` where that peer cannot be
   * reached: the worker then waits for the coordinator, which hears more
   */
  compute(order: StepOrder, signal: AbortSignal): Promise<StepResult>;
  /** Applies the sums that were kept. Returns a report of it for the coordinator, at most 20,000 characters. */
  apply(step: number): Promise<string>;
  /**
   * Takes a copy of this rank's share of the state, that after the last applied step even if the next one is prepared; the function
   * stores it, while the next step is computed, and says what the manifest must know.
   */
  save(share: Share): Promise<() => Promise<string>>;
  exportState(note: string): Promise<Uint8Array>;
  /** All of it or, where it throws, nothing. Returns the note. */
  importState(bytes: Uint8Array, step: number): Promise<string>;
  /** Closes the exchange. */
  close(): Promise<void>;
}

export interface WorkerOptions {
  readonly control: Control;
  readonly task: WorkerTask;
  readonly link: StateLink;
  /** Where the state is offered, given a number that counts: `tcp://10.1.2.3:*`, or a name of its own in a private folder. */
  readonly offerAt: (count: number) => string;
}

/** @returns how the run ended; `left`: this worker went before. @throws what the task threw, where it is this worker's own trouble */
export async function runWorker({ control, task, link, offerAt }: WorkerOptions): Promise<{ code: EndCode; sentence: string }> {
  let offer: Offer | undefined;
  let offers = 0;
  let position: { generation: number; step: number } = { generation: 0, step: 0 };
  let trouble: unknown;
  let history = new History();
  /** The step whose state is held. */
  let held = 0;
  const closeOffer = async () => {
    await offer?.close();
    offer = undefined;
  };

  const sayHolding = async () => {
    const holds = await task.describe();
    held = holds.step;
    control.done({ type: 'holding', holds });
  };

  /** Tells the coordinator, which answers with `end`: this worker's, or everybody's. */
  const fail = (error: unknown) => {
    trouble ??= error;
    const known = error instanceof SegfleetError ? error : undefined;
    const images = known?.details.images;
    control.done({
      type: 'failed',
      ...position,
      code: known?.code ?? 'bug',
      sentence: String((error as Error)?.message ?? error).slice(0, 4000),
      images: Array.isArray(images) ? images.slice(0, 256).map(image => String(image).slice(0, 255)) : [],
    });
  };

  const follow = async (order: Exclude<Order, { order: 'abort' | 'end' }>, signal: AbortSignal): Promise<void> => {
    switch (order.order) {
      case 'describe':
        return sayHolding();
      case 'open': {
        await closeOffer();
        trouble = undefined;
        const { generation } = order;
        position = { generation, step: position.step };
        const unreachable = (rank: number) => control.done({ type: 'unreachable', generation, rank });
        return control.done({ type: 'listening', generation, address: await task.open(order, signal, unreachable) });
      }
      case 'compute': {
        await closeOffer();
        const { generation, step } = order;
        position = { generation, step };
        try {
          return control.done({ type: 'prepared', generation, step, ...(await task.compute(order, signal)) });
        } catch (error) {
          const rank = error instanceof SegfleetError ? error.details.rank : undefined;
          if (signal.aborted || typeof rank !== 'number') throw error;
          return control.done({ type: 'unreachable', generation, rank });
        }
      }
      case 'apply': {
        const applied = { step: order.step, report: await task.apply(order.step) };
        history.add(applied);
        held = order.step;
        return control.done({ type: 'applied', ...applied });
      }
      case 'report':
        return control.done({ type: 'reports', from: order.from, until: held, reports: history.from(order.from) });
      case 'save': {
        const { generation, step, rank, size } = order;
        history.saving(step);
        const store = await task.save(order);
        void store().then(share => control.done({ type: 'saved', generation, step, rank, size, share }), fail);
        return;
      }
      case 'offer': {
        await closeOffer();
        offer = await offerState(await task.exportState(history.write()), order.step, offerAt(offers++), link);
        return control.done({ type: 'offering', step: order.step, address: offer.address });
      }
      case 'fetch':
        try {
          const bytes = await fetchState(order.address, order.step, link, signal);
          history = History.read(await task.importState(bytes, order.step));
        } catch (error) {
          if (signal.aborted) return;
          if (!(error instanceof SegfleetError && error.code === 'unavailable')) throw error;
          return control.done({ type: 'unfetched', address: order.address });
        }
        return sayHolding();
      default:
        order satisfies never;
    }
  };

  try {
    for (;;) {
      const { order, signal } = await control.next();
      if (order.order === 'end') {
        if (trouble !== undefined && order.code === 'left') throw trouble;
        return { code: order.code, sentence: order.sentence };
      }
      await follow(order, signal).catch(error => {
        const isGivenUp = signal.aborted && (order.order === 'open' || order.order === 'compute');
        if (!isGivenUp) fail(error);
      });
    }
  } finally {
    await closeOffer();
    await task.close();
    await control.close();
  }
}
