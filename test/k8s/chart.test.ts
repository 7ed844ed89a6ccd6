/**
 * The chart: what Helm makes of it, which values it refuses, and what becomes of it on a cluster, from the first installation to the last trace. The
 * cluster has no nodes: there the pods of the operator are made, and wait.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { parse } from 'yaml';
import Operator from '../../cli/commands/operator.ts';
import { type Api, connect } from '../../k8s/api.ts';
import { generatedChartFiles, valuesTable, withTable } from '../../k8s/chartValues.ts';
import { dashboards } from '../../k8s/monitoring/files.ts';
import { podTemplate } from '../../k8s/resources/podTemplate.ts';
import { type ControlPlane, startControlPlane } from '../tools/controlPlane.ts';
import { chartFolder, Helm, type Rendered, type Values } from '../tools/helm.ts';
import { may, type Resource, resourcesOf, rightsOf } from '../tools/rights.ts';
import { type TemporaryFolder, temporaryFolder } from '../tools/temporaryFolder.ts';
import { hasHelm, hasKubernetes, hasPrometheusOperatorKinds, prometheusOperatorFiles } from '../tools/tools.ts';
import { fullJob, recipeOf } from '../tools/trainingJobs.ts';

const soon = { timeout: 30_000, interval: 100 };
const root = join(import.meta.dirname, '..', '..');
const chartFiles = join('charts', 'segfleet', 'files');

let folder: TemporaryFolder;
beforeAll(() => {
  folder = temporaryFolder('helm');
});
afterAll(() => folder[Symbol.asyncDispose]());

/** They are long, and take long to read. */
const withoutKinds: Values = { crds: { install: false } };

const kinds = ['CustomResourceDefinition sweeps.segfleet.dev', 'CustomResourceDefinition trainingjobs.segfleet.dev'];
const everywhere = ['ClusterRole fleet:segfleet-operator', 'ClusterRoleBinding fleet:segfleet-operator'];
/** Without the kinds. */
const usual = [
  ...everywhere,
  'ClusterRole fleet:segfleet-operator:edit',
  'ClusterRole fleet:segfleet-operator:view',
  'Deployment segfleet-operator',
  'Lease segfleet-operator',
  'NetworkPolicy segfleet-operator',
  'PodDisruptionBudget segfleet-operator',
  'Role segfleet-operator-lease',
  'RoleBinding segfleet-operator-lease',
  'Service segfleet-operator',
  'ServiceAccount segfleet-operator',
].sort();

/** Whatever can be set, but for what is of the Prometheus operator, whose kinds not every cluster has. */
const allValues: Values = {
  replicas: 3,
  namespaces: ['team-a', 'team-b'],
  image: { repository: 'r.invalid/segfleet', digest: `sha256:${'ab'.repeat(32)}`, pullPolicy: 'Always', pullSecrets: ['key'] },
  jobImage: 'r.invalid/segfleet:gpu',
  store: { url: 's3://bucket/runs', ports: [9000, 7070], secret: 'store' },
  libraryClaim: 'tensorflow',
  trackers: { mlflow: 'http://mlflow:5000', mlflowSecret: 'mlflow', traces: 'http://collector:4318' },
  resources: { requests: { cpu: 1 }, limits: { memory: '1Gi' } },
  serviceAccount: { annotations: { 'cloud.invalid/role': 'trainer' } },
  ...withoutKinds,
  networkPolicy: { prometheusNamespace: 'monitoring' },
  dashboards: { enabled: true, labels: { found: 'so' }, annotations: { folder: 'training' } },
  priorityClassName: 'system-cluster-critical',
  nodeSelector: { disk: 'fast' },
  tolerations: [{ key: 'spot', operator: 'Exists', effect: 'NoSchedule' }],
  affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
  podAnnotations: { note: 'yes' },
  labels: { team: 'vision' },
};

describe.skipIf(!hasHelm())('the chart', () => {
  let helm: Helm;
  let plain: Rendered[];
  beforeAll(async () => {
    helm = new Helm(folder.path);
    plain = await helm.render();
  });

  test('has nothing that Helm finds fault with', async () => {
    const { code, stdout, stderr } = await helm.run(['lint', '--strict', chartFolder]);
    expect({ code, faults: stdout.match(/^\[(WARNING|ERROR)\].*$/gm), stderr }).toEqual({ code: 0, faults: null, stderr: '' });
  });

  test.each(generatedChartFiles())('has in $file what is made of the schema now (`npm run generate`)', ({ file, contents }) => {
    expect(readFileSync(join(root, file), 'utf8')).toBe(contents);
  });

  test('says in its README what each value means, and what it is by default', () => {
    const table = valuesTable().split('\n');
    expect(table).toContain('| `replicas` | `2` | Of the operator. One leads, the others wait. |');
    expect(table).toContain('| `serviceMonitor.interval` | `"30s"` | Between two looks. |');
    expect(table.filter(row => row.includes('`resources'))).toHaveLength(1);
    expect(table.slice(2).filter(row => !/^\| `[a-zA-Z.]+` \| `[^|]+` \| [^|]+\. \|$/.test(row))).toEqual([]);
    expect(() => withTable('# No place for a table')).toThrow(/between the lines/);
  });

  test.each<[string, Values, { gone?: string[]; come?: string[] }]>([
    ['as it is, with the kinds', { crds: {} }, { come: kinds }],
    [
      'for two namespaces: a Role in each, none for all',
      { namespaces: ['team-a', 'team-b'] },
      {
        gone: everywhere,
        come: ['Role', 'RoleBinding'].flatMap(kind => ['team-a', 'team-b'].map(namespace => `${kind} ${namespace}/segfleet-operator`)),
      },
    ],
    [
      'for a namespace that is named twice',
      { namespaces: ['team-a', 'team-a'] },
      { gone: everywhere, come: ['Role team-a/segfleet-operator', 'RoleBinding team-a/segfleet-operator'] },
    ],
    ['with one replica, which no budget keeps on its node', { replicas: 1 }, { gone: ['PodDisruptionBudget segfleet-operator'] }],
    ['with a ServiceMonitor', { serviceMonitor: { enabled: true } }, { come: ['ServiceMonitor segfleet-operator'] }],
    ['with a PodMonitor', { podMonitor: { enabled: true } }, { come: ['PodMonitor segfleet-operator-runs'] }],
    [
      'with dashboards',
      { dashboards: { enabled: true } },
      { come: dashboards.map(({ name }) => `ConfigMap segfleet-operator-dashboard-${name}`) },
    ],
    ['with alerts', { alerts: { enabled: true } }, { come: ['PrometheusRule segfleet-operator'] }],
    ['without a NetworkPolicy', { networkPolicy: { enabled: false } }, { gone: ['NetworkPolicy segfleet-operator'] }],
    [
      'without roles of users',
      { userRoles: false },
      { gone: ['ClusterRole fleet:segfleet-operator:edit', 'ClusterRole fleet:segfleet-operator:view'] },
    ],
    [
      'with the account of somebody else',
      { serviceAccount: { create: false, name: 'theirs' } },
      { gone: ['ServiceAccount segfleet-operator'] },
    ],
  ])('renders %s', async (_, values, { gone = [], come = [] }) => {
    const expected = [...usual.filter(title => !gone.includes(title)), ...come].sort();
    expect((await helm.render({ ...withoutKinds, ...values })).map(titleOf).sort()).toEqual(expected);
  });

  test('gives its objects names that no other release has', async () => {
    const render = (release: string, namespace: string) => helm.render(withoutKinds, { release, namespace });
    const [here, there] = await Promise.all([render('b-c', 'a'), render('c', 'a-b')]);
    const ofCluster = (objects: Rendered[]) => objects.map(titleOf).filter(title => title.startsWith('ClusterRole'));
    expect(ofCluster(here)).toHaveLength(4);
    expect(ofCluster(here).filter(title => ofCluster(there).includes(title))).toEqual([]);
  });

  test('labels all that it makes, and no label is set over its own', async () => {
    const watched = { enabled: true, labels: { release: 'prometheus' } };
    const more = { ...allValues, serviceMonitor: watched, podMonitor: watched, alerts: watched, labels: { release: 'x' } };
    for (const objects of [plain, await helm.render(more)]) {
      const wrong = objects.filter(({ metadata: { labels } }) => !hasAll(labels, standardLabels));
      expect(wrong.map(titleOf)).toEqual([]);
    }
    const { code, stderr } = await helm.template({ labels: { 'app.kubernetes.io/name': 'mine' } });
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('the chart sets this label itself; choose another key') });
  });

  test('selects the pods of the operator wherever it selects, and names ports that they have', async () => {
    const objects = await helm.render({ ...withoutKinds, serviceMonitor: { enabled: true } });
    const [deployment, service, policy, budget, monitor] = [
      'Deployment',
      'Service',
      'NetworkPolicy',
      'PodDisruptionBudget',
      'ServiceMonitor',
    ].map(kind => objects.find(object => object.kind === kind)!);
    const { labels } = deployment.spec.template.metadata;
    for (const selector of [
      deployment.spec.selector.matchLabels,
      service.spec.selector,
      policy.spec.podSelector.matchLabels,
      budget.spec.selector.matchLabels,
      podOf(objects).topologySpreadConstraints[0].labelSelector.matchLabels,
    ]) {
      expect(labels).toMatchObject(selector);
      expect(Object.keys(selector).sort()).toEqual(['component', 'instance', 'name'].map(name => `app.kubernetes.io/${name}`));
    }
    expect(service.metadata.labels).toMatchObject(monitor.spec.selector.matchLabels);
    expect(service.spec.ports.map(({ name }: { name: string }) => name)).toContain(monitor.spec.endpoints[0].port);
    const [{ ports, startupProbe, readinessProbe, livenessProbe }] = podOf(objects).containers;
    const named = [startupProbe, readinessProbe, livenessProbe].map(({ httpGet }) => httpGet.port);
    const all = [...named, service.spec.ports[0].targetPort, policy.spec.ingress[0].ports[0].port];
    expect([...new Set(all)]).toEqual(ports.map(({ name }: { name: string }) => name));
  });

  test('allows the operator no wildcards, no look around among Secrets, and no way into pods', () => {
    const rules = plain.flatMap(({ rules = [] }) => rules as Rule[]);
    expect(rules.length).toBeGreaterThan(10);
    expect(rules.filter(rule => Object.values(rule).flat().includes('*'))).toEqual([]);
    expect(rules.filter(({ resources }) => resources.includes('secrets'))).toEqual([
      { apiGroups: [''], resources: ['secrets'], verbs: ['get', 'create'] },
    ]);
    expect(rules.flatMap(({ resources }) => resources).filter(resource => /^pods\//.test(resource))).toEqual(['pods/log']);
  });

  test('has pods that may do as little as Kubernetes lets them', () => {
    expect(podOf(plain)).toMatchObject({
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          securityContext: { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
          volumeMounts: [{ name: 'temporary', mountPath: '/tmp' }],
        },
      ],
      volumes: [{ name: 'temporary', emptyDir: {} }],
    });
    const { hostNetwork, hostPID, hostIPC, initContainers } = podOf(plain);
    expect([hostNetwork, hostPID, hostIPC, initContainers]).toEqual([undefined, undefined, undefined, undefined]);
  });

  const digest = `sha256:${'0f'.repeat(32)}`;
  test.each<[string, Values, object]>([
    ['its own image, of its version', {}, { containers: [{ image: 'segfleet:0.1.0', args: has('--image=segfleet:0.1.0') }] }],
    [
      'a tag',
      { image: { repository: 'r.invalid/s', tag: 'next' } },
      { containers: [{ image: 'r.invalid/s:next', args: has('--image=r.invalid/s:next') }] },
    ],
    [
      'a digest, in place of any tag',
      { image: { tag: 'next', digest } },
      { containers: [{ image: `segfleet@${digest}`, args: has(`--image=segfleet@${digest}`) }] },
    ],
    [
      'another image for jobs',
      { jobImage: 'segfleet:gpu' },
      { containers: [{ image: 'segfleet:0.1.0', args: has('--image=segfleet:gpu') }] },
    ],
    ['secrets to pull it with', { image: { pullSecrets: ['a', 'b'] } }, { imagePullSecrets: [{ name: 'a' }, { name: 'b' }] }],
    [
      'when to pull it',
      { image: { pullPolicy: 'Never' } },
      { containers: [{ imagePullPolicy: 'Never', args: has('--image-pull-policy=Never') }] },
    ],
    ['an account', { serviceAccount: { create: false, name: 'theirs' } }, { serviceAccountName: 'theirs' }],
    [
      'a lease in its own namespace, and an address for probes',
      {},
      { containers: [{ args: ['operator', '--listen=0.0.0.0:8081', '--lease=fleet/segfleet-operator', '--image=segfleet:0.1.0'] }] },
    ],
    [
      'all that it is told',
      allValues,
      {
        priorityClassName: 'system-cluster-critical',
        nodeSelector: { disk: 'fast' },
        tolerations: allValues.tolerations,
        affinity: allValues.affinity,
        containers: [
          {
            args: [
              'operator',
              '--listen=0.0.0.0:8081',
              '--lease=fleet/segfleet-operator',
              '--image=r.invalid/segfleet:gpu',
              '--namespace=team-a',
              '--namespace=team-b',
              '--image-pull-policy=Always',
              '--store=s3://bucket/runs',
              '--store-port=9000',
              '--store-port=7070',
              '--store-secret=store',
              '--library-claim=tensorflow',
              '--mlflow=http://mlflow:5000',
              '--mlflow-secret=mlflow',
              '--traces=http://collector:4318',
              '--prometheus-namespace=monitoring',
            ],
            env: has({ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector:4318' }),
            resources: allValues.resources,
          },
        ],
      },
    ],
  ])('gives the operator %s', async (_, values, pod) => {
    expect(podOf(await helm.render({ ...withoutKinds, ...values }))).toMatchObject(pod);
  });

  test('tells the operator in flags that it has', async () => {
    const [{ args }] = podOf(await helm.render({ ...withoutKinds, ...allValues })).containers;
    const names = args.filter((word: string) => word.startsWith('--')).map((word: string) => word.slice(2).split('=')[0]);
    expect(Object.keys(Operator.flags)).toEqual(expect.arrayContaining(names));
  });

  test('lets Prometheus alone ask for metrics, where it is said where that is', async () => {
    const ingress = async (values: Values) =>
      (await helm.render({ ...withoutKinds, ...values })).find(({ kind }) => kind === 'NetworkPolicy')!.spec.ingress;
    const ports = [{ port: 'metrics' }];
    expect(await ingress({})).toEqual([{ ports }]);
    const from = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }];
    expect(await ingress({ networkPolicy: { prometheusNamespace: 'monitoring' } })).toEqual([{ ports, from }]);
  });

  test('has a ServiceMonitor with the labels and the interval that it is told', async () => {
    const objects = await helm.render({
      ...withoutKinds,
      serviceMonitor: { enabled: true, interval: '5s', labels: { release: 'prometheus' } },
    });
    expect(objects.find(({ kind }) => kind === 'ServiceMonitor')).toMatchObject({
      metadata: { labels: { release: 'prometheus', 'app.kubernetes.io/name': 'segfleet' } },
      spec: { endpoints: [{ port: 'metrics', interval: '5s' }] },
    });
  });

  test('has a PodMonitor that finds coordinators where jobs are, at a port that they have', async () => {
    const monitorFor = async (namespaces: string[]) => {
      const podMonitor = { enabled: true, interval: '5s', labels: { release: 'prometheus' } };
      const objects = await helm.render({ ...withoutKinds, namespaces, podMonitor });
      return objects.find(({ kind }) => kind === 'PodMonitor')!;
    };
    const { metadata, spec } = await monitorFor([]);
    expect(metadata.labels).toMatchObject({ release: 'prometheus', 'app.kubernetes.io/name': 'segfleet' });
    expect(spec.namespaceSelector).toEqual({ any: true });
    expect((await monitorFor(['team-a', 'team-b', 'team-a'])).spec.namespaceSelector).toEqual({ matchNames: ['team-a', 'team-b'] });
    const pods = (['coordinator', 'worker'] as const).map(component => podTemplate(recipeOf(fullJob), component, { args: [] }));
    const { matchLabels } = spec.selector;
    expect(pods.map(({ metadata }) => hasAll(metadata.labels, matchLabels))).toEqual([true, false]);
    const [{ ports }] = pods[0].spec.containers;
    expect(ports).toContainEqual({ name: spec.podMetricsEndpoints[0].port, containerPort: 8080 });
  });

  test('has dashboards with the labels by which they are found, as they were made', async () => {
    const maps = async (values: Values) =>
      (await helm.render({ ...withoutKinds, dashboards: { enabled: true, ...values } })).filter(({ kind }) => kind === 'ConfigMap');
    for (const { metadata, data } of await maps({})) {
      expect(metadata.labels).toMatchObject({ grafana_dashboard: '1' });
      const [[file, contents]] = Object.entries<string>(data);
      const { name } = dashboards.find(dashboard => metadata.name!.endsWith(dashboard.name))!;
      expect([file, contents]).toEqual([
        `segfleet-${name}.json`,
        readFileSync(join(root, chartFiles, 'dashboards', `${name}.json`), 'utf8'),
      ]);
    }
    const [{ metadata }] = await maps({ labels: { found: 'so' }, annotations: { grafana_folder: 'training' } });
    expect(metadata).toMatchObject({ labels: { found: 'so' }, annotations: { grafana_folder: 'training' } });
  });

  test('has the rules of alerts as they were made, with runbooks where it is told', async () => {
    const rulesFor = async (alerts: Values) =>
      (await helm.render({ ...withoutKinds, alerts: { enabled: true, ...alerts } })).find(({ kind }) => kind === 'PrometheusRule')!;
    const made = readFileSync(join(root, chartFiles, 'alerts.yaml'), 'utf8');
    expect((await rulesFor({})).spec).toEqual(parse(made));
    const page = 'https://wiki.invalid/runbooks';
    const { metadata, spec } = await rulesFor({ runbooks: page, labels: { release: 'prometheus' } });
    expect(metadata.labels).toMatchObject({ release: 'prometheus' });
    expect(spec).toEqual(parse(made.replaceAll('docs/runbooks.md', page)));
    expect(made).toContain('docs/runbooks.md#trainingstalled');
  });

  describe('takes for a text like any other', () => {
    const values = (text: string): Values => ({
      ...withoutKinds,
      image: { repository: `r${text}`, tag: text, pullSecrets: ['s'] },
      jobImage: text,
      store: { url: `s3://b${text}` },
      resources: { limits: { memory: text } },
      serviceAccount: { annotations: { note: text } },
      serviceMonitor: { enabled: true, interval: text, labels: { note: text } },
      podMonitor: { enabled: true, interval: text, labels: { note: text } },
      nodeSelector: { note: text },
      podAnnotations: { note: text },
      labels: { more: text },
    });

    let harmless: Rendered[];
    beforeAll(async () => {
      harmless = await helm.render(values('harmless'));
    });

    test.each([
      ': {',
      '#',
      '"',
      "'",
      '- ',
      '{{ .Values.image }}',
      'a\n      hostNetwork: true',
      '$(x) \\n',
      'é\u2028\u{1f600}',
      '\t',
      '~',
      '1e3',
      'no',
    ])('%j', async hostile => {
      expect(await helm.render(values(hostile))).toEqual(withTexts(harmless, text => text.replaceAll('harmless', () => hostile)));
    });
  });

  describe('takes for a name like any other', () => {
    const values = (text: string): Values => ({
      ...withoutKinds,
      namespaces: [text],
      image: { pullSecrets: [text] },
      store: { secret: text },
      libraryClaim: text,
      serviceAccount: { name: text },
      networkPolicy: { prometheusNamespace: text },
      priorityClassName: text,
    });
    const rendered = (name: string) => helm.render(values(name), { release: 'x', namespace: name });

    let harmless: Rendered[];
    beforeAll(async () => {
      harmless = await rendered('harmless');
    });

    test.each(['1e3', '0x1f', '123', 'no', 'null', 'true'])('%s', async name => {
      expect(await rendered(name)).toEqual(withTexts(harmless, text => text.replaceAll('harmless', name)));
    });
  });

  test.each<[string, Values, string]>([
    ['a value that there is not', { replica: 2 }, "at '': additional properties 'replica' not allowed"],
    ['one within another', { store: { uri: 's3://b' } }, "at '/store': additional properties 'uri' not allowed"],
    ['a text for a number', { replicas: 'two' }, "at '/replicas': got string, want integer"],
    ['a part of a replica', { replicas: 1.5 }, "at '/replicas': got number, want integer"],
    ['no replicas', { replicas: 0 }, "at '/replicas': minimum: got 0, want 1"],
    ['a text for a list', { namespaces: 'team-a' }, "at '/namespaces': got string, want array"],
    ['a namespace with dots', { namespaces: ['a.b'] }, "at '/namespaces/0': 'a.b' does not match pattern"],
    ['a text for a choice', { crds: { keep: 'yes' } }, "at '/crds/keep': got string, want boolean"],
    [
      'half a digest',
      { image: { digest: 'sha256:abc' } },
      "at '/image/digest': 'sha256:abc' does not match pattern '^(sha256:[0-9a-f]{64})?$'",
    ],
    ['no image', { image: { repository: '' } }, "at '/image/repository': minLength: got 0, want 1"],
    ['a policy in small letters', { image: { pullPolicy: 'always' } }, "value must be one of '', 'Always', 'IfNotPresent', 'Never'"],
    [
      'a store that is no bucket',
      { store: { url: '/mnt/runs' } },
      "at '/store/url': '/mnt/runs' does not match pattern '^(s3://[^/]+.*)?$'",
    ],
    ['a port that there is not', { store: { ports: [70_000] } }, "at '/store/ports/0': maximum: got 70,000, want 65,535"],
    ['a name that no Secret has', { store: { secret: 'My_Secret' } }, "at '/store/secret': 'My_Secret' does not match pattern"],
    ['a page of runbooks with a gap', { alerts: { runbooks: 'our wiki' } }, "at '/alerts/runbooks': 'our wiki' does not match pattern"],
    ['a number for a label', { labels: { a: 1 } }, "at '/labels/a': got number, want string"],
    ['unknown resources', { resources: { limit: {} } }, "at '/resources': additional properties 'limit' not allowed"],
  ])('refuses %s', async (_, values, message) => {
    const { code, stdout, stderr } = await helm.template(values);
    expect({ code, stdout, stderr }).toEqual({ code: 1, stdout: '', stderr: expect.stringContaining(message) });
  });

  test('takes what charts above it pass down', async () => {
    expect(await helm.template({ global: { any: 1 } })).toMatchObject({ code: 0 });
  });

  test('comes with its README in a package', async () => {
    const { stdout } = await helm.run(['show', 'readme', chartFolder]);
    expect(stdout).toContain(valuesTable());
  });
});

describe.skipIf(!hasHelm() || !hasKubernetes())('the chart on a cluster', () => {
  let controlPlane: ControlPlane;
  let helm: Helm;
  let admin: Api;
  let apis: Api[];
  let before: ReadonlySet<string>;
  let resources: Resource[];
  let operator: Api;
  /** What everybody may. */
  let nobody: Record<string, string>;

  beforeAll(async () => {
    // The second lets only those point at an owner who may hold it back.
    const apiServerArgs = ['--enable-admission-plugins=NodeRestriction,OwnerReferencesPermissionEnforcement'];
    controlPlane = await startControlPlane({ scheduler: false, apiServerArgs });
    helm = new Helm(folder.path, controlPlane.kubeconfig);
    admin = await connect({ kubeconfig: controlPlane.kubeconfig });
    apis = [admin];
    for (const name of ['fleet', 'team-a', 'team-b', 'elsewhere']) {
      const labels = name === 'fleet' && { 'pod-security.kubernetes.io/enforce': 'restricted' };
      await admin.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, ...(labels && { labels }) } });
    }
    for (const namespace of ['fleet', 'team-a', 'team-b', 'elsewhere', 'kube-system', 'kube-public', 'kube-node-lease', 'default']) {
      await vi.waitFor(() => admin.get('ConfigMap', 'kube-root-ca.crt', { namespace }), soon);
      await vi.waitFor(() => admin.raw(`/api/v1/namespaces/${namespace}/serviceaccounts/default`), soon);
    }
    before = new Set(await everything());
  });
  afterAll(async () => {
    await Promise.all((apis ?? []).map(api => api.close()));
    await controlPlane?.[Symbol.asyncDispose]();
  });

  test('is made of objects that an API server knows every field of', async () => {
    for (const [values, where] of [
      [{}, {}],
      [allValues, {}],
      // Names of releases may be what names of Services may not.
      [withoutKinds, { release: '1e3' }],
      [withoutKinds, { release: '1.no' }],
      [withoutKinds, { release: `r${'-5'.repeat(26)}` }],
    ] as const) {
      const { stdout: input } = await helm.template(values, where);
      const words = ['create', '--dry-run=server', '--validate=strict', '--output=name', '--filename=-'];
      const { code, stderr } = await controlPlane.kubectlWith({ input }, ...words);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    }
  });

  test.skipIf(!hasPrometheusOperatorKinds())('has monitors and alerts that the Prometheus operator knows every field of', async () => {
    const files = prometheusOperatorFiles.map(file => `--filename=${file}`);
    await controlPlane.kubectl('create', ...files);
    await controlPlane.kubectl('wait', '--for=condition=Established', '--timeout=60s', ...files);
    try {
      const watched = { enabled: true, labels: { release: 'prometheus' } };
      const { stdout: input } = await helm.template({ ...withoutKinds, serviceMonitor: watched, podMonitor: watched, alerts: watched });
      const { stdout, stderr } = await controlPlane.kubectlWith(
        { input },
        ...['create', '--dry-run=server', '--validate=strict', '--output=name', '--filename=-'],
      );
      expect(stderr).toBe('');
      expect(stdout.match(/^\w+(?=\.monitoring\.coreos\.com\/)/gm)?.sort()).toEqual(['podmonitor', 'prometheusrule', 'servicemonitor']);
    } finally {
      await controlPlane.kubectl('delete', ...files);
    }
  });

  test('is installed: an older version, with older kinds', async () => {
    const older = olderChart();
    const { code, stdout, stderr } = await helm.run(['install', 'segfleet', older, '--namespace', 'fleet']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^STATUS: deployed$/m);
    expect(stdout.slice(stdout.indexOf('NOTES:'))).toMatchInlineSnapshot(`
      "NOTES:
      segfleet 0.1.0 is installed for all namespaces.

      See whether the cluster has what jobs need:
        segfleet cluster check --namespace default

      Run a job, and watch it:
        kubectl apply --namespace default -f job.yaml    # the file that \`segfleet train\` takes
        kubectl get trainingjobs --namespace default --watch

      store.url is not set, so every job must say where its checkpoints lie (checkpoint.url).

      \`helm uninstall\` leaves the kinds, and with them all jobs. To remove those too:
        kubectl delete crd trainingjobs.segfleet.dev sweeps.segfleet.dev
      "
    `);
    expect(await columns()).not.toContain('Checkpoint');
    await vi.waitFor(async () => {
      const installed = (await since()).filter(title => !/^(ReplicaSet|Pod|EndpointSlice|Endpoints|IPAddress|APIService) /.test(title));
      expect(installed).toEqual([...kinds, ...usual.map(inFleet), 'Secret fleet/sh.helm.release.v1.segfleet.v1'].sort());
    }, soon);
  });

  test('has its pods made where the namespace enforces what is restricted', async () => {
    await vi.waitFor(async () => {
      const { items } = await admin.list('Pod', { namespace: 'fleet' });
      expect(items.map(({ metadata }) => metadata.labels?.['app.kubernetes.io/component'])).toEqual(['operator', 'operator']);
    }, soon);
    const { items: events } = await admin.list<Rendered>('Event', { namespace: 'fleet', fieldSelector: 'type=Warning' });
    expect(events.map(({ reason, message }) => [reason, message])).toEqual([]);
    // It does enforce that.
    const spec = { containers: [{ name: 'main', image: 'none.invalid/none:1' }] };
    const rootPod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'root', namespace: 'fleet' }, spec };
    await expect(admin.create(rootPod)).rejects.toThrow(/violates PodSecurity "restricted/);
  });

  /** In the namespaces that it looks after. */
  const operatorRights = {
    'sweeps.segfleet.dev': 'get list watch',
    'sweeps.segfleet.dev/status': 'patch',
    'trainingjobs.segfleet.dev': 'create delete get list patch watch',
    'trainingjobs.segfleet.dev/status': 'patch',
    'jobs.batch': 'create delete get list patch watch',
    services: 'create get list patch watch',
    configmaps: 'create get list patch watch',
    'networkpolicies.networking.k8s.io': 'create get list patch watch',
    'poddisruptionbudgets.policy': 'create get list patch watch',
    secrets: 'create get',
    pods: 'get list watch',
    'pods/log': 'get',
    events: 'create get list patch',
  };

  test('lets the operator do in all namespaces what it needs, and nothing else on the whole cluster', async () => {
    operator = await accountApi('fleet', 'segfleet-operator');
    resources = await resourcesOf(admin);
    nobody = await rightsOf(await accountApi('fleet', 'default'), resources);
    expect(await rightsBeyond(operator)).toEqual(operatorRights);
    // Those in its own namespace are no more than that and its lease.
    expect(await rightsBeyond(operator, 'fleet')).toEqual({ ...operatorRights, 'leases.coordination.k8s.io': 'create' });
  });

  test.each([
    ['get', 'fleet', 'segfleet-operator', true],
    ['update', 'fleet', 'segfleet-operator', true],
    ['delete', 'fleet', 'segfleet-operator', false],
    ['get', 'fleet', 'another', false],
    ['update', 'fleet', 'another', false],
    ['get', 'kube-system', 'segfleet-operator', false],
    ['create', 'elsewhere', undefined, false],
  ])('lets the operator %s in %s the lease %s: %s', async (verb, namespace, object, allowed) => {
    expect(await may(operator, verb, { group: 'coordination.k8s.io', name: 'leases' }, { namespace, object })).toBe(allowed);
  });

  test('keeps the operator from what it is refused, and lets children hold back a job', async () => {
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'keys', namespace: 'team-a' } };
    await operator.create(secret);
    await expect(operator.list('Secret', { namespace: 'team-a' })).rejects.toMatchObject({ status: 403 });
    await expect(operator.delete(secret)).rejects.toMatchObject({ status: 403 });
    const pod = (await admin.list('Pod', { namespace: 'fleet' })).items[0].metadata.name;
    const kubeconfig = await controlPlane.serviceAccountKubeconfig('fleet', 'segfleet-operator');
    const { stderr } = await controlPlane.kubectlWith({ kubeconfig }, 'exec', pod, '--namespace=fleet', '--', 'true');
    expect(stderr).toMatch(/cannot (create|get) resource "pods\/exec"/);
    const job = await admin.create<Rendered>(trainingJob('owner', 'team-a'));
    const { apiVersion, kind, metadata } = job;
    const ownerReferences = [{ apiVersion, kind, name: metadata.name, uid: metadata.uid!, controller: true, blockOwnerDeletion: true }];
    await operator.apply({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'child', namespace: 'team-a', ownerReferences } });
    await admin.delete(job);
    await admin.delete(secret);
    await vi.waitFor(() => expect(admin.get('ConfigMap', 'child', { namespace: 'team-a' })).rejects.toMatchObject({ status: 404 }), soon);
  });

  test.each([
    [
      'edit',
      'editor',
      {
        'trainingjobs.segfleet.dev': 'create delete get list patch update watch',
        'sweeps.segfleet.dev': 'create delete get list patch update watch',
        'trainingjobs.segfleet.dev/scale': 'get patch update',
        'trainingjobs.segfleet.dev/status': 'get',
        'sweeps.segfleet.dev/status': 'get',
      },
    ],
    [
      'view',
      'viewer',
      {
        'trainingjobs.segfleet.dev': 'get list watch',
        'sweeps.segfleet.dev': 'get list watch',
        'trainingjobs.segfleet.dev/scale': 'get',
        'trainingjobs.segfleet.dev/status': 'get',
        'sweeps.segfleet.dev/status': 'get',
      },
    ],
  ])('lets those who may %s a namespace do so with the jobs in it', async (role, name, expected) => {
    const { code } = await controlPlane.kubectl(
      'create',
      'rolebinding',
      role,
      '--namespace=team-a',
      `--clusterrole=${role}`,
      `--user=${name}`,
    );
    expect(code).toBe(0);
    const user = await userApi(name);
    const ours = resources.filter(({ group }) => group === 'segfleet.dev');
    // It takes the controllers a moment.
    await vi.waitFor(async () => expect(await rightsOf(user, ours, 'team-a')).toEqual(expected), soon);
    expect(await rightsOf(user, ours, 'team-b')).toEqual({});
  });

  test('lets an editor make a job and scale it, and a viewer look at it', async () => {
    const [editor, viewer] = ['editor', 'viewer'].map(user => controlPlane.kubeconfigOf(user));
    const as = (kubeconfig: string, words: string, input = '') =>
      controlPlane.kubectlWith({ kubeconfig, input }, ...words.split(' '), '--namespace=team-a');
    const job = JSON.stringify(trainingJob('nuclei', 'team-a'));
    expect(await as(viewer, 'create -f -', job)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('cannot create resource "trainingjobs"'),
    });
    expect(await as(editor, 'create -f -', job)).toMatchObject({ code: 0, stderr: '' });
    const scale = 'scale trainingjob/nuclei --replicas=3';
    expect(await as(viewer, scale)).toMatchObject({ code: 1, stderr: expect.stringContaining('trainingjobs/scale') });
    expect(await as(editor, scale)).toMatchObject({ code: 0, stderr: '' });
    expect(await as(viewer, 'get trainingjob nuclei --output=jsonpath={.spec.workers.replicas}')).toMatchObject({ code: 0, stdout: '3' });
    expect(await as(viewer, 'delete trainingjob nuclei')).toMatchObject({ code: 1 });
    expect(await controlPlane.kubectl('delete', 'rolebindings', 'edit', 'view', '--namespace=team-a')).toMatchObject({ code: 0 });
  });

  test('is upgraded: newer kinds, other values, and the jobs are still there', async () => {
    const values = { replicas: 3, namespaces: ['team-a', 'team-b'], store: { url: 's3://bucket/runs' } };
    const { code, stdout, stderr } = await helm.run(['upgrade', 'segfleet', chartFolder, '--namespace', 'fleet'], values);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^REVISION: 2$/m);
    expect(stdout).toContain('installed for the namespaces team-a, team-b');
    expect(stdout).not.toContain('store.url is not set');
    expect(await columns()).toContain('Checkpoint');
    const deployment = await admin.raw<Rendered>('/apis/apps/v1/namespaces/fleet/deployments/segfleet-operator');
    expect(deployment.spec.replicas).toBe(3);
    expect(deployment.spec.template.spec.containers[0].args).toEqual(
      expect.arrayContaining(['--namespace=team-b', '--store=s3://bucket/runs']),
    );
    expect(await admin.get('TrainingJob', 'nuclei', { namespace: 'team-a' })).toMatchObject({ spec: { workers: { replicas: 3 } } });
    expect((await since()).filter(title => everywhere.includes(title))).toEqual([]);
  });

  test('lets the operator do nothing in other namespaces than those that it is given', async () => {
    await vi.waitFor(async () => expect(await rightsBeyond(operator)).toEqual({}), soon);
    for (const namespace of ['team-a', 'team-b']) expect(await rightsBeyond(operator, namespace)).toEqual(operatorRights);
    expect(await rightsBeyond(operator, 'elsewhere')).toEqual({});
    expect(await rightsBeyond(operator, 'fleet')).toEqual({ 'leases.coordination.k8s.io': 'create' });
  });

  test('is there a second time, for another namespace, beside the first', async () => {
    const values = { namespaces: ['elsewhere'], crds: { install: false }, userRoles: false };
    expect(await helm.run(['install', 'second', chartFolder, '--namespace', 'fleet'], values)).toMatchObject({ code: 0, stderr: '' });
    const second = await accountApi('fleet', 'second-operator');
    expect(await rightsBeyond(second, 'elsewhere')).toEqual(operatorRights);
    expect(await rightsBeyond(second, 'team-a')).toEqual({});
    expect(
      await may(second, 'get', { group: 'coordination.k8s.io', name: 'leases' }, { namespace: 'fleet', object: 'segfleet-operator' }),
    ).toBe(false);
    expect(await helm.run(['uninstall', 'second', '--namespace', 'fleet'])).toMatchObject({ code: 0 });
  });

  test('leaves the kinds when it is uninstalled, and the jobs, and nothing else', async () => {
    const { code, stdout } = await helm.run(['uninstall', 'segfleet', '--namespace', 'fleet']);
    expect(code).toBe(0);
    expect(stdout).toContain('trainingjobs.segfleet.dev');
    const left = ['APIService v1alpha1.segfleet.dev', ...kinds, 'TrainingJob team-a/nuclei'];
    await vi.waitFor(async () => expect(await since()).toEqual(left), soon);
  });

  test('is installed again where it was, and takes up the jobs that it left', async () => {
    expect(await helm.run(['install', 'segfleet', chartFolder, '--namespace', 'fleet'])).toMatchObject({ code: 0, stderr: '' });
    expect(await admin.get('TrainingJob', 'nuclei', { namespace: 'team-a' })).toMatchObject({ spec: { workers: { replicas: 3 } } });
    expect(await helm.run(['uninstall', 'segfleet', '--namespace', 'fleet'])).toMatchObject({ code: 0 });
  });

  test('is refused under another name, takes the kinds over where it is told so, and takes all away where it keeps nothing', async () => {
    const install = ['install', 'another', chartFolder, '--namespace', 'fleet', '--set', 'crds.keep=false'];
    expect(await helm.run(install)).toMatchObject({ code: 1, stderr: expect.stringContaining('invalid ownership metadata') });
    expect(await helm.run([...install, '--take-ownership'])).toMatchObject({ code: 0, stderr: '' });
    expect(await admin.get('TrainingJob', 'nuclei', { namespace: 'team-a' })).toMatchObject({ spec: { workers: { replicas: 3 } } });
    expect(await helm.run(['uninstall', 'another', '--namespace', 'fleet'])).toMatchObject({ code: 0 });
    await vi.waitFor(async () => expect(await since()).toEqual([]), soon);
  });

  /** All objects but events, as `Kind namespace/name`. */
  async function everything(): Promise<string[]> {
    const found: string[] = [];
    for (const { group, version, name, subresource, verbs } of await resourcesOf(admin)) {
      if (subresource || name === 'events' || !verbs.includes('list')) continue;
      const { kind, items } = await admin.raw<{ kind: string; items: Rendered[] }>(
        group ? `/apis/${group}/${version}/${name}` : `/api/${version}/${name}`,
      );
      found.push(...items.map(({ metadata }) => titleOf({ kind: kind.replace(/List$/, ''), metadata })));
    }
    return [...new Set(found)].sort();
  }

  const since = async () => (await everything()).filter(title => !before.has(title));

  async function accountApi(namespace: string, name: string): Promise<Api> {
    return remembered(await connect({ kubeconfig: await controlPlane.serviceAccountKubeconfig(namespace, name) }));
  }

  const userApi = async (user: string) => remembered(await connect({ kubeconfig: controlPlane.kubeconfigOf(user) }));

  function remembered(api: Api): Api {
    apis.push(api);
    return api;
  }

  /** What others may not. */
  async function rightsBeyond(api: Api, namespace?: string): Promise<Record<string, string>> {
    const rights = await rightsOf(api, resources, namespace);
    return Object.fromEntries(Object.entries(rights).filter(([title, verbs]) => nobody[title] !== verbs));
  }

  async function columns(): Promise<string[]> {
    const { spec } = await admin.get<Rendered>('CustomResourceDefinition', 'trainingjobs.segfleet.dev');
    return spec.versions[0].additionalPrinterColumns.map(({ name }: { name: string }) => name);
  }

  /** As it might have been: one column of the kind came later. */
  function olderChart(): string {
    const older = join(folder.path, 'older');
    cpSync(chartFolder, older, { recursive: true });
    const change = (file: string, from: RegExp, to: string) => {
      const text = readFileSync(join(older, file), 'utf8');
      expect(text).toMatch(from);
      writeFileSync(join(older, file), text.replace(from, to));
    };
    change('Chart.yaml', /^version: .*$/m, 'version: 0.0.9');
    change('templates/crds/trainingjob.yaml', /^ +- name: Checkpoint\n( {10}.*\n)+/m, '');
    return older;
  }
});

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

const standardLabels = {
  'app.kubernetes.io/name': 'segfleet',
  'app.kubernetes.io/instance': 'segfleet',
  'app.kubernetes.io/component': 'operator',
  'app.kubernetes.io/version': '0.1.0',
  'app.kubernetes.io/managed-by': 'Helm',
  'helm.sh/chart': 'segfleet-0.1.0',
};

const hasAll = (labels: Readonly<Record<string, string>> = {}, wanted: Readonly<Record<string, string>>): boolean =>
  Object.entries(wanted).every(([name, value]) => labels[name] === value);

const titleOf = ({ kind, metadata: { namespace, name } }: Pick<Rendered, 'kind' | 'metadata'>): string =>
  `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;

/** Objects of a template belong to the namespace of the release without saying so. */
const inFleet = (title: string): string => (/^(Cluster|Custom)/.test(title) ? title : title.replace(' ', ' fleet/'));

const podOf = (objects: readonly Rendered[]) => objects.find(({ kind }) => kind === 'Deployment')!.spec.template.spec;

const has = (word: unknown) => expect.arrayContaining([word]);

function withTexts(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map(item => withTexts(item, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withTexts(item, change)]));
}

const trainingJob = (name: string, namespace: string) => ({
  apiVersion: 'segfleet.dev/v1alpha1',
  kind: 'TrainingJob',
  metadata: { name, namespace },
  spec: { data: { path: 's3://bucket/nuclei' }, workers: { replicas: 1, max: 4 } },
});
