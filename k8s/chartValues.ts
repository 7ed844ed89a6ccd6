/**
 * What the values of the chart may be: values.schema.json and the table in its README are made of this.
 */
import { z } from 'zod';

const texts = z.record(z.string(), z.string());
const objectName = z.string().regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
const optionalName = z.union([z.literal(''), objectName]);
const free = z.record(z.string(), z.unknown());

export const chartValuesSchema = z.strictObject({
  replicas: z.int().min(1).max(10).default(2).describe('Of the operator. One leads, the others wait.'),
  namespaces: z
    .array(objectName)
    .default([])
    .describe('Where jobs are looked after. Empty: in all namespaces, by a ClusterRole; else by a Role in each.'),
  image: z
    .strictObject({
      repository: z.string().min(1).default('segfleet').describe('Without tag.'),
      tag: z.string().default('').describe('By default the version of the chart.'),
      digest: z
        .union([z.literal(''), z.string().regex(/^sha256:[0-9a-f]{64}$/)])
        .default('')
        .describe('sha256:..., instead of a tag.'),
      pullPolicy: z.enum(['', 'Always', 'IfNotPresent', 'Never']).default('').describe('Of the operator and of jobs that say nothing.'),
      pullSecrets: z.array(objectName).default([]).describe('Names of Secrets.'),
    })
    .prefault({})
    .describe('Of the operator.'),
  jobImage: z.string().default('').describe('Of jobs that name none; for GPUs that of Dockerfile.gpu. By default that of the operator.'),
  store: z
    .strictObject({
      url: z
        .union([z.literal(''), z.string().regex(/^s3:\/\/[^/]+/)])
        .default('')
        .describe('s3://bucket/prefix, below which the checkpoints of jobs without checkpoint.url lie.'),
      endpoint: z
        .union([z.literal(''), z.string().regex(/^https?:\/\//)])
        .default('')
        .describe('Of an S3 server other than AWS.'),
      region: z.string().default('').describe('Any, such as us-east-1, where the server has none.'),
      secret: optionalName
        .default('')
        .describe('A Secret in the namespace of each job with the files `credentials` and `config` of the AWS tools.'),
    })
    .prefault({}),
  libraryClaim: optionalName
    .default('')
    .describe('A PersistentVolumeClaim in the namespace of each job with the TensorFlow library, where the image has none.'),
  resources: z
    .strictObject({ requests: free.optional(), limits: free.optional() })
    .default({ requests: { cpu: '50m', memory: '192Mi' }, limits: { memory: '512Mi' } })
    .describe('Of a pod of the operator.'),
  serviceAccount: z
    .strictObject({
      create: z.boolean().default(true),
      name: optionalName.default('').describe('By default that of the operator.'),
      annotations: texts.default({}),
    })
    .prefault({}),
  userRoles: z.boolean().default(true).describe('Lets those who may edit or view a namespace do so with the jobs in it.'),
  crds: z
    .strictObject({
      install: z.boolean().default(true).describe('With the chart, so that `helm upgrade` upgrades them too.'),
      keep: z.boolean().default(true).describe('When the chart is uninstalled: all jobs go with their kind.'),
    })
    .prefault({}),
  serviceMonitor: z
    .strictObject({
      enabled: z.boolean().default(false).describe('For the Prometheus operator.'),
      interval: z.string().default('30s'),
      labels: texts.default({}),
    })
    .prefault({}),
  networkPolicy: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Of the operator. Those of jobs are always made.'),
      prometheusNamespace: optionalName
        .default('')
        .describe('May ask the operator and coordinators for metrics. Empty: the operator answers everybody.'),
    })
    .prefault({}),
  priorityClassName: optionalName.default(''),
  nodeSelector: texts.default({}),
  tolerations: z.array(free).default([]),
  affinity: free.default({}),
  podAnnotations: texts.default({}),
  labels: texts.default({}).describe('On everything.'),
});

type Schema = z.core.JSONSchema.BaseSchema & { readonly properties?: Readonly<Record<string, Schema>> };

/** As Helm checks it. Values that charts above this one pass down are allowed. */
export function valuesSchema(): Schema {
  const schema = z.toJSONSchema(chartValuesSchema, { io: 'input', target: 'draft-07' }) as Schema;
  return { ...schema, properties: { ...schema.properties, global: { type: 'object' } } };
}

/** values.yaml: every default, with what it means. */
export function valuesFile(): string {
  const lines = ['# Made of k8s/chartValues.ts by `npm run generate`.'];
  const walk = (schema: Schema, value: unknown, indent: string) => {
    for (const [key, inner] of Object.entries(schema.properties ?? {})) {
      const given = (value as Record<string, unknown>)[key];
      if (inner.description) lines.push(`${indent}# ${inner.description}`);
      if (inner.properties && Object.keys(given as object).length > 0 && !inner.properties.requests) {
        lines.push(`${indent}${key}:`);
        walk(inner, given, `${indent}  `);
      } else lines.push(`${indent}${key}: ${JSON.stringify(given)}`);
    }
  };
  const schema = z.toJSONSchema(chartValuesSchema, { io: 'input', target: 'draft-07' }) as Schema;
  walk(schema, chartValuesSchema.parse({}), '');
  return `${lines.join('\n')}\n`;
}
