/**
 * Waits for a job to be something, through restarts of the API server.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Api } from './api.ts';
import { follow } from './follow.ts';
import type { Goal } from './goals.ts';
import { getJob, type JobName } from './jobs.ts';
import type { TrainingJob } from './objects.ts';
import { hasReached } from './outcome.ts';

export interface WaitOptions {
  readonly goal: Goal;
  /** Of the whole; by default without end. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
  /** Told where the job stands when that changes, and when the API server does not answer. */
  readonly say: (sentence: string) => void;
}

/**
 * @returns the job as it was then; undefined where it is deleted
 * @throws unavailable: not in time; the error of the run where it failed; interrupted
 */
export async function waitForJob(api: Api, name: JobName, options: WaitOptions): Promise<TrainingJob | undefined> {
  const { goal, timeoutMs, signal, say } = options;
  const ends = timeoutMs === undefined ? [signal] : [signal, AbortSignal.timeout(timeoutMs)];
  const { fieldSelector, namespace } = { fieldSelector: `metadata.name=${name.name}`, namespace: name.namespace };
  let job: TrainingJob | undefined;
  for await (const change of follow<TrainingJob>(api, 'TrainingJob', { fieldSelector, namespace, signal: AbortSignal.any(ends) })) {
    if (change.type === 'lost') say(`${change.why.message}; still waiting`);
    else if (change.type === 'back') say('the API server is back');
    else {
      const found = change.type === 'listed' ? change.objects.at(0) : change.type === 'changed' ? change.object : undefined;
      // Another job of that name is not the one that is waited for.
      const isSame = job === undefined || found?.metadata.uid === job.metadata.uid;
      if (!found && !job && goal !== 'deleted') await getJob(api, name);
      const current = isSame ? found : undefined;
      if (hasReached(goal, name.name, current)) return current;
      const [before, now] = [job, current].map(one => one && (one.status?.phase ?? 'Pending'));
      if (now !== before) say(`${name.name} is ${now}; waiting until it is ${goal}`);
      job = current;
    }
  }
  if (signal.aborted) throw new SegfleetError('interrupted', `interrupted; ${name.name} goes on as it is`);
  const phase = job?.status?.phase ?? 'Pending';
  throw new SegfleetError(
    'unavailable',
    `${name.name} is not ${goal} in time (it is ${phase}); wait longer with --timeout, or see \`status ${name.name}\``,
    {
      details: { phase, timeoutMs },
    },
  );
}
