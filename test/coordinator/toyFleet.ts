/**
 * A coordinator and worker processes of the toy on real sockets, for tests that kill them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createRunKeys, type RunKeys } from '../../coordinator/exchange/keys.ts';
import { defaultTiming, type RoundOptions } from '../../coordinator/round.ts';
import { Coordinator } from '../../coordinator/server.ts';
import type { CoordinatorEvent, Status } from '../../coordinator/serverMessages.ts';
import type { ToyOptions } from './toyWorker.ts';

const script = new URL('./toyWorker.ts', import.meta.url).pathname;
const digests = { job: 'j', code: 'c', data: 'd', library: 'l' };

export interface ToyEvent {
  readonly event: string;
  readonly id: string;
  readonly step: number;
  readonly generation: number;
  readonly weights: number;
  readonly rank: number;
  readonly workers: number;
  readonly code: string;
  readonly sentence: string;
}

export interface ToyProcess {
  readonly id: string;
  readonly child: ChildProcess;
  readonly events: ToyEvent[];
  readonly exited: Promise<number | null>;
  stderr: string;
}

export interface ToyFleetOptions {
  readonly lanes?: number;
  readonly steps?: number;
  readonly stepMs?: number;
  readonly min?: number;
  readonly expected?: number;
  readonly encrypted?: boolean;
  readonly timing?: Partial<RoundOptions['timing']>;
  readonly attempts?: number;
  /** The step whose checkpoint the first coordinator does not get to write the manifest of. */
  readonly unwritten?: number;
  readonly onEvent?: (event: ToyEvent, process: ToyProcess, fleet: ToyFleet) => void;
}

export class ToyFleet {
  readonly folder: string;
  readonly keys: RunKeys | undefined;
  readonly options: Required<Pick<ToyFleetOptions, 'lanes' | 'steps' | 'stepMs' | 'min' | 'expected'>> & ToyFleetOptions;
  readonly processes: ToyProcess[] = [];
  readonly history: CoordinatorEvent[] = [];
  coordinator!: Coordinator;
  status: Status | undefined;
  /** The step of the newest durable checkpoint. */
  savedStep = 0;
  #following: Promise<void> = Promise.resolve();

  private constructor(folder: string, keys: RunKeys | undefined, options: ToyFleetOptions) {
    this.folder = folder;
    this.keys = keys;
    this.options = { lanes: 4, steps: 20, stepMs: 20, min: 1, expected: 3, ...options };
  }

  static async start(options: ToyFleetOptions = {}): Promise<ToyFleet> {
    const folder = await mkdtemp(join(tmpdir(), 'toy-'));
    await chmod(folder, 0o700);
    const keys = options.encrypted ? await createRunKeys(join(folder, 'keys.json'), 'toy') : undefined;
    const fleet = new ToyFleet(folder, keys, options);
    await fleet.coordinate(1);
    return fleet;
  }

  /** Starts a coordinator; with a higher term, the successor of one that is gone. */
  async coordinate(term: number): Promise<void> {
    const { lanes, min, expected, timing, attempts = 5, unwritten } = this.options;
    const listen = this.keys ? (this.coordinator?.endpoint ?? 'tcp://127.0.0.1:*') : `ipc://${this.folder}/coordinator`;
    const round: RoundOptions = {
      term,
      lanes,
      workers: { min, expected },
      digests,
      attempts,
      savedStep: this.savedStep,
      timing: { ...defaultTiming, deadAfterMs: 1000, gatherMs: 3000, quarantineMs: 1000, ...timing },
    };
    const coordinator = await Coordinator.start({ run: 'toy', listen, keys: this.keys, round });
    this.coordinator = coordinator;
    this.#following = (async () => {
      for await (const event of coordinator.events) {
        if (event.do === 'status') this.status = event.status;
        else this.history.push(event);
        if (event.do !== 'checkpointed' || (term === 1 && event.step === unwritten)) continue;
        this.savedStep = event.step;
        coordinator.durable(event.step);
      }
    })();
  }

  add(id: string, options: Partial<ToyOptions> = {}): ToyProcess {
    const { lanes, steps, stepMs, onEvent } = this.options;
    const all: ToyOptions = {
      ...{ run: 'toy', id, coordinator: this.coordinator.endpoint, folder: this.folder, incarnation: 0, digests, capacity: lanes },
      ...{ lanes, steps, stepMs, batch: 8, samples: 50 },
      ...(this.keys && { keys: join(this.folder, 'keys.json') }),
      ...options,
    };
    const child = spawn(process.execPath, [script, JSON.stringify(all)], { stdio: ['ignore', 'pipe', 'pipe'] });
    const closed = new Promise<number | null>(resolve => child.on('close', resolve));
    const toy: ToyProcess = { id, child, events: [], exited: closed, stderr: '' };
    this.processes.push(toy);
    child.stderr!.on('data', chunk => {
      toy.stderr += chunk;
    });
    createInterface({ input: child.stdout! }).on('line', line => {
      const event = JSON.parse(line) as ToyEvent;
      toy.events.push(event);
      onEvent?.(event, toy, this);
    });
    return toy;
  }

  /** Waits for the end of the run and of all processes; what the coordinator said of it. */
  async end(): Promise<Extract<CoordinatorEvent, { do: 'end' }>> {
    await this.#following;
    const end = this.history.find(event => event.do === 'end');
    if (!end) throw new Error('the coordinator ended without a word');
    await Promise.all(this.processes.map(({ exited }) => exited));
    const complaints = this.processes.map(({ stderr }) => stderr).join('');
    if (complaints) throw new Error(complaints);
    return end;
  }

  /** The weights after each step, as those that applied it saw them: one number, or they did not agree. */
  weights(): Map<number, number> {
    const weights = new Map<number, number>();
    for (const { event, step, weights: value } of this.processes.flatMap(({ events }) => events)) {
      if (event !== 'applied') continue;
      if ((weights.get(step) ?? value) !== value) throw new Error(`two workers have other weights after step ${step}`);
      weights.set(step, value);
    }
    return weights;
  }

  committed(): number[] {
    return this.history.filter(event => event.do === 'committed').map(({ step }) => step);
  }

  async close(): Promise<void> {
    for (const { child } of this.processes) child.kill('SIGKILL');
    await Promise.all(this.processes.map(({ exited }) => exited));
    await this.coordinator.close();
    await rm(this.folder, { recursive: true });
  }
}
