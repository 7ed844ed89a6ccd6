/**
 * Whether a run is over, and how.
 */
import { errorCodes } from '../../trainer/errors.ts';
import type { Said } from '../conditions.ts';
import type { Fleet } from '../fleet.ts';
import type { Observed } from '../plan.ts';
import { objectiveFields, progressFields, shownNumber } from '../progressFields.ts';
import type { ConditionType, JobStatus } from '../status.ts';
import { resultOf } from './completion.ts';
import type { Verdict } from './failure.ts';

export interface Outcome {
  readonly said: Partial<Record<ConditionType, Said>>;
  readonly fields: JobStatus;
}

/**
 * A run that has ended well has, whatever else went wrong.
 *
 * @param deadlineMs milliseconds until it was active for too long
 * @returns undefined: the run goes on
 */
export function outcomeOf(
  fleet: Fleet,
  { job, progress }: Observed,
  { verdict, deadlineMs }: { verdict?: Verdict; deadlineMs?: number },
): Outcome | undefined {
  const failed = (reason: string, message: string, exitCode: number): Outcome => ({
    said: { Failed: { status: 'True', reason, message } },
    fields: { phase: 'Failed', exitCode },
  });
  const result = resultOf(fleet, progress);
  if (result) {
    const { steps, jaccard, weightsDigest, objective } = result;
    const { steps: ofAll, epochs } = { ...job.status, ...(progress && progressFields(progress)) };
    const score = jaccard === undefined ? undefined : shownNumber(jaccard);
    const message = `the run has ended${steps === undefined ? '' : ` after ${steps} steps`}${score === undefined ? '' : `, with a validation Jaccard of ${score}`}`;
    return {
      said: { Complete: { status: 'True', reason: 'Completed', message } },
      fields: {
        ...{ phase: 'Succeeded', exitCode: 0 },
        ...(steps !== undefined && { step: steps }),
        ...(steps !== undefined && steps === ofAll && epochs !== undefined && { epoch: epochs, progress: `${epochs}/${epochs}` }),
        ...(score !== undefined && { metric: score }),
        ...(weightsDigest !== undefined && { weightsDigest }),
        ...objectiveFields({ ...job.status, ...objectiveFields(job.status ?? {}, progress?.objective) }, objective),
      },
    };
  }
  if (verdict) return failed(verdict.reason, verdict.message, verdict.exitCode);
  if (deadlineMs === 0) {
    const message = `the run was active for longer than activeDeadlineSeconds, ${job.spec.activeDeadlineSeconds}; another job with a later deadline can go on from its checkpoints`;
    return failed('DeadlineExceeded', message, errorCodes.preempted.exitCode);
  }
  return undefined;
}
