/**
 * Why pods that should run do not: a reason for programs, and a sentence that says what to do about it. Pods say part of it themselves; for the rest
 * events are asked, but only while something is missing for a while.
 */
import { type Crew, containerOf, type Fleet, podCondition, roleOf } from '../fleet.ts';
import type { KubeEvent, Pod } from '../objects.ts';
import type { Observed } from '../plan.ts';

export interface Problem {
  readonly reason: string;
  readonly message: string;
}

export interface Waiting {
  readonly problem?: Problem;
  /** Something is missing, and it does not say why. */
  readonly needsEvents: boolean;
}

/** Workers that there should be; 0: none, the job being suspended or queued. */
export interface Expected {
  readonly coordinator: number;
  readonly workers: number;
}

/** Pods are made, scheduled and started in less, most of the time. */
export const patienceMs = 5000;
/** Of older events the cause may be gone. */
const recentMs = 10 * 60_000;
const longestQuote = 400;

export function waiting(fleet: Fleet, observed: Pick<Observed, 'events'>, expected: Expected, now: Date): Waiting {
  const crews = [
    { crew: fleet.coordinator, size: expected.coordinator },
    { crew: fleet.workers, size: expected.workers },
  ].filter(({ size }) => size > 0);
  const pods = crews.flatMap(({ crew }) =>
    crew.live.filter(pod => !crew.ready.includes(pod) && pod.metadata.deletionTimestamp === undefined),
  );
  const incomplete = crews.filter(({ crew, size }) => hasMissing(crew, size)).map(({ crew }) => crew);
  const overdue = incomplete.filter(({ job }) => isOlder(job?.status?.startTime ?? job?.metadata.creationTimestamp, now));
  const needsEvents = overdue.length > 0 || pods.some(pod => isStarting(pod) && isOlder(pod.metadata.creationTimestamp, now));

  const events = observed.events.filter(event => now.getTime() - timeOf(event) <= recentMs).toSorted((a, b) => timeOf(b) - timeOf(a));
  for (const pod of pods) {
    const problem = problemOfPod(pod, events);
    if (problem) return { problem: { ...problem, message: `${roleOf(pod)} (pod ${pod.metadata.name}) ${problem.message}` }, needsEvents };
  }
  for (const crew of overdue) {
    const problem = problemOfJob(crew, events);
    if (problem) return { problem, needsEvents };
  }
  const stuck = crews.flatMap(({ crew }) => crew.stuck).at(0);
  return { problem: stuck && lost(stuck), needsEvents };
}

/** What the API server refuses is not tried in vain for ever without a word. */
export function rejection({ rejected }: Pick<Observed, 'rejected'>): Problem | undefined {
  if (!rejected) return undefined;
  const { kind, name, message } = rejected;
  return creationProblem(message) ?? { reason: 'Rejected', message: `the API server refuses the ${kind} ${name}${quote(message)}` };
}

const isOlder = (time: string | undefined, now: Date) => time !== undefined && now.getTime() - Date.parse(time) > patienceMs;

/** Nothing is known of a container but that it is being made. */
const isStarting = (pod: Pod) => {
  const { waiting, running } = containerOf(pod)?.state ?? {};
  return (
    pod.spec.nodeName !== undefined &&
    !running &&
    (waiting?.reason === undefined || /^(ContainerCreating|PodInitializing)$/.test(waiting.reason))
  );
};

const hasMissing = ({ job, live, stuck }: Crew, size: number) =>
  job !== undefined && !job.spec.suspend && live.length + stuck.length < size;

export const timeOf = ({ series, lastTimestamp, eventTime, firstTimestamp, metadata }: KubeEvent): number =>
  Date.parse(series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? firstTimestamp ?? metadata.creationTimestamp ?? '') || 0;

const about = ({ metadata }: { metadata: { uid?: string } }, events: readonly KubeEvent[], reasons: RegExp) =>
  events
    .filter(({ involvedObject, reason }) => involvedObject.uid === metadata.uid && reasons.test(reason ?? ''))
    .flatMap(({ message }) => message ?? []);

function problemOfPod(pod: Pod, events: readonly KubeEvent[]): Problem | undefined {
  const scheduled = podCondition(pod, 'PodScheduled');
  if (scheduled?.status === 'False') return unscheduled(scheduled.reason, scheduled.message ?? '');
  const { waiting } = containerOf(pod)?.state ?? {};
  const problem = waiting?.reason && containerProblem(waiting.reason, waiting.message ?? '');
  if (problem) return problem;
  const [mount] = about(pod, events, /^Failed(Mount|AttachVolume|MapVolume)$/);
  if (mount !== undefined) return missing(mount) ?? volumeProblem(mount);
  const [sandbox] = about(pod, events, /^(FailedCreatePodSandBox|NetworkNotReady)$/);
  if (sandbox !== undefined) return { reason: 'NodeNotReady', message: `cannot be started by its node: look at the node${quote(sandbox)}` };
  return undefined;
}

function unscheduled(reason: string | undefined, message: string): Problem {
  const claim = missing(message);
  if (claim) return claim;
  if (reason === 'SchedulingGated') return { reason: 'Queued', message: `waits for a queue to let it go on${quote(message)}` };
  const whatToDo = /nvidia\.com\/gpu/.test(message)
    ? 'no node has so many GPUs free (pod.gpus): wait for other jobs, add nodes, or ask for fewer'
    : 'no node fits: compare pod.resources, pod.nodeSelector and pod.tolerations with the nodes, or add some';
  return { reason: 'Unschedulable', message: `cannot be placed: ${whatToDo}${quote(message)}` };
}

const imageReasons =
  /^(ErrImagePull|ImagePullBackOff|ErrImageNeverPull|InvalidImageName|ImageInspectError|RegistryUnavailable|SignatureValidationFailed)$/;

function containerProblem(reason: string, message: string): Problem | undefined {
  if (imageReasons.test(reason)) {
    return {
      reason: 'ImagePullFailed',
      message: `cannot get its image: check pod.image, pod.imagePullPolicy and pod.imagePullSecrets, and whether the node reaches the registry${quote(`${reason} ${message}`)}`,
    };
  }
  if (/^(ContainerCreating|PodInitializing)$/.test(reason)) return undefined;
  return missing(message) ?? { reason, message: `cannot be started by its node: check pod.image and pod.volumes${quote(message)}` };
}

/** An object that a pod names and that is not there. */
function missing(message: string): Problem | undefined {
  const [, kind, name] = /\b(secret|configmap|persistentvolumeclaim) "([^"]+)" not found/i.exec(message) ?? [];
  if (kind === undefined) return undefined;
  const { reason, called } = {
    secret: { reason: 'SecretMissing', called: 'Secret' },
    configmap: { reason: 'ConfigMapMissing', called: 'ConfigMap' },
    persistentvolumeclaim: { reason: 'VolumeMissing', called: 'PersistentVolumeClaim' },
  }[kind.toLowerCase() as 'secret' | 'configmap' | 'persistentvolumeclaim'];
  const bare = name.split('/').at(-1)!;
  return {
    reason,
    message: `waits for the ${called} ${bare}, which is not there: create it in the namespace of the job, or name another one`,
  };
}

function volumeProblem(message: string): Problem {
  const whatToDo = /multi-attach/i.test(message)
    ? 'it can be on one node only: use a claim with ReadWriteMany'
    : 'check the claims in pod.volumes and their storage class';
  return { reason: 'VolumeNotReady', message: `waits for a volume: ${whatToDo}${quote(message)}` };
}

function problemOfJob({ job, component }: Crew, events: readonly KubeEvent[]): Problem | undefined {
  const [message] = about(job!, events, /^FailedCreate$/);
  if (message === undefined) return undefined;
  const role = component === 'coordinator' ? 'the pod of the coordinator' : 'pods of workers';
  return creationProblem(message) ?? { reason: 'FailedCreate', message: `${role} cannot be made${quote(message)}` };
}

const creationProblems: readonly { readonly pattern: RegExp; readonly reason: string; readonly toDo: (found: string) => string }[] = [
  {
    pattern: /exceeded quota: ([^,\s]+)/,
    reason: 'QuotaExceeded',
    toDo: quota =>
      `the ResourceQuota ${quota} of the namespace is used up: raise it, wait for other jobs, or ask for less (pod.resources, workers.replicas)`,
  },
  {
    pattern: /failed quota: ([^:\s]+): must specify/,
    reason: 'QuotaExceeded',
    toDo: quota => `the ResourceQuota ${quota} wants amounts: give pod.resources and pod.coordinator.resources, requests and limits`,
  },
  {
    pattern: /violates PodSecurity "([^"]+)"/,
    reason: 'PodSecurityViolation',
    toDo: level =>
      `the namespace enforces the pod security standard ${level}, which pods of segfleet pass by themselves: look for what changes them on their way`,
  },
  {
    pattern: /serviceaccount "([^"]+)" not found/i,
    reason: 'ServiceAccountMissing',
    toDo: name => `the ServiceAccount ${name} is not there: create it, or name another one in pod.serviceAccountName`,
  },
  {
    pattern: /no PriorityClass with name (\S+) was found/,
    reason: 'PriorityClassMissing',
    toDo: name => `the PriorityClass ${name} is not there: create it, or name another one in priorityClassName`,
  },
  {
    pattern: /((?:maximum|minimum) \S+ usage per \w+)/,
    reason: 'LimitRangeViolation',
    toDo: what => `the LimitRange of the namespace has a ${what}: change pod.resources`,
  },
];

function creationProblem(message: string): Problem | undefined {
  for (const { pattern, reason, toDo } of creationProblems) {
    const found = pattern.exec(message)?.[1];
    if (found !== undefined) return { reason, message: `${toDo(found)}${quote(message)}` };
  }
  return undefined;
}

function lost(pod: Pod): Problem {
  const node = pod.spec.nodeName ?? 'unknown';
  return {
    reason: 'NodeLost',
    message: `${roleOf(pod)} (pod ${pod.metadata.name}) is on node ${node}, which does not answer: start the node again, or delete it (kubectl delete node ${node}), and the pod is replaced`,
  };
}

const quoteMark = ' (Kubernetes: ';

/** Whether two sentences say the same, in whatever words Kubernetes has for it at the moment. */
export const isSameProblem = (a: string, b: string): boolean => a.split(quoteMark)[0] === b.split(quoteMark)[0];

/** What Kubernetes says itself. */
function quote(message: string): string {
  const text = message.trim();
  if (!text) return '';
  return `${quoteMark}${text.length > longestQuote ? `${text.slice(0, longestQuote)}...` : text})`;
}

/** Reasons that only events tell. */
export const fromEvents: ReadonlySet<string> = new Set([
  ...['SecretMissing', 'ConfigMapMissing', 'VolumeMissing', 'VolumeNotReady', 'NodeNotReady', 'FailedCreate'],
  ...creationProblems.map(({ reason }) => reason),
]);
