/**
 * How a training run looks: one JSON line an event, a live block on a terminal, or one plain line an epoch.
 */
import { createLogUpdate } from 'log-update';
import type { FleetEvent, LeadEvent } from '../../coordinator/lead.ts';
import type { DoneEvent, EpochEvent, StartEvent, StepEvent } from '../../trainer/tracking/events.ts';
import { duration, number, percent, progressBar, sparkline } from './text.ts';

export interface TrainingViewOptions {
  readonly json: boolean;
  /** For next-command hints. */
  readonly program: string;
  /** The command that adds a worker to a run that is led from there. */
  readonly joinWith?: (endpoint: string) => string;
  readonly stdout?: NodeJS.WriteStream;
}

/** Step times are uneven (the first of a run, the last of an epoch): the estimate takes the middle of the last ones. */
const numRecentSteps = 32;

type WorkersEvent = Extract<FleetEvent, { event: 'workers' }>;

export class TrainingView {
  readonly #options: TrainingViewOptions;
  readonly #stdout: NodeJS.WriteStream;
  readonly #live: ReturnType<typeof createLogUpdate> | undefined;
  #start: StartEvent | undefined;
  #epochs: EpochEvent[] = [];
  #losses: number[] = [];
  #secondsPerImage: number[] = [];
  #step: StepEvent | undefined;
  #workers: WorkersEvent | undefined;

  constructor(options: TrainingViewOptions) {
    this.#options = options;
    this.#stdout = options.stdout ?? process.stdout;
    const isLive = !options.json && this.#stdout.isTTY && this.#stdout.columns > 0 && process.env.TERM !== 'dumb';
    this.#live = isLive ? createLogUpdate(this.#stdout) : undefined;
  }

  show(event: LeadEvent): void {
    if (this.#options.json) {
      if (event.event === 'workers' && !this.#isNews(event)) return;
      const events = event.event === 'epoch' && this.#workers ? [event, this.#workers] : [event];
      for (const one of events) this.#stdout.write(`${JSON.stringify({ time: new Date().toISOString(), ...one })}\n`);
      return;
    }
    switch (event.event) {
      case 'start':
        this.#start = event;
        return this.#print(this.#header(event));
      case 'step':
        this.#losses.push(event.loss);
        this.#secondsPerImage = [...this.#secondsPerImage, event.seconds / event.images].slice(-numRecentSteps);
        this.#step = event;
        return this.#draw();
      case 'listening':
        return this.#print(`one more worker: ${this.#options.joinWith?.(event.endpoint) ?? event.endpoint}`);
      case 'workers':
        this.#workers = event;
        return this.#draw();
      case 'lost':
        return this.#print(`worker ${event.worker} is gone after step ${event.afterStep}: it ${event.why}`);
      case 'epoch':
        this.#epochs.push(event);
        return this.#print(this.#epochLine(event));
      case 'checkpoint':
      case 'restored':
      case 'paused':
        return;
      case 'done':
        return this.#print(this.#ending(event));
      default:
        event satisfies never;
    }
  }

  tellMetrics(url: string): void {
    if (this.#options.json) this.#stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event: 'metrics', url })}\n`);
    else this.#print(`metrics for Prometheus: ${url}/metrics`);
  }

  /** Of something beside the run, which goes on. */
  tellProblem(message: string): void {
    if (this.#options.json) this.#stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event: 'problem', message })}\n`);
    else {
      this.#live?.clear();
      process.stderr.write(`warning: ${message}\n`);
    }
  }

  /** Leaves the cursor below what was written. */
  close(): void {
    this.#live?.done();
  }

  /** Of what is said twice a second: whether it is not only a moment later. */
  #isNews(event: WorkersEvent): boolean {
    const key = ({ generation, workers, dropped, refused }: WorkersEvent) =>
      JSON.stringify([generation, workers.map(({ id, rank }) => [id, rank]), dropped, refused]);
    const before = this.#workers;
    this.#workers = event;
    return before === undefined || key(before) !== key(event);
  }

  #draw(): void {
    const parts = [...(this.#step ? [this.#block(this.#step)] : []), ...(this.#workers ? [workersBlock(this.#workers, this.#start!)] : [])];
    if (parts.length > 0) this.#live?.(parts.join('\n'));
  }

  /** A line that stays, above the live block. */
  #print(text: string): void {
    this.#live?.clear();
    this.#stdout.write(`${text}\n`);
  }

  #header(start: StartEvent): string {
    const resumed = start.resumedAtStep === undefined ? '' : `, resumed at step ${start.resumedAtStep}`;
    const patches = start.patchesPerImage ? ` (${start.patchesPerImage} patches each)` : '';
    return [
      `${start.name}: ${start.model} (${start.parameters.toLocaleString('en')} parameters), loss ${start.loss}${resumed}`,
      `${start.trainingImages} training${patches} and ${start.validationImages} validation images, ${start.epochs} epochs of ${start.stepsPerEpoch} steps, batch ${start.batch}`,
      `TensorFlow ${start.tensorflow} (${start.library}) on ${start.workers === undefined ? start.devices.join(', ') : count(start.workers)}, ${start.precision}, ${start.threads} threads`,
    ].join('\n');
  }

  #block({ epoch, step, loss, logShare }: StepEvent): string {
    const { epochs, stepsPerEpoch, trainingImages, patchesPerImage = 1 } = this.#start!;
    const done = step / (epochs * stepsPerEpoch);
    const sorted = [...this.#secondsPerImage].sort((a, b) => a - b);
    const secondsPerImage = sorted[Math.floor(sorted.length / 2)];
    const remaining = (1 - done) * epochs * trainingImages * patchesPerImage * secondsPerImage;
    const last = this.#epochs.at(-1);
    const ofEpoch = ((step - 1) % stepsPerEpoch) + 1;
    return [
      `${progressBar(done, 30)} epoch ${epoch}/${epochs}, step ${ofEpoch}/${stepsPerEpoch}   ${number(1 / secondsPerImage, 1)} images/s   ${duration(remaining)} left`,
      `loss ${number(loss)} ${sparkline(this.#losses, 40)}${logShare === undefined ? '' : `   log branch ${percent(logShare, 0)}`}`,
      last
        ? `validation Jaccard ${number(last.validation.pooled.jaccard)} ${sparkline(this.#jaccards(), 40)}`
        : 'validation follows the epoch',
    ].join('\n');
  }

  #jaccards(): number[] {
    return this.#epochs.map(({ validation }) => validation.pooled.jaccard);
  }

  #epochLine({ epoch, loss, logShare, validation, imagesPerSecond, seconds, isBest }: EpochEvent): string {
    const log = logShare === undefined ? '' : `  log branch ${percent(logShare, 0)}`;
    return `epoch ${epoch}/${this.#start!.epochs}  loss ${number(loss)}${log}  validation loss ${number(validation.loss)}  Jaccard ${number(validation.pooled.jaccard)}  ${number(imagesPerSecond, 1)} images/s  ${duration(seconds)}${isBest ? '  best' : ''}`;
  }

  #ending({ folder, best, bestEpoch, stoppedEarly, steps, logShare, seconds, weightsDigest }: DoneEvent): string {
    const { program } = this.#options;
    return [
      '',
      ...(stoppedEarly ? [`stopped early after epoch ${steps / this.#start!.stepsPerEpoch}: the validation Jaccard rose no more`] : []),
      `best epoch ${bestEpoch}: validation Jaccard ${number(best.pooled.jaccard)} (pooled), ${number(best.perImage.jaccard)} (mean per image), Dice ${number(best.pooled.dice)}, AUC ${number(best.auc.auc)}`,
      ...(logShare === undefined ? [] : [`${percent(logShare)} of all steps were in the logarithmic branch`]),
      `${duration(seconds)}; weights digest ${weightsDigest}`,
      `run folder: ${folder} (curves/, overlays/, weights/, results.csv, run.json)`,
      'next:',
      `  ${program} evaluate ${folder}`,
      `  ${program} predict ${folder} IMAGE... --out predictions`,
    ].join('\n');
  }
}

/** One line a worker, and who keeps the others waiting. */
function workersBlock({ phase, workers }: WorkersEvent, { batch }: StartEvent): string {
  const members = workers.filter(({ rank }) => rank !== undefined);
  const times = members.flatMap(({ seconds }) => (seconds === undefined ? [] : [seconds])).sort((a, b) => a - b);
  const middle = times[Math.floor((times.length - 1) / 2)];
  const lanes = members.reduce((sum, worker) => sum + (worker.lanes ?? 0), 0);
  const lines = [...workers]
    .sort((a, b) => (a.rank ?? workers.length) - (b.rank ?? workers.length))
    .map(({ id, rank, state, seconds, lateMs = 0, silentMs, lanes: own = 0 }) => {
      const speed =
        seconds === undefined ? '' : `  ${number((batch * own) / lanes / seconds, 1)} images/s  lag ${number(lateMs / 1000, 1)} s`;
      // It computes longer than others, or its numbers come late although it does not.
      const isSlow = seconds !== undefined && times.length > 1 && (seconds > 1.5 * middle || lateMs / 1000 > middle / 2);
      const slow = isSlow ? '  slow' : '';
      return `  ${rank ?? '-'}  ${id}  ${state}${speed}${slow}${silentMs > 1000 ? `  silent for ${duration(silentMs / 1000)}` : ''}`;
    });
  const waiting = phase === 'boundary' && members.length === 0 ? ', waiting for more' : '';
  return [`${count(workers.length)}${waiting}`, ...lines].join('\n');
}

const count = (workers: number): string => `${workers} worker${workers === 1 ? '' : 's'}`;
