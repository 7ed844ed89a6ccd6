/**
 * How a job stands in relation to what somebody waits for, and a failed run as the error that it was.
 */
import { type ErrorCode, errorCodes, SegfleetError } from '../trainer/errors.ts';
import { conditionOf } from './conditions.ts';
import type { Goal } from './goals.ts';
import type { TrainingJob } from './objects.ts';

export const isOver = ({ status }: TrainingJob): boolean => status?.phase === 'Succeeded' || status?.phase === 'Failed';

/** The run's own exit code where it is one of ours; what ended a job from outside is a part of the work that failed. */
export function failureOf(job: TrainingJob): SegfleetError {
  const { status = {} } = job;
  const { exitCode, firstFailure } = status;
  const code = (Object.keys(errorCodes) as ErrorCode[]).find(code => errorCodes[code].exitCode === exitCode) ?? 'partial';
  const { reason, message } = conditionOf(status, 'Failed') ?? {};
  const why = message || firstFailure?.message || firstFailure?.reason || reason;
  return new SegfleetError(code, `${job.metadata.name} failed${why ? `: ${why}` : ''}`, {
    details: { job: job.metadata.name, ...(reason && { reason }), ...(firstFailure && { firstFailure }) },
  });
}

/**
 * @param job undefined: there is none (any more)
 * @returns whether the goal is reached; false: it may yet be
 * @throws what keeps it from ever being reached
 */
export function hasReached(goal: Goal, name: string, job: TrainingJob | undefined): boolean {
  if (!job) {
    if (goal === 'deleted') return true;
    throw new SegfleetError('notFound', `${name} was deleted while it was waited for`);
  }
  const { phase, observedGeneration } = job.status ?? {};
  if (goal === 'deleted') return false;
  if (phase === 'Failed') {
    if (goal === 'failed') return true;
    throw failureOf(job);
  }
  if (phase === 'Succeeded') {
    if (goal === 'complete') return true;
    throw new SegfleetError('conflict', `${name} has succeeded; it will not be ${goal} any more`);
  }
  // What the operator has not seen yet may change it: a job that was just resumed is still called suspended.
  const isCurrent = observedGeneration === job.metadata.generation;
  if (goal === 'running') return isCurrent && phase === 'Running';
  if (goal === 'suspended') return isCurrent && phase === 'Suspended';
  return false;
}
