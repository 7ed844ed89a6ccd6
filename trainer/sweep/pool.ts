/**
 * The processes that run trials. Each runs one at a time and is kept for the next, as it has the TensorFlow library loaded; one that ends by itself or
 * grows is replaced.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import type { EpochReport } from './journal.ts';
import type { FromProcess, Order, Outcome, ToProcess } from './trialProgram.ts';

export interface PoolOptions {
  /** The module of the program; see `TrialProgram`. */
  readonly program: URL;
  /** Runs after which a process is replaced in any case. @default 200 */
  readonly maxRuns?: number;
}

/** How a run ended; `crashed`: its process did. */
export type Ending = Outcome | { readonly status: 'crashed'; readonly message: string };

export interface Ongoing {
  readonly ended: Promise<Ending>;
  /** After `reached`: the run goes on. */
  go(): void;
  /** The run ends as soon as it has written a checkpoint. */
  stop(reason: 'preempted' | 'interrupted'): void;
}

/** What a run says while it goes on. */
export interface RunListener {
  reached(reports: readonly EpochReport[]): void;
  problem(problem: string): void;
}

/** TensorFlow gives some memory back late, some never. */
const maxGrowth = { factor: 2, bytes: 2 ** 30 };
const defaultMaxRuns = 200;
/** A process that was told to end and does not is killed. */
const endPatienceMs = 5000;

export class Pool {
  readonly #options: PoolOptions;
  readonly #all = new Set<TrialProcess>();
  readonly #idle: TrialProcess[] = [];

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  run(order: Order, listener: RunListener): Ongoing {
    const { threads = 0 } = order.job.job.spec.training;
    // All sessions of a process share the threads that the first one asked for.
    const fitting = this.#idle.findIndex(one => one.threads === threads);
    const [found] = fitting < 0 ? [] : this.#idle.splice(fitting, 1);
    if (!found) void this.#idle.pop()?.end();
    const process = found ?? this.#start(threads);
    return process.run(order, listener, isSound => {
      if (isSound) this.#idle.push(process);
      else void process.end();
    });
  }

  async close(): Promise<void> {
    await Promise.all([...this.#all].map(one => one.end()));
  }

  #start(threads: number): TrialProcess {
    const started = new TrialProcess(this.#options, threads);
    this.#all.add(started);
    void started.exited.then(() => {
      this.#all.delete(started);
      const index = this.#idle.indexOf(started);
      if (index >= 0) this.#idle.splice(index, 1);
    });
    return started;
  }
}

const entry = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './trialProcess.ts' : './trialProcess.js', import.meta.url));

class TrialProcess {
  readonly threads: number;
  readonly exited: Promise<string>;
  readonly #child: ChildProcess;
  readonly #maxRuns: number;
  /** The last of what it wrote. */
  #said = '';
  #runs = 0;
  #firstBytes = 0;

  constructor({ program, maxRuns = defaultMaxRuns }: PoolOptions, threads: number) {
    this.threads = threads;
    this.#maxRuns = maxRuns;
    this.#child = fork(entry, [program.href], {
      detached: true, // a group of its own, so that Ctrl-C comes to the driver alone
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: { UV_THREADPOOL_SIZE: '136', ...process.env }, // as bin/segfleet.mjs has it
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.on('data', chunk => {
        this.#said = (this.#said + chunk).slice(-4000);
      });
    }
    const exited = new Promise<string>(resolve => {
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
      this.#child.once('error', error => resolve(error.message));
    });
    // Its `close` does not come where the channel was closed from here; all that it wrote has come when its streams have ended.
    const streams = [this.#child.stdout!, this.#child.stderr!].map(stream => finished(stream).catch(() => {}));
    this.exited = Promise.all([exited, ...streams]).then(([how]) => how);
  }

  run(order: Order, listener: RunListener, onFree: (isSound: boolean) => void): Ongoing {
    this.#runs++;
    const { promise: ended, resolve } = Promise.withResolvers<Ending>();
    const listen = (message: FromProcess) => {
      if (message.say === 'reached') return listener.reached(message.reports);
      if (message.say === 'problem') return listener.problem(message.problem);
      this.#child.off('message', listen);
      onFree(this.#isSound(message.residentBytes));
      resolve(message.outcome);
    };
    this.#child.on('message', listen);
    void this.exited.then(how => resolve({ status: 'crashed', message: this.#lastWords(how) }));
    this.#say({ say: 'run', order });
    return { ended, go: () => this.#say({ say: 'go' }), stop: reason => this.#say({ say: 'stop', reason }) };
  }

  async end(): Promise<void> {
    if (this.#child.connected) this.#child.disconnect();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), endPatienceMs);
    await this.exited;
    clearTimeout(timer);
  }

  #say(message: ToProcess): void {
    // To one that is ending: its end is told by `exited`.
    if (this.#child.connected) this.#child.send(message, () => {});
  }

  #isSound(residentBytes: number): boolean {
    this.#firstBytes ||= residentBytes;
    const { factor, bytes } = maxGrowth;
    return this.#runs < this.#maxRuns && residentBytes < Math.max(factor * this.#firstBytes, this.#firstBytes + bytes);
  }

  #lastWords(how: string): string {
    const lines = this.#said.trim().split('\n');
    const telling = lines.findLast(line => /^\w*Error\b/.test(line)) ?? lines.at(-1);
    return `its process ended (${how})${telling ? `: ${telling.trim()}` : ''}`;
  }
}
