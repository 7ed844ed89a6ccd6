/**
 * A run as spans: a trace a step with its phases, and one each for a validation, a checkpoint and, at its end, the run. Times are as the run tells them:
 * a step is told when it is over, and says how long it took.
 */
import { spentIn, type TrainEvent } from './events.ts';
import type { SpanRecord, Spans } from './spans.ts';

/** Milliseconds since 1970, of what was told before. */
interface Before {
  /** The end of the last step. */
  readonly step?: number;
  /** Spent on checkpoints since. */
  readonly saving: number;
}

/** @param at when it was told */
export function spanOf(event: TrainEvent, at: number, before: Before): SpanRecord | undefined {
  switch (event.event) {
    case 'step': {
      const { step, epoch, loss, images, seconds } = event;
      const start = at - 1000 * seconds;
      return {
        name: 'step',
        start,
        end: at,
        attributes: { 'segfleet.step': step, 'segfleet.epoch': epoch, 'segfleet.loss': loss, 'segfleet.images': images },
        children: inTurn(start, spentIn(event)),
      };
    }
    case 'epoch': {
      if (before.step === undefined) return undefined;
      const attributes = { 'segfleet.epoch': event.epoch, 'segfleet.jaccard': event.validation.pooled.jaccard };
      return { name: 'validation', start: Math.min(at, before.step + before.saving), end: at, attributes };
    }
    case 'checkpoint': {
      const { step, bytes, seconds } = event;
      if (seconds === undefined) return undefined;
      const attributes = { 'segfleet.step': step, ...(bytes !== undefined && { 'segfleet.bytes': bytes }) };
      return { name: 'checkpoint', start: at - 1000 * seconds, end: at, attributes };
    }
    default:
      return undefined;
  }
}

/** One after the other: how long each took is measured; of what overlaps only the part that was waited for is told. */
function inTurn(start: number, seconds: Readonly<Record<string, number>>): SpanRecord[] {
  let end = start;
  return Object.entries(seconds).map(([name, of]) => {
    const from = end;
    end += 1000 * of;
    return { name, start: from, end };
  });
}

export class RunTraces {
  readonly #spans: Spans;
  readonly #run: string;
  readonly #now: () => Date;
  readonly #began: number;
  #before: Before = { saving: 0 };

  constructor(spans: Spans, run: string, { now = () => new Date() }: { readonly now?: () => Date } = {}) {
    this.#spans = spans;
    this.#run = run;
    this.#now = now;
    this.#began = now().getTime();
  }

  take(event: TrainEvent | { readonly event: string }): void {
    const at = this.#now().getTime();
    const span = spanOf(event as TrainEvent, at, this.#before);
    if (event.event === 'step') this.#before = { step: at, saving: 0 };
    if (!span) return;
    if (span.name === 'checkpoint') this.#before = { ...this.#before, saving: this.#before.saving + span.end - span.start };
    this.#record(span);
  }

  async close({ error }: { readonly error?: string } = {}): Promise<void> {
    this.#record({ name: 'run', start: this.#began, end: this.#now().getTime(), error });
    await this.#spans.close();
  }

  #record(span: SpanRecord): void {
    this.#spans.record({ ...span, attributes: { 'segfleet.run': this.#run, ...span.attributes } });
  }
}
