/**
 * Runs a sweep on this machine: asks its strategy, runs what it chooses in a pool of processes, and writes down what comes of it. It may be killed at
 * any moment: whoever starts it again goes on from the journal and the run folders.
 *
 * A trial waits at the end of each epoch until the strategy has seen what it reports. So with one trial at a time what is chosen does not depend on
 * how fast anything is.
 */
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { SegfleetError } from '../errors.ts';
import { describeMachine } from '../machine.ts';
import type { Decision } from '../search/strategy.ts';
import type { LoadedJob } from '../spec.ts';
import { writeAtomically } from '../storage/files.ts';
import { lockFile } from '../storage/flock.ts';
import { checkTrackers } from '../tracking/trackers.ts';
import { jobOf } from './cells.ts';
import { removeCheckpointsOf } from './checkpoints.ts';
import { readWish, watchFile, writeWish } from './control.ts';
import { followSweep, isHeld } from './follow.ts';
import { type EpochReport, Journal, type JournalEvent, type RunError, type RunId, readJournal, type Told } from './journal.ts';
import { keyOf, ownCode } from './keys.ts';
import { deadlineInMs, limitReached } from './limits.ts';
import { type Ending, type Ongoing, Pool } from './pool.ts';
import { type Prepared, prepare } from './prepare.ts';
import { endingOf, recordOf } from './record.ts';
import { finishedBeside, takeOver } from './reuse.ts';
import { readReports } from './runFiles.ts';
import { type Run, SweepState, type SweepTrial } from './state.ts';
import { type LoadedSweep, renderSweep, specFrom } from './sweepFile.ts';
import { runName, SweepFolder, type SweepRecord, type SweepStatus } from './sweepFolder.ts';
import type { TellOptions } from './trialProgram.ts';

export interface SweepOptions {
  readonly sweep: LoadedSweep;
  /** The folder of the sweep. */
  readonly out: string;
  /** Aborted with 'preempted' or 'interrupted': trials write checkpoints, and the sweep ends with the error of that name. */
  readonly signal?: AbortSignal;
  /** Processors that trials may use. @default all */
  readonly cores?: number;
  /** Runs that failed are run anew. */
  readonly rerunFailed?: boolean;
  /** The module that runs a trial; see `TrialProgram`. @default training */
  readonly program?: URL;
  /** Who else is told of the runs while they go on. @default nobody */
  readonly tell?: TellOptions;
  readonly now?: () => Date;
}

/**
 * What is told while a sweep is driven: lines of its journal. `attached`: another process drives it, and what follows is what that one tells. `problem`:
 * somebody who was to be told of the runs is not.
 */
export type SweepEvent =
  | Told
  | { readonly time: string; readonly event: 'attached'; readonly folder: string }
  | { readonly time: string; readonly event: 'problem'; readonly message: string };

/**
 * Yields what happens; returns the record.
 *
 * @throws usage and what the data say, before anything is started; partial: some runs failed; preempted or interrupted: as the signal or `sweep stop`
 * says; resources: the disk is full
 */
export async function* runSweep(options: SweepOptions): AsyncGenerator<SweepEvent, SweepRecord> {
  const folder = new SweepFolder(options.out);
  const now = options.now ?? (() => new Date());
  if (options.tell) await checkTrackers(options.sweep.base.job.job, options.tell.mlflow);
  const prepared = (await isHeld(folder)) ? undefined : await prepare({ ...options, folder });
  if (prepared) await mkdir(folder.trials, { recursive: true });
  const lock = prepared && (await lockFile(folder.lock));
  if (!lock) {
    if (options.rerunFailed) {
      throw new SegfleetError('conflict', `another process drives ${folder.path}; end it with sweep stop, or wait for its end`);
    }
    yield { time: now().toISOString(), event: 'attached', folder: folder.path };
    return yield* followSweep(folder, options.signal);
  }
  try {
    await setAside(folder, prepared.chosenBy);
    const driver = new Driver(folder, prepared, { ...options, now });
    try {
      return yield* driver.drive();
    } finally {
      await driver.close();
    }
  } finally {
    await lock.release();
  }
}

/** Of a sweep whose file was changed what was run so far is put aside: it is taken over where it is still asked for. */
async function setAside(folder: SweepFolder, chosenBy: string): Promise<void> {
  const [first] = folder.isSweep ? readJournal(folder.journal).events : [];
  if (!first || (first.event === 'sweep' && first.chosenBy === chosenBy)) return;
  const numbers = existsSync(folder.earlier) ? readdirSync(folder.earlier).map(Number) : [];
  const place = join(folder.earlier, String(Math.max(0, ...numbers) + 1));
  await mkdir(place, { recursive: true });
  // The journal last: until then it is done again.
  await rename(folder.trials, join(place, 'trials'));
  await rename(folder.journal, join(place, 'journal.ndjson'));
  await rm(folder.forks, { recursive: true, force: true });
  await mkdir(folder.trials, { recursive: true });
}

/** What the loop wakes up for. */
type News =
  | { readonly kind: 'reached'; readonly run: Run; readonly reports: readonly EpochReport[] }
  | { readonly kind: 'ended'; readonly run: Run; readonly ending: Ending }
  | { readonly kind: 'look' };

/** Why no run is to go on. */
type Halt =
  | { readonly why: 'asked'; readonly reason: 'preempted' | 'interrupted' }
  | { readonly why: 'stopped' }
  | { readonly why: 'limit'; readonly reason: string }
  | { readonly why: 'disk'; readonly error: RunError };

interface UnderWay {
  readonly ongoing: Ongoing;
  readonly began: number;
  isStopping: boolean;
  /** It has reported, and waits for the word. */
  isWaiting: boolean;
}

/** Ends that another attempt may be spared; so may that of a process that crashed. */
const worthAnother = ['unavailable', 'preempted'];
const maxAttempts = 2;
/** The record is made of the journal: it may be older than that by so much. */
const recordMs = 1000;
const longestTimerMs = 2 ** 31 - 1;

class Driver {
  readonly #folder: SweepFolder;
  readonly #prepared: Prepared;
  readonly #options: SweepOptions & { readonly now: () => Date };
  readonly #journal: Journal;
  readonly #state: SweepState;
  readonly #pool: Pool;
  readonly #underWay = new Map<Run, UnderWay>();
  /** Folders of runs that came to their end, by key. */
  readonly #finished: Map<string, string>;
  readonly #hasGpu = describeMachine().nvidiaDevice;
  readonly #inbox: News[] = [];
  readonly #leave: (() => void)[] = [];
  #wake = () => {};
  /** Told to nobody yet. */
  #told: SweepEvent[] = [];
  /** Each is said once, however many runs have it. */
  readonly #problems = new Set<string>();
  #startedAt: string;
  #halt: Halt | undefined;
  /** Whether the strategy may have more to say than when it was asked last. */
  #isNew = true;
  #recordedAt = Number.NEGATIVE_INFINITY;
  #isRecorded = false;

  constructor(folder: SweepFolder, prepared: Prepared, options: SweepOptions & { readonly now: () => Date }) {
    const { spec } = prepared.sweep;
    const { program = new URL(import.meta.url.endsWith('.ts') ? './trainTrial.ts' : './trainTrial.js', import.meta.url) } = options;
    this.#folder = folder;
    this.#prepared = prepared;
    this.#options = options;
    const { journal, told } = Journal.open(folder.journal, options.now);
    this.#journal = journal;
    this.#state = new SweepState(spec, prepared.objective);
    for (const event of told) this.#state.apply(event);
    this.#startedAt = told[0]?.time ?? options.now().toISOString();
    this.#pool = new Pool({ program });
    this.#finished = new Map(finishedBeside(folder));
  }

  async *drive(): AsyncGenerator<SweepEvent, SweepRecord> {
    await this.#begin();
    for (;;) {
      this.#obey();
      if (!this.#halt) await this.#decide();
      yield* this.#tell();
      if (!this.#halt && !this.#isToPause()) await this.#launch();
      yield* this.#tell();
      if (this.#underWay.size === 0) {
        if (this.#halt || this.#isOver()) break;
        await this.#pauseIfAsked();
        yield* this.#tell();
      }
      await this.#recordSometimes();
      await this.#news();
    }
    const record = await this.#end();
    yield* this.#tell();
    if (this.#halt?.why === 'disk')
      throw new SegfleetError('resources', `${this.#halt.error.message}; then run the sweep again: it goes on`);
    if (this.#halt?.why === 'asked') {
      const { reason } = this.#halt;
      const sentence = `${reason}; the trials under way have written checkpoints, run the sweep again to go on`;
      throw new SegfleetError(reason, sentence, { details: { folder: this.#folder.path } });
    }
    const ending = endingOf(record, this.#folder.path);
    if (ending) throw ending;
    return record;
  }

  async close(): Promise<void> {
    for (const leave of this.#leave) leave();
    await this.#pool.close();
    this.#journal.close();
  }

  async #begin(): Promise<void> {
    const { sweep, chosenBy, frame, parallel, cores } = this.#prepared;
    const { signal } = this.#options;
    await writeAtomically(this.#folder.file, renderSweep(sweep, this.#folder.path));
    if (!this.#folder.isSweep || readJournal(this.#folder.journal).events.length === 0) {
      const about = { name: sweep.name, folder: this.#folder.path, replicates: sweep.spec.replicates.count, code: ownCode() };
      this.#append([{ event: 'sweep', ...about, chosenBy, threads: frame.threads }]);
    }
    if (readWish(this.#folder) === 'stop') await writeWish(this.#folder, 'run', this.#options.now());
    this.#append([{ event: 'driver', pid: process.pid, parallel, cores }, ...(await this.#leftBehind())]);
    await this.#takeUp();
    const look = () => this.#post({ kind: 'look' });
    this.#leave.push(watchFile(this.#folder.control, look));
    signal?.addEventListener('abort', look);
    this.#leave.push(() => signal?.removeEventListener('abort', look));
    const leftMs = deadlineInMs(sweep.spec.limits, this.#startedAt, this.#options.now());
    if (leftMs !== undefined) {
      const timer = setTimeout(look, Math.min(Math.max(leftMs, 0), longestTimerMs));
      this.#leave.push(() => clearTimeout(timer));
    }
  }

  /** What the last driver left under way. */
  async #leftBehind(): Promise<JournalEvent[]> {
    const runs = this.#state.trials.flatMap(({ runs }) => runs);
    const interrupted = runs.filter(({ state }) => state === 'running');
    // Gone with its folder.
    const gone = runs.filter(run => run.state === 'succeeded' && !this.#runFolder(run).isRun);
    const again = [...gone, ...(this.#options.rerunFailed ? runs.filter(({ state }) => state === 'failed') : [])];
    for (const run of again) await rm(this.#runFolder(run).path, { recursive: true, force: true });
    return [
      ...interrupted.map(({ trial, replicate }) => {
        const status = this.#state.trials[trial].stopped === undefined ? 'interrupted' : 'stopped';
        return { event: 'run', trial, replicate, status, seconds: 0 } as const;
      }),
      ...(again.length > 0 ? [{ event: 'rerun', runs: again.map(({ trial, replicate }) => ({ trial, replicate })) } as const] : []),
    ];
  }

  /** What runs have shown that was not written down before the last driver was gone. */
  async #takeUp(): Promise<void> {
    for (const { runs } of this.#state.trials) {
      for (const run of runs) {
        const folder = this.#runFolder(run);
        if (run.state === 'waiting' && run.folder) this.#append(this.#newReports(run, readReports(folder, this.#prepared.objective)));
        if (run.state === 'succeeded' && run.key) this.#finished.set(run.key, folder.path);
        if (run.state === 'stopped') await this.#removeCheckpoints(run);
      }
    }
  }

  #newReports({ trial, replicate, reports }: Run, told: readonly EpochReport[]): JournalEvent[] {
    const known = reports.at(-1)?.epoch ?? 0;
    return told.filter(({ epoch }) => epoch > known).map(report => ({ event: 'report', trial, replicate, ...report }));
  }

  /** Signals, wishes and limits. */
  #obey(): void {
    const { signal, now } = this.#options;
    const { limits } = this.#prepared.sweep.spec;
    if (signal?.aborted) this.#halt ??= { why: 'asked', reason: signal.reason === 'preempted' ? 'preempted' : 'interrupted' };
    if (readWish(this.#folder) === 'stop') this.#halt ??= { why: 'stopped' };
    const limit = limitReached(limits, deadlineInMs(limits, this.#startedAt, now()), this.#gpuHours());
    if (limit && !this.#isOver()) this.#halt ??= { why: 'limit', reason: limit.message };
    if (this.#halt || this.#isToPause()) {
      const reason = this.#halt?.why === 'asked' ? this.#halt.reason : 'preempted';
      for (const under of this.#underWay.values()) stop(under, reason);
    } else if (this.#state.paused) this.#append([{ event: 'resumed' }]);
  }

  #isToPause(): boolean {
    return this.#prepared.sweep.spec.suspend || readWish(this.#folder) === 'pause';
  }

  async #pauseIfAsked(): Promise<void> {
    if (!this.#isToPause() || this.#state.paused) return;
    await this.#record('paused');
    const reason = this.#prepared.sweep.spec.suspend ? 'spec.suspend is true' : 'as sweep pause asked';
    this.#append([{ event: 'paused', reason }]);
  }

  #gpuHours(): number {
    if (!this.#hasGpu) return 0;
    const finished = this.#state.trials.flatMap(({ runs }) => runs).reduce((sum, { seconds }) => sum + seconds, 0);
    const underWay = [...this.#underWay.values()].reduce((sum, { began }) => sum + (performance.now() - began) / 1000, 0);
    return (finished + underWay) / 3600;
  }

  async #decide(): Promise<void> {
    if (this.#isNew) {
      this.#isNew = false;
      const decisions = this.#prepared.strategy(this.#state.history(), this.#isToPause() ? 0 : this.#freeTrials());
      await this.#carryOut(decisions);
    }
    for (const under of this.#underWay.values()) {
      if (!under.isWaiting) continue;
      under.isWaiting = false;
      if (!under.isStopping) under.ongoing.go();
    }
  }

  /** A trial takes as many places as it has replicates; the last one may have to wait for some. */
  #freeTrials(): number {
    const { parallel, sweep } = this.#prepared;
    const taken = this.#state.trials.flatMap(({ runs }) => runs).filter(({ state }) => state === 'running' || state === 'waiting').length;
    return Math.max(0, Math.ceil((parallel - taken) / sweep.spec.replicates.count));
  }

  async #carryOut(decisions: readonly Decision[]): Promise<void> {
    let next = this.#state.trials.length;
    const events = decisions.flatMap((decision): JournalEvent[] => {
      const { do: event, ...rest } = decision;
      if (event === 'finish' && this.#state.finished !== undefined) return [];
      return [{ event, ...(event === 'start' && { trial: next++ }), ...rest } as JournalEvent];
    });
    if (events.length === 0) return;
    this.#append(events);
    for (const event of events) {
      if (event.event !== 'stop') continue;
      for (const run of this.#state.trials[event.trial].runs) {
        const under = this.#underWay.get(run);
        if (under) stop(under, 'interrupted');
        else if (run.state === 'stopped') await this.#removeCheckpoints(run);
      }
    }
  }

  /** Starts runs that wait, in their order, as long as there is room. */
  async #launch(): Promise<void> {
    for (const trial of this.#state.trials) {
      for (const run of trial.runs) {
        if (this.#underWay.size >= this.#prepared.parallel) return;
        if (run.state === 'waiting' && trial.stopped === undefined) await this.#start(trial, run);
      }
    }
  }

  async #start(trial: SweepTrial, run: Run): Promise<void> {
    const { sweep, data, frame, objective } = this.#prepared;
    const { tell } = this.#options;
    const { number, replicate } = { number: trial.number, replicate: run.replicate };
    const id = { trial: number, replicate };
    const folder = this.#runFolder(run);
    const place = relative(this.#folder.path, folder.path);
    let job: LoadedJob;
    let key: string;
    try {
      job = jobOf(sweep, trial.parameters, number, replicate, frame);
      key = keyOf(job.job, await data.of(job.job), ownCode(), replicate);
    } catch (error) {
      if (!(error instanceof SegfleetError)) throw error;
      const { code, message } = error;
      this.#append([{ event: 'run', ...id, status: 'failed', seconds: 0, error: { code, message } }]);
      return;
    }
    const isWhole = trial.until === undefined && trial.forkedFrom === undefined;
    const there = isWhole && !folder.isRun ? this.#finished.get(key) : undefined;
    if (there !== undefined && (await takeOver(there, folder))) {
      const from = relative(this.#folder.path, there);
      this.#append([{ event: 'run', ...id, status: 'reused', folder: place, key, from, reports: readReports(folder, objective) }]);
      return;
    }
    this.#append([{ event: 'run', ...id, status: 'begins', folder: place, key, attempt: run.attempts + 1 }]);
    const untilEpoch = this.#untilEpoch(trial);
    const { forkedFrom } = trial;
    const ongoing = this.#pool.run(
      {
        ...{ job, base: sweep.base.folder, out: folder.path, objective: sweep.spec.objective },
        ...(untilEpoch !== undefined && { untilEpoch }),
        ...(sweep.spec.method === 'pbt' && { keep: this.#forkOf(number, replicate) }),
        ...(forkedFrom && { fork: `${this.#forkOf(forkedFrom.trial, replicate)}-${forkedFrom.time}` }),
        ...(tell && { tell: { ...tell, sweep: sweep.name } }),
      },
      {
        reached: reports => this.#post({ kind: 'reached', run, reports }),
        problem: problem => this.#warn(problem),
      },
    );
    this.#underWay.set(run, { ongoing, began: performance.now(), isStopping: false, isWaiting: false });
    void ongoing.ended.then(ending => this.#post({ kind: 'ended', run, ending }));
  }

  #untilEpoch({ until }: SweepTrial): number | undefined {
    if (until === undefined) return undefined;
    const inSteps = this.#prepared.sweep.spec.earlyStop?.timeMetric === 'step';
    return inSteps ? Math.ceil(until / this.#prepared.stepsPerEpoch) : until;
  }

  #runFolder({ trial, replicate }: RunId) {
    return this.#folder.run(trial, replicate, this.#prepared.sweep.spec.replicates.count);
  }

  /** Without the epoch. */
  #forkOf(trial: number, replicate: number): string {
    return join(this.#folder.forks, runName(trial, replicate, this.#prepared.sweep.spec.replicates.count));
  }

  #post(news: News): void {
    this.#inbox.push(news);
    this.#wake();
  }

  async #news(): Promise<void> {
    if (this.#inbox.length === 0) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
    for (const news of this.#inbox.splice(0)) {
      if (news.kind === 'look') continue;
      this.#isNew = true;
      const { run } = news;
      if (news.kind === 'reached') {
        this.#append(this.#newReports(run, news.reports));
        this.#underWay.get(run)!.isWaiting = true;
      } else await this.#ended(run, news.ending);
    }
  }

  async #ended(run: Run, ending: Ending): Promise<void> {
    const { began, isStopping } = this.#underWay.get(run)!;
    this.#underWay.delete(run);
    const seconds = Math.round(performance.now() - began) / 1000;
    const trial = this.#state.trials[run.trial];
    const about = { event: 'run', trial: run.trial, replicate: run.replicate, seconds } as const;
    switch (ending.status) {
      case 'succeeded':
        this.#append([{ ...about, status: 'succeeded' }]);
        if (run.key && !trial.forkedFrom) this.#finished.set(run.key, this.#runFolder(run).path);
        return;
      case 'paused':
        // Where it was stopped at the same time, it does not go on from there.
        this.#append([{ ...about, status: trial.stopped === undefined ? 'paused' : 'stopped' }]);
        await this.#removeOldForks();
        return;
      case 'interrupted':
        this.#append([{ ...about, status: trial.stopped === undefined ? 'interrupted' : 'stopped' }]);
        if (trial.stopped !== undefined) await this.#removeCheckpoints(run);
        return;
      case 'failed':
      case 'crashed': {
        const error = ending.status === 'failed' ? ending.error : { code: 'bug', message: ending.message };
        if (ending.status === 'failed' && ending.diskIsFull) {
          this.#append([{ ...about, status: 'interrupted' }]);
          this.#halt ??= { why: 'disk', error };
          return;
        }
        const mayHelp = ending.status === 'crashed' || worthAnother.includes(error.code);
        const isTriedAgain = (isStopping && ending.status === 'crashed') || (mayHelp && run.attempts + 1 < maxAttempts);
        this.#append([{ ...about, status: isTriedAgain ? 'tried' : 'failed', error }]);
        return;
      }
      default:
        ending satisfies never;
    }
  }

  /** Nothing is chosen any more, and nothing waits. @throws a bug: nothing is chosen although nothing runs */
  #isOver(): boolean {
    if (this.#underWay.size > 0) return false;
    if (this.#isNew) return false;
    const waits = this.#state.trials.some(({ runs, stopped }) => stopped === undefined && runs.some(({ state }) => state === 'waiting'));
    if (waits) return false;
    if (this.#state.finished !== undefined) return true;
    if (this.#isToPause()) return false;
    throw new Error('the search chooses nothing, and nothing runs that it could wait for');
  }

  /** Those that lie before what every trial that may still be compared has come to. A trial that has ended keeps its last. */
  async #removeOldForks(): Promise<void> {
    if (!existsSync(this.#folder.forks)) return;
    const history = this.#state.history();
    const live = history.filter(({ state }) => state === 'waiting' || state === 'running' || state === 'paused');
    const oldest = Math.min(...live.map(({ reports }) => reports.at(-1)?.time ?? 0));
    for (const name of readdirSync(this.#folder.forks)) {
      const [, trial, epoch] = /^(\d+)(?:-r\d+)?-(\d+)$/.exec(name) ?? [];
      if (history[Number(trial)]?.state === 'succeeded' || Number(epoch) >= oldest) continue;
      await rm(join(this.#folder.forks, name), { recursive: true, force: true });
    }
  }

  async #removeCheckpoints({ trial, replicate }: Run): Promise<void> {
    const { sweep, frame } = this.#prepared;
    const { job } = jobOf(sweep, this.#state.trials[trial].parameters, trial, replicate, frame);
    await removeCheckpointsOf(job, sweep.base.folder, this.#runFolder({ trial, replicate }).path);
  }

  async #end(): Promise<SweepRecord> {
    const failed = this.#state.trials.flatMap(({ runs }) => runs).filter(({ state }) => state === 'failed').length;
    const [status, reason] = this.#ending(failed);
    if (!this.#halt) await rm(this.#folder.forks, { recursive: true, force: true });
    const record = await this.#record(status, reason);
    this.#append([{ event: 'ended', status, reason }]);
    return record;
  }

  #ending(failed: number): [SweepStatus, string] {
    const halt = this.#halt;
    switch (halt?.why) {
      case 'disk':
        return ['stopped', halt.error.message];
      case 'asked':
        return ['stopped', halt.reason];
      case 'stopped':
        return ['stopped', 'stopped as sweep stop asked'];
      case 'limit':
        return ['partial', halt.reason];
      default:
        return failed > 0 ? ['partial', `${failed} runs failed`] : ['succeeded', this.#state.finished ?? ''];
    }
  }

  /** While it runs at most once a second, and only where there is news. */
  async #recordSometimes(): Promise<void> {
    if (this.#isRecorded || performance.now() - this.#recordedAt < recordMs) return;
    await this.#record(this.#state.paused ? 'paused' : 'running');
  }

  async #record(status: SweepStatus, reason?: string): Promise<SweepRecord> {
    const { sweep, frame, objective } = this.#prepared;
    const updatedAt = this.#options.now().toISOString();
    const about = {
      ...{ name: sweep.name, status, ...(reason !== undefined && { reason }), spec: specFrom(sweep, this.#folder.path) },
      ...{ startedAt: this.#startedAt, updatedAt, ...(reason !== undefined && { endedAt: updatedAt }) },
      ...{ threads: frame.threads, code: ownCode() },
    };
    const record = recordOf(about, this.#state, objective);
    await writeAtomically(this.#folder.record, `${JSON.stringify(record, null, 1)}\n`);
    this.#recordedAt = performance.now();
    this.#isRecorded = true;
    return record;
  }

  #append(events: readonly JournalEvent[]): void {
    if (events.length === 0) return;
    this.#told.push(...this.#journal.append(events));
    this.#isRecorded = false;
    for (const event of events) this.#state.apply(event);
    this.#isNew ||= events.some(({ event }) => event === 'run' || event === 'rerun');
  }

  #warn(message: string): void {
    if (this.#problems.has(message)) return;
    this.#problems.add(message);
    this.#told.push({ time: this.#options.now().toISOString(), event: 'problem', message });
    this.#post({ kind: 'look' });
  }

  *#tell(): Generator<SweepEvent> {
    const told = this.#told;
    this.#told = [];
    yield* told;
  }
}

function stop(under: UnderWay, reason: 'preempted' | 'interrupted'): void {
  if (under.isStopping) return;
  under.isStopping = true;
  under.ongoing.stop(reason);
}
