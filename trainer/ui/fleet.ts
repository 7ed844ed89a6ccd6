/**
 * All runs and sweeps that there are, kept up to date: what has changed goes to whoever listens, at most once a second. A folder that is damaged, or goes
 * while it is read, is a problem to show and none to end with.
 */
import { join } from 'node:path';
import type { RunRecord } from '../runRecord.ts';
import type { SweepRecord } from '../sweep/sweepFolder.ts';
import type { Changes, Problem, RunSummary, SweepSummary } from './api.ts';
import { type Found, runFiles, type Source } from './source.ts';
import { type EpochRow, epochsOf, lastStepIn, recordOf, summaryOf } from './summary.ts';
import { readSweepAt, sweepSummary } from './sweeps.ts';

/** So many folders are read at a time. */
const parallel = 24;
/** The end of a log, in which its last whole line lies. */
const endBytes = 4096;

export interface Run {
  readonly summary: RunSummary;
  readonly rows: readonly EpochRow[];
  readonly record: RunRecord;
}

interface Entry {
  readonly found: Found;
  /** Of all files that it was made of. */
  stamp: string;
  run?: Run;
  sweep?: { readonly summary: SweepSummary; readonly record: SweepRecord };
  problem?: Problem;
  /** Of the change that it was last part of. */
  sequence: number;
  /** As it was last told. */
  told: string;
}

export type Listener = (changes: Changes, sequence: number) => void;

export interface FleetOptions {
  readonly now: () => number;
  /** Between two looks at what is going on, and at everything. */
  readonly everyMs: number;
  readonly allEveryMs: number;
}

export class Fleet {
  readonly source: Source;
  readonly #options: FleetOptions;
  readonly #entries = new Map<string, Entry>();
  /** Ids, each with the change that it went with. */
  readonly #gone = new Map<string, number>();
  readonly #listeners = new Set<Listener>();
  sequence = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastFound = Number.NEGATIVE_INFINITY;
  #looking: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(source: Source, options: FleetOptions) {
    this.source = source;
    this.#options = options;
  }

  /** Done when all that is there has been read once. */
  async start(): Promise<void> {
    await this.look();
    const next = () => {
      if (this.#isClosed) return;
      this.#timer = setTimeout(() => void this.look().finally(next), this.#options.everyMs);
    };
    next();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  listen(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  run(id: string): Run | undefined {
    return this.#entries.get(id)?.run;
  }
  sweep(id: string): Entry['sweep'] {
    return this.#entries.get(id)?.sweep;
  }
  get runs(): Run[] {
    return [...this.#entries.values()].flatMap(({ run }) => run ?? []);
  }

  /** What has changed after that; all there is, where nothing is said. */
  since(sequence?: number): Changes {
    const entries = [...this.#entries.values()];
    if (sequence === undefined) return { isWhole: true, ...listed(entries), gone: [] };
    const gone = [...this.#gone].filter(([, when]) => when > sequence).map(([id]) => id);
    return { isWhole: false, ...listed(entries.filter(entry => entry.sequence > sequence)), gone };
  }

  /** Looks once; several calls at a time are one after the other. */
  look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#look());
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { now, allEveryMs } = this.#options;
    const isAll = now() - this.#lastFound >= allEveryMs;
    const gone: string[] = [];
    if (isAll) {
      // A store that does not answer now may answer later; what is known stays.
      const found = await this.source.find().catch(() => undefined);
      if (found) {
        this.#lastFound = now();
        const ids = new Set(found.map(({ id }) => id));
        for (const id of this.#entries.keys()) if (!ids.has(id)) gone.push(id);
        for (const id of gone) this.#entries.delete(id);
        for (const one of found) {
          if (this.#entries.get(one.id)?.found.kind === one.kind) continue;
          this.#entries.set(one.id, { found: one, stamp: '', sequence: 0, told: '' });
          this.#gone.delete(one.id);
        }
      }
    }
    const due = [...this.#entries.values()].filter(entry => isAll || isGoingOn(entry));
    const changed: Entry[] = [];
    for (let i = 0; i < due.length; i += parallel) {
      const some = due.slice(i, i + parallel);
      const news = await Promise.all(some.map(entry => this.#refresh(entry)));
      changed.push(...some.filter((_, k) => news[k]));
    }
    if (changed.length === 0 && gone.length === 0) return;
    this.sequence++;
    for (const entry of changed) entry.sequence = this.sequence;
    for (const id of gone) this.#gone.set(id, this.sequence);
    const changes: Changes = { isWhole: false, ...listed(changed), gone };
    for (const listener of this.#listeners) listener(changes, this.sequence);
  }

  /** @returns whether there is something to tell */
  async #refresh(entry: Entry): Promise<boolean> {
    const { id, kind } = entry.found;
    const path = this.source.pathOf(id);
    try {
      await (kind === 'run' ? this.#refreshRun(entry) : this.#refreshSweep(entry));
      entry.problem = undefined;
    } catch (error) {
      entry.stamp = '';
      entry.run = undefined;
      entry.sweep = undefined;
      entry.problem = { id, path, why: (error as Error).message };
    }
    const told = JSON.stringify(entry.run?.summary ?? entry.sweep?.summary ?? entry.problem);
    if (told === entry.told) return false;
    entry.told = told;
    return true;
  }

  async #refreshRun(entry: Entry): Promise<void> {
    const { id } = entry.found;
    const path = this.source.pathOf(id);
    const { record: recordFile, results, events } = runFiles;
    const [recordStamp, resultsStamp, eventsStamp] = await Promise.all(
      [recordFile, results, events].map(name => this.source.stamp(id, name)),
    );
    const stamp = [recordStamp, resultsStamp, eventsStamp].map(one => one?.text).join();
    const now = this.#options.now();
    const isForsaken = entry.run?.record.status === 'running' ? await this.source.isForsaken(id) : undefined;
    if (entry.run && stamp === entry.stamp) {
      // Nothing was written, and that may say something too.
      const { summary, ...run } = entry.run;
      const { heardAt, step, sweep } = summary;
      if (summary.state !== 'running') return;
      entry.run = { ...run, summary: summaryOf({ id, path, ...run, step, heardAt, isForsaken, sweep }, now) };
      return;
    }
    const bytes = await this.source.read(id, recordFile);
    if (!bytes) throw new Error(`${join(path, recordFile)} is not there (yet): the run has only begun, or its folder is being removed`);
    const record = recordOf(bytes, `${path}/${recordFile}`);
    const rows = epochsOf((await this.source.read(id, results))?.toString() ?? '');
    const size = eventsStamp?.bytes ?? 0;
    const end = (await this.source.readFrom(id, events, Math.max(0, size - endBytes), endBytes)).toString();
    const said = Date.parse(end.slice(end.lastIndexOf('{"time":"') + 9).slice(0, 24));
    const heardAt = said || eventsStamp?.changedAt || recordStamp?.changedAt || Date.parse(record.startedAt) || 0;
    const held = record.status === 'running' ? await this.source.isForsaken(id) : undefined;
    const observed = { id, path, record, rows, step: lastStepIn(end), heardAt, isForsaken: held, sweep: this.#sweepOf(id) };
    entry.run = { summary: summaryOf(observed, now), rows, record };
    entry.stamp = stamp;
  }

  async #refreshSweep(entry: Entry): Promise<void> {
    const { id } = entry.found;
    const stamps = await Promise.all(['sweep.json', 'journal.ndjson'].map(name => this.source.stamp(id, name)));
    const stamp = stamps.map(one => one?.text).join();
    if (entry.sweep && stamp === entry.stamp) return;
    const path = this.source.pathOf(id);
    const record = readSweepAt(path);
    entry.sweep = { summary: sweepSummary(id, path, record), record };
    entry.stamp = stamp;
  }

  /** Trials lie in `trials/` of their sweep. */
  #sweepOf(id: string): string | undefined {
    const parts = id.split('/');
    const sweep = parts.at(-2) === 'trials' ? parts.slice(0, -2).join('/') || '.' : undefined;
    return sweep !== undefined && this.#entries.get(sweep)?.found.kind === 'sweep' ? sweep : undefined;
  }
}

const listed = (entries: readonly Entry[]): Pick<Changes, 'runs' | 'sweeps' | 'problems'> => ({
  runs: entries.flatMap(({ run }) => run?.summary ?? []),
  sweeps: entries.flatMap(({ sweep }) => sweep?.summary ?? []),
  problems: entries.flatMap(({ problem }) => problem ?? []),
});

const isGoingOn = ({ run, sweep }: Entry): boolean =>
  run ? ['running', 'silent', 'killed'].includes(run.summary.state) : sweep?.summary.status === 'running';
