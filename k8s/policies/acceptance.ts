/**
 * Whether a cluster can run a job, and the job with all that follows from it and from the operator: frozen, so that scaling or another operator never
 * changes a run. What only the API server can judge (whether a claim is there, whether a toleration is well formed) is not judged here.
 */
import { normalize } from 'node:path/posix';
import { SegfleetError } from '../../trainer/errors.ts';
import { checkJob, type Job } from '../../trainer/spec.ts';
import { schemeOf } from '../../trainer/storage/openStore.ts';
import { labels } from '../names.ts';
import type { TrainingJob } from '../objects.ts';
import type { Settings } from '../plan.ts';
import { ownMounts, ownVariables, ownVolumePrefix } from '../resources/podTemplate.ts';
import { sizeOf } from './scaling.ts';

export type Acceptance = { readonly job: Job } | { readonly refusal: string };

/** What a sentence may quote of a job: its values may be as long as the API server takes. */
const longestRefusal = 1000;

export function accept(given: TrainingJob, settings: Settings): Acceptance {
  try {
    const job = freeze(given, settings);
    for (const problem of problems(job)) return { refusal: problem };
    for (const problem of podProblems(job, settings)) return { refusal: problem };
    return { job };
  } catch (error) {
    if (!(error instanceof SegfleetError)) throw error;
    const { message } = error;
    return { refusal: message.length > longestRefusal ? `${message.slice(0, longestRefusal)}...` : message };
  }
}

/** @throws usage: what the schema refuses */
function freeze({ apiVersion, kind, metadata, spec, status }: TrainingJob, settings: Settings): Job {
  const marks = Object.entries(metadata.labels ?? {}).filter(([label]) => label === labels.sweep || label === labels.trial);
  // Its metrics say of which sweep it is.
  const named = { name: metadata.name, ...(marks.length > 0 && { labels: Object.fromEntries(marks) }) };
  const job = checkJob({ apiVersion, kind, metadata: named, spec: withFrozen(spec, status) });
  const { training, checkpoint } = job.spec;
  return {
    ...job,
    spec: {
      ...job.spec,
      training: { ...training, threads: training.threads ?? threadsOf(job) },
      checkpoint: { ...checkpoint, url: checkpoint.url ?? checkpointUrl({ metadata }, settings) },
    },
  };
}

/** Lanes and the most workers are those of the first time, whatever replicas say by now. */
function withFrozen(spec: TrainingJob['spec'], { lanes, maxWorkers }: NonNullable<TrainingJob['status']> = {}): TrainingJob['spec'] {
  if (lanes === undefined || maxWorkers === undefined) return spec;
  const { replicas = 1, min = 1 } = spec.workers ?? {};
  return {
    ...spec,
    training: { ...spec.training, lanes },
    workers: { ...spec.workers, replicas: sizeOf({ replicas, min, max: maxWorkers }), max: maxWorkers },
  };
}

/** All workers must compute with the same number of threads: on nodes of several sizes they would not by themselves. */
function threadsOf({ spec: { pod } }: Job): number | undefined {
  const processors = pod.resources?.limits?.cpu ?? pod.resources?.requests?.cpu;
  if (processors === undefined) return undefined;
  return Math.min(Math.max(Math.ceil(processorsIn(String(processors))), 1), 1024);
}

/** `500m`, `2`, `1.5`, `1e1`; nobody asks for kilo-processors, but they are amounts. */
function processorsIn(amount: string): number {
  const [, number, suffix = ''] = /^([\d.]+(?:e\d+)?)(\D*)$/.exec(amount) ?? [];
  const binary = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi'].indexOf(suffix);
  if (suffix === 'm') return Number(number) / 1000;
  return Number(number) * (binary >= 0 ? 1024 ** binary : 1000 ** ['', 'k', 'M', 'G', 'T', 'P'].indexOf(suffix));
}

/** Of two jobs of one name, one after the other, never the same. */
function checkpointUrl({ metadata }: Pick<TrainingJob, 'metadata'>, { store }: Settings): string | undefined {
  const { namespace, name, uid = '' } = metadata;
  return store && `${store.replace(/\/+$/, '')}/${namespace}/${name}-${uid.slice(0, 8)}`;
}

type Volume = NonNullable<Job['spec']['pod']['volumes']>[number];

/** What runs on one machine and not on many. */
function* problems({ spec }: Job): Generator<string> {
  const { data, checkpoint, pod } = spec;
  yield* placeProblems('data.path', data.path, pod.volumes, { writes: false });
  if (data.split.file !== undefined) yield* placeProblems('data.split.file', data.split.file, pod.volumes, { writes: false });
  if (checkpoint.url === undefined) {
    yield 'checkpoint.url is missing, and the operator has no store for jobs without one (--store); give s3://bucket/prefix';
  } else yield* placeProblems('checkpoint.url', checkpoint.url, pod.volumes, { writes: true });
}

function* placeProblems(field: string, given: string, volumes: readonly Volume[] = [], { writes }: { writes: boolean }): Generator<string> {
  const scheme = schemeOf(given);
  if (scheme === 's3') {
    if (!/^s3:\/\/[^/]+/i.test(given)) yield `${field} is ${given}; s3://bucket/prefix is expected`;
    return;
  }
  if (scheme !== undefined && scheme !== 'file') {
    yield `${field} is ${given}, and there is no storage ${scheme}:; give s3://bucket/prefix, or a folder below a volume of pod.volumes`;
    return;
  }
  const path = scheme === undefined ? given : given.replace(/^file:(\/\/(?=\/))?/i, '');
  const volume = mountOf(path, volumes);
  if (!volume) {
    yield `${field} is ${given}, and file: URLs need a volume on a cluster: give an absolute path below the mountPath of one of pod.volumes, or s3://bucket/prefix`;
  } else if (volume.emptyDir) {
    yield `${field} is ${given}, and the volume ${volume.name} is an empty folder that goes with its pod; use a claim, or s3://bucket/prefix`;
  } else if (writes && (volume.claim === undefined || volume.readOnly)) {
    yield `${field} is ${given}, and the volume ${volume.name} cannot be written to; use a claim that is not readOnly, or s3://bucket/prefix`;
  }
}

/** The volume in which a path lies; of several within each other the innermost. */
function mountOf(path: string, volumes: readonly Volume[]): Volume | undefined {
  if (!path.startsWith('/')) return undefined;
  const around = volumes.filter(({ mountPath }) => isWithin(path, mountPath));
  return around.toSorted((a, b) => normalize(b.mountPath).length - normalize(a.mountPath).length).at(0);
}

const clean = (path: string) => normalize(path).replace(/(.)\/+$/, '$1');

const isWithin = (path: string, folder: string) =>
  clean(path) === clean(folder) || clean(path).startsWith(`${clean(folder)}/`.replace('//', '/'));

/** What a pod cannot be made of, or what would change what the operator says of it. */
function* podProblems({ spec: { pod } }: Job, settings: Settings): Generator<string> {
  const { volumes = [], env = [] } = pod;
  const mounts = volumes.map(({ mountPath }) => clean(mountPath));
  const samePlace = mounts.find((mount, i) => mounts.indexOf(mount) !== i);
  if (samePlace !== undefined) yield `pod.volumes has the mountPath ${samePlace} twice; one volume hides the other`;
  for (const { name, mountPath } of volumes) {
    if (name.startsWith(ownVolumePrefix)) yield `pod.volumes has the name ${name}, and names with ${ownVolumePrefix} are the operator's`;
    const hidden = ownMounts(settings).find(own => isWithin(own, mountPath) || (own.startsWith('/etc/') && isWithin(mountPath, own)));
    if (hidden !== undefined)
      yield `pod.volumes has the mountPath ${mountPath}, and ${hidden} is the operator's; mount the volume elsewhere`;
  }
  const own = env.find(({ name }) => ownVariables.includes(name));
  if (own) yield `pod.env has ${own.name}, which the operator sets itself; leave it out`;
  yield* labelProblems('pod.labels', pod.labels);
  yield* labelProblems('pod.nodeSelector', pod.nodeSelector);
  for (const name of Object.keys(pod.labels ?? {})) {
    if (isOwnLabel(name)) yield `pod.labels has ${name}, which the operator or Kubernetes sets itself; leave it out`;
  }
  for (const name of Object.keys(pod.annotations ?? {})) {
    if (!isQualifiedName(name)) yield `pod.annotations has the name ${quoted(name)}; ${expectedName}`;
  }
}

function* labelProblems(field: string, given: Readonly<Record<string, string>> = {}): Generator<string> {
  for (const [name, value] of Object.entries(given)) {
    if (!isQualifiedName(name)) yield `${field} has the name ${quoted(name)}; ${expectedName}`;
    if (!/^([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?$/.test(value))
      yield `${field} has ${name}: ${quoted(value)}; at most 63 letters, digits, dots, dashes and underscores are expected, a letter or digit first and last`;
  }
}

const expectedName = 'a name such as team or example.com/team is expected';

const isQualifiedName = (name: string) =>
  /^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/.test(name) &&
  (name.split('/').length === 1 || name.indexOf('/') <= 253);

const ownLabels: readonly string[] = [labels.app, labels.managedBy, 'job-name', 'controller-uid'];
const isOwnLabel = (name: string) => ownLabels.includes(name) || /^(segfleet\.dev|batch\.kubernetes\.io|kueue\.x-k8s\.io)\//.test(name);

const quoted = (text: string) => JSON.stringify(text.slice(0, 100));

/** What the job of a run says of itself, for the first event. */
export function summaryOf({ spec }: Job): string {
  const { training, workers, checkpoint } = spec;
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? '' : 's'}`;
  return `${count(training.lanes, 'lane')}, at most ${count(workers.max, 'worker')}, checkpoints in ${checkpoint.url}`;
}
