/**
 * What each epoch of a run has shown of one metric, for whoever compares runs: the coordinator tells it with its progress, and with its last word.
 */
import { z } from 'zod';
import type { RunFolder } from '../trainer/storage/runFolder.ts';
import type { EpochReport } from '../trainer/sweep/journal.ts';
import { type Reported, reportedAs } from '../trainer/sweep/objective.ts';
import { readReports, reportOf } from '../trainer/sweep/runFiles.ts';
import type { LeadEvent } from './lead.ts';

const count = z.int().min(0);

/** Of longer runs those are kept that best values follow from. */
export const mostReports = 512;
/** So many fit into the last word of a process, which has 4096 bytes. */
const mostLastReports = 24;

export const reportsSchema = z.strictObject({
  metric: z.string().max(128).describe('What was asked for: validation/jaccard.'),
  reports: z
    .array(
      z.strictObject({
        epoch: count.describe('From 1.'),
        step: count.describe('Steps done by its end.'),
        value: z.number().optional().describe('Of the metric; not there where it was no finite number.'),
        jaccard: z.number().optional().describe('Of validation, pooled: the best epoch is that with the highest.'),
      }),
    )
    .max(mostReports)
    .describe('At the end of each epoch, by epoch.'),
});
export type ToldReports = z.infer<typeof reportsSchema>;
type ToldReport = ToldReports['reports'][number];

export class Reports {
  readonly #folder: RunFolder;
  readonly #metric: string;
  readonly #reported: Reported;
  #all: readonly ToldReport[] = [];

  /** @throws usage: no run reports the metric */
  constructor(folder: RunFolder, metric: string) {
    this.#folder = folder;
    this.#metric = metric;
    this.#reported = reportedAs(metric);
  }

  take(event: LeadEvent): void {
    const objective = { valueOf: this.#reported.of };
    if (event.event === 'restored') this.#all = readReports(this.#folder, objective).map(told);
    if (event.event === 'epoch') this.#all = joined(this.#all, [told(reportOf(event, objective))]);
  }

  /** With progress. */
  get told(): ToldReports {
    return { metric: this.#metric, reports: [...this.#thinned(mostReports)] };
  }

  /** With the last word. */
  get last(): ToldReports {
    return { metric: this.#metric, reports: [...this.#thinned(mostLastReports)] };
  }

  #thinned(most: number): readonly ToldReport[] {
    return thinned(this.#all, this.#reported.better, most);
  }
}

const told = ({ epoch, step, value, jaccard }: EpochReport): ToldReport => ({
  ...{ epoch, step },
  ...(value !== null && { value }),
  ...(jaccard !== null && { jaccard }),
});

/** Of an epoch that both tell of, the newer. */
export function joined(older: readonly ToldReport[], newer: readonly ToldReport[]): ToldReport[] {
  const byEpoch = new Map([...older, ...newer].map(report => [report.epoch, report]));
  return [...byEpoch.values()].sort((a, b) => a.epoch - b.epoch);
}

/** The newest of those that were better than all before, in the metric or in Jaccard, and the last one. */
export function thinned(reports: readonly ToldReport[], better: Reported['better'], most: number): readonly ToldReport[] {
  if (reports.length <= most) return reports;
  const sign = better === 'higher' ? 1 : -1;
  let [bestValue, bestJaccard] = [-Infinity, -Infinity];
  const kept = reports.filter(({ value, jaccard = -Infinity }, index) => {
    const turned = value === undefined ? -Infinity : sign * value;
    const isBetter = turned > bestValue || jaccard > bestJaccard;
    bestValue = Math.max(bestValue, turned);
    bestJaccard = Math.max(bestJaccard, jaccard);
    return isBetter || index === reports.length - 1;
  });
  return kept.slice(-most);
}
