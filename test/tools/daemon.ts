/**
 * A program in the background of a test. What it says goes into a file; it ends with this process, however that ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';

export interface DaemonOptions {
  /** What it says is added to this file. */
  readonly log: string;
  readonly cwd?: string;
  /** What goes in front of the command, such as `nsenter`; it has to become the program, not to start it, and to stay in the folder. */
  readonly under?: readonly string[];
}

export class Daemon {
  /** How it ended, when it has. */
  readonly ended: Promise<string>;
  readonly #child: ChildProcess;
  readonly #log: string;
  #how: string | undefined;
  #wasToldTo = false;

  constructor(command: readonly string[], { log, cwd, under = [] }: DaemonOptions) {
    // The kernel sends the signal when this process is gone, also when it is killed itself.
    const [program, ...words] = [...under, 'setpriv', '--pdeathsig', 'KILL', '--', ...command];
    const file = openSync(log, 'a');
    this.#log = log;
    this.#child = spawn(program, words, { cwd, stdio: ['ignore', file, file] });
    closeSync(file);
    this.ended = new Promise<string>(resolve => {
      this.#child.on('error', error => resolve(error.message));
      this.#child.on('exit', (code, signal) => resolve(signal ?? `code ${code}`));
    });
    this.ended.then(how => {
      this.#how = how;
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get isRunning(): boolean {
    return this.#how === undefined;
  }

  /** Whether it ended and nobody has told it to. */
  get hasFailed(): boolean {
    return !this.isRunning && !this.#wasToldTo;
  }

  /** For an error: how it is, and what it said last. */
  report(): string {
    const lines = readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-20);
    return [`${basename(this.#log)} (${this.#how ?? 'running'}):`, ...lines].join('\n');
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it, and kills it where it takes longer than it is given. */
  async end(signal: 'SIGTERM' | 'SIGKILL', graceMs = 10_000): Promise<void> {
    this.#wasToldTo = true;
    this.#child.kill(signal);
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    await this.ended;
    clearTimeout(killer);
  }
}
