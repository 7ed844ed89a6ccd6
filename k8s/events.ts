/**
 * What Kubernetes and the operator have said about a job: of the job itself, its Jobs and its pods, also of those that are gone.
 */
import type { Api } from './api.ts';
import { isStatus } from './apiError.ts';
import { follow, type Interruption } from './follow.ts';
import { getJob, type JobName } from './jobs.ts';
import { childNames } from './names.ts';
import type { KubeEvent } from './objects.ts';

/** When it was last seen; which of several fields says so depends on who wrote it. */
export const timeOf = ({ series, lastTimestamp, eventTime, firstTimestamp, metadata }: KubeEvent): string =>
  series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? firstTimestamp ?? metadata.creationTimestamp ?? '';

export const countOf = ({ series, count }: KubeEvent): number => series?.count ?? count ?? 1;

const millisecondsOf = (event: KubeEvent) => Date.parse(timeOf(event)) || 0;

/** A job, and where it is known which one of that name. */
export interface Subject extends JobName {
  readonly uid?: string;
  /** Nothing before is about it. */
  readonly since?: string;
}

export function isAbout({ name: job, uid, since }: Subject, event: KubeEvent): boolean {
  const { kind, name = '', uid: its } = event.involvedObject;
  const { coordinator, workers } = childNames(job);
  if (since !== undefined && millisecondsOf(event) < Date.parse(since)) return false;
  switch (kind) {
    case 'TrainingJob':
      return name === job && (uid === undefined || its === uid);
    case 'Job':
      return name === coordinator || name === workers;
    case 'Pod':
      return isPodOf(coordinator, name) || isPodOf(workers, name);
    default:
      return false;
  }
}

/** `<Job>-<five letters>`, with the index before them where the Job is indexed. */
const isPodOf = (job: string, pod: string) => pod.startsWith(`${job}-`) && /^(\d+-)?[a-z0-9]{5}$/.test(pod.slice(job.length + 1));

export const oldestFirst = (events: readonly KubeEvent[]): KubeEvent[] => events.toSorted((a, b) => millisecondsOf(a) - millisecondsOf(b));

/** Oldest first, also of a job that is gone. Kubernetes keeps them for an hour. @throws notFound: neither a job nor events */
export async function eventsOf(api: Api, job: JobName): Promise<KubeEvent[]> {
  const subject = await subjectOf(api, job);
  const { items } = await api.list<KubeEvent>('Event', job);
  const events = oldestFirst(items.filter(event => isAbout(subject, event)));
  if (events.length === 0 && subject.uid === undefined) await getJob(api, job);
  return events;
}

async function subjectOf(api: Api, { name, namespace }: JobName): Promise<Subject> {
  try {
    const { metadata } = await getJob(api, { name, namespace });
    return { name, namespace, uid: metadata.uid, since: metadata.creationTimestamp };
  } catch (error) {
    const isGone = error instanceof Error && isStatus(error.cause, 404);
    if (isGone) return { name, namespace };
    throw error;
  }
}

/** Those that there are, oldest first, and then each as it comes; one that comes again is given again. */
export async function* followEvents(api: Api, subject: Subject, signal: AbortSignal): AsyncGenerator<KubeEvent | Interruption> {
  const seen = new Map<string, string>();
  const isNews = (event: KubeEvent) => {
    const { uid = '', resourceVersion = '' } = event.metadata;
    if (!isAbout(subject, event) || seen.get(uid) === resourceVersion) return false;
    seen.set(uid, resourceVersion);
    return true;
  };
  for await (const change of follow<KubeEvent>(api, 'Event', { namespace: subject.namespace, signal })) {
    if (change.type === 'lost' || change.type === 'back') yield change;
    else if (change.type === 'listed') yield* oldestFirst(change.objects.filter(isNews));
    else if (change.type === 'changed' && isNews(change.object)) yield change.object;
  }
}
