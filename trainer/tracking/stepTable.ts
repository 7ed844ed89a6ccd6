/**
 * `steps.csv`: the steps of a run for whoever reads tables. It is made of the events (metrics.ndjson) whenever a process begins to write to the run.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { writeAtomically } from '../storage/files.ts';
import type { StepEvent, TrainEvent } from './events.ts';

const columns: readonly (readonly [string, (step: StepEvent) => number | undefined])[] = [
  ['step', e => e.step],
  ['epoch', e => e.epoch],
  ['loss', e => e.loss],
  ['gradient_norm', e => e.gradientNorm],
  ['learning_rate', e => e.learningRate],
  ['log_share', e => e.logShare],
  ['images', e => e.images],
  ['seconds', e => e.seconds],
  ['wait_seconds', e => e.waitSeconds],
  ['exchange_seconds', e => e.phases?.exchange],
  ['commit_seconds', e => e.phases?.commit],
  ['apply_seconds', e => e.phases?.apply],
];

const rowOf = (step: StepEvent): string => `${columns.map(([, value]) => value(step) ?? '').join(',')}\n`;

export class StepTable {
  readonly #descriptor: number;

  private constructor(file: string) {
    this.#descriptor = openSync(file, 'a');
  }

  /** With the steps of these events. */
  static async open(file: string, events: readonly TrainEvent[]): Promise<StepTable> {
    const header = `${columns.map(([name]) => name).join(',')}\n`;
    const rows = events.flatMap(event => (event.event === 'step' ? [rowOf(event)] : []));
    await writeAtomically(file, header + rows.join(''));
    return new StepTable(file);
  }

  append(step: StepEvent): void {
    writeSync(this.#descriptor, rowOf(step));
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}
