/**
 * What Sweeps tell Prometheus, read off their statuses: a series is there as long as its sweep goes on, and for a last few scrapes.
 */
import { clusterCellStates, maxSweeps } from '../../trainer/tracking/catalogue.ts';
import { conditionOf, isTrue } from '../conditions.ts';
import type { Metrics } from '../metrics.ts';
import type { Sweep } from '../objects.ts';

const shownAfterEndMs = 15 * 60_000;

export function measureSweeps(
  { sweepCells, sweepWaiting }: Pick<Metrics, 'sweepCells' | 'sweepWaiting'>,
  sweeps: Iterable<Sweep>,
  now: Date,
): void {
  sweepCells.reset();
  sweepWaiting.reset();
  const ageMs = (time: string) => Math.max(0, now.getTime() - Date.parse(time));
  const isShown = ({ status: { completionTime } = {} }: Sweep) => completionTime === undefined || ageMs(completionTime) < shownAfterEndMs;
  const begun = ({ metadata, status }: Sweep) => status?.startTime ?? metadata.creationTimestamp ?? '';
  const shown = [...sweeps].filter(isShown).sort((a, b) => begun(b).localeCompare(begun(a)));
  for (const { metadata, status = {} } of shown.slice(0, maxSweeps)) {
    const sweep = `${metadata.namespace}/${metadata.name}`;
    const { pending = 0, running = 0, stopped = 0, succeeded = 0, failed = 0 } = status.trials ?? {};
    const counts = { waiting: pending, running, stopped, succeeded, failed };
    for (const state of clusterCellStates) sweepCells.set({ sweep, state }, counts[state]);
    sweepWaiting.set({ sweep }, isTrue(status, 'Waiting') ? ageMs(conditionOf(status, 'Waiting')!.lastTransitionTime) / 1000 : 0);
  }
}
