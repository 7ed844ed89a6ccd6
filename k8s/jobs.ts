/**
 * What a user does with training jobs on a cluster: each is one function from a connection and a name. How it looks is for the command line.
 */

import { parse } from 'yaml';
import { SegfleetError } from '../trainer/errors.ts';
import { nearest } from '../trainer/nearest.ts';
import type { JobInput } from '../trainer/spec.ts';
import type { Api, Where } from './api.ts';
import { isStatus } from './apiError.ts';
import { apiVersion, childNames, userManager } from './names.ts';
import type { KubeObject, ObjectRef, TrainingJob } from './objects.ts';
import { isOver } from './outcome.ts';
import type { Settings } from './plan.ts';

export interface JobName {
  readonly name: string;
  readonly namespace: string;
}

const nameOfAKubernetes = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Names that users type become parts of a path. */
export function checkName(what: 'job' | 'namespace', name: string): string {
  if (nameOfAKubernetes.test(name)) return name;
  const sentence = `${JSON.stringify(name.slice(0, 100))} is not the name of a ${what}; names are lower-case letters, digits and dashes, at most 63`;
  throw new SegfleetError('usage', sentence);
}

const refTo = ({ name, namespace }: JobName): ObjectRef => ({ apiVersion, kind: 'TrainingJob', metadata: { name, namespace } });

/** The operator has its own; whatever they are, what is refused with these is refused. */
export const anySettings: Settings = { image: 'any', store: 's3://any', clients: [] };

/**
 * @param given what the user wrote, without defaults: those are the cluster's to fill in
 * @throws usage: no cluster can run it; conflict: there is one of that name
 */
export async function submitJob(api: Api, given: JobInput, namespace: string, { dryRun = false } = {}): Promise<TrainingJob> {
  const job = { ...given, metadata: { ...given.metadata, namespace } };
  // It brings all that a job file can say, which other commands do without.
  const { accept } = await import('./policies/acceptance.ts');
  const acceptance = accept(job, anySettings);
  if ('refusal' in acceptance) throw new SegfleetError('usage', acceptance.refusal);
  const seen = `see it with \`status ${given.metadata.name}\`, remove it with \`cancel ${given.metadata.name}\``;
  return createNew(api, job as TrainingJob, { what: 'job', seen, dryRun });
}

/** @param seen how a user sees and removes the one that is there @throws notFound: the namespace; conflict: there is one of that name */
export async function createNew<T extends KubeObject>(
  api: Api,
  object: T,
  { what, seen, dryRun }: { what: 'job' | 'sweep'; seen: string; dryRun: boolean },
): Promise<T> {
  const { name, namespace } = object.metadata;
  try {
    return await api.create(object, { manager: userManager, dryRun, strict: true });
  } catch (cause) {
    if (isStatus(cause, 404) && cause.message.includes(`namespaces "${namespace}" not found`)) {
      const sentence = `there is no namespace ${namespace}; make it (kubectl create namespace ${namespace}), or name another one with --namespace`;
      throw new SegfleetError('notFound', sentence, { cause });
    }
    if (!isStatus(cause, 409)) throw cause;
    const rename = what === 'job' ? 'give this one another name (--set metadata.name=NAME)' : 'give this one another metadata.name';
    const sentence = `there is a ${what} ${name} in namespace ${namespace} already; ${seen}, or ${rename}`;
    throw new SegfleetError('conflict', sentence, { cause });
  }
}

/** Of a namespace, or of all, in the order of their names. */
export async function listJobs(api: Api, where: Where = {}): Promise<TrainingJob[]> {
  return (await api.list<TrainingJob>('TrainingJob', where)).items;
}

/** @throws notFound, with a name that is near */
export const getJob = (api: Api, job: JobName): Promise<TrainingJob> =>
  api.get<TrainingJob>('TrainingJob', job.name, job).catch(async error => Promise.reject(await withSuggestion(api, job, error)));

export interface Suspension {
  readonly job: TrainingJob;
  /** It was as wanted already. */
  readonly isNews: boolean;
}

/** Suspends a job or lets it go on. @throws conflict: it has ended */
export async function suspendJob(api: Api, name: JobName, suspend: boolean): Promise<Suspension> {
  const job = await getJob(api, name);
  if (isOver(job)) {
    const todo = suspend ? 'there is nothing to suspend' : 'submit it again to train more';
    throw new SegfleetError('conflict', `${name.name} has ended (${job.status?.phase}); ${todo}`);
  }
  if ((job.spec.suspend ?? false) === suspend) return { job, isNews: false };
  return { job: await api.patch(refTo(name), { spec: { suspend } }, undefined, { manager: userManager }), isNews: true };
}

export interface Scaling {
  readonly from: number;
  readonly to: number;
}

/** Through the scale subresource, as `kubectl scale` does it. @throws usage: more or fewer than the job allows; conflict: it has ended */
export async function scaleJob(api: Api, name: JobName, replicas: number): Promise<Scaling> {
  const job = await getJob(api, name);
  if (isOver(job)) throw new SegfleetError('conflict', `${name.name} has ended (${job.status?.phase}); there is nothing to scale`);
  const scale = await api.patch<KubeObject & { spec: { replicas: number } }>(refTo(name), { spec: { replicas } }, 'scale', {
    manager: userManager,
  });
  return { from: job.spec.workers?.replicas ?? 1, to: scale.spec.replicas };
}

/** Deletes that very job, and with it all that was made for it; checkpoints stay. */
export async function cancelJob(api: Api, { metadata: { name, namespace, uid } }: TrainingJob): Promise<void> {
  await api.delete({ apiVersion, kind: 'TrainingJob', metadata: { name, namespace, uid } });
}

/** Where its checkpoints lie: as the job says, else as the operator chose; undefined where that cannot be read. */
export async function checkpointsOf(api: Api, { metadata, spec }: TrainingJob): Promise<string | undefined> {
  if (spec.checkpoint?.url) return spec.checkpoint.url;
  try {
    const config = await api.get<KubeObject & { data?: Record<string, string> }>('ConfigMap', childNames(metadata.name).job, metadata);
    return (parse(config.data?.['job.yaml'] ?? '') as { spec?: JobInput['spec'] } | null)?.spec?.checkpoint?.url;
  } catch (error) {
    if (error instanceof SegfleetError && ['notFound', 'notAllowed'].includes(error.code)) return undefined;
    throw error;
  }
}

async function withSuggestion(api: Api, { name, namespace }: JobName, cause: unknown): Promise<unknown> {
  if (!isStatus(cause, 404) || cause.reason === 'NoSuchKind') return cause;
  const jobs = await listJobs(api, { namespace }).catch(() => []);
  const known = jobs.map(job => job.metadata.name);
  const near = nearest(name, known, Math.max(2, name.length / 3));
  const others = `those of other namespaces are in \`list --all-namespaces\``;
  const rest = known.length > 0 ? `there are ${known.slice(0, 10).join(', ')}${known.length > 10 ? ' and others' : ''}` : others;
  return new SegfleetError('notFound', `there is no job ${name} in namespace ${namespace}; ${near ? `did you mean ${near}?` : rest}`, {
    cause,
    details: { ...cause.details },
  });
}
