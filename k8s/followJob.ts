/**
 * A job as news: phases, conditions, progress and events as they come, until it has ended.
 */
import { SegfleetError } from '../trainer/errors.ts';
import type { Api } from './api.ts';
import { countOf, followEvents, timeOf } from './events.ts';
import { follow, interruptions, together } from './follow.ts';
import { getJob, type JobName } from './jobs.ts';
import type { KubeEvent, TrainingJob } from './objects.ts';
import type { Condition, JobStatus, Phase } from './status.ts';

/** What of a status moves while a job runs. */
const moving = [
  'workers',
  'epoch',
  'epochs',
  'step',
  'steps',
  'lossName',
  'loss',
  'metric',
  'eta',
  'checkpointStep',
  'checkpointTime',
] as const satisfies readonly (keyof JobStatus)[];

export type ProgressNews = { readonly event: 'progress'; readonly wanted: number } & Pick<JobStatus, (typeof moving)[number]>;

export interface EventNews {
  readonly event: 'event';
  readonly at: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  /** Such as Pod/x-workers-0-abcde. */
  readonly object: string;
  readonly message: string;
  readonly count: number;
}

export type JobNews =
  | { readonly event: 'phase'; readonly phase: Phase }
  | ({ readonly event: 'condition' } & Pick<Condition, 'type' | 'status' | 'reason' | 'message'>)
  | ProgressNews
  | EventNews
  /** The API server does not answer; and does again. */
  | { readonly event: 'lost'; readonly message: string }
  | { readonly event: 'back' }
  | { readonly event: 'note'; readonly message: string }
  | { readonly event: 'ended'; readonly job: TrainingJob };

/** What is new in a job since it was looked at last. */
export function newsOf(before: TrainingJob | undefined, job: TrainingJob): JobNews[] {
  const { status = {} } = job;
  const old = before?.status ?? {};
  const news: JobNews[] = [];
  if (status.phase !== undefined && status.phase !== old.phase) news.push({ event: 'phase', phase: status.phase });
  for (const { type, status: value, reason, message } of status.conditions ?? []) {
    const was = old.conditions?.find(condition => condition.type === type);
    const isSame = was?.status === value && was.reason === reason && was.message === message;
    if (!isSame) news.push({ event: 'condition', type, status: value, reason, message });
  }
  const progress = progressOf(job);
  if (status.step !== undefined || status.workers !== undefined) {
    if (!before || JSON.stringify(progressOf(before)) !== JSON.stringify(progress)) news.push(progress);
  }
  if (status.phase === 'Succeeded' || status.phase === 'Failed') news.push({ event: 'ended', job });
  return news;
}

function progressOf({ spec, status = {} }: TrainingJob): ProgressNews {
  const moved = Object.fromEntries(moving.flatMap(key => (status[key] === undefined ? [] : [[key, status[key]]])));
  return { event: 'progress', wanted: spec.workers?.replicas ?? 1, ...moved };
}

export function eventNews(event: KubeEvent): EventNews {
  const { type = 'Normal', reason = '', message = '', involvedObject } = event;
  const object = `${involvedObject.kind}/${involvedObject.name}`;
  return { event: 'event', at: timeOf(event), type, reason, object, message, count: countOf(event) };
}

/**
 * Ends when the job has, or by the signal. Of its Jobs and pods only warnings are told, of the job itself all.
 *
 * @throws notFound: there is none, or it was deleted
 */
export async function* followJob(api: Api, name: JobName, signal: AbortSignal): AsyncGenerator<JobNews> {
  const job = await getJob(api, name);
  const ended = new AbortController();
  const either = AbortSignal.any([signal, ended.signal]);
  const isWorthTelling = interruptions();
  try {
    for await (const news of together([newsOfJob(api, job, either), newsOfEvents(api, job, either)])) {
      if ((news.event === 'lost' || news.event === 'back') && !isWorthTelling({ type: news.event })) continue;
      yield news;
      if (news.event === 'ended') return;
    }
  } finally {
    ended.abort();
  }
}

async function* newsOfJob(api: Api, { metadata: { name, namespace, uid } }: TrainingJob, signal: AbortSignal): AsyncGenerator<JobNews> {
  let before: TrainingJob | undefined;
  for await (const change of follow<TrainingJob>(api, 'TrainingJob', { namespace, fieldSelector: `metadata.name=${name}`, signal })) {
    if (change.type === 'lost') yield { event: 'lost', message: change.why.message };
    else if (change.type === 'back') yield { event: 'back' };
    else {
      const job = change.type === 'listed' ? change.objects.at(0) : change.type === 'changed' ? change.object : undefined;
      // Another job of that name is not this one.
      if (job?.metadata.uid !== uid) throw new SegfleetError('notFound', `${name} was deleted`);
      yield* newsOf(before, job!);
      before = job;
    }
  }
}

async function* newsOfEvents(api: Api, { metadata }: TrainingJob, signal: AbortSignal): AsyncGenerator<JobNews> {
  const { name, namespace, uid, creationTimestamp: since } = metadata;
  try {
    for await (const one of followEvents(api, { name, namespace: namespace!, uid, since }, signal)) {
      if (one.type === 'lost') yield { event: 'lost', message: one.why.message };
      else if (one.type === 'back') yield { event: 'back' };
      else if (one.type === 'Warning' || one.involvedObject.kind === 'TrainingJob') yield eventNews(one);
    }
  } catch (error) {
    // The rest can be followed without.
    if (!(error instanceof SegfleetError) || error.code !== 'notAllowed') throw error;
    yield { event: 'note', message: `events are not shown: ${error.message}` };
  }
}
