/**
 * Learning-rate schedules as pure functions of how far a run is and of how its validation went.
 */
import { z } from 'zod';

const factor = z.number().positive().lt(1).default(0.1).describe('By which the rate is multiplied each time.');

export const scheduleSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('constant') }).describe('no change'),
  z
    .strictObject({
      name: z.literal('cosine'),
      final: z.number().min(0).max(1).default(0).describe('Factor of the learning rate at the end of the run.'),
      warmupEpochs: z.number().min(0).default(0).describe('Epochs of linear rise from zero.'),
    })
    .describe('down along half a wave to the end of the run'),
  z
    .strictObject({
      name: z.literal('step'),
      epochs: z.array(z.int().min(1)).min(1).max(100).describe('Epochs (counted from 1) that begin with a lower rate.'),
      factor,
    })
    .describe('down at given epochs'),
  z
    .strictObject({
      name: z.literal('plateau'),
      patience: z.int().min(1).default(5).describe('Epochs without a better validation Jaccard before the rate is lowered.'),
      factor,
      minimum: z.number().min(0).lt(1).default(1e-3).describe('Smallest factor of the initial rate.'),
    })
    .describe('down when validation gets no better'),
]);
export type ScheduleSpec = z.infer<typeof scheduleSchema>;

export interface Progress {
  /** Steps done, and steps of the whole run. */
  readonly step: number;
  readonly stepsPerEpoch: number;
  readonly epochs: number;
  /** Validation scores of the epochs that are done, higher is better. */
  readonly scores: readonly number[];
}

/** The factor by which the initial learning rate is multiplied in the next step. */
export function learningRateFactor(spec: ScheduleSpec, { step, stepsPerEpoch, epochs, scores }: Progress): number {
  switch (spec.name) {
    case 'constant':
      return 1;
    case 'cosine': {
      const warmup = spec.warmupEpochs * stepsPerEpoch;
      if (step < warmup) return (step + 1) / warmup;
      const done = Math.min((step - warmup) / Math.max(epochs * stepsPerEpoch - warmup, 1), 1);
      return spec.final + (1 - spec.final) * 0.5 * (1 + Math.cos(Math.PI * done));
    }
    case 'step': {
      const epoch = Math.floor(step / stepsPerEpoch) + 1;
      return spec.factor ** spec.epochs.filter(start => epoch >= start).length;
    }
    case 'plateau': {
      let best = Number.NEGATIVE_INFINITY;
      let waited = 0;
      let factor = 1;
      for (const score of scores) {
        if (score > best) {
          best = score;
          waited = 0;
        } else if (++waited >= spec.patience) {
          factor *= spec.factor;
          waited = 0;
        }
      }
      return Math.max(factor, spec.minimum);
    }
  }
}
