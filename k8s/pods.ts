/**
 * The pods of a job as a user names and sees them: `worker-1` is `Running` on a node.
 */
import type { Api } from './api.ts';
import { containerOf, hasEnded, indexOf, podCondition } from './fleet.ts';
import type { JobName } from './jobs.ts';
import { type Component, labels } from './names.ts';
import type { Pod } from './objects.ts';
import { lastWords } from './terminationMessage.ts';

export const podSelector = ({ name }: JobName): string => `${labels.job}=${name}`;

export interface Who {
  readonly pod: string;
  readonly component: Component;
  /** Of a worker. */
  readonly index?: number;
}

export function whoIs(pod: Pod): Who {
  const { name, labels: of } = pod.metadata;
  if (of?.[labels.component] === 'coordinator') return { pod: name, component: 'coordinator' };
  return { pod: name, component: 'worker', index: indexOf(pod) };
}

export const shortName = ({ component, index }: Pick<Who, 'component' | 'index'>): string =>
  index === undefined ? component : `${component}-${index}`;

/** The coordinator first, then workers by their index, of one index the oldest first. */
export function inOrder(pods: readonly Pod[]): Pod[] {
  const rank = (pod: Pod) => whoIs(pod).index ?? -1;
  const born = ({ metadata }: Pod) => Date.parse(metadata.creationTimestamp ?? '') || 0;
  return pods.toSorted((a, b) => rank(a) - rank(b) || born(a) - born(b));
}

export async function podsOf(api: Api, job: JobName): Promise<Pod[]> {
  const { items } = await api.list<Pod>('Pod', { namespace: job.namespace, labelSelector: podSelector(job) });
  return inOrder(items);
}

/** Whether it has a log: its container runs or has run. */
export function hasBegun(pod: Pod): boolean {
  const { state, restartCount = 0 } = containerOf(pod) ?? {};
  return Boolean(state?.running || state?.terminated || restartCount > 0);
}

/** One word, and with it the sentence that Kubernetes or the process has for it. */
export function stateOf(pod: Pod): { readonly state: string; readonly message?: string } {
  const { metadata, status = {} } = pod;
  const { waiting, running, terminated } = containerOf(pod)?.state ?? {};
  // The kubelet says why a pod went that was evicted; its container says only that it was killed.
  if (status.phase === 'Failed' && status.reason) return { state: status.reason, message: status.message };
  if (terminated) {
    const { exitCode, reason } = terminated;
    if (exitCode === 0) return { state: reason ?? 'Completed' };
    return { state: `${reason ?? 'Error'} (exit ${exitCode})`, message: lastWords(terminated.message).message };
  }
  if (metadata.deletionTimestamp && !hasEnded(pod)) return { state: 'Terminating' };
  if (running) return { state: 'Running' };
  // Most of all waiting is for a container that is being made; what a pod is not scheduled for is said in its condition.
  if (waiting?.reason) return { state: waiting.reason, message: waiting.message };
  const scheduled = podCondition(pod, 'PodScheduled');
  if (scheduled?.status === 'False') return { state: scheduled.reason ?? 'Unschedulable', message: scheduled.message };
  return { state: status.phase ?? 'Pending', message: status.message };
}
