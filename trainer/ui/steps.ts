/**
 * The steps of one run as columns of numbers, taken from its log as that grows, and what a chart needs of them: never more points than it has pixels.
 */
import { type StepEvent, spentIn, type TrainEvent } from '../tracking/events.ts';
import type { Axis, SeriesPart } from './api.ts';

export const seriesNames = [
  'loss',
  'gradientNorm',
  'learningRate',
  'logShare',
  'seconds',
  'data',
  'exchange',
  'commit',
  'apply',
  'compute',
] as const;
export type SeriesName = (typeof seriesNames)[number];

/** Beyond so many steps every second one is forgotten, again and again. */
const mostKept = 2 ** 20;

export interface EpochPoint {
  readonly epoch: number;
  readonly step: number;
  readonly time: number;
  readonly loss: number;
  readonly validationLoss: number;
  readonly jaccard: number;
  readonly dice: number;
  readonly auc: number;
}

export interface CheckpointPoint {
  readonly step: number;
  readonly at: number;
  readonly bytes?: number;
  readonly seconds?: number;
}

type Timed = TrainEvent & { readonly time?: string };

export class Steps {
  /** Steps, seconds since 1970, and a column each. */
  #step = new Float64Array(1024);
  #time = new Float64Array(1024);
  #columns = new Map<SeriesName, Float32Array>(seriesNames.map(name => [name, new Float32Array(1024)]));
  length = 0;
  stride = 1;
  total = 0;
  damagedLines = 0;
  nonFinite = 0;
  workers: number | undefined;
  readonly epochs: EpochPoint[] = [];
  checkpoints = 0;
  checkpoint: CheckpointPoint | undefined;
  /** Names of those that any step has had. */
  readonly present = new Set<SeriesName>();

  /** @param line without its end */
  takeLine(line: string): void {
    if (line === '') return;
    try {
      const event = JSON.parse(line) as Timed;
      const time = Date.parse(event.time ?? '') / 1000;
      switch (event.event) {
        case 'step':
          return this.#takeStep(event, time);
        case 'epoch': {
          const { epoch, step, loss, validation } = event;
          const { pooled, auc } = validation;
          this.epochs.push({
            ...{ epoch, step, time, loss, validationLoss: validation.loss },
            ...{ jaccard: pooled.jaccard, dice: pooled.dice, auc: auc?.auc ?? Number.NaN },
          });
          return;
        }
        case 'checkpoint':
          this.checkpoints++;
          this.checkpoint = { step: event.step, at: 1000 * time, bytes: event.bytes, seconds: event.seconds };
          return;
        case 'start':
          this.workers = event.workers;
          return;
      }
    } catch {
      this.damagedLines++;
    }
  }

  #takeStep(event: StepEvent, time: number): void {
    const { step, loss, gradientNorm, learningRate, logShare, seconds } = event;
    if (typeof step !== 'number') throw new TypeError('a step without its number');
    // What is no number is written as null.
    if (typeof loss !== 'number' || typeof gradientNorm !== 'number') this.nonFinite++;
    if (this.total++ % this.stride !== 0) return;
    if (this.length === this.#step.length) this.#grow();
    const i = this.length++;
    this.#step[i] = step;
    this.#time[i] = time;
    const values: Readonly<Partial<Record<SeriesName, number>>> = {
      ...{ loss, gradientNorm, learningRate, logShare, seconds },
      ...spentIn(event),
    };
    for (const name of seriesNames) {
      const value = values[name];
      if (typeof value === 'number') this.present.add(name);
      this.#columns.get(name)![i] = value ?? Number.NaN;
    }
  }

  #grow(): void {
    if (this.length < mostKept) {
      const larger = <T extends Float64Array | Float32Array>(old: T): T => {
        const made = new (old.constructor as new (length: number) => T)(2 * old.length);
        made.set(old as never);
        return made;
      };
      [this.#step, this.#time] = [larger(this.#step), larger(this.#time)];
      this.#columns = new Map([...this.#columns].map(([name, column]) => [name, larger(column)]));
      return;
    }
    const half = this.length / 2;
    for (const column of [this.#step, this.#time, ...this.#columns.values()]) for (let i = 0; i < half; i++) column[i] = column[2 * i];
    this.length = half;
    this.stride *= 2;
  }

  get lastStep(): number {
    return this.length === 0 ? 0 : this.#step[this.length - 1];
  }

  /** Bytes of all columns. */
  get bytes(): number {
    return this.#step.length * (16 + 4 * seriesNames.length);
  }

  /** Where a step, or the end of an epoch, lies on an axis. */
  placeOf({ step, time }: { readonly step: number; readonly time: number }, axis: Axis): number {
    if (axis === 'step') return step;
    return axis === 'wall' ? time : time - this.#time[0];
  }

  /** @param range on the axis, both ends in it */
  indicesIn(axis: Axis, [from, to]: readonly [number, number]): [first: number, end: number] {
    const at = (i: number) => this.placeOf({ step: this.#step[i], time: this.#time[i] }, axis);
    const firstAt = (isThere: (x: number) => boolean) => {
      let [low, high] = [0, this.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (isThere(at(middle))) high = middle;
        else low = middle + 1;
      }
      return low;
    };
    return [firstAt(x => x >= from), firstAt(x => x > to)];
  }

  /** @param smooth weight of what was before, from 0 to below 1: an exponential moving average, without its bias at the begin */
  parts(
    names: readonly SeriesName[],
    { axis, range, points, smooth = 0 }: { axis: Axis; range: readonly [number, number]; points: number; smooth?: number },
  ): { x: number[]; series: Record<string, SeriesPart> } {
    const [first, end] = this.indicesIn(axis, range);
    const size = Math.max(1, Math.ceil((end - first) / points));
    const x: number[] = [];
    for (let i = first; i < end; i += size) {
      const last = Math.min(end, i + size) - 1;
      x.push(this.placeOf({ step: this.#step[last], time: this.#time[last] }, axis));
    }
    const series = Object.fromEntries(
      names.filter(name => this.present.has(name)).map(name => [name, summarised(this.#columns.get(name)!, { first, end, size, smooth })]),
    );
    return { x, series };
  }

  /** All that is kept, a row a step. */
  *rows(names: readonly SeriesName[]): Generator<(number | '')[]> {
    const columns = names.map(name => this.#columns.get(name)!);
    const shown = (value: number) => (Number.isNaN(value) ? '' : value);
    for (let i = 0; i < this.length; i++) yield [this.#step[i], this.#time[i], ...columns.map(column => shown(column[i]))];
  }
}

function summarised(
  column: Float32Array,
  { first, end, size, smooth }: { first: number; end: number; size: number; smooth: number },
): SeriesPart {
  const [mean, low, high]: (number | null)[][] = [[], [], []];
  let [average, weight] = [0, 0];
  // What is before the range counts too, as far as it still weighs.
  const begin = smooth > 0 ? Math.max(0, first - Math.ceil(Math.log(1e-3) / Math.log(smooth))) : first;
  for (let i = begin; i < first; i++) take(column[i]);
  for (let i = first; i < end; i += size) {
    let [sum, count, least, most] = [0, 0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let k = i; k < Math.min(end, i + size); k++) {
      const value = column[k];
      if (!Number.isFinite(value)) continue;
      sum += take(value);
      count++;
      if (value < least) least = value;
      if (value > most) most = value;
    }
    mean.push(count > 0 ? sum / count : null);
    low.push(count > 0 ? least : null);
    high.push(count > 0 ? most : null);
  }
  return { mean, low, high };

  function take(value: number): number {
    if (!Number.isFinite(value)) return 0;
    average = smooth * average + (1 - smooth) * value;
    weight = smooth * weight + (1 - smooth);
    return average / weight;
  }
}
