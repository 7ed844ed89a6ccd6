/**
 * The metrics of a run while it goes on: what it says goes into the fold as it passes by, and whoever scrapes reads the fold.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { SegfleetError } from '../errors.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { type S3Request, s3Channel } from '../storage/s3Requests.ts';
import { metricsPrefix, named, runMetrics } from './catalogue.ts';
import { type EpochEvent, readEvents, type StartEvent, type TrainEvent } from './events.ts';
import { passing } from './passing.ts';
import { type Exposition, expose } from './registry.ts';
import { advanceMetrics, beginMetrics, type Identity, type RunNews, samplesOf } from './runMetrics.ts';
import { Scrapes } from './scrapes.ts';

/** What is told of a run that has ended stays so long, for whoever asks seldom. */
const graceSeconds = 300;

export class RunMetrics implements Exposition {
  readonly contentType: string;
  readonly #now: () => Date;
  readonly #exposition: Exposition;
  readonly #scrapes = new Scrapes();
  #state: ReturnType<typeof beginMetrics>;

  constructor(identity: Identity, { now = () => new Date() }: { readonly now?: () => Date } = {}) {
    this.#now = now;
    this.#state = beginMetrics(identity, now());
    this.#exposition = expose(named(runMetrics), metricsPrefix, () => samplesOf(this.#state, this.#now(), graceSeconds));
    this.contentType = this.#exposition.contentType;
    subscribe(s3Channel, this.#takeRequest);
  }

  text(): Promise<string> {
    this.#scrapes.note(this.#now());
    return this.#exposition.text();
  }

  take(news: RunNews): void {
    this.#state = advanceMetrics(this.#state, news, this.#now());
    if (news.event === 'start' && news.resumedAtStep !== undefined) for (const before of historyOf(news)) this.take(before);
  }

  /** Takes what passes by, and how it ends. */
  watch<E extends RunNews, R>(events: AsyncGenerator<E, R>): AsyncGenerator<E, R> {
    return passing(
      events,
      event => this.take(event),
      how => {
        if (how.by !== 'error') return;
        const { code, details } = how.error instanceof SegfleetError ? how.error : new SegfleetError('bug', String(how.error));
        this.take({ event: 'failed', code, whileSaving: details.checkpoint !== undefined });
      },
    );
  }

  /** Ends when whoever scrapes has had the last values, as far as somebody does. @param signal ends it at once */
  async close(signal?: AbortSignal): Promise<void> {
    unsubscribe(s3Channel, this.#takeRequest);
    await this.#scrapes.next(signal);
  }

  readonly #takeRequest = (request: unknown): void => this.take({ event: 's3', ...(request as S3Request) });
}

/** What the processes before had told of a run that is resumed. */
function historyOf({ folder, resumedAtStep }: StartEvent): RunNews[] {
  const told: readonly (TrainEvent & { readonly time?: string })[] = readEvents(new RunFolder(folder).events);
  const epochs = told.filter((event): event is EpochEvent => event.event === 'epoch');
  const saved = told.findLast(event => event.event === 'checkpoint' && event.step <= resumedAtStep!);
  const step = told.findLast(event => event.event === 'step')?.step ?? 0;
  const before: RunNews = { event: 'before', epochs, step };
  if (saved?.event !== 'checkpoint' || saved.time === undefined) return [before];
  return [before, { event: 'restored', step: saved.step, written: saved.time }];
}
