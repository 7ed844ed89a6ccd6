/**
 * The worker processes of a run that is under way, to be killed, stopped or added to.
 */
import { readFileSync } from 'node:fs';

/** Process ids of the workers that a run has started, by their name. */
export function workersOf(pid: number): Map<string, number> {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  const named = children.map(child => {
    const words = readFileSync(`/proc/${child}/cmdline`, 'utf8').split('\0');
    return [words[words.indexOf('--id') + 1], child, words.includes('worker')] as const;
  });
  return new Map(named.filter(([, , isWorker]) => isWorker).map(([id, child]) => [id, child]));
}

/** Whether it is there and not only waiting to be asked how it ended. */
export function isAlive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
