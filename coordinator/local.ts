/**
 * Many workers on this machine: a coordinator in this process, and each worker a process of its own. They meet in a folder that is this
 * user's alone; anyone who may enter it can start one more, or end one.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, rmSync, statfsSync } from 'node:fs';
import { chmod, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { programOf } from '../trainer/course.ts';
import { SegfleetError } from '../trainer/errors.ts';
import { countParameters, declareParameters } from '../trainer/models/layers.ts';
import type { RunRecord } from '../trainer/runRecord.ts';
import type { Job } from '../trainer/spec.ts';
import { RunFolder } from '../trainer/storage/runFolder.ts';
import { type LeadEvent, type LeadOptions, lead } from './lead.ts';

export interface LocalOptions extends Omit<LeadOptions, 'listen' | 'keys'> {
  /** Worker processes; at most `training.lanes`. */
  readonly workers: number;
}

const launcher = new URL(import.meta.url.endsWith('.ts') ? '../bin/segfleet.mjs' : '../../bin/segfleet.mjs', import.meta.url).pathname;

/** @throws usage: more workers than lanes; and as `lead` */
export async function* trainWithWorkers({ workers, ...options }: LocalOptions): AsyncGenerator<LeadEvent, RunRecord> {
  const { lanes } = options.job.spec.training;
  if (workers > lanes) {
    throw new SegfleetError(
      'usage',
      `--workers ${workers} is more than training.lanes, ${lanes}; a worker needs a lane at least. Another number of lanes is another training, as each lane has its own dropout and batch statistics: --set training.lanes=${workers}`,
    );
  }
  const job = withWorkers(options.job, workers);
  const folder = await mkdtemp(join(parentFolder(job), 'segfleet-'));
  await chmod(folder, 0o700);
  const remove = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', remove);
  const forsaken = new AbortController();
  const crew = new Crew(options.out, workers, job.spec.workers.min, error => forsaken.abort(error));
  const listen = `ipc://${folder}/coordinator`;
  try {
    return yield* lead({ ...options, job, listen, forsaken: forsaken.signal, onListening: endpoint => crew.start(endpoint) });
  } finally {
    await crew.end();
    process.off('exit', remove);
    remove();
  }
}

/** The result does not depend on it. */
const withWorkers = (job: Job, replicas: number): Job => {
  const { min, max } = job.spec.workers;
  return { ...job, spec: { ...job.spec, workers: { replicas, min: Math.min(min, replicas), max: Math.max(max, replicas) } } };
};

/** In memory, where there is room for what workers share: then no number goes through a socket. */
function parentFolder(job: Job): string {
  const memory = '/dev/shm';
  const { network, image } = programOf(job);
  const needed = 4 * job.spec.training.lanes * 4 * countParameters(declareParameters(network, image));
  if (!existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return bavail * bsize > needed ? memory : tmpdir();
}

interface Member {
  readonly id: string;
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  /** The last of what it wrote. */
  said: string;
}

/** The worker processes. One that is gone is started again only where too few are left to go on. */
class Crew {
  readonly #out: string;
  readonly #size: number;
  readonly #min: number;
  /** Called when all have failed. */
  readonly #forsake: (error: unknown) => void;
  readonly #members = new Map<string, Member>();
  #endpoint = '';
  #restarts = 0;
  #isEnding = false;

  constructor(out: string, size: number, min: number, forsake: (error: unknown) => void) {
    this.#out = resolve(out);
    this.#size = size;
    this.#min = min;
    this.#forsake = forsake;
  }

  start(endpoint: string): void {
    this.#endpoint = endpoint;
    for (let i = 1; i <= this.#size; i++) this.#spawn(`w${i}`, 0);
  }

  /** Waits for those that have heard of the end; the others are ended. */
  async end(): Promise<void> {
    this.#isEnding = true;
    const members = [...this.#members.values()];
    const timer = setTimeout(() => {
      for (const { child } of members) child.kill('SIGKILL');
    }, endPatienceMs);
    await Promise.all(members.map(({ exited }) => exited));
    clearTimeout(timer);
  }

  #spawn(id: string, incarnation: number): void {
    const job = new RunFolder(this.#out).job;
    const flags = ['--join', this.#endpoint, '--out', this.#out, '--id', id, '--incarnation', String(incarnation), '--json'];
    // A group of its own, so that Ctrl-C comes to this process alone. The channel says, when it breaks, that this process is gone.
    const child = spawn(process.execPath, [launcher, 'worker', job, ...flags], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const { promise, resolve: gone } = Promise.withResolvers<void>();
    const member: Member = { id, child, exited: promise, said: '' };
    this.#members.set(id, member);
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.on('data', chunk => {
        member.said = (member.said + chunk).slice(-4000);
      });
    }
    child.once('close', (code, signal) => {
      this.#members.delete(id);
      gone();
      if (!this.#isEnding) this.#lost(member, incarnation, code, signal);
    });
  }

  #lost({ id, said }: Member, incarnation: number, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#members.size >= this.#min) return;
    // Killed from outside: it may well go on. What ended by itself would end again.
    if (signal && this.#restarts < maxRestarts) {
      this.#restarts++;
      this.#spawn(id, incarnation + 1);
    } else if (this.#members.size === 0 && code !== 0) this.#forsake(workerError(id, said, signal ?? `exit code ${code}`));
  }
}

const endPatienceMs = 5000;
const maxRestarts = 100;

function workerError(id: string, said: string, how: string): unknown {
  const [, report] = /^\{"error":(\{.*\})\}$/m.exec(said) ?? [];
  if (!report) return new SegfleetError('bug', `the last worker, ${id}, ended (${how}): ${said.trim() || 'without a word'}`);
  const { code, message } = JSON.parse(report);
  return new SegfleetError(code, `worker ${id}: ${message}`);
}
