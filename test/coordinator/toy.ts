/**
 * A training that is small enough to be seen through: the weights are one number, a lane's contribution a hash of weights, step and lane.
 * Any lane that is missing or doubled, any step that is applied twice or not at all, changes all numbers that follow.
 */
import type { LaneRange } from '../../coordinator/lanes.ts';
import type { Place } from '../../coordinator/ledger.ts';
import type { Samples } from '../../coordinator/messages.ts';
import { hash32 } from '../../trainer/random.ts';

const laneSum = (weights: number, step: number, lane: number): number => hash32(weights, step, lane) % 65_536;
export const applySum = (weights: number, step: number, sum: number): number => hash32(weights, step, sum);
export const firstWeights = 12345;

export function undisturbed(steps: number, lanes: number): number[] {
  const weights = [firstWeights];
  for (let step = 1; step <= steps; step++) {
    let sum = 0;
    for (let lane = 0; lane < lanes; lane++) sum += laneSum(weights[step - 1], step, lane);
    weights.push(applySum(weights[step - 1], step, sum));
  }
  return weights;
}

export interface ToyData {
  readonly lanes: number;
  readonly batch: number;
  /** Of an epoch. */
  readonly samples: number;
}

export function sumOf(weights: number, step: number, { start, end }: LaneRange): number {
  let sum = 0;
  for (let lane = start; lane < end; lane++) sum += laneSum(weights, step, lane);
  return sum;
}

/** Where the step after `step` begins. */
export function placeOf(step: number, { batch, samples }: ToyData): Place {
  const perEpoch = Math.ceil(samples / batch);
  return { epoch: Math.floor(step / perEpoch), next: (step % perEpoch) * batch };
}

/** Those that these lanes use in this step; the last batch of an epoch is short. */
export function samplesOf(step: number, { start, end }: LaneRange, data: ToyData): Samples {
  const { batch, samples, lanes } = data;
  const { epoch, next } = placeOf(step - 1, data);
  const size = Math.min(batch, samples - next);
  const at = (lane: number) => Math.floor((lane * size) / lanes);
  return { epoch, first: next + at(start), count: at(end) - at(start), of: samples };
}
