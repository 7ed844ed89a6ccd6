/**
 * What a worker has reported of its steps and no checkpoint covers yet. A coordinator that takes the run over, on another machine and
 * without the folder of the one before, asks for it, so that it can tell of every step. It travels with the state to newcomers.
 */
import { maxReports } from './messages.ts';

export interface StepReport {
  readonly step: number;
  readonly report: string;
}

/** Of one message, far below its limit: reports are escaped once more in it. */
const maxBytes = 100_000;

export class History {
  #reports: StepReport[];
  #savedStep: number | undefined;

  constructor(reports: readonly StepReport[] = []) {
    this.#reports = [...reports];
  }

  /** A step is applied only when the checkpoint before it is durable: what that covers is told of by whoever takes over from it. */
  add(applied: StepReport): void {
    const saved = this.#savedStep;
    if (saved !== undefined) this.#reports = this.#reports.filter(({ step }) => step > saved);
    this.#savedStep = undefined;
    this.#reports.push(applied);
  }

  /** A checkpoint of this step is on its way. */
  saving(step: number): void {
    this.#savedStep = step;
  }

  /** From this step on, in order, as many as one message carries. */
  from(first: number): StepReport[] {
    const wanted = this.#reports.filter(({ step }) => step >= first).slice(0, maxReports);
    let bytes = 0;
    const fits = wanted.findIndex(({ report }) => {
      bytes += Buffer.byteLength(JSON.stringify(report));
      return bytes > maxBytes;
    });
    // One alone always fits.
    return fits < 0 ? wanted : wanted.slice(0, Math.max(1, fits));
  }

  write(): string {
    return JSON.stringify(this.#reports);
  }

  static read(text: string): History {
    return new History(JSON.parse(text));
  }
}
