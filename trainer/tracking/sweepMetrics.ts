/**
 * The metrics of a sweep, read from its journal whenever somebody asks: so they are the same whichever process drives it.
 */
import { statSync } from 'node:fs';
import { readJournal, type Told } from '../sweep/journal.ts';
import { Objective } from '../sweep/objective.ts';
import { SweepState, stateOf } from '../sweep/state.ts';
import type { LoadedSweep } from '../sweep/sweepFile.ts';
import { SweepFolder } from '../sweep/sweepFolder.ts';
import { cellStates, metricsPrefix, named, type SweepMetricName, sweepMetrics } from './catalogue.ts';
import { type Exposition, expose } from './registry.ts';
import type { Sample } from './runMetrics.ts';
import { Scrapes } from './scrapes.ts';

export class SweepMetrics implements Exposition {
  readonly contentType: string;
  readonly #sweep: Pick<LoadedSweep, 'name' | 'spec'>;
  readonly #journal: string;
  readonly #now: () => Date;
  readonly #exposition: Exposition;
  readonly #scrapes = new Scrapes();
  #state: SweepState;
  #last: Told | undefined;
  /** Bytes of the journal that are read. */
  #read = 0;

  /** @param out the folder of the sweep, which need not be there yet */
  constructor(sweep: Pick<LoadedSweep, 'name' | 'spec'>, out: string, { now = () => new Date() }: { readonly now?: () => Date } = {}) {
    this.#sweep = sweep;
    this.#journal = new SweepFolder(out).journal;
    this.#now = now;
    this.#state = this.#empty();
    this.#exposition = expose(named(sweepMetrics), metricsPrefix, () => [...this.#samples()]);
    this.contentType = this.#exposition.contentType;
  }

  text(): Promise<string> {
    this.#scrapes.note(this.#now());
    return this.#exposition.text();
  }

  /** Ends when whoever scrapes has had the last values, as far as somebody does. @param signal ends it at once */
  close(signal?: AbortSignal): Promise<void> {
    return this.#scrapes.next(signal);
  }

  #empty(): SweepState {
    const { spec } = this.#sweep;
    return new SweepState(spec, new Objective(spec.objective));
  }

  #readOn(): void {
    const size = statSync(this.#journal, { throwIfNoEntry: false })?.size ?? 0;
    // A sweep whose file was changed begins a new journal.
    if (size < this.#read) {
      this.#read = 0;
      this.#state = this.#empty();
    }
    if (size === this.#read) return;
    const { events, bytes } = readJournal(this.#journal, this.#read);
    this.#read = bytes;
    for (const event of events) this.#state.apply(event);
    this.#last = events.at(-1) ?? this.#last;
  }

  *#samples(): Generator<Sample<SweepMetricName>> {
    this.#readOn();
    const { trials } = this.#state;
    const runs = trials.flatMap(trial => trial.runs);
    const sweep = this.#sweep.name;
    for (const state of cellStates) {
      yield { name: 'sweep_cells', labels: { sweep, state }, value: trials.filter(trial => stateOf(trial) === state).length };
      yield { name: 'sweep_runs', labels: { sweep, state }, value: runs.filter(run => run.state === state).length };
    }
    yield { name: 'sweep_seconds_total', labels: { sweep }, value: runs.reduce((sum, run) => sum + run.seconds, 0) };
    if (!this.#last) return;
    const age = this.#last.event === 'ended' ? 0 : Math.max(0, (this.#now().getTime() - Date.parse(this.#last.time)) / 1000);
    yield { name: 'sweep_last_event_age_seconds', labels: { sweep }, value: age };
  }
}
