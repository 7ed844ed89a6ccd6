/**
 * A run as TensorBoard shows it: event files in `tensorboard/` of the run folder. Every process that goes on with the run begins a file of its own,
 * and says from which step on; what an earlier one had written beyond is then not shown, nor is a record that was cut off.
 *
 * The events of the run (metrics.ndjson) stay the truth: where these files cannot be written the run goes on without them.
 */
import { closeSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fromSystemError } from '../errors.ts';
import type { Job } from '../spec.ts';
import { RunFolder } from '../storage/runFolder.ts';
import type { EpochEvent, StartEvent, StepEvent, TrainEvent } from './events.ts';
import { type Leaf, leavesOf, scalarsOf } from './scalars.ts';
import { type EventProto, encodeHParams, frameOf, type HParamsPluginData, type SummaryValue } from './tensorboardProto.ts';

const fileVersion = 'brain.Event:2';
const sessionStart = 1;

export class TensorBoardLog {
  readonly #job: Job;
  readonly #now: () => Date;
  readonly #onProblem: (sentence: string) => void;
  #folder = '';
  #descriptor: number | undefined;
  #step = 0;

  /** @param onProblem called once, with why nothing more is written */
  constructor(job: Job, { onProblem, now = () => new Date() }: { onProblem: (sentence: string) => void; now?: () => Date }) {
    this.#job = job;
    this.#onProblem = onProblem;
    this.#now = now;
  }

  take(event: TrainEvent | { readonly event: string }): void {
    try {
      this.#write(event as TrainEvent);
    } catch (error) {
      this.close();
      this.#onProblem((fromSystemError(error, `writing ${join(this.#folder, 'tensorboard')}`) as Error).message);
    }
  }

  /** @param failed how the run ended, where it was not by an event */
  close({ failed = false } = {}): void {
    if (this.#descriptor === undefined) return;
    try {
      if (failed) this.#tellEnd(2);
    } catch {
      // Perhaps the run has failed of the same.
    }
    closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #write(event: TrainEvent): void {
    if (event.event === 'start') return this.#begin(event);
    if (this.#descriptor === undefined) return;
    switch (event.event) {
      case 'step':
        if (event.step <= this.#step) this.#append({ step: event.step, sessionLog: { status: sessionStart } });
        this.#step = event.step;
        return this.#append({ step: event.step, summary: { value: valuesOf(event) } });
      case 'epoch':
        return this.#append({ step: event.step, summary: { value: valuesOf(event) } });
      case 'done':
        this.#append({ step: event.steps, summary: { value: overlaysIn(this.#folder) } });
        return this.#tellEnd(1);
    }
  }

  #begin({ folder, resumedAtStep }: StartEvent): void {
    this.#folder = folder;
    this.#step = resumedAtStep ?? 0;
    const to = join(folder, 'tensorboard');
    mkdirSync(to, { recursive: true });
    this.#descriptor = openNew(to, Math.floor(this.#seconds()));
    this.#append({ fileVersion });
    if (resumedAtStep !== undefined) this.#append({ step: resumedAtStep + 1, sessionLog: { status: sessionStart } });
    const { metadata, spec } = this.#job;
    const { seed, model, loss, training } = spec;
    const hparams = Object.fromEntries([...leavesOf({ seed, model, loss, training })].map(([path, value]) => [path, hparamOf(value)]));
    const sessionStartInfo = { hparams, groupName: metadata.name, startTimeSecs: this.#seconds() };
    this.#append({ summary: { value: [hparamsValue('_hparams_/session_start_info', { sessionStartInfo })] } });
  }

  #tellEnd(status: 1 | 2): void {
    const sessionEndInfo = { status, endTimeSecs: this.#seconds() };
    this.#append({ summary: { value: [hparamsValue('_hparams_/session_end_info', { sessionEndInfo })] } });
  }

  #append(event: Omit<EventProto, 'wallTime'>): void {
    const bytes = frameOf({ wallTime: this.#seconds(), ...event });
    for (let done = 0; done < bytes.length; ) done += writeSync(this.#descriptor!, bytes, done);
  }

  #seconds(): number {
    return this.#now().getTime() / 1000;
  }
}

/** TensorBoard reads the files of a folder in the order of their names. */
function openNew(folder: string, seconds: number): number {
  for (let number = 0; ; number++) {
    const name = `events.out.tfevents.${String(seconds).padStart(10, '0')}.${String(number).padStart(4, '0')}.segfleet`;
    try {
      return openSync(join(folder, name), 'wx');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
  }
}

const valuesOf = (event: StepEvent | EpochEvent): SummaryValue[] => scalarsOf(event).map(([tag, simpleValue]) => ({ tag, simpleValue }));

/** The pictures that a run leaves of its best, median and worst case. */
function overlaysIn(folder: string): SummaryValue[] {
  const { overlays } = new RunFolder(folder);
  return ['best', 'median', 'worst'].map(name => {
    const png = readFileSync(join(overlays, `${name}.png`));
    // Width and height stand at a fixed place in a PNG.
    const image = { width: png.readUInt32BE(16), height: png.readUInt32BE(20), colorspace: 3, encodedImageString: png };
    return { tag: `overlay/${name}`, image };
  });
}

const hparamsValue = (tag: string, data: HParamsPluginData): SummaryValue => ({
  tag,
  metadata: { pluginData: { pluginName: 'hparams', content: encodeHParams(data) } },
});

function hparamOf(value: Leaf): { numberValue: number } | { stringValue: string } | { boolValue: boolean } {
  if (typeof value === 'number') return { numberValue: value };
  return typeof value === 'string' ? { stringValue: value } : { boolValue: value };
}
