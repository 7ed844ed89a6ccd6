/**
 * A network of machines that are not there: each a network namespace, all on one bridge in a namespace of its own, so nothing passes
 * through the network of this machine. Needs root and the program `ip`.
 */
import { execFileSync } from 'node:child_process';
import { getuid } from 'node:process';

/** Whether there can be some here. */
export const canPartNetworks = (): boolean => {
  if (getuid!() !== 0) return false;
  try {
    new Network(['try']).close();
    return true;
  } catch {
    return false;
  }
};

let networks = 0;

export class Network {
  readonly #prefix = `segfleet-${process.pid}-${++networks}-`;
  readonly #machines: readonly string[];

  /** @param machines their names, unlike each other */
  constructor(machines: readonly string[]) {
    this.#machines = machines;
    const hub = this.#namespace('hub');
    try {
      ip('netns', 'add', hub);
      ip('-n', hub, 'link', 'add', 'name', 'bridge', 'type', 'bridge');
      ip('-n', hub, 'link', 'set', 'bridge', 'up');
      for (const [i, machine] of machines.entries()) {
        const own = this.#namespace(machine);
        ip('netns', 'add', own);
        ip('-n', hub, 'link', 'add', `port${i}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', own);
        ip('-n', hub, 'link', 'set', `port${i}`, 'master', 'bridge', 'up');
        ip('-n', own, 'link', 'set', 'lo', 'up');
        ip('-n', own, 'address', 'add', `${this.address(machine)}/24`, 'dev', 'eth0');
        ip('-n', own, 'link', 'set', 'eth0', 'up');
      }
    } catch (error) {
      this.close();
      throw error;
    }
  }

  address(machine: string): string {
    return `10.213.0.${1 + this.#machines.indexOf(machine)}`;
  }

  /** What to put in front of a program that is to run there. */
  under(machine: string): string[] {
    return ['ip', 'netns', 'exec', this.#namespace(machine)];
  }

  /**
   * From now on nothing of one machine reaches the other, nor the reverse; neither is told. It goes to a hardware address that nobody has:
   * a blackhole route would say so to whoever connects (EINVAL at once).
   */
  part(machine: string, others: readonly string[]): void {
    this.#each(machine, others, (from, to) =>
      ip('-n', from, 'neighbour', 'replace', to, 'lladdr', nobody, 'nud', 'permanent', 'dev', 'eth0'),
    );
  }

  /** As it was before. */
  heal(machine: string, others: readonly string[]): void {
    this.#each(machine, others, (from, to) => ip('-n', from, 'neighbour', 'delete', to, 'dev', 'eth0'));
  }

  /** Ends what still runs there. */
  close(): void {
    const existing = ip('netns', 'list').split('\n');
    for (const namespace of [...this.#machines, 'hub'].map(machine => this.#namespace(machine))) {
      if (!existing.some(line => line.split(' ')[0] === namespace)) continue;
      for (const pid of ip('netns', 'pids', namespace).split('\n').filter(Boolean)) end(Number(pid));
      ip('netns', 'delete', namespace);
    }
  }

  #namespace(machine: string): string {
    return this.#prefix + machine;
  }

  #each(machine: string, others: readonly string[], act: (from: string, to: string) => void): void {
    for (const other of others) {
      act(this.#namespace(machine), this.address(other));
      act(this.#namespace(other), this.address(machine));
    }
  }
}

/** Locally administered. */
const nobody = '02:00:00:00:00:99';

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

const ip = (...words: string[]): string => execFileSync('ip', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
