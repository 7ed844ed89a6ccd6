/**
 * One look at a job: from what is there to what is to be done, as plain data. It keeps nothing in mind but the status: an operator that is started again,
 * or another one, comes to the same plan. Carrying a plan out brings the job to where the next look finds nothing to do, until something happens.
 */
import { errorCodes } from '../trainer/errors.ts';
import type { Job } from '../trainer/spec.ts';
import { conditionOf, isTrue, type Said } from './conditions.ts';
import { logOf, withLog } from './failureLog.ts';
import { type Fleet, fleetOf, isFinished, isOwnedBy, queueOf } from './fleet.ts';
import { annotations, operatorName } from './names.ts';
import type { KubeObject, TrainingJob } from './objects.ts';
import type { Context, Observed, Plan } from './plan.ts';
import { accept, summaryOf } from './policies/acceptance.ts';
import { isFinishing, isWithoutWorkers, lastMomentsMs, released } from './policies/completion.ts';
import { activity, deadlineInMs } from './policies/deadline.ts';
import { type Judgement, judge } from './policies/failure.ts';
import { lostJobs, nextLossInMs } from './policies/lost.ts';
import { outcomeOf } from './policies/outcome.ts';
import { type Asks, isQueued, running, suspending } from './policies/suspend.ts';
import { obstacle } from './policies/taken.ts';
import { expiresInMs } from './policies/ttl.ts';
import { patienceMs, rejection, waiting } from './policies/waiting.ts';
import { objectiveFields, progressFields, stoppedFields } from './progressFields.ts';
import { numDone, queued, runEnded, standingOf, steadied } from './readiness.ts';
import { jobFileIn, keysIn, missingChildren } from './resources/children.ts';
import { coordinatorJob } from './resources/coordinatorJob.ts';
import { type Recipe, selectorOf } from './resources/owner.ts';
import { workersJob } from './resources/workersJob.ts';
import { planOf, stated } from './statement.ts';
import type { JobStatus } from './status.ts';
import { type Changes, noChanges, refTo, steer, together } from './steer.ts';
import { timestamp } from './timestamp.ts';

/** Events and children that a watch should have shown are looked for after such a time. */
const soonMs = 5000;

export function reconcile(observed: Observed, context: Context): Plan {
  const { job } = observed;
  const before = job.status ?? {};
  if (isSomebodyElses(job) || job.metadata.deletionTimestamp !== undefined) return { ...noChanges, status: before, events: [] };
  if (isOver(before)) return afterTheEnd(observed, context);
  const accepted = accept(job, context.settings);
  if ('refusal' in accepted) return refuse(observed, accepted.refusal, context);
  // Before anything is made of it: what is frozen must not depend on when an operator was stopped.
  if (before.lanes === undefined) return freeze(observed, accepted.job, context);
  return carryOn(observed, accepted.job, context);
}

const isSomebodyElses = ({ spec }: TrainingJob) => spec.managedBy !== undefined && spec.managedBy !== operatorName;

/** A job that was refused may be changed, or an operator have more to offer; a run that has ended has ended. */
const isOver = (status: JobStatus) => isTrue(status, 'Complete') || (isTrue(status, 'Failed') && !isRefused(status));
const isRefused = (status: JobStatus) => conditionOf(status, 'Failed')?.reason === 'Refused';

function refuse({ job }: Observed, refusal: string, { now }: Context): Plan {
  const before = job.status ?? {};
  const said: Said = { status: 'False', reason: 'Refused', message: refusal };
  // What runs goes on as it is: an operator with other rules is no reason to throw a run away.
  if (before.lanes !== undefined) return planOf(before, stated(job, before, { Accepted: said }, {}, now));
  const completionTime = before.completionTime ?? timestamp(now);
  const ended = { phase: 'Failed', completionTime, exitCode: errorCodes.usage.exitCode } as const;
  const status = stated(job, before, { Accepted: said, Failed: { ...said, status: 'True' } }, ended, now);
  return { ...planOf(before, status), ...expiry(job, status, now) };
}

function freeze({ job }: Observed, accepted: Job, { now }: Context): Plan {
  const before = job.status ?? {};
  const { spec } = accepted;
  const selector = Object.entries(selectorOf(job, 'worker')).map(label => label.join('='));
  const frozen = { lanes: spec.training.lanes, maxWorkers: spec.workers.max, selector: selector.join(',') };
  const fields = { ...frozen, phase: 'Pending', workers: 0, completionTime: undefined, exitCode: undefined } as const;
  const status = stated(job, before, { Accepted: acceptance(accepted), Failed: undefined }, fields, now);
  return { ...planOf(before, status), requeueAfterMs: soonMs };
}

const acceptance = (accepted: Job): Said => ({ status: 'True', reason: 'Accepted', message: summaryOf(accepted) });

/** Pods are or were made. */
const hasBegun = ({ coordinator, workers }: Fleet) => [coordinator.job, workers.job].some(job => job !== undefined && !job.spec.suspend);

function carryOn(observed: Observed, accepted: Job, context: Context): Plan {
  const { job, progress, lastCheckpoint } = observed;
  const { now, settings } = context;
  const before = job.status ?? {};
  const { spec } = accepted;
  const size = spec.workers.replicas;
  const recipe: Recipe = { owner: job, job: accepted, settings };
  const fleet = fleetOf(observed, now);
  const children = observed.children.filter(child => isOwnedBy(child, job));
  const queue = queueOf(job);

  const finishing = isFinishing(fleet, progress);
  const judgement = judge(fleet, { before, budgets: spec.restarts, isStopping: spec.suspend, isFinishing: finishing });
  const startTime = before.startTime ?? (hasBegun(fleet) ? timestamp(now) : undefined);
  const active = activity(before, startTime !== undefined && !spec.suspend && !isQueued(fleet, queue), now);
  const kept: JobStatus = {
    ...(progress && progressFields(progress)),
    ...objectiveFields(before, progress?.objective),
    ...(fleet.coordinator.live.length === 0 && stoppedFields(before, lastCheckpoint)),
    ...active,
    startTime,
    ...failureFields(judgement, observed),
    workers: fleet.workers.ready.length,
  };

  const outcome = outcomeOf(fleet, observed, {
    verdict: judgement.verdict,
    deadlineMs: deadlineInMs(active, spec.activeDeadlineSeconds, now),
  });
  if (outcome) {
    const fields = { ...kept, ...activity(active, false, now), ...outcome.fields, completionTime: timestamp(now), eta: undefined };
    const said = { ...outcome.said, PodsReady: runEnded, ...(conditionOf(before, 'Suspended') && { Suspended: runEnded }) };
    const status = stated(job, before, said, fields, now);
    return { ...planOf(before, status, judgement), ...release(fleet, status, now), ...logOf(status, observed) };
  }

  const asks = asksOf(fleet, observed, { recipe, children, queue, now });
  const made = makers(recipe, size, children);
  const changes = together(
    missingChildren(recipe, size, observed.children, context.makeKeys),
    steer(fleet.coordinator, asks.coordinator, { make: made.coordinator }),
    steer(fleet.workers, asks.workers, { size, make: made.workers }),
  );
  const wanted = { size, min: spec.workers.min, isFinishing: finishing };
  const expected = {
    coordinator: asks.coordinator === 'run' ? 1 : 0,
    workers: asks.workers === 'run' && !finishing && !isQueued(fleet, queue) ? size - numDone(fleet) : 0,
  };
  const lack = waiting(fleet, observed, expected, now);
  const problem =
    rejection(observed) ??
    obstacle(observed, fleet, notReadySince(before), now) ??
    steadied(lack, observed.events, before) ??
    queued(fleet, queue);
  const standing = standingOf(fleet, before, { isSuspending: spec.suspend, wanted, problem });
  const fields = { ...kept, phase: standing.phase, ...(standing.phase !== 'Running' && { eta: undefined }) };
  const said = isTrue(before, 'Accepted') ? standing.said : { ...standing.said, Accepted: acceptance(accepted) };
  const status = stated(job, before, said, fields, now);
  const from = fleet.workers.job?.spec.completions;
  const isResized = changes.apply.some(({ kind, spec }) => kind === 'Job' && (spec as { completions?: number }).completions !== undefined);
  return {
    ...planOf(before, status, {
      news: judgement.news,
      resized: isResized && from !== undefined && from !== size ? { from, to: size } : undefined,
    }),
    ...changes,
    ...logOf(status, observed),
    needsEvents: lack.needsEvents,
    requeueAfterMs: soonest(
      deadlineInMs(status, spec.activeDeadlineSeconds, now),
      nextLossInMs(fleet, now),
      lack.needsEvents || isPartial(fleet, expected) || !made.coordinator ? patienceMs : undefined,
    ),
  };
}

function afterTheEnd(observed: Observed, { now }: Context): Plan {
  const { job } = observed;
  const before = job.status!;
  const firstFailure = withLog(before.firstFailure, observed);
  const workers = fleetOf(observed, now).workers.ready.length;
  const status = stated(job, before, {}, { workers, ...(firstFailure && { firstFailure }) }, now);
  const gone = expiry(job, status, now);
  const releasing = release(fleetOf(observed, now), status, now);
  if (gone.remove.length > 0) return { ...planOf(before, status), ...gone };
  return {
    ...planOf(before, status),
    ...releasing,
    ...logOf(status, observed),
    requeueAfterMs: soonest(releasing.requeueAfterMs, gone.requeueAfterMs),
  };
}

/** Nothing of a run that is over holds anything, and it is deleted when its time is up. */
function release(fleet: Fleet, status: JobStatus, now: Date): Changes & Pick<Plan, 'requeueAfterMs'> {
  const sinceMs = now.getTime() - Date.parse(status.completionTime ?? timestamp(now));
  const hasSucceeded = isTrue(status, 'Complete');
  const asks = released(hasSucceeded, sinceMs);
  const changes = together(steer(fleet.coordinator, asks.coordinator, {}), steer(fleet.workers, asks.workers, { size: 1 }));
  const isWaiting = asks.workers === 'keep' && fleet.workers.job !== undefined && !isFinished(fleet.workers.job);
  return { ...changes, requeueAfterMs: isWaiting ? lastMomentsMs - sinceMs : undefined };
}

function expiry(job: TrainingJob, status: JobStatus, now: Date): Changes & Pick<Plan, 'requeueAfterMs'> {
  const inMs = expiresInMs(status, job.spec.ttlSecondsAfterFinished, now);
  return inMs === 0 ? { ...noChanges, remove: [refTo(job)] } : { ...noChanges, requeueAfterMs: inMs };
}

/** Pods with keys that are not there any more cannot talk to new ones; pods on lost nodes keep new ones from being made. */
function asksOf(
  fleet: Fleet,
  { progress }: Observed,
  { recipe, children, queue, now }: { recipe: Recipe; children: readonly KubeObject[]; queue?: string; now: Date },
): Asks {
  const { spec } = recipe.job;
  if (spec.suspend) return suspending(fleet);
  const asks = running(fleet, queue);
  const keys = keysIn(recipe, children)?.metadata.uid;
  const hasOldKeys = (job: KubeObject | undefined) =>
    job !== undefined && keys !== undefined && job.metadata.annotations?.[annotations.keys] !== keys;
  const lost = lostJobs(fleet, { size: spec.workers.replicas, min: spec.workers.min });
  const { coordinator, workers } = fleet;
  return {
    coordinator: hasOldKeys(coordinator.job) || lost.includes('coordinator') ? 'remove' : asks.coordinator,
    workers: hasOldKeys(workers.job) || lost.includes('workers') || isWithoutWorkers(fleet, progress, now) ? 'remove' : asks.workers,
  };
}

/** The two Jobs, once what their pods mount is there. */
function makers(recipe: Recipe, size: number, children: readonly KubeObject[]) {
  const keys = keysIn(recipe, children)?.metadata.uid;
  if (keys === undefined || !jobFileIn(recipe, children)) return {};
  return { coordinator: () => coordinatorJob(recipe, keys), workers: () => workersJob(recipe, size, keys) };
}

const notReadySince = (before: JobStatus) =>
  isTrue(before, 'PodsReady') ? undefined : conditionOf(before, 'PodsReady')?.lastTransitionTime;

const isPartial = ({ coordinator, workers }: Fleet, expected: { coordinator: number; workers: number }) =>
  coordinator.ready.length < expected.coordinator || workers.ready.length < expected.workers;

const failureFields = (judgement: Judgement, observed: Observed): JobStatus => ({
  restarts: judgement.restarts,
  firstFailure: withLog(judgement.firstFailure, observed),
  seen: judgement.seen,
});

function soonest(...times: readonly (number | undefined)[]): number | undefined {
  const given = times.filter(time => time !== undefined);
  return given.length > 0 ? Math.min(...given) : undefined;
}
