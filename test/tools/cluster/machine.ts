/**
 * A machine that is not there: namespaces of its own (network, mounts, processes, name) on this one. Its file system is that of this
 * machine, but for /run, /var/log and /var/lib, which are its own. Nothing of it outlives the process that started it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Daemon } from '../daemon.ts';
import { output } from '../programs.ts';
import { foldersOf, makeControlGroup } from './cgroups.ts';

const script = (name: string): string => join(import.meta.dirname, name);

export class Machine {
  readonly name: string;
  /** Its disk. */
  readonly folder: string;
  /** The control group for what is to be limited there. */
  readonly group: string;
  /** Of its process 1, as seen from here. */
  readonly pid: number;
  readonly #keeper: ChildProcess;
  readonly #ended: Promise<string>;

  private constructor(
    names: Readonly<Record<'name' | 'folder' | 'group', string>>,
    keeper: ChildProcess,
    ended: Promise<string>,
    pid: number,
  ) {
    this.name = names.name;
    this.folder = names.folder;
    this.group = names.group;
    this.#keeper = keeper;
    this.#ended = ended;
    this.pid = pid;
  }

  /** @param group a name that no other control group has; it is made now, and removed when the machine has ended */
  static async boot(name: string, folder: string, group: string): Promise<Machine> {
    mkdirSync(join(folder, 'log'), { recursive: true });
    makeControlGroup(group);
    const unshare = ['unshare', '--net', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child=KILL'];
    const words = [...foldersOf(group), '--', ...unshare, script('machine.sh'), folder, name];
    // In a session of its own: a key that ends the tests does not end it, but the end of its standard input does.
    const keeper = spawn(script('keep.sh'), words, { detached: true, stdio: 'pipe' });
    let said = '';
    keeper.stderr.on('data', chunk => {
      said += chunk;
    });
    const ended = new Promise<string>(resolve => {
      keeper.on('error', error => resolve(error.message));
      keeper.on('close', () => resolve(said));
    });
    const line = await Promise.race([once(createInterface({ input: keeper.stdout }), 'line'), ended]);
    if (typeof line === 'string') throw new Error(`${name} did not start: ${line}`);
    return new Machine({ name, folder, group }, keeper, ended, Number(line[0]));
  }

  /** What to put in front of a program that is to run on it. Its process here is only `nsenter`, which waits for the program. */
  get inside(): string[] {
    return ['nsenter', `--target=${this.pid}`, '--net', '--mount', '--pid', '--uts', '--ipc', '--'];
  }

  /** What to put in front of a program that is to have its network, and all else as here. */
  get inNetwork(): string[] {
    return ['nsenter', `--target=${this.pid}`, '--net', '--'];
  }

  run(command: readonly string[], stdin?: string): Promise<string> {
    return output([...this.inside, ...command], { stdin });
  }

  /** @param lines each as `ip` takes it */
  async configureNetwork(...lines: readonly string[]): Promise<void> {
    await output([...this.inNetwork, 'ip', '-batch', '-'], { stdin: lines.join('\n') });
  }

  start(name: string, ...command: readonly string[]): Daemon {
    return new Daemon(command, { log: join(this.folder, 'log', `${name}.log`), under: this.inside });
  }

  /** All that runs there is killed at once, as when the power fails. What is on its disk stays. */
  async end(): Promise<void> {
    this.#keeper.stdin!.end();
    const said = await this.#ended;
    if (said) throw new Error(`${this.name} did not end as it should: ${said}`);
  }
}
