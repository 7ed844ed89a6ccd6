/**
 * The end of a coordinator that will be started again elsewhere: a checkpoint, and then it goes without a word, so that its workers wait for its
 * successor instead of being started again too. Where they were asked to go as well, it ends with them as any other. In between the run stands still.
 */
import type { Coordinator } from './server.ts';
import type { CoordinatorEvent } from './serverMessages.ts';

/** A pod is killed 30 s after it was asked to go. A run that is suspended asks its workers to go at about the same time. */
const handOverMs = { save: 15_000, listen: 2000 };

export class HandOver {
  isDone = false;
  readonly #coordinator: Coordinator;
  readonly #since = performance.now();
  #saved: { readonly step: number; readonly at: number } | undefined;
  #isStopping = false;

  constructor(coordinator: Coordinator) {
    this.#coordinator = coordinator;
    coordinator.checkpoint();
  }

  durable(step: number): void {
    if (this.#isStopping) this.#coordinator.durable(step);
    else this.#saved = { step, at: performance.now() };
  }

  see(event: CoordinatorEvent): void {
    if (event.do !== 'status' || this.isDone || this.#isStopping) return;
    const now = performance.now();
    const { workers } = event.status;
    const isAlone = workers.length === 0 || workers.some(({ state }) => state === 'leaving');
    if (isAlone || (!this.#saved && now - this.#since > handOverMs.save)) {
      this.#isStopping = true;
      this.#coordinator.stop('preempted');
      if (this.#saved) this.#coordinator.durable(this.#saved.step);
    } else if (this.#saved && now - this.#saved.at > handOverMs.listen) {
      this.isDone = true;
      void this.#coordinator.close();
    }
  }
}
