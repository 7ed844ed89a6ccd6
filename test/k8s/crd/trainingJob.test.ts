/**
 * Which jobs a real API server takes, and what it says of those that it does not take.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { Rule, Structural } from '../../../k8s/crd/structural.ts';
import { trainingJob } from '../../../k8s/crd/trainingJob.ts';
import { jobSchema } from '../../../trainer/spec.ts';
import type { ControlPlane } from '../../tools/controlPlane.ts';
import { Asker, jobWith, startWithKinds } from '../../tools/crds.ts';
import { hasKubernetes } from '../../tools/tools.ts';

type Spec = Record<string, unknown>;

const { openAPIV3Schema } = trainingJob().spec.versions[0].schema;
const examples = join(import.meta.dirname, '..', '..', '..', 'examples');
const data = (more: object): Spec => ({ data: { path: 'data', ...more } });
const pod = (more: object): Spec => ({ pod: more });
const volume = { name: 'data', mountPath: '/data', claim: 'data' };
const supervised = (more: object, model: object = {}): Spec => ({ model: { name: 'attentionUnet', ...model }, deepSupervision: more });
const twoLanes = { lanes: 2 };

/** Refused by the trainer and by the API server in the same words: what, the field, and what is said of it. */
const sentences: [what: string, spec: Spec, field: string, sentence: string][] = [
  [
    'a height that is no multiple of 16',
    data({ size: { height: 250, width: 256 } }),
    'data.size.height',
    'is 250, which is not divisible by 16 as unet needs; try 256',
  ],
  [
    'a width that is no multiple of 16',
    { ...data({ size: { height: 256, width: 72 } }), model: { name: 'focusnet' } },
    'data.size.width',
    'is 72, which is not divisible by 16 as focusnet needs; try 80',
  ],
  [
    'patches that are no multiple of 16',
    data({ patches: { height: 48, width: 70, perImage: 5 } }),
    'data.patches.width',
    'is 70, which is not divisible by 16 as unet needs; try 64',
  ],
  [
    'one and a half cases for validation',
    data({ split: { validation: 1.5 } }),
    'data.split.validation',
    'must be a share below 1 or a whole number of cases',
  ],
  [
    'two and a half cases for the test',
    data({ split: { test: 2.5 } }),
    'data.split.test',
    'must be a share below 1 or a whole number of cases',
  ],
  [
    'a test part beside a split in a file',
    data({ split: { file: 'split.json', test: 0.25 } }),
    'data.split.test',
    'is 0.25, and data.split.file has no test part; leave one of them out',
  ],
  [
    'one exclusive class',
    data({ exclusive: true }),
    'data.exclusive',
    'needs data.classes of at least 2 (background is one of them); with one class leave it out',
  ],
  [
    'an elastic image that folds over itself',
    data({ augmentation: { elastic: { pixels: 32, spacing: 64 } } }),
    'data.augmentation.elastic.pixels',
    'must be less than half of elastic.spacing, else the image may fold over itself; lower it or raise the spacing',
  ],
  [
    'an overlap above 1',
    { loss: { name: 'dice', smoothNumerator: 2 } },
    'loss.smoothNumerator',
    'must be at most that of the denominator, else a perfect overlap is above 1',
  ],
  [
    'an overlap above 1 in a term of a wrapped loss',
    { loss: { name: 'adaptiveLog', of: { name: 'sum', terms: [{ name: 'dice' }, { name: 'tversky', smooth: 3, smoothDenominator: 1 }] } } },
    'loss.of.terms[1].smoothNumerator',
    'must be at most that of the denominator, else a perfect overlap is above 1',
  ],
  [
    'ALL around a loss without a least value',
    { loss: { name: 'adaptiveLog', of: { name: 'boundary' } } },
    'loss.of',
    'is boundary, whose least value is not known: adaptiveLog cannot measure from it',
  ],
  [
    'ALL around a loss that rewards false positives',
    { loss: { name: 'sum', terms: [{ name: 'adaptiveLog', of: { name: 'combo', asReleased: true } }] } },
    'loss.terms[0].of',
    'is combo, whose least value is not known: adaptiveLog cannot measure from it',
  ],
  [
    'ALL around a sum with such a loss',
    supervised({ loss: { name: 'adaptiveLog', of: { name: 'sum', terms: [{ name: 'dice' }, { name: 'boundary' }] } } }),
    'deepSupervision.loss.of',
    'is sum, whose least value is not known: adaptiveLog cannot measure from it',
  ],
  [
    'weights of two classes where there are three',
    { ...data({ classes: 3 }), loss: { name: 'dice', classWeights: [1, 2] } },
    'loss.classWeights',
    'has 2 numbers; one for each of data.classes, 3, is expected',
  ],
  [
    'weights of classes that the loss joins itself',
    { ...data({ classes: 2, exclusive: true }), loss: { name: 'sum', terms: [{ name: 'generalisedDice' }], classWeights: [1, 2] } },
    'loss.classWeights',
    'cannot weigh the classes of sum, which joins exclusive classes itself; leave it out',
  ],
  [
    'weights of classes in deep supervision',
    { ...data({ classes: 2 }), ...supervised({ loss: { name: 'dice', classWeights: [1] } }) },
    'deepSupervision.loss.classWeights',
    'has 1 numbers; one for each of data.classes, 2, is expected',
  ],
  [
    'a batch that lanes cannot share',
    { training: { batch: 6, lanes: 4 } },
    'training.batch',
    'is 6, which is not divisible by training.lanes, 4; try 8',
  ],
  [
    'a batch that cannot be shared by as many lanes as there are workers',
    { workers: { replicas: 3 } },
    'training.batch',
    'is 16, which is not divisible by training.lanes, 3; try 18',
  ],
  [
    'bfloat16 between workers of one lane',
    { training: { wire: 'bfloat16' } },
    'training.wire',
    'is bfloat16, and with one lane (training.lanes) nothing travels; use float32, or more lanes',
  ],
  [
    'a loss that sorts pixels of several lanes',
    { loss: { name: 'lovasz' }, training: twoLanes },
    'loss.pool',
    'is batch, and lovasz sorts the pixels of a unit, which 2 lanes have not in one place; use lane or image',
  ],
  [
    'a term that sorts pixels of several lanes',
    { loss: { name: 'sum', terms: [{ name: 'adaptiveLog', of: { name: 'topKCrossEntropy' } }] }, training: twoLanes },
    'loss.pool',
    'is batch, and sum sorts the pixels of a unit, which 2 lanes have not in one place; use lane or image',
  ],
  [
    'a loss of deep supervision that sorts pixels of several lanes',
    { ...supervised({ loss: { name: 'adaptiveLog', of: { name: 'lovasz' } } }), training: twoLanes },
    'deepSupervision.loss.pool',
    'is batch, and adaptiveLog sorts the pixels of a unit, which 2 lanes have not in one place; use lane or image',
  ],
  [
    'more workers than there may be',
    { workers: { replicas: 4, max: 2 } },
    'workers.replicas',
    'is 4, more than workers.max, 2; raise that, or have fewer',
  ],
  [
    'a wait for more workers than there are',
    { workers: { replicas: 2, min: 4 } },
    'workers.min',
    'is 4, more than workers.replicas, 2: the run would wait for ever',
  ],
  [
    'more workers than lanes',
    { workers: { replicas: 4 }, training: twoLanes },
    'workers.replicas',
    'is 4, and training.lanes is 2: a worker needs a lane at least. More lanes (training.lanes: 4) are another training: each has its own dropout and batch statistics',
  ],
  [
    'a later number of workers above that of lanes',
    { workers: { max: 4 }, training: twoLanes },
    'workers.max',
    'is 4, and training.lanes is 2: a worker needs a lane at least. More lanes (training.lanes: 4) are another training: each has its own dropout and batch statistics',
  ],
  [
    'deep supervision of a network without coarser outputs',
    { deepSupervision: {} },
    'deepSupervision',
    'is given, and unet has no outputs at coarser levels; leave it out',
  ],
  [
    'deep supervision where it is switched off',
    supervised({}, { deepSupervision: false }),
    'deepSupervision',
    'is given, and attentionUnet has no outputs at coarser levels; leave it out',
  ],
  [
    'weights of two of three outputs',
    supervised({ weights: [1, 1] }),
    'deepSupervision.weights',
    'has 2 numbers; attentionUnet has 3 coarser outputs',
  ],
  [
    'a volume that is two things',
    pod({ volumes: [{ ...volume, secret: 'keys' }] }),
    'pod.volumes[0]',
    'must have exactly one of claim, secret, configMap, emptyDir',
  ],
  [
    'a volume that is nothing',
    pod({ volumes: [{ name: 'a', mountPath: '/a' }] }),
    'pod.volumes[0]',
    'must have exactly one of claim, secret, configMap, emptyDir',
  ],
  [
    'two volumes at one place',
    pod({ volumes: [volume, { ...volume, name: 'other' }] }),
    'pod.volumes',
    'has two volumes at the same place',
  ],
  [
    'a toleration of no taint',
    pod({ tolerations: [{ value: 'x' }] }),
    'pod.tolerations[0].operator',
    'must be Exists where there is no key',
  ],
  [
    'a toleration of any value and of one',
    pod({ tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] }),
    'pod.tolerations[0].value',
    'cannot be there with Exists, which takes any',
  ],
  [
    'a toleration for a time that never begins',
    pod({ tolerations: [{ key: 'a', operator: 'Exists', effect: 'NoSchedule', tolerationSeconds: 5 }] }),
    'pod.tolerations[0].effect',
    'must be NoExecute where there are tolerationSeconds',
  ],
];

/** Refused by the schema, whose words are those of the API server. */
const refusals: [what: string, spec: Spec, said: string][] = [
  [
    'a loss that is not there',
    { loss: { name: 'dise' } },
    'spec.loss.name: Unsupported value: "dise": supported values: "crossEntropy", "focal"',
  ],
  ['a loss without a name', { loss: {} }, 'spec.loss.name: Required value'],
  ['a loss that is a word', { loss: 'dice' }, 'spec.loss: Invalid value: "string": spec.loss in body must be of type object'],
  ['a field of another loss', { loss: { name: 'dice', gamma: 1 } }, 'spec.loss.gamma: Forbidden: is a field of adaptiveLog only'],
  [
    'a field of another loss, deep within',
    supervised({ loss: { name: 'sum', terms: [{ name: 'adaptiveLog', of: { name: 'focal', smooth: 1 } }] } }),
    'spec.deepSupervision.loss.terms[0].of.smooth: Forbidden: is a field of dice, jaccard, tversky',
  ],
  [
    'a number that is too large for one of the losses that have it',
    { loss: { name: 'unifiedFocal', focus: 1 } },
    'spec.loss.focus: Invalid value: must be less than 1 with unifiedFocal',
  ],
  [
    'a number that is too large for all of them',
    { loss: { name: 'focal', focus: 11 } },
    'spec.loss.focus: Invalid value: 11: spec.loss.focus in body should be less than or equal to 10',
  ],
  [
    'steps at no epochs',
    { training: { schedule: { name: 'step' } } },
    'spec.training.schedule.epochs: Required value: is needed with step',
  ],
  [
    'a wrapped sum of nothing',
    { loss: { name: 'adaptiveLog', of: { name: 'sum' } } },
    'spec.loss.of.terms: Required value: is needed with sum',
  ],
  ['no data', { data: undefined }, 'spec.data: Required value'],
  ['a text for a number', { seed: 'one' }, 'spec.seed: Invalid value: "string": spec.seed in body must be of type integer'],
  [
    'half an epoch',
    { training: { epochs: 0.5 } },
    'spec.training.epochs: Invalid value: "number": spec.training.epochs in body must be of type integer',
  ],
  [
    'no worker',
    { workers: { replicas: 0 } },
    'spec.workers.replicas: Invalid value: 0: spec.workers.replicas in body should be greater than or equal to 1',
  ],
  ['two channels', data({ channels: 2 }), 'spec.data.channels: Unsupported value: 2: supported values: "1", "3"'],
  ['a field that is not there', { sead: 1 }, 'strict decoding error: unknown field "spec.sead"'],
  [
    'half a processor without quotes',
    pod({ resources: { limits: { cpu: 0.5 } } }),
    'spec.pod.resources.limits.cpu in body must be of type integer,string',
  ],
  [
    'an amount in other units',
    pod({ resources: { requests: { memory: '4 GB' } } }),
    "spec.pod.resources.requests.memory in body should match '^\\d+",
  ],
  [
    'two volumes of one name',
    pod({ volumes: [volume, { ...volume, mountPath: '/b' }] }),
    'spec.pod.volumes[1]: Duplicate value: {"name":"data"}',
  ],
  ['two variables of one name', pod({ env: [{ name: 'A' }, { name: 'A' }] }), 'spec.pod.env[1]: Duplicate value: {"name":"A"}'],
  [
    'a resource without a name',
    pod({ resources: { limits: { '': 1 } } }),
    'spec.pod.resources.limits: Invalid value: has a key that is not of 1 to 253 characters',
  ],
  [
    'a label with a long name',
    pod({ labels: { ['x'.repeat(318)]: 'a' } }),
    'spec.pod.labels: Invalid value: has a key that is not of 1 to 317 characters',
  ],
  ['a template for an image', pod({ image: '{{ .Values.image }}' }), "spec.pod.image in body should match '^[\\w][\\w.\\-/:@]*$'"],
  ['a flag for an image', pod({ image: '--privileged' }), 'spec.pod.image in body should match'],
  [
    'a second line in a path',
    pod({ volumes: [{ ...volume, mountPath: '/data\n  hostPath: /' }] }),
    'spec.pod.volumes[0].mountPath in body should match',
  ],
  ['an assignment for the name of a variable', pod({ env: [{ name: 'A=b' }] }), 'spec.pod.env[0].name in body should match'],
  ['a path of a megabyte', { data: { path: 'x'.repeat(2 ** 20) } }, 'spec.data.path: Too long: may not be more than 1024 bytes'],
  ['a job of four megabytes', { data: { path: 'x'.repeat(2 ** 22) } }, 'Request entity too large: limit is 3145728'],
  [
    'a hundred thousand numbers',
    { loss: { name: 'dice', classWeights: Array(100_000).fill(1) } },
    'spec.loss.classWeights: Too many: 100000: must have at most 255 items',
  ],
];

const names: [what: string, name: string, said: string][] = [
  ['of 64 characters', 'x'.repeat(64), 'must be lower-case letters, digits and dashes, at most 63 (a Kubernetes name)'],
  ['with a dot', 'a.b', 'must be lower-case letters, digits and dashes, at most 63 (a Kubernetes name)'],
  ['with capital letters', 'Job', 'a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters'],
  [
    'that leads out of a folder',
    '../secrets',
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'",
  ],
];

describe.skipIf(!hasKubernetes())('an API server that knows TrainingJobs', () => {
  let controlPlane: ControlPlane;
  let asker: Asker;
  beforeAll(async () => {
    controlPlane = await startWithKinds();
    asker = new Asker(controlPlane);
  });
  afterAll(async () => {
    await asker?.[Symbol.asyncDispose]();
    await controlPlane?.[Symbol.asyncDispose]();
  });

  const kubectl = async (...words: string[]) => {
    const { code, stdout, stderr } = await controlPlane.kubectl(...words);
    expect({ words, code, stderr }).toEqual({ words, code: 0, stderr: '' });
    return stdout;
  };
  test('finds the definition well structured', async () => {
    const { status } = JSON.parse(await kubectl('get', 'crd', 'trainingjobs.segfleet.dev', '--output=json'));
    const conditions = status.conditions.map(({ type, status }: { type: string; status: string }) => `${type}=${status}`);
    expect(conditions.sort()).toEqual(['Established=True', 'NamesAccepted=True']);
  });

  test('takes every job among the examples', async () => {
    const files = readdirSync(examples, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.yaml'));
    const jobs = files
      .map(file => ({ file: join(examples, file), ...parse(readFileSync(join(examples, file), 'utf8')) }))
      .filter(({ kind }) => kind === 'TrainingJob');
    expect(jobs.length).toBeGreaterThan(37);
    const said = await kubectl('apply', '--dry-run=server', ...jobs.map(({ file }) => `--filename=${file}`));
    const made = jobs.map(({ metadata }) => `trainingjob.segfleet.dev/${metadata.name} created (server dry run)`);
    expect(said.trim().split('\n').sort()).toEqual(made.sort());
  });

  test('fills in the defaults that depend on nothing else', async () => {
    const { object } = await asker.create<{ spec: Spec }>(jobWith({ loss: { name: 'focal' } }));
    expect(object!.spec).toEqual({
      seed: 1,
      data: {
        path: 'data',
        size: { height: 256, width: 256 },
        channels: 3,
        classes: 1,
        exclusive: false,
        split: { validation: 0.2, test: 0, seed: 0 },
      },
      model: { name: 'unet' },
      loss: { name: 'focal', pool: 'batch', classes: 'sum' },
      training: {
        epochs: 50,
        batch: 16,
        optimizer: { name: 'adam' },
        schedule: { name: 'constant' },
        wire: 'float32',
        precision: 'float32',
      },
      workers: { replicas: 1, min: 1 },
      checkpoint: { last: 2, best: 1 },
      suspend: false,
      restarts: { errors: 6, outOfMemory: 2 },
      pod: { terminationGracePeriodSeconds: 60 },
    });
  });

  test.each(sentences)('refuses %s as the trainer does', async (_, spec, field, sentence) => {
    const job = jobWith(spec);
    const [issue] = jobSchema.safeParse(job).error!.issues;
    expect([fieldOf(issue.path), issue.message]).toEqual([`spec.${field}`, sentence]);
    expect((await asker.create(job)).refusal).toContain(`spec.${field}: Invalid value: ${sentence}`);
  });

  test.each(refusals)('refuses %s', async (_, spec, said) => {
    expect((await asker.create(jobWith(spec))).refusal).toContain(said);
  });

  test.each(names)('refuses a name %s', async (_, name, said) => {
    const { refusal } = await asker.create(jobWith({}, name));
    expect(refusal).toContain('metadata.name: Invalid value:');
    expect(refusal).toContain(said);
  });

  test('has been asked about every rule of the definition but those on what may change', () => {
    const said = [
      ...sentences.map(([, , , sentence]) => sentence),
      ...refusals.map(([, , said]) => said),
      ...names.map(([, , said]) => said),
    ];
    const rules = [...rulesOf(openAPIV3Schema)].filter(({ rule }) => !/oldSelf|self\.status\.maxWorkers/.test(rule));
    const unasked = rules
      .filter(rule => !said.some(one => patternOf(rule).test(one)))
      .map(({ message, messageExpression }) => message ?? messageExpression);
    // All of these are asked about below.
    expect([...new Set(unasked)].filter(message => !/^is a field of .* only$/.test(message!))).toEqual([]);
  });

  test.each(['model', 'loss', 'training.optimizer', 'training.schedule'])('refuses each field of other names in %s', async path => {
    const union = path.split('.').reduce<Structural>((node, key) => node.properties![key], openAPIV3Schema.properties!.spec);
    const { name, ...fields } = union.properties!;
    const rules = union['x-kubernetes-validations']!.filter(({ message }) => message?.startsWith('is a field of'));
    const wrong: string[] = [];
    for (const { fieldPath, message } of rules) {
      const field = fieldPath!.slice(1);
      for (const one of name.enum as string[]) {
        const isKnown = message!
          .replace(/^is a field of | only$/g, '')
          .split(', ')
          .includes(one);
        const { refusal } = await asker.create(jobWith(at(path, { name: one, [field]: sampleOf(fields[field]) })));
        const isRefused = refusal.includes(`spec.${path}.${field}: Forbidden: ${message}`);
        if (isRefused === isKnown) wrong.push(`${one}.${field}: ${refusal}`);
      }
    }
    expect(rules.length).toBeGreaterThan(3);
    expect(wrong).toEqual([]);
  });

  test('refuses a text, a list and a map above each cap', async () => {
    const wrong: string[] = [];
    const nodes = [...cappedNodes(openAPIV3Schema.properties!.spec, '')];
    for (const { path, value } of nodes) {
      const { refusal } = await asker.create(jobWith(at(path, value) as Spec));
      const place = `spec.${path}`.replaceAll('.0', '[0]');
      if (!new RegExp(`${escaped(place)}: (Too long|Too many|Invalid value: .* should have at most)`).test(refusal))
        wrong.push(`${place}: ${refusal.slice(0, 300)}`);
    }
    expect(nodes.length).toBeGreaterThan(40);
    expect(wrong).toEqual([]);
  });

  test('tells a user who applies a file of an unknown field', async () => {
    const input = JSON.stringify(jobWith({ training: { epoch: 3 } }));
    const { code, stderr } = await controlPlane.kubectlWith({ input }, 'apply', '-f', '-');
    expect([code, stderr]).toEqual([1, expect.stringContaining('strict decoding error: unknown field "spec.training.epoch"')]);
  });
});

const fieldOf = (path: readonly PropertyKey[]) =>
  path
    .map(key => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .slice(1);

const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

/** What a rule says, whatever the values in it. */
function patternOf({ message, messageExpression }: Rule): RegExp {
  const format = message ?? /^'(.*)'\.format\(/.exec(messageExpression!)![1];
  return new RegExp(`${format.split('%s').map(escaped).join('.+')}$`);
}

function* rulesOf(node: Structural): Generator<Rule> {
  yield* node['x-kubernetes-validations'] ?? [];
  const inner = [...Object.values(node.properties ?? {}), node.items, node.additionalProperties].filter(one => one !== undefined);
  for (const one of inner) yield* rulesOf(one);
}

/** Some value of that field. */
function sampleOf(node: Structural): unknown {
  if (node.enum) return node.enum[0];
  switch (node.type) {
    case 'boolean':
      return true;
    case 'object':
      return { name: node.properties!.name.enum![0] };
    case 'array':
      return [sampleOf(node.items!)];
    default:
      return node.type === 'integer' ? node.minimum : ((node.minimum ?? 0) + (node.maximum ?? 1)) / 2;
  }
}

/** An object with a value at a path. */
const at = (path: string, value: unknown): Spec =>
  path
    .split('.')
    .reverse()
    .reduce((inner, key) => (key === '0' ? [inner] : { [key]: inner }), value) as unknown as Spec;

interface TooMuch {
  readonly path: string;
  readonly value: unknown;
}

/** A value above each cap, by its path, whose lists have one item. */
function* cappedNodes(node: Structural, path: string): Generator<TooMuch> {
  const below = (key: string) => (path === '' ? key : `${path}.${key}`);
  if (node.maxLength !== undefined && path !== '') yield { path, value: 'a'.repeat(node.maxLength + 1) };
  if (node.maxItems !== undefined) yield { path, value: Array.from({ length: node.maxItems + 1 }, (_, i) => sampleFor(node.items!, i)) };
  if (node.maxProperties !== undefined) {
    const keys = Array.from({ length: node.maxProperties + 1 }, (_, i) => [`key${i}`, '1']);
    yield { path, value: Object.fromEntries(keys) };
  }
  for (const [key, inner] of Object.entries(node.properties ?? {})) yield* cappedNodes(inner, below(key));
  if (node.items) yield* cappedNodes(node.items, below('0'));
  if (node.additionalProperties) yield* cappedNodes(node.additionalProperties, below('key'));
}

/** Distinct in lists of objects with a name. */
function sampleFor(node: Structural, i: number): unknown {
  if (node.properties?.name && !node.properties.name.enum) return { name: `a${i}` };
  if (node.type === 'object') return {};
  return node.type === 'string' ? 'a' : 1;
}
