/**
 * What trials are compared by: a number that every epoch of a run reports.
 */

import { SegfleetError } from '../errors.ts';
import { metricCatalogue } from '../metrics/catalogue.ts';
import { metricNames } from '../metrics/counts.ts';
import { nearest } from '../nearest.ts';
import type { SweepSpec } from '../search/sweepSpec.ts';
import type { EpochEvent } from '../tracking/events.ts';

export interface Reported {
  readonly better: 'higher' | 'lower';
  readonly of: (epoch: EpochEvent) => number;
}

/** By name: pooled over all pixels where nothing else is said. */
const reported: Readonly<Record<string, Reported>> = {
  ...Object.fromEntries(
    metricNames.flatMap((name): [string, Reported][] => {
      const { better } = metricCatalogue[name];
      return [
        [`validation/${name}`, { better, of: ({ validation }) => validation.pooled[name] }],
        [`validation/${name}@perImage`, { better, of: ({ validation }) => validation.perImage[name] }],
      ];
    }),
  ),
  'validation/auc': { better: 'higher', of: ({ validation }) => validation.auc.auc },
  'validation/loss': { better: 'lower', of: ({ validation }) => validation.loss },
  'training/loss': { better: 'lower', of: ({ loss }) => loss },
};

/** What runs report under that name. @throws usage: no run does */
export function reportedAs(metric: string): Reported {
  const name = metric.replace(/^val\//, 'validation/');
  if (Object.hasOwn(reported, name)) return reported[name];
  if (name.startsWith('test/')) {
    throw new SegfleetError(
      'usage',
      `objective.metric is ${metric}, and what is chosen by the test part is not tested by it any more; choose by validation/${name.slice('test/'.length)}`,
    );
  }
  const known = Object.keys(reported);
  const near = nearest(name, known, 3);
  const guess = near ? `did you mean ${near}?` : `known are ${known.join(', ')}`;
  throw new SegfleetError('usage', `objective.metric is ${metric}, which no run reports; ${guess}`);
}

export class Objective {
  readonly #of: Reported['of'];
  readonly #sign: 1 | -1;
  readonly target: number | undefined;

  /** @throws usage: no run reports it, or it is looked for in the wrong direction */
  constructor({ metric, goal, target }: SweepSpec['objective']) {
    const found = reportedAs(metric);
    if ((found.better === 'higher') !== (goal === 'maximize')) {
      const other = goal === 'maximize' ? 'minimize' : 'maximize';
      throw new SegfleetError(
        'usage',
        `objective.goal is ${goal}, and of ${metric} the ${found.better} is the better one; write goal: ${other}`,
      );
    }
    this.#of = found.of;
    this.#sign = goal === 'maximize' ? 1 : -1;
    this.target = target;
  }

  valueOf(epoch: EpochEvent): number {
    return this.#of(epoch);
  }

  /** As strategies have it: larger is better. */
  turned(value: number): number {
    return this.#sign * value;
  }

  isBetter(value: number, than: number): boolean {
    return this.turned(value) > this.turned(than);
  }

  reaches(value: number): boolean {
    return this.target !== undefined && this.turned(value) >= this.turned(this.target);
  }
}
