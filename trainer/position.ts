/**
 * Where a run stands between two steps, and how a step and the end of an epoch move it on: pure functions, so that every worker and
 * every resumed run comes to the same.
 */
import type { StepResult } from './program.ts';

/** All sums are over the epoch that is going on. */
export interface Position {
  /** Steps done in the whole run. */
  readonly step: number;
  /** The epoch that is going on, from 1. */
  readonly epoch: number;
  /** Steps of it that are done; when all are, validation comes next. */
  readonly stepOfEpoch: number;
  readonly lossSum: number;
  readonly images: number;
  /** Sum over steps of the share of units that were in the logarithmic branch. */
  readonly logShareSum: number;
  /** The same over the whole run. */
  readonly logShareTotal: number;
  /** Validation Jaccard of the epochs that are done. */
  readonly scores: readonly number[];
}

export const startOfRun: Position = {
  step: 0,
  epoch: 1,
  stepOfEpoch: 0,
  lossSum: 0,
  images: 0,
  logShareSum: 0,
  logShareTotal: 0,
  scores: [],
};

/** @param images of the step's batch */
export function afterStep(position: Position, { loss, logShare = 0 }: StepResult, images: number): Position {
  return {
    ...position,
    step: position.step + 1,
    stepOfEpoch: position.stepOfEpoch + 1,
    lossSum: position.lossSum + loss * images,
    images: position.images + images,
    logShareSum: position.logShareSum + logShare,
    logShareTotal: position.logShareTotal + logShare,
  };
}

/** @param score the pooled Jaccard of its validation */
export function afterEpoch({ step, epoch, logShareTotal, scores }: Position, score: number): Position {
  return { ...startOfRun, step, epoch: epoch + 1, logShareTotal, scores: [...scores, score] };
}

/** Whether the last epoch that is done was better than all before it. */
export const isBest = ({ scores }: Position): boolean => scores.slice(0, -1).every(earlier => scores.at(-1)! > earlier);

/** The epoch, from 1, with the highest score; of equal ones the first. */
export const bestEpoch = ({ scores }: Position): number => scores.indexOf(Math.max(...scores)) + 1;
