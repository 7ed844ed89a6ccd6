/**
 * The pod of a coordinator or of a worker. It passes the *restricted* pod security standard, has no credentials of Kubernetes, writes to its own empty
 * folders and the job's volumes alone, and runs one program without a shell: what a job says reaches it as a file, never as a word of a command.
 */
import { type Component, childNames, places, ports } from '../names.ts';
import type { TrainingJob } from '../objects.ts';
import { labelsOf, type Recipe } from './owner.ts';
import { trackerVariables } from './trackers.ts';

/** Of the image, which runs as nobody in particular. */
const user = 65_532;

/** What names of volumes of a job may not begin with. */
export const ownVolumePrefix = 'segfleet-';

/** Files of a Secret: for the group that the pod runs in. */
const secretMode = 0o440;

/** Of the coordinator, which computes no steps; a job may say otherwise. */
const coordinatorRequests = { cpu: '100m', memory: '512Mi' };

interface Volume {
  readonly mount: { readonly name: string; readonly mountPath: string; readonly readOnly?: boolean };
  readonly source: Readonly<Record<string, unknown>>;
}

export function podTemplate(recipe: Recipe, component: Component, own: { readonly args: readonly string[] }) {
  const { owner, job, settings } = recipe;
  const { pod, priorityClassName } = job.spec;
  const volumes = volumesOf(recipe);
  const isCoordinator = component === 'coordinator';
  return {
    metadata: {
      labels: { ...pod.labels, ...labelsOf(owner, component) },
      ...(pod.annotations && { annotations: pod.annotations }),
    },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: pod.terminationGracePeriodSeconds,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        // Else the owner of each file of a large volume is changed at each start.
        fsGroupChangePolicy: 'OnRootMismatch',
        seccompProfile: { type: 'RuntimeDefault' },
      },
      ...(pod.serviceAccountName && { serviceAccountName: pod.serviceAccountName }),
      ...(priorityClassName && { priorityClassName }),
      ...(pod.imagePullSecrets && { imagePullSecrets: pod.imagePullSecrets.map(name => ({ name })) }),
      ...(pod.nodeSelector && { nodeSelector: pod.nodeSelector }),
      ...(pod.tolerations && { tolerations: pod.tolerations }),
      volumes: volumes.map(({ mount, source }) => ({ name: mount.name, ...source })),
      containers: [
        {
          name: component,
          image: pod.image ?? settings.image,
          ...pullPolicyOf(recipe),
          args: own.args,
          env: [
            ...environmentOf(recipe),
            ...(isCoordinator ? trackerVariables(recipe) : placeInCluster),
            ...(pod.env ?? []).map(unexpanded),
          ],
          resources: resourcesOf(recipe, component),
          volumeMounts: volumes.map(({ mount }) => mount),
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            runAsNonRoot: true,
            capabilities: { drop: ['ALL'] },
          },
          ...(isCoordinator && {
            ports: [
              { name: 'control', containerPort: ports.control },
              { name: 'progress', containerPort: ports.progress },
            ],
            readinessProbe: { httpGet: { path: '/healthz', port: 'progress' }, periodSeconds: 2, timeoutSeconds: 2 },
          }),
          terminationMessagePath: places.terminationLog,
          // A process that is killed writes no message; its last words are better than nothing.
          terminationMessagePolicy: 'FallbackToLogsOnError',
        },
      ],
    },
  };
}

/** By default: IfNotPresent, or Always for `latest`. */
function pullPolicyOf({ job, settings }: Recipe) {
  const imagePullPolicy = job.spec.pod.imagePullPolicy ?? settings.imagePullPolicy;
  return imagePullPolicy && { imagePullPolicy };
}

function resourcesOf({ job }: Recipe, component: Component) {
  const { pod } = job.spec;
  if (component === 'coordinator') {
    const { requests, limits } = pod.coordinator?.resources ?? {};
    // A limit alone is a request too.
    const given = Object.fromEntries(Object.entries(coordinatorRequests).filter(([name]) => limits?.[name] === undefined));
    return { requests: texts({ ...given, ...requests }), ...(limits && { limits: texts(limits) }) };
  }
  const { requests, limits } = pod.resources ?? {};
  const all = { ...limits, ...(pod.gpus && { 'nvidia.com/gpu': pod.gpus }) };
  return { ...(requests && { requests: texts(requests) }), ...(Object.keys(all).length > 0 && { limits: texts(all) }) };
}

const texts = (amounts: Readonly<Record<string, string | number>>): Record<string, string> =>
  Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));

/** Kubernetes puts the values of variables for `$(NAME)`; a job means what it says. */
const unexpanded = ({ name, value }: { name: string; value: string }) => ({ name, value: value.replaceAll('$', '$$$$') });

/** Of workers, whose arguments name them. */
const placeInCluster = [
  { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
  { name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
];

function environmentOf(recipe: Recipe) {
  const values = {
    HOME: places.temporary,
    SEGFLEET_CACHE: places.cache,
    SEGFLEET_TENSORFLOW: places.tensorflow,
    SEGFLEET_TERMINATION_LOG: places.terminationLog,
    ...(storeSecretOf(recipe) && {
      AWS_SHARED_CREDENTIALS_FILE: `${places.aws}/credentials`,
      AWS_CONFIG_FILE: `${places.aws}/config`,
    }),
  };
  return Object.entries(values).map(([name, value]) => ({ name, value }));
}

/** Names that a job cannot set in `pod.env`: those that a pod has from here. */
export const ownVariables = [
  ...['HOME', 'SEGFLEET_CACHE', 'SEGFLEET_TENSORFLOW', 'SEGFLEET_TERMINATION_LOG'],
  ...['AWS_SHARED_CREDENTIALS_FILE', 'AWS_CONFIG_FILE', 'POD_NAME', 'POD_IP'],
  // Kubernetes's own, of indexed Jobs.
  'JOB_COMPLETION_INDEX',
];

/** The operator's is for jobs that use a store: in the namespaces of others it need not be. */
export function storeSecretOf({ job, settings }: Pick<Recipe, 'job' | 'settings'>): string | undefined {
  const { data, checkpoint, pod } = job.spec;
  const usesStore = [data.path, data.split.file, checkpoint.url].some(place => place?.toLowerCase().startsWith('s3:'));
  return pod.storeSecret ?? (usesStore ? settings.storeSecret : undefined);
}

function volumesOf(recipe: Recipe): Volume[] {
  const { owner, job, settings } = recipe;
  const names = childNames(owner.metadata.name);
  const storeSecret = storeSecretOf(recipe);
  const own = (name: string, mountPath: string, source: Volume['source'], readOnly = true): Volume => ({
    mount: { name: ownVolumePrefix + name, mountPath, ...(readOnly && { readOnly }) },
    source,
  });
  const secret = (secretName: string) => ({ secret: { secretName, defaultMode: secretMode } });
  return [
    own('job', folderOf(places.job), { configMap: { name: names.job } }),
    own('keys', folderOf(places.keys), secret(names.keys)),
    own('state', places.state, { emptyDir: {} }, false),
    own('temporary', places.temporary, { emptyDir: {} }, false),
    ...(storeSecret ? [own('aws', places.aws, secret(storeSecret))] : []),
    ...(settings.libraryClaim
      ? [own('tensorflow', places.tensorflow, { persistentVolumeClaim: { claimName: settings.libraryClaim, readOnly: true } })]
      : []),
    ...(job.spec.pod.volumes ?? []).map(volume => ({
      mount: { name: volume.name, mountPath: volume.mountPath, ...(volume.readOnly && { readOnly: true }) },
      source: sourceOf(volume),
    })),
  ];
}

type GivenVolume = NonNullable<Recipe['job']['spec']['pod']['volumes']>[number];

function sourceOf({ claim, secret, configMap, emptyDir, readOnly }: GivenVolume): Volume['source'] {
  if (claim !== undefined) return { persistentVolumeClaim: { claimName: claim, ...(readOnly && { readOnly }) } };
  if (secret !== undefined) return { secret: { secretName: secret, defaultMode: secretMode } };
  if (configMap !== undefined) return { configMap: { name: configMap } };
  const { medium, sizeLimit } = emptyDir!;
  return { emptyDir: { ...(medium && { medium }), ...(sizeLimit !== undefined && { sizeLimit: String(sizeLimit) }) } };
}

/** Where a volume of a job cannot be mounted, nor above. */
export const ownMounts = (settings: Recipe['settings']): readonly string[] => [
  ...['/etc/segfleet', places.state, places.temporary, places.terminationLog],
  ...(settings.libraryClaim ? [places.tensorflow] : []),
];

const folderOf = (file: string) => file.slice(0, file.lastIndexOf('/'));

/** Where workers find the coordinator. */
export const coordinatorAddress = ({ metadata }: TrainingJob): string =>
  `tcp://${childNames(metadata.name).service}.${metadata.namespace}.svc:${ports.control}`;
