/**
 * Worker processes of the exchange, as a coordinator would hold them.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { MeshOptions, MeshStats } from '../../coordinator/exchange/mesh.ts';
import type { Order } from './meshWorker.ts';

export interface State {
  readonly stats: MeshStats;
  readonly descriptors: number;
  readonly residentKilobytes: number;
}

export class MeshProcess {
  readonly process: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<never>>();
  #id = 0;

  /** @param under program and arguments to put in front */
  constructor(under: readonly string[] = []) {
    const [execPath, ...execArgv] = [...under, process.execPath, '--expose-gc'];
    this.process = fork(new URL('meshWorker.ts', import.meta.url), { serialization: 'advanced', execPath, execArgv });
    this.process.on('message', ({ id, answer, error }: { id: number; answer: never; error?: object }) => {
      const waiting = this.#waiting.get(id)!;
      this.#waiting.delete(id);
      if (error) waiting.reject(Object.assign(new Error(), error));
      else waiting.resolve(answer);
    });
    this.process.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the worker process ended'));
    });
  }

  ask<T>(order: Order): Promise<T> {
    const waiting = Promise.withResolvers<never>();
    this.#waiting.set(++this.#id, waiting);
    this.process.send({ id: this.#id, order });
    return waiting.promise;
  }

  /** @returns once the process is gone */
  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = once(this.process, 'exit');
    this.process.kill('SIGKILL');
    await gone;
  }
}

export interface Fleet extends AsyncDisposable {
  /** The folder of sockets; private. */
  readonly folder: string;
  readonly workers: readonly MeshProcess[];
  /** Opens a generation over the first so many workers and connects it. */
  open(options: Omit<MeshOptions, 'rank' | 'run' | 'listen'> & { readonly transport?: 'ipc' | 'shm' | 'tcp' }): Promise<string[]>;
}

export function startFleet(count: number): Fleet {
  const folder = mkdtempSync(join('/dev/shm', 'mesh-'));
  const workers = Array.from({ length: count }, () => new MeshProcess());
  return {
    folder,
    workers,
    open: async ({ transport = 'ipc', ...options }) => {
      const members = workers.slice(0, options.ranges.length);
      const listen = (rank: number) =>
        transport === 'tcp' ? 'tcp://127.0.0.1:*' : `${transport}://${folder}/${options.generation}.${rank}`;
      const open = (rank: number): Order => ({ do: 'open', options: { ...options, run: 'test', rank, listen: listen(rank) } });
      const endpoints = await Promise.all(members.map((worker, rank) => worker.ask<string>(open(rank))));
      await Promise.all(members.map(worker => worker.ask({ do: 'connect', endpoints })));
      return endpoints;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(workers.map(worker => worker.kill()));
      rmSync(folder, { recursive: true });
    },
  };
}
