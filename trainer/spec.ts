/**
 * The job file: its schema, how it is read, and how what is wrong in it is said. The same file is meant for `train`, `submit` and
 * `kubectl apply`, so words that YAML 1.1 (kubectl) and YAML 1.2 (here) read differently are refused.
 */

import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isScalar, LineCounter, type Node, type ParsedNode, parseDocument, parse as parseYaml, stringify, visit } from 'yaml';
import { z } from 'zod';
import { clusterFields } from './clusterFields.ts';
import { augmentationSchema } from './data/augment.ts';
import type { Size } from './data/decode.ts';
import { patchesSchema } from './data/patches.ts';
import { heldOut } from './data/split.ts';
import { earlyStoppingSchema } from './earlyStopping.ts';
import { optimizerSchema } from './engine/optimizer.ts';
import { precisions } from './engine/precision.ts';
import { scheduleSchema } from './engine/schedule.ts';
import { fromSystemError, SegfleetError } from './errors.ts';
import { maxLanes } from './lanes.ts';
import { joinsClasses, lossSchema, sortsPixels } from './losses/catalogue.ts';
import { modelSchema, numHeads, stride } from './models/catalogue.ts';
import { nearest } from './nearest.ts';
import { wires } from './wire.ts';

/** Fits TensorFlow's int32 keys and every YAML reader. */
const seed = z
  .int()
  .min(0)
  .max(2 ** 31 - 1);
const side = z.int().min(16).max(4096).describe('Pixels, a multiple of 16.');

const dataSchema = z
  .strictObject({
    path: z
      .string()
      .min(1)
      .max(1024)
      .describe(
        'A folder with images/ and masks/, or with a manifest.csv; or a CSV manifest with the columns id, image and mask. Relative to the job file.',
      ),
    size: z
      .strictObject({ height: side, width: side })
      .default({ height: 256, width: 256 })
      .describe('Images and masks are resized to this, unless `patches` are on; both divisible by the stride of the network (16).'),
    channels: z
      .union([z.literal(1), z.literal(3)])
      .default(3)
      .describe('1: luminance, 3: colour. Any image is converted.'),
    classes: z.int().min(1).max(254).default(1).describe('Of the output. With 1, masks are binary; with more, mask values are labels.'),
    exclusive: z
      .boolean()
      .default(false)
      .describe(
        'true: each pixel has exactly one class (softmax), class 0 the background. false: a sigmoid a class, label 0 is none of them.',
      ),
    ignore: z.int().min(1).max(65_535).optional().describe('Mask value of pixels that count neither in losses nor in metrics.'),
    split: z
      .strictObject({
        validation: heldOut.gt(0).default(0.2).describe('Share of the cases that is held out; from 1 on, their number.'),
        test: heldOut.default(0).describe('The same for a final test (`evaluate --part test`); training never looks at these.'),
        seed: seed.default(0).describe('Of the draw.'),
        file: z
          .string()
          .min(1)
          .max(1024)
          .optional()
          .describe('Instead: a split by image that `dataset split` wrote. Relative to the job file.'),
      })
      .prefault({})
      .describe('Which cases are trained on, which are held out.'),
    patches: patchesSchema.optional(),
    augmentation: augmentationSchema.optional(),
  })
  .describe('Images, masks, and how they are brought to the network.');

const trainingSchema = z.strictObject({
  epochs: z.int().min(1).max(100_000).default(50).describe('Passes over the training cases.'),
  batch: z.int().min(1).max(65_536).default(16).describe('Images a step. The last, short batch of an epoch is kept.'),
  lanes: z
    .int()
    .min(1)
    .max(maxLanes)
    .optional()
    .describe(
      'Parts that a batch is cut into: what workers share. The result depends on it, and not on how many workers there are. By default workers.max; 1 is the training of the paper.',
    ),
  optimizer: optimizerSchema.prefault({ name: 'adam' }).describe('How gradients change the weights.'),
  schedule: scheduleSchema.prefault({ name: 'constant' }).describe('Of the learning rate.'),
  earlyStopping: earlyStoppingSchema.optional(),
  clipNorm: z.number().positive().optional().describe('Scales gradients down so that their global norm is at most this.'),
  wire: z
    .enum(wires)
    .default('float32')
    .describe(
      'What gradients are while they travel between workers. bfloat16 halves the traffic and rounds every sum. The result depends on it, and not on how many workers there are.',
    ),
  precision: z.enum(precisions).default('float32').describe('Of convolutions. auto: bfloat16 where the hardware has it.'),
  threads: z
    .int()
    .min(1)
    .max(1024)
    .optional()
    .describe('Processor threads of a step; by default all. Part of what the bits of a result depend on.'),
});

const deepSupervisionSchema = z.strictObject({
  loss: lossSchema.optional().describe('Of the coarser outputs, against the mask sampled at their size; by default the loss of the job.'),
  weights: z
    .array(z.number().min(0))
    .min(1)
    .max(8)
    .optional()
    .describe('Of the coarser outputs, finest first; the output at full size has 1. By default all have 1.'),
});

/** What the network sees at once: a patch where patches are on, else the whole image. */
export const inputSizeOf = ({ patches, size }: z.infer<typeof dataSchema>): Size => ({
  height: (patches ?? size).height,
  width: (patches ?? size).width,
});

const number = z.int().min(1).max(maxLanes);
const workersSchema = z.strictObject({
  replicas: number.default(1).describe('Worker processes that share a step. It does not change the result.'),
  min: number.default(1).describe('With fewer than these the run waits.'),
  max: number.optional().describe('The most that there may ever be. By default replicas.'),
});

const checkpointSchema = z.strictObject({
  url: z
    .string()
    .min(1)
    .max(1024)
    .optional()
    .describe('Where checkpoints lie: s3://bucket/prefix or file:folder, relative to the job file. By default a folder of the run.'),
  last: z.int().min(1).max(1000).default(2).describe('The newest ones that are kept.'),
  best: z.int().min(0).max(1000).default(1).describe('Of the others, those with the highest validation Jaccard that are kept.'),
  everySteps: z.int().min(1).optional().describe('Also in the middle of an epoch, every so many steps.'),
});

const specSchema = z
  .strictObject({
    seed: seed.default(1).describe('Of initial weights, order and dropout.'),
    data: dataSchema,
    model: modelSchema.prefault({ name: 'unet' }).describe('The network.'),
    loss: lossSchema.prefault({ name: 'adaptiveLog' }).describe('What the training makes small.'),
    deepSupervision: deepSupervisionSchema.optional().describe('Of networks with outputs at coarser levels.'),
    training: trainingSchema.prefault({}).describe('How long, in what batches, by which optimiser.'),
    workers: workersSchema.prefault({}).describe('How many processes share a step.'),
    checkpoint: checkpointSchema.prefault({}).describe('Where checkpoints lie, and which are kept.'),
    ...clusterFields,
  })
  .transform(({ training, workers, ...rest }) => {
    const max = workers.max ?? workers.replicas;
    // In the place that it has where it is given: jobs are told from each other by their text.
    const { epochs, batch, lanes = max, ...others } = training;
    return { ...rest, training: { epochs, batch, lanes, ...others }, workers: { ...workers, max } };
  });

/** What each field allows and several together do not, the path below `spec`. */
function* conflicts({
  data,
  model,
  loss,
  deepSupervision,
  training,
  workers,
}: z.infer<typeof specSchema>): Generator<[path: string[], message: string]> {
  for (const key of ['height', 'width'] as const) {
    const value = inputSizeOf(data)[key];
    const nearest = Math.max(Math.round(value / stride), 1) * stride;
    if (value % stride !== 0) {
      const path = ['data', data.patches ? 'patches' : 'size', key];
      yield [path, `is ${value}, which is not divisible by ${stride} as ${model.name} needs; try ${nearest}`];
    }
  }
  const { batch, lanes, wire } = training;
  if (batch % lanes !== 0) {
    const fitting = Math.ceil(batch / lanes) * lanes;
    yield [['training', 'batch'], `is ${batch}, which is not divisible by training.lanes, ${lanes}; try ${fitting}`];
  }
  if (wire === 'bfloat16' && lanes === 1) {
    yield [['training', 'wire'], 'is bfloat16, and with one lane (training.lanes) nothing travels; use float32, or more lanes'];
  }
  const { replicas, min, max } = workers;
  if (replicas > max) yield [['workers', 'replicas'], `is ${replicas}, more than workers.max, ${max}; raise that, or have fewer`];
  if (min > replicas) yield [['workers', 'min'], `is ${min}, more than workers.replicas, ${replicas}: the run would wait for ever`];
  if (max > lanes) {
    const whose = workers.max > workers.replicas ? 'max' : 'replicas';
    const message = `is ${max}, and training.lanes is ${lanes}: a worker needs a lane at least. More lanes (training.lanes: ${max}) are another training: each has its own dropout and batch statistics`;
    yield [['workers', whose], message];
  }
  const all = [
    { path: ['loss'], loss },
    ...(deepSupervision?.loss ? [{ path: ['deepSupervision', 'loss'], loss: deepSupervision.loss }] : []),
  ];
  for (const { path, loss } of all) {
    if (lanes > 1 && loss.pool === 'batch' && sortsPixels(loss)) {
      const why = `${loss.name} sorts the pixels of a unit, which ${lanes} lanes have not in one place; use lane or image`;
      yield [[...path, 'pool'], `is batch, and ${why}`];
    }
  }
  const heads = numHeads(model);
  if (deepSupervision && heads === 0) {
    yield [['deepSupervision'], `is given, and ${model.name} has no outputs at coarser levels; leave it out`];
  }
  if (heads > 0 && deepSupervision?.weights && deepSupervision.weights.length !== heads) {
    const message = `has ${deepSupervision.weights.length} numbers; ${model.name} has ${heads} coarser outputs`;
    yield [['deepSupervision', 'weights'], message];
  }
  const { file, test } = data.split;
  if (file !== undefined && test > 0) {
    yield [['data', 'split', 'test'], `is ${test}, and data.split.file has no test part; leave one of them out`];
  }
  const { classes, exclusive } = data;
  for (const { path, loss } of all) {
    const { classWeights } = loss;
    if (!classWeights) continue;
    if (classWeights.length !== classes) {
      const message = `has ${classWeights.length} numbers; one for each of data.classes, ${classes}, is expected`;
      yield [[...path, 'classWeights'], message];
    } else if (exclusive && joinsClasses(loss)) {
      const message = `cannot weigh the classes of ${loss.name}, which joins exclusive classes itself; leave it out`;
      yield [[...path, 'classWeights'], message];
    }
  }
  if (exclusive && classes < 2) {
    yield [['data', 'exclusive'], 'needs data.classes of at least 2 (background is one of them); with one class leave it out'];
  }
}

/** What a job says below `spec`. */
export const jobSpecSchema = specSchema.superRefine((spec, context) => {
  for (const [path, message] of conflicts(spec)) context.addIssue({ code: 'custom', path, message });
});

export const metadataSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, 'must be lower-case letters, digits and dashes, at most 63 (a Kubernetes name)'),
  namespace: z.string().max(63).optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
});

export const jobSchema = z.strictObject({
  apiVersion: z.literal('segfleet.dev/v1alpha1'),
  kind: z.literal('TrainingJob'),
  metadata: metadataSchema,
  spec: jobSpecSchema,
});

export type Job = z.infer<typeof jobSchema>;
export type JobInput = z.input<typeof jobSchema>;

export interface LoadedJob {
  readonly job: Job;
  /** The same without defaults: what the file and the settings say. */
  readonly given: JobInput;
  /** Where each value came from, by dotted path; what is not listed is a default. */
  readonly provenance: Readonly<Record<string, 'file' | 'flag'>>;
}

/**
 * Reads a job file. `settings` are `path=value`, the path below `spec` (`training.epochs=3`) or from the top (`metadata.name=x`).
 *
 * @throws usage: file, line and column, field, what was expected, and what to try
 */
export function loadJob(file: string, settings: readonly string[] = []): LoadedJob {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw fromSystemError(error, `job file ${file}`);
  }
  return parseJob(text, file, settings);
}

export function parseJob(text: string, file: string, settings: readonly string[] = []): LoadedJob {
  const document = readDocument(text, file, 'job');
  return settleJob(document.value, settings, document);
}

/** A YAML file as it was read, and where in it a field stands. */
export interface YamlDocument {
  readonly file: string;
  readonly value: Record<string, unknown>;
  /** File, line and column of a field, or of the nearest one above it that is there. */
  readonly at: (path: readonly string[]) => string;
}

/** @param kind job or sweep, in sentences @throws usage: file, line and column, and what is wrong there */
export function readDocument(text: string, file: string, kind: 'job' | 'sweep'): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}, line ${line}, column ${col}`;
  };
  const [problem] = [...document.errors, ...document.warnings];
  if (problem) throw new SegfleetError('usage', `${at(problem.pos[0])}: ${sentence(problem.message)}`);
  refuseAmbiguousWords(text, document.contents, at);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new SegfleetError('usage', `${file}: the aliases in this file expand without end; write the values out`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const hint = kind === 'job' ? '; `segfleet init` writes one' : '';
    throw new SegfleetError('usage', `${file} is not a ${kind}: it should begin with apiVersion, kind, metadata and spec${hint}`);
  }
  const where = (path: readonly string[]) => {
    const node = nodeAt(document.contents, path);
    return node ? at(node.range[0]) : file;
  };
  return { file, value: value as Record<string, unknown>, at: where };
}

/**
 * The job that a value and settings make. The value is left as it is.
 *
 * @param source where the value stands, for sentences
 */
export function settleJob(
  given: Readonly<Record<string, unknown>>,
  settings: readonly string[],
  source: Pick<YamlDocument, 'file' | 'at'>,
): LoadedJob {
  const value = settings.length > 0 ? structuredClone(given) : given;
  const provenance: Record<string, 'file' | 'flag'> = {};
  markLeaves(value, [], path => {
    provenance[path] = 'file';
  });
  for (const setting of settings) applySetting(value as Record<string, unknown>, setting, provenance);

  const parsed = jobSchema.safeParse(value);
  if (parsed.success) return { job: parsed.data, given: value as JobInput, provenance };
  const [issue] = parsed.error.issues;
  const path = pathOf(issue);
  const where = provenance[shortPath(path)] === 'flag' ? '--set' : source.at(path);
  const field = shortPath(issue.path.map(String));
  throw new SegfleetError('usage', `${where}: ${describeIssue(issue, value)}`, { details: { field } });
}

/** Of the field that an issue is about. */
export const pathOf = (issue: z.core.$ZodIssue): string[] =>
  [...issue.path, ...(issue.code === 'unrecognized_keys' ? [issue.keys[0]] : [])].map(String);

/** A job that is no text any more, or not yet. @throws usage: the field, what was expected, and what to try */
export function checkJob(value: unknown): Job {
  const parsed = jobSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new SegfleetError('usage', describeIssue(issue, value), { details: { field: shortPath(issue.path.map(String)) } });
}

/** The job as a file that gives the same job again. Words that YAML 1.1 reads otherwise come in quotes: we refuse them without. */
export const renderJob = (job: Job): string => stringify(job, { lineWidth: 0, compat: 'yaml-1.1' });

export const threadsOf = (job: Job): number => job.spec.training.threads ?? availableParallelism();

const sentence = (message: string) => message.charAt(0).toLowerCase() + message.slice(1).replace(/\.$/, '');

/** Fields are named as in `--set`: below `spec`, without it. */
const shortPath = (path: readonly string[]) => (path[0] === 'spec' && path.length > 1 ? path.slice(1) : path).join('.');

function markLeaves(value: unknown, path: readonly string[], mark: (path: string) => void): void {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    for (const [key, inner] of Object.entries(value)) markLeaves(inner, [...path, key], mark);
  } else mark(shortPath(path));
}

/** Every unquoted word must mean the same to both versions of YAML: then the same file means the same to kubectl. */
function refuseAmbiguousWords(text: string, contents: ParsedNode | null, at: (offset: number) => string): void {
  const inOldYaml = new Map<number, unknown>();
  visit(parseDocument(text, { version: '1.1', prettyErrors: false, logLevel: 'silent' }).contents, (_key, node) => {
    if (isScalar(node) && node.range) inOldYaml.set(node.range[0], node.value);
  });
  visit(contents, (_key, node) => {
    if (!isScalar(node) || node.type !== 'PLAIN' || !node.range) return;
    const other = inOldYaml.get(node.range[0]);
    if (inOldYaml.has(node.range[0]) && !Object.is(other, node.value)) {
      const shown = other instanceof Date ? 'a date' : JSON.stringify(other);
      throw new SegfleetError(
        'usage',
        `${at(node.range[0])}: ${node.source} means ${shown} to kubectl and ${JSON.stringify(node.value)} here; put it in quotes, or write it as the number, true or false that is meant`,
      );
    }
  });
}

function applySetting(job: Record<string, unknown>, setting: string, provenance: Record<string, 'file' | 'flag'>): void {
  const equals = setting.indexOf('=');
  if (equals < 1) throw new SegfleetError('usage', `--set ${setting}: path=value is expected, for example --set training.epochs=3`);
  const given = setting.slice(0, equals).split('.');
  const path = given[0] === 'metadata' || given[0] === 'spec' ? given : ['spec', ...given];
  let value: unknown;
  try {
    value = parseYaml(setting.slice(equals + 1), { prettyErrors: false });
  } catch (cause) {
    throw new SegfleetError('usage', `--set ${setting}: the value is not valid YAML (${sentence((cause as Error).message)})`, { cause });
  }
  if (path.some(key => key === '' || key === '__proto__'))
    throw new SegfleetError('usage', `--set ${setting}: the path has an empty or forbidden part`);
  let object = job;
  for (const key of path.slice(0, -1)) {
    const inner = object[key];
    if (inner !== undefined && (typeof inner !== 'object' || inner === null || Array.isArray(inner))) {
      throw new SegfleetError('usage', `--set ${setting}: ${key} is not a group of fields in the job file`);
    }
    object[key] ??= {};
    object = object[key] as Record<string, unknown>;
  }
  const last = path.at(-1)!;
  // Another loss, model or optimiser has other fields: those that were given for the old one go.
  if (last === 'name' && path[0] === 'spec' && object.name !== value) {
    for (const key of Object.keys(object)) {
      if (key === 'pool' || key === 'classes') continue;
      markLeaves(object[key], [...path.slice(0, -1), key], leaf => delete provenance[leaf]);
      delete object[key];
    }
  }
  object[last] = value;
  markLeaves(value, path, leaf => {
    provenance[leaf] = 'flag';
  });
}

function nodeAt(contents: Node | null, path: readonly string[]): { range: [number, number, number] } | undefined {
  let node: unknown = contents;
  let found = contents as { range?: [number, number, number] } | null;
  for (const key of path) {
    const items = (node as { items?: { key?: { value?: unknown; range?: [number, number, number] }; value?: unknown }[] })?.items;
    const pair = items?.find((item, index) => String(item?.key?.value ?? index) === key);
    if (!pair) break;
    found = (pair.key as { range?: [number, number, number] }) ?? (pair as { range?: [number, number, number] });
    node = 'value' in pair ? pair.value : pair;
  }
  return found?.range ? (found as { range: [number, number, number] }) : undefined;
}

/** @param schema that the value was to fit */
export function describeIssue(issue: z.core.$ZodIssue, value: unknown, schema: z.ZodType = jobSchema): string {
  const path = issue.path.map(String);
  const field = shortPath(path) || 'the job';
  const given = valueAt(value, path);
  switch (issue.code) {
    case 'unrecognized_keys': {
      const key = issue.keys[0];
      const known = knownKeys(schema, value, path);
      const near = nearest(key, known, Math.max(1, key.length / 3));
      const guess = near ? `; did you mean ${near}?` : `; known are ${known.join(', ')}`;
      return `unknown field ${shortPath([...path, key])}${guess}`;
    }
    case 'invalid_union': {
      const names = discriminatorValues(schema, path);
      const near = typeof given === 'string' ? nearest(given, names, 4) : undefined;
      const guess = near ? `; did you mean ${near}?` : '';
      const expected = names.length > 0 ? `expected one of ${names.join(', ')}${guess}` : sentence(issue.message);
      return given === undefined ? `${field} is missing; ${expected}` : `${field} is ${JSON.stringify(given)}; ${expected}`;
    }
    case 'invalid_type':
      if (typeof given === 'string' && issue.expected === 'object')
        return `${field} is ${JSON.stringify(given)}; a group of fields is expected, such as {name: ${given}}`;
      return given === undefined
        ? `${field} is missing; ${aOrAn(issue.expected)} is expected`
        : `${field} is ${JSON.stringify(given)}; ${aOrAn(issue.expected)} is expected`;
    case 'invalid_value': {
      const expected = issue.values.map(v => JSON.stringify(v)).join(' or ');
      if (given === undefined) return `${field} is missing; it must be ${expected}`;
      return `${field} is ${JSON.stringify(given)}; it must be ${expected}`;
    }
    case 'too_small': {
      const word = issue.inclusive ? 'at least' : 'more than';
      return `${field} is ${JSON.stringify(given)}; ${word} ${issue.minimum} is expected${issue.origin === 'string' ? ' (characters)' : ''}`;
    }
    case 'too_big': {
      const word = issue.inclusive ? 'at most' : 'less than';
      return `${field} is ${JSON.stringify(given)}; ${word} ${issue.maximum} is expected${issue.origin === 'string' ? ' (characters)' : ''}`;
    }
    default:
      return `${field} ${issue.message}`;
  }
}

const aOrAn = (type: string) => {
  const word =
    { int: 'whole number', object: 'group of fields', record: 'group of fields', boolean: 'true or false', string: 'text', array: 'list' }[
      type
    ] ?? type;
  return word === 'true or false' || word === 'text' ? word : `a ${word}`;
};

const valueAt = (value: unknown, path: readonly string[]): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], value);

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly const?: unknown;
}

/** The schemas that apply at a path, following `name` where several are possible. */
function schemasAt(of: z.ZodType, value: unknown, path: readonly string[]): JsonSchema[] {
  const expand = (schema: JsonSchema, at: unknown): JsonSchema[] => {
    const options = schema.oneOf ?? schema.anyOf;
    if (!options) return [schema];
    const name = (at as Record<string, unknown> | undefined)?.name;
    const matching = options.filter(option => option.properties?.name?.const === name);
    return (matching.length > 0 ? matching : options).flatMap(option => expand(option, at));
  };
  let schemas: JsonSchema[] = expand(z.toJSONSchema(of, { io: 'input' }) as JsonSchema, value);
  let at = value;
  for (const key of path) {
    at = (at as Record<string, unknown> | undefined)?.[key];
    const inner = at;
    schemas = schemas.flatMap(schema => (schema.properties?.[key] ? expand(schema.properties[key], inner) : []));
  }
  return schemas;
}

const knownKeys = (schema: z.ZodType, value: unknown, path: readonly string[]) => [
  ...new Set(schemasAt(schema, value, path).flatMap(schema => Object.keys(schema.properties ?? {}))),
];

/** For the `name` of a loss, model, optimiser or schedule: all that there are. */
function discriminatorValues(schema: z.ZodType, path: readonly string[]): string[] {
  const names = schemasAt(schema, {}, path.at(-1) === 'name' ? path.slice(0, -1) : path).map(one => one.properties?.name?.const);
  return names.filter(name => typeof name === 'string');
}
