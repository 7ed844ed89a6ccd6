/**
 * Why pods ended, what that costs, and when a job has failed for good.
 *
 * A pod that ends badly is made again by its Job. What that may cost is counted by cause: errors and pods out of memory have a budget each, disruptions
 * (preemption, eviction, drains, lost nodes) are nobody's fault and have one only where the job says so, and a fatal error ends the job at once. Pods
 * that end together for one reason count once: when the store is away, all workers and the coordinator end with the same exit code.
 */

import type { Restarts } from '../../trainer/clusterFields.ts';
import { type ErrorCode, errorCodes } from '../../trainer/errors.ts';
import { type Crew, type Fleet, indexOf, isFinished, jobCondition, podCondition, roleOf, terminatedOf } from '../fleet.ts';
import type { BatchJob, Pod } from '../objects.ts';
import { fatalExitCodes } from '../resources/podFailurePolicy.ts';
import type { Cause, FirstFailure, JobStatus, Seen } from '../status.ts';
import { lastWords } from '../terminationMessage.ts';
import { timestamp } from '../timestamp.ts';

export interface Failure {
  readonly uid: string;
  /** `worker 3` */
  readonly role: string;
  /** When it ended, in milliseconds. */
  readonly at: number;
  readonly what: FirstFailure;
}

export interface Verdict {
  readonly reason: string;
  readonly message: string;
  readonly exitCode: number;
}

export interface Judgement extends Pick<JobStatus, 'restarts' | 'firstFailure' | 'seen'> {
  /** Those that count and were not counted before. */
  readonly news: readonly Failure[];
  /** The job has failed. */
  readonly verdict?: Verdict;
}

export interface FailureOptions {
  readonly before: Pick<JobStatus, 'restarts' | 'firstFailure' | 'seen'>;
  readonly budgets: Restarts;
  /** The job is being suspended: that pods end is as it should be, unless they say that they could not go on. */
  readonly isStopping: boolean;
  /** The coordinator has what it needs of the workers: what becomes of them does not matter. */
  readonly isFinishing: boolean;
}

/** Pods that end with the same exit code in such a time end for the same reason. */
const togetherMs = 60_000;
/** Uids that the status remembers. */
const mostSeen = 64;

export function judge(fleet: Fleet, { before, budgets, isStopping, isFinishing }: FailureOptions): Judgement {
  const crews = [fleet.coordinator, fleet.workers];
  const ended = crews.flatMap(crew => crew.pods.flatMap(pod => failureOf(pod, crew) ?? [])).toSorted(byTime);
  const isKnown = seenBefore(before.seen);
  const counts = { errors: 0, outOfMemory: 0, disruptions: 0, ...before.restarts };
  const incidents: Incident[] = [];
  for (const failure of ended.filter(isKnown)) join(failure, incidents);
  const news: Failure[] = [];
  for (const failure of ended.filter(one => !isKnown(one))) {
    const { component, cause } = failure.what;
    const doesNotMatter = (isStopping && cause === 'disruption') || (isFinishing && component === 'worker');
    if (doesNotMatter || join(failure, incidents)) continue;
    news.push(failure);
    if (cause !== 'fatal') counts[budgetOf[cause]]++;
  }
  const firstFailure = theFirst([...(before.firstFailure ? [before.firstFailure] : []), ...news.map(({ what }) => what)]);
  return {
    news,
    firstFailure,
    restarts: counts.errors + counts.outOfMemory + counts.disruptions > 0 ? counts : before.restarts,
    seen: remember(ended, before.seen),
    verdict: verdictOf(news, counts, budgets, firstFailure) ?? verdictOfJobs(crews, isFinishing),
  };
}

const budgetOf = { error: 'errors', outOfMemory: 'outOfMemory', disruption: 'disruptions' } as const;

/** Of those that end at once a worker goes before the coordinator, which ends because of it. */
const byTime = (a: Failure, b: Failure) => a.at - b.at || (a.role < b.role ? 1 : -1);

/** What befell several pods at once. */
interface Incident {
  readonly first: Failure;
  readonly roles: Set<string>;
}

/** @returns whether it is one of those that there are; else it is a new one */
function join(failure: Failure, incidents: Incident[]): boolean {
  const known = incidents.find(({ first, roles }) => isLike(first, failure) && !roles.has(failure.role));
  // A pod in the same role that ends again has failed again.
  if (known) known.roles.add(failure.role);
  else incidents.push({ first: failure, roles: new Set([failure.role]) });
  return known !== undefined;
}

function isLike(a: Failure, b: Failure): boolean {
  if (Math.abs(a.at - b.at) > togetherMs || a.what.cause !== b.what.cause) return false;
  // How far a pod got before it was taken away says nothing.
  return a.what.cause === 'disruption' || a.what.exitCode === b.what.exitCode;
}

function seenBefore(seen: Seen | undefined): (failure: Failure) => boolean {
  const pods = new Set(seen?.pods);
  const until = Date.parse(seen?.until ?? '');
  return ({ uid, at }) => pods.has(uid) || at <= until;
}

/** Of pods that are gone nobody will ask again; of very many that stay, those up to some time were all seen. */
function remember(ended: readonly Failure[], before: Seen | undefined): Seen | undefined {
  if (ended.length === 0) return before?.until === undefined ? undefined : { pods: [], until: before.until };
  const open = before?.until === undefined ? ended : ended.filter(({ at }) => at > Date.parse(before.until!));
  const rest = open.slice(-mostSeen);
  const until = rest.length < open.length ? open[open.length - rest.length - 1].what.time : before?.until;
  return { pods: rest.map(({ uid }) => uid), ...(until !== undefined && { until }) };
}

/** What ended the job goes before what it got over; disruptions are none of its failures. */
function theFirst(failures: readonly FirstFailure[]): FirstFailure | undefined {
  const own = failures.filter(({ cause }) => cause !== 'disruption');
  return own.find(({ cause }) => cause === 'fatal') ?? own.at(0);
}

function verdictOf(
  news: readonly Failure[],
  counts: NonNullable<JobStatus['restarts']>,
  budgets: Restarts,
  first: FirstFailure | undefined,
): Verdict | undefined {
  const fatal = news.find(({ what }) => what.cause === 'fatal');
  if (fatal)
    return { reason: capital(fatal.what.reason), message: sentenceOf(fatal), exitCode: fatal.what.exitCode ?? errorCodes.bug.exitCode };
  const firstWas = first
    ? `; the first was ${first.component === 'coordinator' ? 'the coordinator' : 'a worker'} (pod ${first.pod}, ${first.reason})`
    : '';
  if (counts.errors > budgets.errors) {
    const code = first?.exitCode ?? -1;
    return {
      reason: 'RepeatedFailure',
      message: `pods failed ${counts.errors} times, and restarts.errors is ${budgets.errors}${firstWas}: see status.firstFailure`,
      exitCode: nameOf(code) ? code : errorCodes.bug.exitCode,
    };
  }
  if (counts.outOfMemory > budgets.outOfMemory) {
    return {
      reason: 'OutOfMemory',
      message: `pods ran out of memory ${counts.outOfMemory} times, and restarts.outOfMemory is ${budgets.outOfMemory}${firstWas}; raise pod.resources.limits.memory, or cut the batch into more lanes on more workers`,
      exitCode: errorCodes.resources.exitCode,
    };
  }
  if (budgets.disruptions !== undefined && counts.disruptions > budgets.disruptions) {
    return {
      reason: 'TooManyDisruptions',
      message: `pods were disrupted ${counts.disruptions} times, and restarts.disruptions is ${budgets.disruptions}; the run can go on from its checkpoint in another job`,
      exitCode: errorCodes.preempted.exitCode,
    };
  }
  return undefined;
}

/** A Job that has failed makes no pods any more, also where the pod that it failed for is gone. */
function verdictOfJobs(crews: readonly Crew[], isFinishing: boolean): Verdict | undefined {
  for (const { component, job } of crews) {
    const failed = jobCondition(job, 'Failed');
    if (!failed || (component === 'worker' && isFinishing)) continue;
    const exitCode = Number(/exit code (\d+)/.exec(failed.message ?? '')?.[1] ?? Number.NaN);
    return {
      reason: capital(nameOf(exitCode) ?? failed.reason ?? 'JobFailed'),
      message: `the Job of the ${component === 'worker' ? 'workers' : component} failed: ${failed.message || failed.reason || 'it does not say why'}`,
      exitCode: nameOf(exitCode) ? exitCode : errorCodes.bug.exitCode,
    };
  }
  return undefined;
}

/** `worker 3 (pod x on node y) ended with exit code 8 (diverged): what it said` */
export function sentenceOf({ role, what }: Failure): string {
  const { pod, node, cause, exitCode, reason, message } = what;
  const where = `${role} (pod ${pod}${node === undefined ? '' : ` on node ${node}`})`;
  const how =
    cause === 'disruption'
      ? `was disrupted (${reason})`
      : exitCode === undefined
        ? `ended (${reason})`
        : `ended with exit code ${exitCode} (${reason})`;
  return `${where} ${how}${message ? `: ${message}` : ''}`;
}

/** Undefined: it has not ended, or as it should. */
function failureOf(pod: Pod, crew: Crew): Failure | undefined {
  const judged = hasEndedBadly(pod, crew) ? causeOf(pod) : undefined;
  if (!judged) return undefined;
  const { metadata, spec } = pod;
  const terminated = terminatedOf(pod);
  const { message, log } = lastWords(terminated?.message);
  const said = message ?? pod.status?.message;
  return {
    uid: metadata.uid ?? metadata.name,
    role: roleOf(pod),
    at: endOf(pod),
    what: {
      pod: metadata.name,
      component: crew.component,
      ...(spec.nodeName && { node: spec.nodeName }),
      ...judged,
      ...(terminated && { exitCode: terminated.exitCode }),
      ...(said && { message: said.slice(0, 4096) }),
      ...(log && { log: log.slice(-8192) }),
      time: timestamp(new Date(endOf(pod))),
    },
  };
}

/** Whoever deletes a pod while its Job wants it disrupts the run; where the Job itself lets it go, all is well. */
function hasEndedBadly(pod: Pod, { job }: Crew): boolean {
  if (pod.status?.phase === 'Succeeded') return false;
  const isOver = pod.status?.phase === 'Failed';
  const isGoing = pod.metadata.deletionTimestamp !== undefined;
  if (!isOver && !isGoing) return false;
  return isOver && !isGoing ? true : isWanted(pod, job);
}

function isWanted(pod: Pod, job: BatchJob | undefined): boolean {
  const isItsOwn = pod.metadata.ownerReferences?.some(({ uid }) => uid === job?.metadata.uid) ?? false;
  if (!job || !isItsOwn || isFinished(job) || jobCondition(job, 'FailureTarget') || job.spec.suspend) return false;
  return indexOf(pod) < (job.spec.completions ?? 1);
}

/** What Kubernetes says of a pod that it takes away, in the words of its users. */
const disruptions: Readonly<Record<string, string>> = {
  PreemptionByScheduler: 'Preempted',
  DeletionByTaintManager: 'NodeLost',
  DeletionByPodGC: 'NodeLost',
  EvictionByEvictionAPI: 'Evicted',
  TerminationByKubelet: 'Evicted',
};

/** Of a pod that failed: its node took it away, or did not take it. */
const nodesReasons = /^(NodeLost|NodeShutdown|Shutdown|Terminated|Preempting|UnexpectedAdmissionError|NodeAffinity|OutOf\w+)$/;

function causeOf(pod: Pod): { cause: Cause; reason: string } {
  const { reason } = pod.status ?? {};
  const terminated = terminatedOf(pod);
  const target = podCondition(pod, 'DisruptionTarget');
  if (target?.status === 'True') return { cause: 'disruption', reason: disruptions[target.reason ?? ''] ?? target.reason ?? 'Disrupted' };
  if (terminated?.reason === 'OOMKilled') return { cause: 'outOfMemory', reason: 'OOMKilled' };
  if (reason && nodesReasons.test(reason)) return { cause: 'disruption', reason };
  // More than its own limit of disk space: no other node would do.
  if (reason === 'Evicted') return { cause: 'error', reason };
  // The node was away, and its kubelet has forgotten.
  if (terminated?.reason === 'ContainerStatusUnknown') return { cause: 'disruption', reason: 'NodeLost' };
  if (terminated && fatalExitCodes.includes(terminated.exitCode)) return { cause: 'fatal', reason: nameOf(terminated.exitCode)! };
  if (pod.metadata.deletionTimestamp !== undefined) return { cause: 'disruption', reason: 'Deleted' };
  if (terminated?.exitCode === errorCodes.preempted.exitCode) return { cause: 'disruption', reason: 'preempted' };
  return { cause: 'error', reason: errorReason(terminated) ?? reason ?? 'Unknown' };
}

function errorReason(terminated: ReturnType<typeof terminatedOf>): string | undefined {
  if (!terminated) return undefined;
  const { exitCode, signal = exitCode - 128, reason } = terminated;
  return nameOf(exitCode) ?? signals[signal] ?? reason;
}

const signals: Readonly<Record<number, string>> = {
  ...{ 4: 'SIGILL', 6: 'SIGABRT', 7: 'SIGBUS', 8: 'SIGFPE', 9: 'SIGKILL', 11: 'SIGSEGV', 13: 'SIGPIPE', 15: 'SIGTERM' },
};

const nameOf = (exitCode: number): ErrorCode | undefined =>
  (Object.keys(errorCodes) as ErrorCode[]).find(code => errorCodes[code].exitCode === exitCode);

/** Milliseconds; of several signs the best. */
function endOf(pod: Pod): number {
  const { status, metadata } = pod;
  const ready = podCondition(pod, 'Ready');
  const times = [
    terminatedOf(pod)?.finishedAt,
    ready?.status === 'False' ? ready.lastTransitionTime : undefined,
    podCondition(pod, 'DisruptionTarget')?.lastTransitionTime,
    metadata.deletionTimestamp,
    status?.startTime,
    metadata.creationTimestamp,
  ];
  return times.map(time => Date.parse(time ?? '')).find(time => !Number.isNaN(time)) ?? 0;
}

/** Reasons of conditions are written so. */
const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);
