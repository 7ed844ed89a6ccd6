/**
 * What the operator and kubelets would write, written by a test: the status of jobs and pods on a control plane that runs neither.
 */
import type { Api } from '../../k8s/api.ts';
import { sweep } from '../../k8s/crd/sweep.ts';
import { trainingJob } from '../../k8s/crd/trainingJob.ts';
import { apiVersion, type Component, labels } from '../../k8s/names.ts';
import type { AnyObject, KubeEvent, KubeObject, Pod, TrainingJob } from '../../k8s/objects.ts';
import type { JobStatus } from '../../k8s/status.ts';

export async function installKinds(api: Api): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (const definition of [trainingJob(), sweep()]) await api.create(JSON.parse(JSON.stringify(definition)) as KubeObject);
  for (const kind of ['TrainingJob', 'Sweep'] as const) {
    while (
      !(await api.list(kind).then(
        () => true,
        () => false,
      ))
    ) {
      if (Date.now() > deadline) throw new Error(`${kind} is not served`);
      await new Promise(resolve => setTimeout(resolve, 50));
    }
  }
}

export const jobOf = (name: string, spec: object = {}): TrainingJob =>
  ({
    apiVersion,
    kind: 'TrainingJob',
    metadata: { name, namespace: 'default' },
    spec: { data: { path: 's3://bucket/data' }, workers: { replicas: 2 }, training: { lanes: 4, batch: 4 }, ...spec },
  }) as TrainingJob;

/** Adds to the status, and says that it is about the spec as it is. */
export async function report(api: Api, name: string, status: JobStatus, namespace = 'default'): Promise<TrainingJob> {
  const { metadata } = await api.get<TrainingJob>('TrainingJob', name, { namespace });
  return api.patch(
    { apiVersion, kind: 'TrainingJob', metadata: { name, namespace } },
    { status: { observedGeneration: metadata.generation, ...status } },
    'status',
  );
}

export interface PodOptions {
  readonly job: string;
  readonly component: Component;
  readonly index?: number;
  readonly node?: string;
}

export async function makePod(api: Api, name: string, { job, component, index, node }: PodOptions): Promise<void> {
  await api.create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: 'default',
      labels: {
        [labels.job]: job,
        [labels.component]: component,
        ...(index !== undefined && { 'batch.kubernetes.io/job-completion-index': String(index) }),
      },
    },
    spec: {
      containers: [{ name: component, image: 'none.invalid/none:1' }],
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      ...(node && { nodeName: node }),
    },
  } as AnyObject);
}

/** As a kubelet would, of the one container. */
export async function setPod(api: Api, name: string, phase: NonNullable<Pod['status']>['phase'], state: object): Promise<void> {
  const { spec } = await api.get<Pod & { spec: { containers: { name: string; image: string }[] } }>('Pod', name, { namespace: 'default' });
  const [{ name: container, image }] = spec.containers;
  const containerStatuses = [{ name: container, image, imageID: '', ready: phase === 'Running', restartCount: 0, state }];
  const ref = { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' } };
  await api.patch(ref, { status: { phase, containerStatuses } }, 'status');
}

let numEvents = 0;

export async function say(
  api: Api,
  about: KubeObject,
  event: Pick<KubeEvent, 'type' | 'reason' | 'message'>,
  at = new Date(),
): Promise<void> {
  const { kind, metadata } = about;
  const { name, namespace = 'default', uid } = metadata;
  const time = at.toISOString().replace(/\.\d+/, '');
  await api.create({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${++numEvents}`, namespace },
    involvedObject: { apiVersion: about.apiVersion, kind, name, namespace, uid },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
    source: { component: 'test' },
    ...event,
  } as AnyObject);
}
