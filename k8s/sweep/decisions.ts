/**
 * From a sweep to a plan: what the caches show of its trials, and what the API server refused.
 */
import type { Caches } from '../caches.ts';
import type { Clock } from '../clock.ts';
import type { Rejection } from '../effects.ts';
import type { Decider } from '../keeper.ts';
import type { Sweep } from '../objects.ts';
import type { Plan, Settings } from '../plan.ts';
import { Rejections } from '../rejections.ts';
import type { SweepStatus } from '../sweepStatus.ts';
import { reconcileSweep } from './reconcileSweep.ts';

export interface SweepDecisionsOptions {
  readonly caches: Pick<Caches, 'trialsOf' | 'find'>;
  readonly settings: Settings;
  readonly clock: Clock;
}

export class SweepDecisions implements Decider<Sweep> {
  readonly #options: SweepDecisionsOptions;
  readonly #rejections: Rejections;

  constructor(options: SweepDecisionsOptions) {
    this.#options = options;
    this.#rejections = new Rejections(options.caches);
  }

  async decide(key: string, sweep: Sweep): Promise<{ plan: Plan<SweepStatus> }> {
    const { caches, settings, clock } = this.#options;
    const observed = { sweep, jobs: caches.trialsOf(sweep), rejected: this.#rejections.of(key) };
    return { plan: reconcileSweep(observed, { now: clock.date(), settings }) };
  }

  noteRejection(key: string, sweep: Sweep, rejection: Rejection): void {
    this.#rejections.note(key, sweep, rejection);
  }

  isAcceptedBy(key: string, sweep: Sweep, plan: Plan<SweepStatus>): boolean {
    return this.#rejections.isOver(key, sweep, plan);
  }

  forget(key: string): void {
    this.#rejections.forget(key);
  }
}
