import { describe, expect, test } from 'vitest';
import { annotations, childNames } from '../../../k8s/names.ts';
import type { AnyObject } from '../../../k8s/objects.ts';
import type { Settings } from '../../../k8s/plan.ts';
import { isApplied, withHash } from '../../../k8s/resources/applied.ts';
import { missingChildren } from '../../../k8s/resources/children.ts';
import { configMap } from '../../../k8s/resources/configMap.ts';
import { coordinatorJob } from '../../../k8s/resources/coordinatorJob.ts';
import { keysSecret } from '../../../k8s/resources/keysSecret.ts';
import { networkPolicy } from '../../../k8s/resources/networkPolicy.ts';
import type { Recipe } from '../../../k8s/resources/owner.ts';
import { podDisruptionBudget } from '../../../k8s/resources/podDisruptionBudget.ts';
import { service } from '../../../k8s/resources/service.ts';
import { workersJob } from '../../../k8s/resources/workersJob.ts';
import { errorCodes } from '../../../trainer/errors.ts';
import { parseJob } from '../../../trainer/spec.ts';
import { fullJob, recipeOf, trainingJob } from '../../tools/trainingJobs.ts';

interface PodTemplate {
  readonly metadata: { labels: Record<string, string>; annotations?: Record<string, string> };
  readonly spec: {
    readonly containers: readonly Record<string, never>[];
    readonly volumes: readonly { name: string; [source: string]: unknown }[];
    readonly securityContext: Record<string, unknown>;
    readonly [field: string]: unknown;
  };
}

const templateOf = (job: AnyObject) => (job.spec as { template: PodTemplate }).template;
const containerOf = (job: AnyObject) => templateOf(job).spec.containers[0] as Record<string, unknown>;
const environmentOf = (job: AnyObject) =>
  Object.fromEntries((containerOf(job).env as { name: string; value?: string }[]).map(({ name, value }) => [name, value]));

const both = (recipe: Recipe) => ({ coordinator: coordinatorJob(recipe, 'uid-of-keys'), workers: workersJob(recipe, 3, 'uid-of-keys') });

describe.each(Object.entries({ 'a plain job': recipeOf(trainingJob()), 'a job that says all': recipeOf(fullJob) }))(
  'pods of %s',
  (_, recipe) => {
    test.each(Object.entries(both(recipe)))('pass the restricted pod security standard: %s', (_, job) => {
      const { spec } = templateOf(job);
      for (const forbidden of ['hostNetwork', 'hostPID', 'hostIPC', 'initContainers', 'ephemeralContainers'])
        expect(spec).not.toHaveProperty(forbidden);
      expect(spec.securityContext).toEqual({
        ...{ runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, fsGroup: 65_532, fsGroupChangePolicy: 'OnRootMismatch' },
        seccompProfile: { type: 'RuntimeDefault' },
      });
      expect(spec.containers).toHaveLength(1);
      expect(containerOf(job).securityContext).toEqual({
        ...{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, runAsNonRoot: true, capabilities: { drop: ['ALL'] } },
      });
      const allowed = ['configMap', 'emptyDir', 'secret', 'persistentVolumeClaim'];
      for (const { name, ...source } of spec.volumes) expect(allowed).toContain(Object.keys(source).join());
      for (const { hostPort } of (containerOf(job).ports ?? []) as { hostPort?: number }[]) expect(hostPort).toBeUndefined();
    });

    test.each(Object.entries(both(recipe)))('have no credentials of Kubernetes, and no shell: %s', (_, job) => {
      const { spec } = templateOf(job);
      expect(spec).toMatchObject({ automountServiceAccountToken: false, enableServiceLinks: false, restartPolicy: 'Never' });
      expect(containerOf(job)).not.toHaveProperty('command');
      expect(containerOf(job)).not.toHaveProperty('lifecycle');
    });

    test.each(Object.entries(both(recipe)))('write to empty folders and volumes alone: %s', (_, job) => {
      const volumes = new Map(templateOf(job).spec.volumes.map(volume => [volume.name, volume]));
      const mounts = containerOf(job).volumeMounts as { name: string; mountPath: string; readOnly?: boolean }[];
      expect(mounts.map(({ name }) => name)).toEqual([...volumes.keys()]);
      const places = Object.fromEntries(mounts.map(({ name, mountPath, readOnly }) => [mountPath, { readOnly, ...volumes.get(name) }]));
      expect(places).toMatchObject({
        '/etc/segfleet/job': { readOnly: true, configMap: { name: 'nuclei-job' } },
        '/etc/segfleet/keys': { readOnly: true, secret: { secretName: 'nuclei-keys', defaultMode: 0o440 } },
        '/var/lib/segfleet': { emptyDir: {} },
        '/tmp': { emptyDir: {} },
      });
      expect(environmentOf(job)).toMatchObject({
        HOME: '/tmp',
        SEGFLEET_CACHE: '/var/lib/segfleet/cache',
        SEGFLEET_TERMINATION_LOG: '/dev/termination-log',
      });
      expect(containerOf(job)).toMatchObject({
        terminationMessagePath: '/dev/termination-log',
        terminationMessagePolicy: 'FallbackToLogsOnError',
      });
    });
  },
);

describe('the Job of the coordinator', () => {
  const job = coordinatorJob(recipeOf(trainingJob()), 'uid-of-keys');

  test('runs the coordinator, once at a time, until it ends well', () => {
    expect(job.metadata).toMatchObject({
      name: 'nuclei-coordinator',
      namespace: 'team',
      annotations: { 'segfleet.dev/keys': 'uid-of-keys' },
    });
    expect(job.spec).toMatchObject({
      parallelism: 1,
      completions: 1,
      backoffLimit: 2 ** 31 - 1,
      podReplacementPolicy: 'Failed',
      suspend: false,
    });
    expect(job.spec).not.toHaveProperty('activeDeadlineSeconds');
    expect(containerOf(job).args).toEqual([
      ...['coordinator', '/etc/segfleet/job/job.yaml', '--out', '/var/lib/segfleet/run', '--listen', 'tcp://0.0.0.0:5555'],
      ...['--keys', '/etc/segfleet/keys/keys.json', '--progress', '0.0.0.0:8080', '--continue', '--mirror'],
    ]);
    const trial = trainingJob({}, { annotations: { [annotations.objective]: 'validation/dice' } });
    expect((containerOf(coordinatorJob(recipeOf(trial), 'uid')).args as string[]).at(-1)).toBe('--objective=validation/dice');
  });

  test('is ready when it says so, and asks for a little', () => {
    expect(containerOf(job)).toMatchObject({
      ...{ name: 'coordinator', image: 'segfleet:1', readinessProbe: { httpGet: { path: '/healthz', port: 'progress' } } },
      ports: [
        { name: 'control', containerPort: 5555 },
        { name: 'progress', containerPort: 8080 },
      ],
    });
    expect(containerOf(job).resources).toEqual({ requests: { cpu: '100m', memory: '512Mi' } });
    // A limit alone is a request too.
    expect(containerOf(coordinatorJob(recipeOf(fullJob), 'uid')).resources).toEqual({
      requests: { cpu: '100m' },
      limits: { memory: '1Gi' },
    });
  });
});

describe('the Job of the workers', () => {
  const job = workersJob(recipeOf(trainingJob()), 3, 'uid-of-keys');

  test('runs a worker for each index, whose number can be changed', () => {
    expect(job.spec).toMatchObject({
      ...{ completionMode: 'Indexed', parallelism: 3, completions: 3, podReplacementPolicy: 'Failed', suspend: false },
      ...{ backoffLimit: 2 ** 31 - 1, backoffLimitPerIndex: 2 ** 31 - 1 },
    });
    expect(containerOf(job).args).toEqual([
      ...[
        'worker',
        '/etc/segfleet/job/job.yaml',
        '--join',
        'tcp://nuclei-coordinator.team.svc:5555',
        '--keys',
        '/etc/segfleet/keys/keys.json',
      ],
      ...['--id', '$(POD_NAME)', '--host', '$(POD_IP)', '--out', '/var/lib/segfleet/run'],
    ]);
    expect(containerOf(job).env).toContainEqual({ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } });
    expect(containerOf(job).env).toContainEqual({ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } });
    expect(containerOf(job).resources).toEqual({});
  });

  test('has pods as the job says', () => {
    const template = templateOf(workersJob(recipeOf(fullJob), 3, 'uid'));
    const [container] = template.spec.containers as readonly Record<string, unknown>[];
    expect(template.spec).toMatchObject({
      ...{
        priorityClassName: 'research',
        serviceAccountName: 'trainer',
        imagePullSecrets: [{ name: 'pull' }],
        nodeSelector: { gpu: 'h100' },
      },
      ...{ tolerations: [{ key: 'gpu', operator: 'Exists', effect: 'NoSchedule' }], terminationGracePeriodSeconds: 120 },
    });
    expect(template.metadata.annotations).toEqual({ 'example.com/cost': 'low' });
    expect(template.metadata.labels).toEqual({
      ...{ team: 'vision', 'app.kubernetes.io/name': 'segfleet', 'app.kubernetes.io/managed-by': 'segfleet-operator' },
      ...{ 'segfleet.dev/job': 'nuclei', 'segfleet.dev/component': 'worker' },
    });
    expect(container).toMatchObject({ image: 'registry.example/segfleet:2', imagePullPolicy: 'Always' });
    expect(container.resources).toEqual({
      requests: { cpu: '1', memory: '2Gi' },
      limits: { cpu: '1500m', memory: '4Gi', 'nvidia.com/gpu': '2' },
    });
    expect(template.spec.volumes.slice(5)).toEqual([
      { name: 'data', persistentVolumeClaim: { claimName: 'nuclei', readOnly: true } },
      { name: 'ca', secret: { secretName: 'ca', defaultMode: 0o440 } },
      { name: 'lists', configMap: { name: 'lists' } },
      { name: 'scratch', emptyDir: { medium: 'Memory', sizeLimit: '1Gi' } },
    ]);
    expect(container.volumeMounts).toContainEqual({ name: 'data', mountPath: '/data', readOnly: true });
  });

  test('gives values of variables as they are written: Kubernetes would put others in for $(NAME)', () => {
    expect(environmentOf(workersJob(recipeOf(fullJob), 1, 'uid'))).toMatchObject({
      HTTPS_PROXY: 'http://proxy.example:3128',
      PRICE: '$$(HOME) costs $$5',
    });
  });

  test('alone is in a queue of Kueue, which then says when its pods may be there', () => {
    const queued = recipeOf(trainingJob({}, { labels: { 'kueue.x-k8s.io/queue-name': 'gpus' } }));
    const { coordinator, workers } = both(queued);
    expect(workers.metadata.labels).toHaveProperty(['kueue.x-k8s.io/queue-name'], 'gpus');
    expect(workers.spec).not.toHaveProperty('suspend');
    expect(coordinator.metadata.labels).not.toHaveProperty(['kueue.x-k8s.io/queue-name']);
    expect(templateOf(workers).metadata.labels).not.toHaveProperty(['kueue.x-k8s.io/queue-name']);
  });
});

describe('credentials of the store', () => {
  const awsOf = (recipe: Recipe) => {
    const job = workersJob(recipe, 1, 'uid');
    const volume = templateOf(job).spec.volumes.find(({ name }) => name === 'segfleet-aws') as
      | { secret?: { secretName: string } }
      | undefined;
    return {
      secret: volume?.secret?.secretName,
      credentials: environmentOf(job).AWS_SHARED_CREDENTIALS_FILE,
      config: environmentOf(job).AWS_CONFIG_FILE,
    };
  };
  const files = { credentials: '/etc/segfleet/aws/credentials', config: '/etc/segfleet/aws/config' };
  const onVolume = {
    data: { path: '/data' },
    checkpoint: { url: 'file:///data/run' },
    pod: { volumes: [{ name: 'data', mountPath: '/data', claim: 'data' }] },
  };

  test.each([
    ["the job's own", trainingJob({ pod: { storeSecret: 'mine' } }), { secret: 'mine', ...files }],
    ["the operator's", trainingJob(), { secret: 'store', ...files }],
    ['none, where nothing is in a store', trainingJob(onVolume), { secret: undefined }],
  ])('come as files of a Secret: %s', (_, job, expected) => {
    expect(awsOf(recipeOf(job))).toEqual({ credentials: undefined, config: undefined, ...expected });
  });
});

describe('whom the coordinator tells of its run', () => {
  const trackers = { mlflow: 'http://mlflow.tools.svc:5000', mlflowSecret: 'mlflow', traces: 'http://collector:4318' };
  const told = ({ coordinator, workers }: ReturnType<typeof both>) =>
    [coordinator, workers].map(job => (containerOf(job).env as { name: string }[]).filter(({ name }) => /^MLFLOW|^OTEL/.test(name)));
  const secret = (key: string) => ({ name: key, valueFrom: { secretKeyRef: { name: 'mlflow', key, optional: true } } });

  test('is said to the operator for all jobs; workers tell nobody', () => {
    expect(told(both(recipeOf(trainingJob(), { trackers })))).toEqual([
      [
        { name: 'MLFLOW_TRACKING_URI', value: trackers.mlflow },
        ...['MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD', 'MLFLOW_TRACKING_TOKEN'].map(secret),
        { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: trackers.traces },
      ],
      [],
    ]);
  });

  test('a job says otherwise: credentials for the server of the operator do not go to its own', () => {
    const own = [{ name: 'MLFLOW_TRACKING_URI', value: 'http://mine.example' }];
    expect(told(both(recipeOf(trainingJob({ pod: { env: own } }), { trackers: { ...trackers, traces: undefined } })))).toEqual([own, own]);
  });

  test('no name is there twice', () => {
    const own = [{ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: '' }];
    const [coordinator] = told(both(recipeOf(trainingJob({ pod: { env: own } }), { trackers: { traces: trackers.traces } })));
    expect(coordinator).toEqual(own);
  });
});

test('the library comes in the image, or in a claim that nobody writes to', () => {
  const volumes = (more: Partial<Settings>) => templateOf(workersJob(recipeOf(trainingJob(), more), 1, 'uid')).spec.volumes;
  expect(volumes({}).map(({ name }) => name)).not.toContain('segfleet-tensorflow');
  expect(volumes({ libraryClaim: 'tensorflow' })).toContainEqual({
    ...{ name: 'segfleet-tensorflow', persistentVolumeClaim: { claimName: 'tensorflow', readOnly: true } },
  });
  expect(environmentOf(workersJob(recipeOf(trainingJob()), 1, 'uid')).SEGFLEET_TENSORFLOW).toBe('/opt/tensorflow');
});

test.each(Object.entries(both(recipeOf(trainingJob()))))(
  'what a failed pod means follows from the table of exit codes: %s',
  (name, job) => {
    const { rules } = (
      job.spec as { podFailurePolicy: { rules: { action: string; onExitCodes?: { values: number[]; containerName: string } }[] } }
    ).podFailurePolicy;
    expect(rules[0]).toEqual({ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] });
    const meaning = (code: number) => rules.find(({ onExitCodes }) => onExitCodes?.values.includes(code))?.action ?? 'Count';
    const expected = Object.values(errorCodes).map(({ exitCode, retryable }) => [
      exitCode,
      exitCode === 75 ? 'Ignore' : retryable ? 'Count' : 'FailJob',
    ]);
    expect(Object.values(errorCodes).map(({ exitCode }) => [exitCode, meaning(exitCode)])).toEqual(expected);
    expect([137, 139, 143, 255].map(meaning)).toEqual(['Count', 'Count', 'Count', 'Count']);
    for (const { onExitCodes } of rules.slice(1)) {
      expect(onExitCodes!.containerName).toBe(name === 'coordinator' ? 'coordinator' : 'worker');
      expect(onExitCodes!.values).toEqual(onExitCodes!.values.toSorted((a, b) => a - b));
      expect(onExitCodes!.values).not.toContain(0);
    }
  },
);

test('the Service is the name of the coordinator, also while that starts', () => {
  expect(service(recipeOf(trainingJob())).spec).toMatchObject({
    ...{
      clusterIP: 'None',
      publishNotReadyAddresses: true,
      selector: { 'segfleet.dev/job': 'nuclei', 'segfleet.dev/component': 'coordinator' },
    },
    ports: [
      { name: 'control', port: 5555 },
      { name: 'progress', port: 8080 },
    ],
  });
});

test('the ConfigMap has the job with all defaults, frozen ones too, and reads as the same job', () => {
  const job = trainingJob(
    {
      workers: { replicas: 2, max: 4 },
      pod: {
        resources: { limits: { cpu: '1500m' } },
        env: [
          { name: 'X', value: 'on' },
          { name: 'Y', value: '2026-11-26' },
        ],
        labels: { a: 'no', b: '0o17' },
      },
    },
    { labels: { 'kueue.x-k8s.io/queue-name': 'gpus' }, annotations: { 'kubectl.kubernetes.io/last-applied-configuration': 'long' } },
  );
  const recipe = recipeOf(job);
  const { immutable, data } = configMap(recipe) as unknown as { immutable: boolean; data: Record<string, string> };
  expect(immutable).toBe(true);
  expect(Object.keys(data)).toEqual(['job.yaml']);
  const read = parseJob(data['job.yaml'], 'job.yaml').job;
  expect(read).toEqual(recipe.job);
  expect(read.metadata).toEqual({ name: 'nuclei' });
  expect(read.spec).toMatchObject({
    ...{
      training: { lanes: 4, threads: 2 },
      workers: { replicas: 2, max: 4 },
      checkpoint: { url: 's3://runs/models/team/nuclei-0d9f4b1c' },
    },
  });
});

test.each(['no', 'on', 'null', '123', '1e3'])('a job may have the name %s', name => {
  const recipe = recipeOf(trainingJob({}, { name }));
  const { data } = configMap(recipe) as unknown as { data: Record<string, string> };
  expect(parseJob(data['job.yaml'], 'job.yaml').job.metadata.name).toBe(name);
});

test('the Secret has the keys of that run, and does not change', () => {
  expect(keysSecret({ owner: trainingJob() }, run => `keys of ${run}`)).toMatchObject({
    ...{ metadata: { name: 'nuclei-keys' }, type: 'Opaque', immutable: true, stringData: { 'keys.json': 'keys of nuclei' } },
  });
});

describe('the NetworkPolicy', () => {
  const specOf = (recipe: Recipe) =>
    networkPolicy(recipe).spec as {
      podSelector: unknown;
      policyTypes: string[];
      ingress: Record<string, unknown>[];
      egress: { ports: { port: number; protocol: string }[] }[];
    };
  const ownPods = [{ podSelector: { matchLabels: { 'segfleet.dev/job': 'nuclei' } } }];

  test('lets pods of the job talk to each other, the operator and Prometheus ask for progress, and nobody else in', () => {
    const { podSelector, policyTypes, ingress } = specOf(recipeOf(trainingJob()));
    expect(podSelector).toEqual({ matchLabels: { 'segfleet.dev/job': 'nuclei' } });
    expect(policyTypes).toEqual(['Ingress', 'Egress']);
    expect(ingress).toEqual([
      { from: ownPods },
      {
        from: [
          {
            namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'segfleet' } },
            podSelector: { matchLabels: { 'app.kubernetes.io/name': 'segfleet-operator' } },
          },
        ],
        ports: [{ protocol: 'TCP', port: 8080 }],
      },
    ]);
    // A rule without peers would let everybody in.
    expect(specOf(recipeOf(trainingJob(), { clients: [] })).ingress).toEqual([{ from: ownPods }]);
  });

  test('lets pods out to each other, to DNS and to the ports of stores', () => {
    const { egress } = specOf(recipeOf(trainingJob()));
    expect(egress[0]).toEqual({ to: ownPods });
    expect(egress.slice(1)).toEqual([
      {
        ports: [53, 5353].flatMap(port => [
          { protocol: 'UDP', port },
          { protocol: 'TCP', port },
        ]),
      },
      { ports: [{ protocol: 'TCP', port: 443 }] },
    ]);
  });

  test.each([
    ['http://minio.example:9000', [443, 9000]],
    ['http://minio.example', [80, 443]],
    ['https://minio.example', [443]],
    ['not a URL', [443]],
  ])('opens the port of an endpoint that the job names: %s', (value, expected) => {
    const job = trainingJob({ pod: { env: [{ name: 'AWS_ENDPOINT_URL_S3', value }] } });
    expect(specOf(recipeOf(job)).egress[2].ports.map(({ port }) => port)).toEqual(expected);
  });

  test('opens the ports of those who are told of the run, whoever names them', () => {
    const trackers = { mlflow: 'http://mlflow.tools.svc:5000', traces: 'https://collector.example' };
    const ownCollector = trainingJob({ pod: { env: [{ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://mine.example:4318' }] } });
    expect(specOf(recipeOf(ownCollector, { trackers })).egress[2].ports.map(({ port }) => port)).toEqual([443, 4318, 5000]);
  });

  test('opens the ports that the operator was told', () => {
    expect(specOf(recipeOf(trainingJob(), { storePorts: [9000, 443] })).egress[2].ports.map(({ port }) => port)).toEqual([443, 9000]);
  });
});

test.each([
  { min: 1, size: 1, expected: 0 },
  { min: 1, size: 4, expected: 1 },
  { min: 3, size: 4, expected: 3 },
  // All of them are needed: still one may go at a time, else a node could not be drained.
  { min: 4, size: 4, expected: 3 },
])('the PodDisruptionBudget keeps $expected of $size workers where $min are needed', ({ min, size, expected }) => {
  const recipe = recipeOf(trainingJob({ workers: { replicas: size, min } }));
  expect(podDisruptionBudget(recipe, size).spec).toEqual({
    ...{ minAvailable: expected, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
    selector: { matchLabels: { 'segfleet.dev/job': 'nuclei', 'segfleet.dev/component': 'worker' } },
  });
});

test('every child goes with the job, and says whose it is', () => {
  const recipe = recipeOf(trainingJob());
  const { create, apply } = missingChildren(recipe, 1, [], () => '');
  for (const child of [...create, ...apply, coordinatorJob(recipe, 'uid'), workersJob(recipe, 1, 'uid')]) {
    expect(child.metadata.ownerReferences).toEqual([
      {
        ...{ apiVersion: 'segfleet.dev/v1alpha1', kind: 'TrainingJob', name: 'nuclei', uid: recipe.owner.metadata.uid },
        ...{ controller: true, blockOwnerDeletion: true },
      },
    ]);
    expect(child.metadata.namespace).toBe('team');
    expect(child.metadata.labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'segfleet-operator', 'segfleet.dev/job': 'nuclei' });
  }
});

test('what was applied is applied again only when it is to be otherwise', () => {
  const recipe = recipeOf(trainingJob({ workers: { replicas: 4, min: 3 } }));
  const desired = withHash(podDisruptionBudget(recipe, 4));
  expect(isApplied(desired, [])).toBe(false);
  // As the server gives it back: metadata, with more in them.
  const there = { ...desired, spec: undefined, metadata: { ...desired.metadata, uid: 'a', resourceVersion: '7' } };
  expect(isApplied(desired, [there])).toBe(true);
  expect(isApplied(withHash(podDisruptionBudget(recipe, 3)), [there])).toBe(false);
});

describe('names of children', () => {
  const longest = 'a'.repeat(63);

  test.each(['a', '0', '9-lives', longest, `${'a-'.repeat(31)}b`, `${'x'.repeat(47)}-${'y'.repeat(15)}`])(
    'of a job %s are names that Kubernetes takes',
    name => {
      const names = childNames(name);
      for (const child of Object.values(names)) {
        expect(child).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
        expect(child.length).toBeLessThanOrEqual(58);
      }
      expect(names.service).toMatch(/^[a-z]/);
      // Of the pod with the highest index.
      expect(`${names.workers}-4095`.length).toBeLessThanOrEqual(63);
    },
  );

  test('are those of one job alone', () => {
    const jobs = ['1', 'j-1', 'j', 'a', 'a-job', 'a-keys', longest, `${'a'.repeat(62)}b`, 'a'.repeat(60)];
    for (const kind of ['coordinator', 'workers', 'service', 'keys', 'job', 'network', 'disruptionBudget'] as const) {
      expect(new Set(jobs.map(job => childNames(job)[kind])).size).toBe(jobs.length);
    }
  });
});
