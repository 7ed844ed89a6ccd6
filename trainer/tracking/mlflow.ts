/**
 * A run as MLflow has it. The events of the run (metrics.ndjson) are the truth, and the server itself says what it has of them: of every metric the
 * highest step, beyond which all is sent, in order and with the times of the events. So each value is there once, whatever happens to this process, to
 * the server or to an answer in between; of a step that is done again the first doing stays, which is the same but for times. Nothing waits in memory:
 * what could not be delivered is read again from the file.
 */
import { existsSync, readFileSync } from 'node:fs';
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SegfleetError } from '../errors.ts';
import type { RunRecord } from '../runRecord.ts';
import { writeAtomically } from '../storage/files.ts';
import { RunFolder } from '../storage/runFolder.ts';
import { eventsIn, type StartEvent, type Told, type TrainEvent } from './events.ts';
import { identityOf } from './identity.ts';
import {
  type Metric,
  MlflowApi,
  MlflowRefusal,
  type MlflowRunInfo,
  type MlflowSettings,
  type MlflowStatus,
  type Pair,
} from './mlflowApi.ts';
import { leavesOf, scalarsOf } from './scalars.ts';

/** Limits of one request, and of texts in it. */
const maxMetrics = 1000;
const maxParams = 100;
const maxKey = 250;
const maxParam = 6000;
const maxTag = 5000;
/** Of the events, read at once. */
const chunkBytes = 2 ** 18;

const runTag = 'segfleet.run';

/** What is remembered in the run folder. */
interface Memory {
  readonly schema: 'segfleet/mlflow/1';
  readonly url: string;
  readonly run: string;
  readonly experimentId: string;
  readonly runId: string;
}

const statuses: Readonly<Record<RunRecord['status'], MlflowStatus>> = {
  running: 'RUNNING',
  succeeded: 'FINISHED',
  failed: 'FAILED',
  stopped: 'KILLED',
  paused: 'SCHEDULED',
};

/** The values of one event that MLflow can hold: it knows no undefined ones, and those that are not finite JSON cannot say. */
export function metricsOf(event: Told): Metric[] {
  if (event.event !== 'step' && event.event !== 'epoch') return [];
  const timestamp = Date.parse(event.time);
  return scalarsOf(event)
    .filter(([, value]) => Number.isFinite(value))
    .map(([key, value]) => ({ key, value, timestamp, step: event.step }));
}

/** The leaves of what a job says. */
export const paramsOf = ({ spec }: Pick<RunRecord['job'], 'spec'>): Pair[] =>
  [...leavesOf(spec)].map(([path, value]) => ({ key: nameOf(path), value: cut(String(value), maxParam) }));

/** MLflow takes letters, digits and _ - . / in names, and spaces. */
const nameOf = (path: string): string => cut(path.replaceAll(/[^\w\-. /]/g, '_'), maxKey);

const cut = (text: string, length: number): string => text.slice(0, length).toWellFormed();

export interface Delivered {
  readonly experimentId: string;
  readonly runId: string;
  /** Values that the server had not had. */
  readonly values: number;
}

interface There {
  readonly info: MlflowRunInfo['info'];
  readonly steps: Map<string, number>;
}

/** Brings what a run folder tells to MLflow. */
export class MlflowDelivery {
  readonly #folder: RunFolder;
  readonly #settings: MlflowSettings;
  readonly #api: MlflowApi;
  /** The run, and of every metric the highest step, as the server has said; undefined where it has to be asked. */
  #there: There | undefined;
  /** An open file stays itself when another takes its name. */
  #events: FileHandle | undefined;
  #offset = 0;

  constructor(folder: RunFolder, settings: MlflowSettings) {
    this.#folder = folder;
    this.#settings = settings;
    this.#api = new MlflowApi(settings);
  }

  /** All that is told by now. @throws MlflowAway, MlflowRefusal */
  async deliver(signal?: AbortSignal): Promise<Delivered> {
    try {
      return await this.#deliver(signal);
    } catch (error) {
      // Perhaps it was taken, and only the answer is lost.
      this.#there = undefined;
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.#events?.close();
    this.#events = undefined;
  }

  async #deliver(signal?: AbortSignal): Promise<Delivered> {
    const record = this.#folder.readRecord<RunRecord>();
    this.#there ??= await this.#find(record, signal);
    const { info, steps } = this.#there;
    const { run_id } = info;
    let values = 0;
    for await (const events of this.#unread()) {
      const metrics = events.flatMap(metricsOf).filter(({ key, step }) => step > (steps.get(key) ?? -1));
      for (let first = 0; first < metrics.length; first += maxMetrics) {
        const batch = metrics.slice(first, first + maxMetrics);
        await this.#api.post('runs/log-batch', { run_id, metrics: batch }, undefined, signal);
        for (const { key, step } of batch) steps.set(key, step);
        values += batch.length;
      }
    }
    const status = statuses[record.status];
    if (status !== info.status) {
      if (status === 'FINISHED') await this.#finish(info, record, signal);
      const end = record.endedAt !== undefined && { end_time: Date.parse(record.endedAt) };
      await this.#api.post('runs/update', { run_id, status, ...end }, undefined, signal);
      this.#there = { info: { ...info, status }, steps };
    }
    return { experimentId: info.experiment_id, runId: run_id, values };
  }

  /** What came out, and the files that show it where the server keeps such. */
  async #finish({ run_id, artifact_uri = '' }: MlflowRunInfo['info'], record: RunRecord, signal?: AbortSignal): Promise<void> {
    const tags = [
      { key: 'segfleet.best_epoch', value: String(record.best?.epoch) },
      { key: 'segfleet.weights_digest', value: String(record.weights?.digest) },
    ];
    await this.#api.post('runs/log-batch', { run_id, tags }, undefined, signal);
    const [, within] = /^mlflow-artifacts:\/([^/].*)$/.exec(artifact_uri) ?? [];
    if (within === undefined) return;
    const { job, record: file, results, curves, overlays } = this.#folder;
    const shown = await Promise.all([curves, overlays].map(async folder => (await readdir(folder)).map(name => [basename(folder), name])));
    for (const path of [[job], [file], [results]].map(([one]) => [basename(one)]).concat(shown.flat())) {
      await this.#api.putArtifact([within, ...path].join('/'), await readFile(join(this.#folder.path, ...path)), signal);
    }
  }

  /** The events that were not delivered by this process, a part at a time; what was yielded counts as delivered when the next is asked for. */
  async *#unread(): AsyncGenerator<Told[]> {
    const { ino } = await stat(this.#folder.events);
    if (this.#events && (await this.#events.stat()).ino !== ino) await this.close();
    if (!this.#events) {
      this.#events = await open(this.#folder.events);
      this.#offset = 0;
    }
    let buffer = Buffer.alloc(chunkBytes);
    for (;;) {
      const { bytesRead } = await this.#events.read(buffer, 0, buffer.length, this.#offset);
      const end = buffer.subarray(0, bytesRead).lastIndexOf('\n') + 1;
      if (end === 0 && bytesRead < buffer.length) return; // the rest is being written
      if (end === 0) {
        buffer = Buffer.alloc(2 * buffer.length);
        continue;
      }
      yield eventsIn(buffer.toString('utf8', 0, end));
      this.#offset += end;
    }
  }

  /** The run, made where it is not there. */
  async #find(record: RunRecord, signal?: AbortSignal): Promise<There> {
    const run = `${record.name} ${record.startedAt}`;
    const found = (await this.#remembered(run, signal)) ?? (await this.#searched(run, record, signal));
    const { info, data } = found;
    const { url } = this.#settings;
    const memory: Memory = { schema: 'segfleet/mlflow/1', url, run, experimentId: info.experiment_id, runId: info.run_id };
    await writeAtomically(this.#folder.mlflow, `${JSON.stringify(memory, null, 2)}\n`);
    // They cannot be changed: of a run that was made longer, the first number of epochs stays.
    const known = new Set(data.params?.map(({ key }) => key));
    const params = paramsOf(record.job).filter(({ key }) => !known.has(key));
    for (let first = 0; first < params.length; first += maxParams) {
      await this.#api.post('runs/log-batch', { run_id: info.run_id, params: params.slice(first, first + maxParams) }, undefined, signal);
    }
    return { info, steps: new Map(data.metrics?.map(({ key, step }) => [key, Number(step)])) };
  }

  async #remembered(run: string, signal?: AbortSignal): Promise<MlflowRunInfo | undefined> {
    const memory = readMemory(this.#folder.mlflow);
    if (memory?.url !== this.#settings.url || memory.run !== run) return undefined;
    const found = await orNone(this.#api.get<{ run: MlflowRunInfo }>('runs/get', { run_id: memory.runId }, 'run', signal));
    return found?.run;
  }

  /** By its tag, so that a process that was killed before it could remember leaves no second one. */
  async #searched(run: string, record: RunRecord, signal?: AbortSignal): Promise<MlflowRunInfo> {
    const experimentId = await this.#experiment(signal);
    const filter = `tags."${runTag}" = '${run.replaceAll("'", '')}'`;
    const search = { experiment_ids: [experimentId], filter, max_results: 1 };
    const { runs = [] } = await this.#api.post<{ runs?: MlflowRunInfo[] }>('runs/search', search, undefined, signal);
    if (runs.length > 0) return runs[0];
    const { sweep, trial, ...identity } = identityOf(record.job);
    const about = { loss: identity.loss, model: identity.model, dataset: identity.dataset, ...(sweep && { sweep, trial }) };
    const made = await this.#api.post<{ run: MlflowRunInfo }>(
      'runs/create',
      {
        experiment_id: experimentId,
        run_name: cut(record.name, maxKey),
        start_time: Date.parse(record.startedAt),
        tags: [
          { key: runTag, value: run },
          { key: 'mlflow.source.name', value: 'segfleet' },
          { key: 'mlflow.source.type', value: 'JOB' },
          ...Object.entries(about).map(([key, value]) => ({ key: `segfleet.${key}`, value: cut(value, maxTag) })),
        ],
      },
      'run',
      signal,
    );
    return made.run;
  }

  async #experiment(signal?: AbortSignal): Promise<string> {
    const { experiment: name } = this.#settings;
    const find = () =>
      orNone(
        this.#api.get<{ experiment: { experiment_id: string } }>(
          'experiments/get-by-name',
          { experiment_name: name },
          'experiment',
          signal,
        ),
      );
    const found = await find();
    if (found) return found.experiment.experiment_id;
    try {
      return (await this.#api.post<{ experiment_id: string }>('experiments/create', { name }, 'experiment_id', signal)).experiment_id;
    } catch (error) {
      // Another run of the sweep was quicker.
      const made = error instanceof MlflowRefusal && error.code === 'RESOURCE_ALREADY_EXISTS' ? await find() : undefined;
      if (made) return made.experiment.experiment_id;
      throw error;
    }
  }
}

const orNone = <T>(asked: Promise<T>): Promise<T | undefined> =>
  asked.catch(error => {
    if (error instanceof MlflowRefusal && error.code === 'RESOURCE_DOES_NOT_EXIST') return undefined;
    throw error;
  });

function readMemory(file: string): Memory | undefined {
  try {
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Memory) : undefined;
  } catch {
    return undefined; // the server will be asked
  }
}

export interface MlflowTrackerOptions {
  readonly settings: MlflowSettings;
  /** Called with a sentence when the server cannot be reached or refuses: the first time, and at the end. */
  readonly onProblem: (sentence: string) => void;
  /** The command that delivers what is in a run folder. */
  readonly laterWith: (folder: string, url: string) => string;
  /** What is told is delivered so often. @default 5000 */
  readonly everyMs?: number;
  /** Between attempts at a server that does not answer: doubled each time, up to the last. @default [1000, 60_000] */
  readonly againMs?: readonly [number, number];
  /** At the end, what is left to be delivered may take so long. @default 10_000 */
  readonly patienceMs?: number;
}

/** A run that was asked to stop has little time. */
const patienceOfStoppedMs = 3000;

/** Delivers while a run goes on, beside it: it never waits for the server but at its end, and that for a short time. */
export class MlflowTracker {
  readonly #options: Required<MlflowTrackerOptions>;
  #folder = '';
  #delivery: MlflowDelivery | undefined;
  #timer: NodeJS.Timeout | undefined;
  #delivering: Promise<void> | undefined;
  #isBehind = false;
  #isClosing = false;
  #hasRefused = false;
  /** Attempts that failed since the last that did not. */
  #failures = 0;
  #hasWarned = false;
  /** Of the last attempt. */
  #problem: Error | undefined;
  readonly #stop = new AbortController();

  constructor(options: MlflowTrackerOptions) {
    this.#options = { everyMs: 5000, againMs: [1000, 60_000], patienceMs: 10_000, ...options };
  }

  take(event: TrainEvent | { readonly event: string }): void {
    if (event.event === 'start') {
      this.#folder = (event as StartEvent).folder;
      this.#delivery = new MlflowDelivery(new RunFolder(this.#folder), this.#options.settings);
      return this.#schedule(0);
    }
    if (event.event !== 'step' && event.event !== 'epoch') return;
    this.#isBehind = true;
    if (!this.#timer && !this.#delivering) this.#schedule(this.#options.everyMs);
  }

  /** @param signal aborted where the run was asked to stop */
  async close({ signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    if (!this.#delivery) return;
    const { patienceMs, againMs, settings, laterWith, onProblem } = this.#options;
    this.#isClosing = true;
    clearTimeout(this.#timer);
    const giveUp = setTimeout(() => this.#stop.abort(), signal?.aborted ? Math.min(patienceMs, patienceOfStoppedMs) : patienceMs);
    await this.#delivering;
    let problem: Error | undefined;
    for (let wait = againMs[0] / 4; ; wait *= 2) {
      problem = await this.#attempt();
      if (!problem || problem instanceof MlflowRefusal || this.#stop.signal.aborted) break;
      await sleep(wait, undefined, { signal: this.#stop.signal }).catch(() => {});
      if (this.#stop.signal.aborted) break;
    }
    clearTimeout(giveUp);
    await this.#delivery.close();
    if (problem) {
      onProblem(
        `MLflow at ${settings.url} ${problem.message}: not all of the run is there; deliver it later with \`${laterWith(this.#folder, settings.url)}\``,
      );
    }
  }

  #schedule(afterMs: number): void {
    if (this.#hasRefused || this.#isClosing) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#delivering = this.#work();
    }, afterMs);
    this.#timer.unref();
  }

  async #work(): Promise<void> {
    this.#isBehind = false;
    const { everyMs, againMs, settings, onProblem } = this.#options;
    const problem = await this.#attempt();
    this.#delivering = undefined;
    if (!problem) {
      this.#failures = 0;
      return this.#isBehind ? this.#schedule(everyMs) : undefined;
    }
    if (!this.#hasWarned && !this.#isClosing) {
      const then = problem instanceof MlflowRefusal ? 'the run goes on without it' : 'the run goes on, and tells it when it answers';
      onProblem(`MLflow at ${settings.url} ${problem.message}: ${then}`);
      this.#hasWarned = true;
    }
    this.#hasRefused = problem instanceof MlflowRefusal;
    this.#schedule(Math.min(againMs[0] * 2 ** this.#failures++, againMs[1]));
  }

  async #attempt(): Promise<Error | undefined> {
    try {
      await this.#delivery!.deliver(this.#stop.signal);
      this.#problem = undefined;
    } catch (error) {
      // One that was given up says less than the one before.
      if (!this.#problem || !this.#stop.signal.aborted) this.#problem = error as Error;
    }
    return this.#problem;
  }
}

/** All of a run that nobody writes to. @throws unavailable, notAllowed, notFound, conflict */
export async function deliverToMlflow(folder: RunFolder, settings: MlflowSettings, signal?: AbortSignal): Promise<Delivered> {
  folder.readRecord();
  const release = await folder.lock();
  const delivery = new MlflowDelivery(folder, settings);
  try {
    return await delivery.deliver(signal);
  } catch (error) {
    if (error instanceof SegfleetError) throw error;
    throw new SegfleetError(
      error instanceof MlflowRefusal ? codeOf(error) : 'unavailable',
      `MLflow at ${settings.url} ${(error as Error).message}; what is there stays, so the command may be given again`,
      { cause: error },
    );
  } finally {
    await delivery.close();
    await release();
  }
}

const codeOf = ({ status }: MlflowRefusal) => (status === 401 || status === 403 ? 'notAllowed' : status === 404 ? 'notFound' : 'usage');
