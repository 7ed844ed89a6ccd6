/**
 * The steps of the protocol, numbered through: those of training and, after those of each epoch, those of its validation. The number
 * alone says where the run stands.
 */
import type { Course } from '../trainer/course.ts';
import type { Position } from '../trainer/position.ts';
import type { Holding } from './messages.ts';

/** In one of these every lane predicts at most one group of validation cases. */
export const validationRounds = ({ validation, job }: Course): number => Math.ceil(validation.length / job.spec.training.lanes);

/** Where a run stands, `validated` rounds of the validation of its epoch being done. */
export const roundOf = (course: Course, { epoch, stepOfEpoch }: Position, validated: number): number =>
  (epoch - 1) * (course.stepsPerEpoch + validationRounds(course)) + stepOfEpoch + validated;

/** The step and the epoch after so many rounds: the reverse. */
export function placeOfRound(course: Course, round: number): { step: number; epoch: number; stepOfEpoch: number } {
  const perEpoch = course.stepsPerEpoch + validationRounds(course);
  const epochsDone = Math.floor(round / perEpoch);
  const stepOfEpoch = Math.min(round % perEpoch, course.stepsPerEpoch);
  return { step: epochsDone * course.stepsPerEpoch + stepOfEpoch, epoch: epochsDone + 1, stepOfEpoch };
}

/** Where the next step of training begins in the order of samples. */
export function placeInOrder(course: Course, { epoch, stepOfEpoch }: Position): Pick<Holding, 'epoch' | 'next'> {
  return stepOfEpoch === course.stepsPerEpoch
    ? { epoch: epoch + 1, next: 0 }
    : { epoch, next: stepOfEpoch * course.job.spec.training.batch };
}
