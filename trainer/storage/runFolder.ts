/**
 * The folder of a run: where everything about it lies, and who may write to it.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { writeAtomically } from './files.ts';

export const selections = ['best', 'last'] as const;
/** Weights of the epoch with the highest validation Jaccard, or of the last epoch. */
export type Selection = (typeof selections)[number];

export class RunFolder {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  /** The resolved job, paths relative to this folder. */
  get job(): string {
    return join(this.path, 'job.yaml');
  }
  get record(): string {
    return join(this.path, 'run.json');
  }
  get events(): string {
    return join(this.path, 'metrics.ndjson');
  }
  get results(): string {
    return join(this.path, 'results.csv');
  }
  /** One row a step. */
  get steps(): string {
    return join(this.path, 'steps.csv');
  }
  /** Which run of an MLflow server this one is. */
  get mlflow(): string {
    return join(this.path, 'mlflow.json');
  }
  /** All that the next step depends on, unless the job names another place; `--resume` begins here. */
  get checkpoints(): string {
    return join(this.path, 'checkpoints');
  }
  get curves(): string {
    return join(this.path, 'curves');
  }
  get overlays(): string {
    return join(this.path, 'overlays');
  }
  get weightsFolder(): string {
    return join(this.path, 'weights');
  }
  weights(selection: Selection): string {
    return join(this.weightsFolder, `${selection}.safetensors`);
  }
  get evaluations(): string {
    return join(this.path, 'evaluation');
  }
  evaluation(selection: Selection): string {
    return join(this.evaluations, selection);
  }

  /** What a run leaves besides its record, its checkpoints and what is of this machine alone. */
  get files(): readonly string[] {
    return [this.job, this.events, this.steps, this.results];
  }
  /** The same, of folders. */
  get folders(): readonly string[] {
    return [this.weightsFolder, this.curves, this.overlays, this.evaluations];
  }

  /** True where a run was begun here, even one that was killed before its first checkpoint. */
  get isRun(): boolean {
    return existsSync(this.record);
  }

  /**
   * Makes the folder for a new run.
   *
   * @param anew what a run leaves that was ended before its record was written may be there, and is written again
   * @throws conflict where something is there already
   */
  async create({ anew = false } = {}): Promise<void> {
    try {
      await mkdir(this.path, { recursive: true });
    } catch (error) {
      throw fromSystemError(error, `run folder ${this.path}`);
    }
    if (this.isRun) {
      throw new SegfleetError(
        'conflict',
        `${this.path} holds a run already; continue it with --resume, or choose another folder with --out`,
      );
    }
    const known = anew ? [...this.files, ...this.folders].map(file => basename(file)) : [];
    const [other] = readdirSync(this.path).filter(name => !name.startsWith('.') && !known.includes(name));
    if (other) throw new SegfleetError('conflict', `${this.path} is not empty (it holds ${other}); choose another folder with --out`);
  }

  /** Claims the folder for this process until `release`. @throws conflict while another process that is alive holds it */
  async lock(): Promise<() => Promise<void>> {
    const file = join(this.path, '.lock');
    for (let attempt = 0; ; attempt++) {
      try {
        const handle = await open(file, 'wx');
        await handle.writeFile(`${process.pid} ${startOf(process.pid)}`);
        await handle.close();
        return () => rm(file, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw fromSystemError(error, `run folder ${this.path}`);
        const [holder, start] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
        // In a container that is started again, its number is that of another process, or of a thread of one.
        const isThere = holder !== '' && Number(holder) !== process.pid && startOf(Number(holder)) === (start ?? startOf(Number(holder)));
        if (attempt > 0 || (isThere && existsSync(`/proc/${holder}`))) {
          throw new SegfleetError(
            'conflict',
            `process ${holder} is writing to ${this.path}; wait for it, or choose another folder with --out`,
            { details: { holder: Number(holder) } },
          );
        }
        await rm(file, { force: true }); // its holder is gone
      }
    }
  }

  /** @throws notFound, integrity */
  readRecord<T>(): T {
    if (!existsSync(this.record)) {
      throw new SegfleetError(
        'notFound',
        `${this.path} is not a run folder (it has no run.json); name the folder that \`segfleet train\` printed`,
      );
    }
    try {
      return JSON.parse(readFileSync(this.record, 'utf8')) as T;
    } catch (cause) {
      throw new SegfleetError('integrity', `${this.record} is not JSON; restore it, or train again`, { cause });
    }
  }

  writeRecord(record: unknown): Promise<void> {
    return writeAtomically(this.record, `${JSON.stringify(record, null, 2)}\n`);
  }
}

/** When a process was started, in ticks since the machine was; empty where there is none of that number. */
function startOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')[19];
  } catch {
    return '';
  }
}
