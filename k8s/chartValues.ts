/**
 * What the values of the chart may be: values.yaml, values.schema.json and the table in its README are made of this.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const texts = z.record(z.string(), z.string());
const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
/** Helm shows users the pattern: one that allows the empty text says more than two alternatives that both failed. */
const optionalName = z
  .string()
  .max(253)
  .regex(/^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$/)
  .default('');
const address = z
  .string()
  .regex(/^(https?:\/\/\S+)?$/)
  .default('');
const namespaceName = z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const free = z.record(z.string(), z.unknown());

export const chartValuesSchema = z.strictObject({
  replicas: z.int().min(1).max(10).default(2).describe('Of the operator. One leads, the others wait.'),
  namespaces: z
    .array(namespaceName)
    .default([])
    .describe('Where jobs are looked after; they have to be there. Empty: in all namespaces, by a ClusterRole; else by a Role in each.'),
  image: z
    .strictObject({
      repository: z.string().min(1).default('segfleet').describe('Without tag.'),
      tag: z.string().default('').describe('By default the version of the chart.'),
      digest: z
        .string()
        .regex(/^(sha256:[0-9a-f]{64})?$/)
        .default('')
        .describe('sha256:..., instead of a tag.'),
      pullPolicy: z.enum(['', 'Always', 'IfNotPresent', 'Never']).default('').describe('Of the operator and of jobs that say nothing.'),
      pullSecrets: z.array(objectName).default([]).describe('Names of Secrets. Jobs name theirs themselves: pod.imagePullSecrets.'),
    })
    .prefault({})
    .describe('Of the operator.'),
  jobImage: z
    .string()
    .default('')
    .describe('Of jobs that name none; for GPUs the target `gpu` of k8s/images/Dockerfile. By default that of the operator.'),
  store: z
    .strictObject({
      url: z
        .string()
        .regex(/^(s3:\/\/[^/]+.*)?$/)
        .default('')
        .describe('s3://bucket/prefix, below which the checkpoints of jobs without checkpoint.url lie.'),
      ports: z
        .array(z.int().min(1).max(65_535))
        .max(16)
        .default([])
        .describe('At which S3 servers answer, besides 443: network policies let jobs reach them.'),
      secret: optionalName.describe(
        'A Secret in the namespace of each job with the files `credentials` and `config` of the AWS tools (endpoint_url and region stand there).',
      ),
    })
    .prefault({})
    .describe('Where jobs that say nothing keep their checkpoints.'),
  libraryClaim: optionalName.describe(
    'A PersistentVolumeClaim in the namespace of each job with the TensorFlow library, where the image has none.',
  ),
  trackers: z
    .strictObject({
      mlflow: address.describe('Of an MLflow server, such as http://mlflow.tools.svc:5000: coordinators tell their runs to it.'),
      mlflowSecret: optionalName.describe(
        'A Secret in the namespace of each job, with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN.',
      ),
      traces: address.describe(
        'Of a collector of OpenTelemetry traces (OTLP over HTTP): of the steps of runs, and of what the operator does.',
      ),
    })
    .prefault({})
    .describe('Who else is told of runs. A job may say otherwise in pod.env.'),
  resources: z
    .strictObject({ requests: free.optional(), limits: free.optional() })
    .default({ requests: { cpu: '50m', memory: '192Mi' }, limits: { memory: '512Mi' } })
    .describe('Of a pod of the operator.'),
  serviceAccount: z
    .strictObject({
      create: z.boolean().default(true).describe('False: one of that name is there already.'),
      name: optionalName.describe('By default that of the Deployment.'),
      annotations: texts.default({}).describe('Such as a role in a cloud.'),
    })
    .prefault({})
    .describe('Of the operator. Pods of jobs have no rights at all.'),
  userRoles: z.boolean().default(true).describe('Lets those who may edit or view a namespace do so with the jobs in it.'),
  crds: z
    .strictObject({
      install: z.boolean().default(true).describe('With the chart, so that `helm upgrade` upgrades them too. One release in a cluster.'),
      keep: z.boolean().default(true).describe('When the chart is uninstalled: all jobs go with their kind.'),
    })
    .prefault({})
    .describe('The kinds TrainingJob and Sweep.'),
  serviceMonitor: z
    .strictObject({
      enabled: z.boolean().default(false).describe('For the Prometheus operator.'),
      interval: z.string().default('30s').describe('Between two looks.'),
      labels: texts.default({}).describe('By which Prometheus chooses what it looks at.'),
    })
    .prefault({})
    .describe('Metrics of the operator.'),
  podMonitor: z
    .strictObject({
      enabled: z.boolean().default(false).describe('For the Prometheus operator. networkPolicy.prometheusNamespace lets it ask.'),
      interval: z.string().default('15s').describe('Between two looks.'),
      labels: texts.default({}).describe('By which Prometheus chooses what it looks at.'),
    })
    .prefault({})
    .describe('Metrics of runs, told by their coordinators.'),
  dashboards: z
    .strictObject({
      enabled: z.boolean().default(false).describe('As ConfigMaps, which the sidecar of Grafana finds.'),
      labels: texts.default({ grafana_dashboard: '1' }).describe('By which it finds them.'),
      annotations: texts.default({}).describe('Such as the folder that they go to.'),
    })
    .prefault({})
    .describe('Of Grafana.'),
  alerts: z
    .strictObject({
      enabled: z.boolean().default(false).describe('A PrometheusRule, for the Prometheus operator.'),
      labels: texts.default({}).describe('By which Prometheus chooses its rules.'),
      runbooks: z
        .string()
        .regex(/^[^\s"\\{}]+$/)
        .default('docs/runbooks.md')
        .describe('Where those who are alerted read docs/runbooks.md: a URL.'),
    })
    .prefault({})
    .describe('When somebody should look.'),
  networkPolicy: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Of the operator. Those of jobs are always made.'),
      prometheusNamespace: z
        .string()
        .regex(/^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$/)
        .default('')
        .describe('May ask the operator and coordinators for metrics. Empty: the operator answers everybody.'),
    })
    .prefault({})
    .describe('Who may connect to the operator.'),
  priorityClassName: optionalName.describe('Of the operator.'),
  nodeSelector: texts.default({}).describe('Of the operator.'),
  tolerations: z.array(free).default([]).describe('Of the operator.'),
  affinity: free.default({}).describe('Of the operator. Its pods go to different nodes anyway, where there are some.'),
  podAnnotations: texts.default({}).describe('Of the operator.'),
  labels: texts.default({}).describe('On everything.'),
});

type Schema = z.core.JSONSchema.BaseSchema & { readonly properties?: Readonly<Record<string, Schema>> };

const jsonSchema = (): Schema =>
  z.toJSONSchema(chartValuesSchema, {
    io: 'input',
    target: 'draft-07',
    // A user reads them.
    override: ({ jsonSchema }) => {
      if (jsonSchema.pattern) jsonSchema.pattern = jsonSchema.pattern.replaceAll('\\/', '/');
    },
  }) as Schema;

/** As Helm checks it. Values that charts above this one pass down are allowed. */
export function valuesSchema(): Schema {
  const schema = jsonSchema();
  return { ...schema, properties: { ...schema.properties, global: { type: 'object' } } };
}

interface Field {
  readonly key: string;
  /** From the top. */
  readonly path: readonly string[];
  readonly description: string;
  readonly value: unknown;
  /** What is in it comes next. */
  readonly isGroup: boolean;
}

/** All values, in order. What Kubernetes takes as it is, such as resources, is one value. */
function* fields(schema = jsonSchema(), values: unknown = chartValuesSchema.parse({}), above: readonly string[] = []): Generator<Field> {
  for (const [key, inner] of Object.entries(schema.properties ?? {})) {
    const value = (values as Readonly<Record<string, unknown>>)[key];
    const path = [...above, key];
    const isGroup = inner.properties !== undefined && key !== 'resources';
    yield { key, path, description: inner.description ?? '', value, isGroup };
    if (isGroup) yield* fields(inner, value, path);
  }
}

/** values.yaml: every default, with what it means. */
export function valuesFile(): string {
  const lines = [...fields()].flatMap(({ key, path, description, value, isGroup }) => {
    const indent = '  '.repeat(path.length - 1);
    return [`${indent}# ${description}`, `${indent}${key}:${isGroup ? '' : ` ${JSON.stringify(value)}`}`];
  });
  return ['# Made of k8s/chartValues.ts by `npm run generate`.', ...lines, ''].join('\n');
}

/** In Markdown. */
export function valuesTable(): string {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const rows = [...fields()]
    .filter(({ isGroup }) => !isGroup)
    .map(({ path, value, description }) => `| \`${path.join('.')}\` | \`${cell(JSON.stringify(value))}\` | ${cell(description)} |`);
  return ['| value | default | what |', '|---|---|---|', ...rows].join('\n');
}

const folder = 'charts/segfleet';
/** The table in the README stands between these. */
const marks = ['<!-- made of k8s/chartValues.ts by `npm run generate` -->', '<!-- end -->'] as const;

/** @param readme as it is: only the table in it is made */
export function withTable(readme: string): string {
  const [start, end] = marks.map(mark => readme.indexOf(mark));
  if (start < 0 || end < start)
    throw new Error(`${folder}/README.md: the table of values must stand between the lines ${marks.join(' and ')}`);
  return `${readme.slice(0, start)}${marks[0]}\n${valuesTable()}\n${readme.slice(end)}`;
}

/** What of the chart is made of this. Files are named from the root of the repository. */
export function generatedChartFiles(): { file: string; contents: string }[] {
  const readme = join(import.meta.dirname, '..', folder, 'README.md');
  return [
    { file: `${folder}/values.yaml`, contents: valuesFile() },
    { file: `${folder}/values.schema.json`, contents: `${JSON.stringify(valuesSchema(), null, 2)}\n` },
    { file: `${folder}/README.md`, contents: withTable(readFileSync(readme, 'utf8')) },
  ];
}
