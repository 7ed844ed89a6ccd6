/**
 * What a job file may say below `spec` for a cluster alone. On one machine all of it is checked, kept in the record and otherwise without effect, so that
 * one file serves both.
 */
import { z } from 'zod';

/** Of an object of Kubernetes that a job names. */
export const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, 'must be the name of an object: lower-case letters, digits, dots and dashes');

/** Of a volume in a pod, of a stage of a sweep. */
export const label = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63');

/** Amounts as Kubernetes writes them: 500m, 2, 1.5Gi. A custom resource has whole numbers or texts here, no fractions. */
const quantity = z
  .union(
    [
      z
        .string()
        .max(32)
        .regex(/^\d+(\.\d+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|e\d+)?$/, 'must be an amount such as 500m, 2 or 4Gi'),
      z.int().min(0),
    ],
    'must be an amount such as 500m, 2 or 4Gi, and in quotes where it has a point',
  )
  .describe('An amount such as 500m, 2 or 4Gi.');

const absolutePath = z
  .string()
  .max(1024)
  .regex(/^\/[^\p{Cc}:]*$/u, 'must be an absolute path without a colon');

const amounts = z
  .record(z.string().min(1).max(253), quantity)
  .refine(given => Object.keys(given).length <= 16, 'has more than 16 entries')
  .meta({ maxProperties: 16 });

/** Labels, annotations. */
export const texts = (maxEntries: number) =>
  z
    .record(z.string().min(1).max(317), z.string().max(1024))
    .refine(given => Object.keys(given).length <= maxEntries, `has more than ${maxEntries} entries`)
    .meta({ maxProperties: maxEntries });

const resources = z
  .strictObject({
    requests: amounts.optional().describe('What a node must have free.'),
    limits: amounts.optional().describe('What a pod may use at most. More memory than this ends it (restarts.outOfMemory).'),
  })
  .describe('Processors, memory and other resources of a pod.');

const toleration = z
  .strictObject({
    key: z.string().max(317).optional().describe('Of the taint; without one, any.'),
    operator: z.enum(['Equal', 'Exists']).optional().describe('By default Equal.'),
    value: z.string().max(63).optional().describe('Of the taint, with Equal.'),
    effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional().describe('Of the taint; without one, any.'),
    tolerationSeconds: z.int().min(0).optional().describe('Seconds, with NoExecute.'),
  })
  .refine(({ key, operator }) => key !== undefined || operator === 'Exists', {
    path: ['operator'],
    message: 'must be Exists where there is no key',
  })
  .refine(({ operator, value }) => operator !== 'Exists' || value === undefined, {
    path: ['value'],
    message: 'cannot be there with Exists, which takes any',
  })
  .refine(({ effect, tolerationSeconds }) => tolerationSeconds === undefined || effect === 'NoExecute', {
    path: ['effect'],
    message: 'must be NoExecute where there are tolerationSeconds',
  });

const volumeSources = ['claim', 'secret', 'configMap', 'emptyDir'] as const;
const volume = z
  .strictObject({
    name: label.describe('Of the volume within the pod.'),
    mountPath: absolutePath.describe('Where it appears.'),
    readOnly: z.boolean().default(false).describe('Pods cannot write to it.'),
    claim: objectName.optional().describe('A PersistentVolumeClaim in the namespace of the job.'),
    secret: objectName.optional().describe('A Secret in the namespace of the job.'),
    configMap: objectName.optional().describe('A ConfigMap in the namespace of the job.'),
    emptyDir: z
      .strictObject({
        medium: z
          .enum(['', 'Memory'])
          .optional()
          .describe('Memory: in RAM, which counts as memory of the pod. By default on the disk of the node.'),
        sizeLimit: quantity.optional().describe('More than this, and the pod is evicted.'),
      })
      .optional()
      .describe('An empty folder that goes with the pod.'),
  })
  .refine(given => volumeSources.filter(source => given[source] !== undefined).length === 1, {
    message: `must have exactly one of ${volumeSources.join(', ')}`,
  });

const environmentVariable = z.strictObject({
  name: z
    .string()
    .max(256)
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'must be the name of an environment variable')
    .describe('Of the variable.'),
  value: z.string().max(4096).default('').describe('What it holds.'),
});

const areDistinct = (names: readonly string[]) => new Set(names).size === names.length;

const podSchema = z.strictObject({
  image: z
    .string()
    .max(512)
    .regex(/^[\w][\w.\-/:@]*$/, 'must be the reference of an image')
    .optional()
    .describe('By default the image of the operator.'),
  imagePullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).optional().describe('By default that of the operator.'),
  imagePullSecrets: z.array(objectName).max(16).optional().describe('Names of Secrets.'),
  serviceAccountName: objectName.optional().describe('Its token is never mounted.'),
  resources: resources.optional(),
  coordinator: z
    .strictObject({ resources: resources.optional() })
    .optional()
    .describe('Of the pod of the coordinator, which computes no steps.'),
  gpus: z.int().min(0).max(16).optional().describe('NVIDIA GPUs of each worker.'),
  nodeSelector: texts(32).optional().describe('Labels that a node must have.'),
  tolerations: z.array(toleration).max(32).optional().describe('Taints of nodes that do not keep the pods away.'),
  volumes: z
    .array(volume)
    .max(32)
    .refine(given => areDistinct(given.map(({ name }) => name)), 'has two volumes of the same name')
    .refine(given => areDistinct(given.map(({ mountPath }) => mountPath)), 'has two volumes at the same place')
    .optional()
    .describe('Mounted into coordinator and workers.'),
  env: z
    .array(environmentVariable)
    .max(64)
    .refine(given => areDistinct(given.map(({ name }) => name)), 'has two variables of the same name')
    .optional()
    .describe('Environment variables. Nothing secret belongs here.'),
  storeSecret: objectName
    .optional()
    .describe(
      'A Secret with the files `credentials` and `config` of the AWS tools, for data and checkpoints in S3. By default that of the operator.',
    ),
  terminationGracePeriodSeconds: z
    .int()
    .min(1)
    .max(86_400)
    .default(60)
    .describe('Seconds that a pod has for a checkpoint when it is stopped.'),
  labels: texts(32).optional().describe('Added to those of the pods.'),
  annotations: texts(32).optional().describe('Added to those of the pods.'),
});

const restartsSchema = z.strictObject({
  errors: z
    .int()
    .min(0)
    .max(1000)
    .default(6)
    .describe('Pods that end with an error that may pass: a crash, a kill, a service that does not answer.'),
  outOfMemory: z.int().min(0).max(1000).default(2).describe('Pods that use more memory than their limit.'),
  disruptions: z
    .int()
    .min(0)
    .max(1_000_000)
    .optional()
    .describe(
      'Pods that are preempted, evicted, drained or lost with their node. By default without limit: none of them is the fault of the job.',
    ),
});

export const clusterFields = {
  suspend: z.boolean().default(false).describe('true: a checkpoint is written and all pods are released. false again: the run goes on.'),
  activeDeadlineSeconds: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .optional()
    .describe('Seconds after which a run that has not ended fails. Time while it is suspended does not count.'),
  ttlSecondsAfterFinished: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .optional()
    .describe('Seconds after which a job that has ended is deleted. Its checkpoints stay.'),
  priorityClassName: objectName.optional().describe('Of the pods: a PriorityClass.'),
  managedBy: z
    .string()
    .max(63)
    .regex(/^[a-z0-9.-]+\/[a-z0-9.-]+$/, 'must be a domain and a name, such as segfleet.dev/operator')
    .optional()
    .describe('Another controller than segfleet.dev/operator, which then leaves the job alone (Kueue, MultiKueue).'),
  restarts: restartsSchema.prefault({}).describe('How often pods that fail are replaced before the job fails, by cause.'),
  pod: podSchema.prefault({}).describe('Of the pods of coordinator and workers.'),
};

export type PodSpec = z.infer<typeof podSchema>;
export type Restarts = z.infer<typeof restartsSchema>;
