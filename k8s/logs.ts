/**
 * What the pods of a job write, as one log.
 */
import { setTimeout as wait } from 'node:timers/promises';
import { SegfleetError } from '../trainer/errors.ts';
import type { Api } from './api.ts';
import { isStatus } from './apiError.ts';
import { containerOf, hasEnded } from './fleet.ts';
import { type Change, follow, interruptions, together } from './follow.ts';
import { getJob, type JobName } from './jobs.ts';
import { LogPosition } from './logPosition.ts';
import { mergeByTime, nanosecondsOf, type Timed } from './mergeLogs.ts';
import type { KubeObject, Pod, TrainingJob } from './objects.ts';
import { isOver } from './outcome.ts';
import { hasBegun, podSelector, podsOf, type Who, whoIs } from './pods.ts';

export interface LogLine extends Timed, Who {
  readonly text: string;
}

export interface LogOptions {
  /** So many of the newest lines of each pod; by default all. */
  readonly tail?: number;
  /** Told of a pod whose log cannot be read, and of an API server that does not answer. */
  readonly say: (sentence: string) => void;
  readonly signal: AbortSignal;
}

interface PodLogOptions extends LogOptions {
  readonly isFollowing: boolean;
  /** Whether the job has ended: a pod that cannot be reached then is not waited for. */
  readonly isOver: () => boolean;
}

/** While following, a line waits so long for an earlier one of another pod. */
const holdMs = 500;

/**
 * All that there is by now, in the order of time; of a job that has failed the pod that failed first comes first.
 *
 * @throws notFound
 */
export async function* readLogs(api: Api, name: JobName, options: LogOptions): AsyncGenerator<LogLine> {
  const job = await getJob(api, name);
  const pods = await podsOf(api, name);
  const begun = pods.filter(hasBegun);
  const first = firstToFail(job, begun);
  const linesOf = (pod: Pod) => linesOfPod(api, pod, { ...options, isFollowing: false, isOver: () => true });
  if (first) yield* linesOf(first);
  else yield* lastWordsOf(job, options);
  yield* mergeByTime(given(begun.filter(pod => pod !== first).map(linesOf)));
  if (begun.length === 0) options.say(noLogsYet(name, job, pods));
}

/** The same, and then each line as it comes, also of pods that come; ends when the job has ended, or by the signal. */
export async function* followLogs(api: Api, name: JobName, options: LogOptions): AsyncGenerator<LogLine> {
  const job = await getJob(api, name);
  if (isOver(job)) return yield* readLogs(api, name, options);
  const ended = new AbortController();
  const signal = AbortSignal.any([options.signal, ended.signal]);
  try {
    yield* mergeByTime(podsAsTheyCome(api, job, { ...options, signal }), { holdMs });
  } finally {
    ended.abort();
  }
}

const noLogsYet = ({ name }: JobName, { status }: TrainingJob, pods: readonly Pod[]) =>
  pods.length > 0
    ? `no pod of ${name} has begun yet; \`status ${name}\` says what they wait for`
    : `${name} has no pods (${status?.phase ?? 'Pending'}); \`events ${name}\` says what happened`;

function firstToFail({ status }: TrainingJob, pods: readonly Pod[]): Pod | undefined {
  return status?.phase === 'Failed' ? pods.find(({ metadata }) => metadata.name === status.firstFailure?.pod) : undefined;
}

/** Of a pod that is gone, as far as the operator kept them. */
function* lastWordsOf({ metadata, status }: TrainingJob, { say }: LogOptions): Generator<LogLine> {
  const { pod, component, log, time } = status?.firstFailure ?? {};
  if (status?.phase !== 'Failed' || pod === undefined || component === undefined || !log) return;
  say(`${pod}, which failed first, is gone; these are its last lines, as ${metadata.name} keeps them`);
  for (const text of log.trimEnd().split('\n')) yield { time: time!, pod, component, text };
}

async function* given<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

/** The log of each pod of a job from when it begins; ends when the job has ended. */
async function* podsAsTheyCome(api: Api, job: TrainingJob, options: LogOptions): AsyncGenerator<AsyncGenerator<LogLine>> {
  const { name, namespace = '', uid } = job.metadata;
  const { signal, say } = options;
  const seen = new Set<string>();
  let isAtEnd = false;
  const news = (pods: readonly KubeObject[]) => {
    const begun = (pods as readonly Pod[]).filter(pod => hasBegun(pod) && !seen.has(pod.metadata.uid!));
    for (const { metadata } of begun) seen.add(metadata.uid!);
    return begun.map(pod => linesOfPod(api, pod, { ...options, isFollowing: true, isOver: () => isAtEnd }));
  };
  const pods = follow<Pod>(api, 'Pod', { namespace, labelSelector: podSelector({ name, namespace }), signal });
  const jobs = follow<TrainingJob>(api, 'TrainingJob', { namespace, fieldSelector: `metadata.name=${name}`, signal });
  const isWorthTelling = interruptions();
  for await (const { of, change } of together<Labelled>([labelled('pods', pods), labelled('job', jobs)])) {
    if (change.type === 'lost' || change.type === 'back') {
      if (isWorthTelling(change)) say(change.type === 'lost' ? `${change.why.message}; still following` : 'the API server is back');
      continue;
    }
    const objects = change.type === 'listed' ? change.objects : change.type === 'changed' ? [change.object] : [];
    if (of === 'pods') yield* news(objects);
    else if (!objects[0] || objects[0].metadata.uid !== uid || isOver(objects[0] as TrainingJob)) break;
  }
  isAtEnd = true;
  // What has begun and ended in the same moment as the job.
  if (!signal.aborted) yield* news(await podsOf(api, { name, namespace }));
}

interface Labelled {
  readonly of: 'pods' | 'job';
  readonly change: Change<KubeObject>;
}

async function* labelled(of: Labelled['of'], changes: AsyncIterable<Change<KubeObject>>): AsyncGenerator<Labelled> {
  for await (const change of changes) yield { of, change };
}

/** A log that ends while its container runs is asked for again after this time. */
const againMs = 500;
/** Of a container that has ended, where the log cannot be read. */
const maxFailures = 3;

/** Goes on where it was cut, as long as the container runs. */
async function* linesOfPod(api: Api, pod: Pod, { tail, isFollowing, isOver, say, signal }: PodLogOptions): AsyncGenerator<LogLine> {
  const who = whoIs(pod);
  const { name, namespace } = pod.metadata;
  // A cluster may have put others into the pod.
  const container = containerOf(pod)?.name;
  const seen = new LogPosition();
  let numFailures = 0;
  while (!signal.aborted) {
    try {
      const from = seen.time === undefined ? { tailLines: tail } : { sinceTime: seen.time };
      seen.goBack();
      for await (const line of api.logs(name, { namespace, container, signal, follow: isFollowing, timestamps: true, ...from })) {
        const { time, text } = partsOf(line, seen.time);
        if (seen.isNew(time)) yield { time, ...who, text };
        numFailures = 0;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof SegfleetError) || error.code === 'notAllowed') throw error;
      // That the API server does not answer is told by those who watch it.
      const isTold = isFollowing && isStatus(error, 0);
      if (!isStatus(error, 404) && !isTold && numFailures === 0) say(error.message);
      numFailures++;
    }
    if (!isFollowing) return;
    const isRunning = await stillRuns(api, pod);
    if (!isRunning && (numFailures === 0 || numFailures >= maxFailures)) return;
    if (numFailures > 0 && isOver()) return;
    await wait(againMs, undefined, { signal }).catch(() => {});
  }
}

async function stillRuns(api: Api, { metadata }: Pod): Promise<boolean> {
  try {
    const pod = await api.get<Pod>('Pod', metadata.name, metadata);
    return pod.metadata.uid === metadata.uid && !hasEnded(pod);
  } catch (error) {
    if (!(error instanceof SegfleetError)) throw error;
    return !isStatus(error, 404);
  }
}

/** A line that does not begin with a time is a remark of Kubernetes. */
function partsOf(line: string, before: string | undefined): { readonly time: string; readonly text: string } {
  const space = line.indexOf(' ');
  const time = space < 0 ? line : line.slice(0, space);
  if (nanosecondsOf(time) > 0n) return { time, text: space < 0 ? '' : line.slice(space + 1) };
  return { time: before ?? new Date().toISOString(), text: line };
}
