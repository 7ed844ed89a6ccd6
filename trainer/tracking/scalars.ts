/**
 * A run as trackers have it: named numbers by step, and the leaves of its job.
 */
import { metricNames } from '../metrics/counts.ts';
import type { EpochEvent, StepEvent } from './events.ts';

/** What a step or an epoch has measured, by the names under which trackers show it. */
export const scalarsOf = (event: StepEvent | EpochEvent): [name: string, value: number][] =>
  event.event === 'step' ? scalarsOfStep(event) : scalarsOfEpoch(event);

const scalarsOfStep = ({
  loss,
  gradientNorm,
  learningRate,
  logShare,
  images,
  seconds,
  waitSeconds,
}: StepEvent): [name: string, value: number][] => [
  ['loss/batch', loss],
  ['step/gradient_norm', gradientNorm],
  ['step/learning_rate', learningRate],
  ...(logShare === undefined ? [] : [['step/log_branch', logShare] as [string, number]]),
  ['time/images_per_second', images / seconds],
  ['time/wait_seconds', waitSeconds],
];

const scalarsOfEpoch = ({ epoch, loss, validation }: EpochEvent): [name: string, value: number][] => [
  ['epoch', epoch],
  ['loss/training', loss],
  ['loss/validation', validation.loss],
  ...metricNames.map((name): [string, number] => [`validation/${name}`, validation.pooled[name]]),
  ...metricNames.map((name): [string, number] => [`validation_per_image/${name}`, validation.perImage[name]]),
  ['validation/auc', validation.auc.auc],
];

/** What measures time, and so is not the same where a step is done again. */
export const isOfTime = (name: string): boolean => name.startsWith('time/');

export type Leaf = number | string | boolean;

/** Every number, text and switch, by its dotted path. */
export function* leavesOf(value: unknown, path = ''): Generator<[path: string, value: Leaf]> {
  if (typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean') yield [path, value];
  else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) yield* leavesOf(inner, path === '' ? key : `${path}.${key}`);
  }
}
