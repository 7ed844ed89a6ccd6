/**
 * How far a log has been read, so that reading it again from there gives nothing twice and leaves nothing out: Kubernetes goes back to a whole second.
 */
import { nanosecondsOf } from './mergeLogs.ts';

export class LogPosition {
  /** Of the last line, as Kubernetes wrote it. */
  time: string | undefined;
  #nanoseconds = 0n;
  /** Lines that have the time of the last one. */
  #numThen = 0;
  #numAgain = 0;
  #isCatchingUp = false;

  /** The log is read again from the second of the last line. */
  goBack(): void {
    this.#numAgain = 0;
    this.#isCatchingUp = this.time !== undefined;
  }

  /** Whether a line of that time, the next of the log, has not been seen yet. */
  isNew(time: string): boolean {
    const nanoseconds = nanosecondsOf(time);
    if (this.#isCatchingUp) {
      if (nanoseconds < this.#nanoseconds) return false;
      if (nanoseconds === this.#nanoseconds && ++this.#numAgain <= this.#numThen) return false;
      this.#isCatchingUp = false;
    }
    this.#numThen = nanoseconds === this.#nanoseconds ? this.#numThen + 1 : 1;
    this.#nanoseconds = nanoseconds;
    this.time = time;
    return true;
  }
}
