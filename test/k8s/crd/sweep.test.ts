/**
 * What a real API server makes of sweeps: which it takes, what it says of those that it does not take, and what may change of one.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Api, connect } from '../../../k8s/api.ts';
import { sweep } from '../../../k8s/crd/sweep.ts';
import { apiVersion } from '../../../k8s/names.ts';
import type { AnyObject } from '../../../k8s/objects.ts';
import type { SweepStatus } from '../../../k8s/sweepStatus.ts';
import { type SweepFile, sweepFileSchema } from '../../../trainer/search/sweepSpec.ts';
import type { ControlPlane } from '../../tools/controlPlane.ts';
import { Asker, startWithKinds } from '../../tools/crds.ts';
import { hasKubernetes } from '../../tools/tools.ts';

type Spec = Record<string, unknown>;

/** Table 1 of the paper, and the search after it. */
const paper: Spec = {
  objective: { metric: 'val/jaccard', target: 0.85 },
  method: 'grid',
  seed: 20200,
  base: {
    metadata: { labels: { 'kueue.x-k8s.io/queue-name': 'night' } },
    spec: { data: { path: '/data/isic2018' }, model: { name: 'focusnet' } },
  },
  parameters: {
    'loss.name': { value: 'adaptiveLog' },
    'loss.omega': { values: [6, 8, 10, 12, 14, 16] },
    'loss.epsilon': { values: [0.3, 0.5, 1, 2] },
    'loss.gamma': { value: 0.1 },
    'model.dropout': { distribution: 'uniform', min: 0, max: 0.5, step: 0.1, when: "model.name == 'unet'" },
  },
  replicates: { count: 3, vary: ['seed'] },
  earlyStop: { type: 'asha', maxTime: 50, minTime: 5, reductionFactor: 3 },
  limits: { maxTrials: 72, parallelTrials: 8, maxFailedTrials: 6, maxGpuHours: 400, deadline: '72h' },
  baseline: { 'loss.name': 'dice' },
  stages: [
    { name: 'omega-epsilon' },
    { name: 'gamma', fixFrom: 'omega-epsilon.best', parameters: { 'loss.gamma': { values: [0.08, 0.1, 0.3] } } },
  ],
  table: { rows: 'loss.epsilon', cols: 'loss.omega', cell: 'mean(test/jaccard)', reference: 'paper/table1.csv' },
};

const smallest: Spec = {
  objective: { metric: 'val/jaccard' },
  method: 'grid',
  base: { spec: { data: { path: 'data' } } },
  parameters: { seed: { values: [1, 2] } },
};
const sweepWith = (spec: Spec, name = 'sweep') => ({
  apiVersion,
  kind: 'Sweep' as const,
  metadata: { name },
  spec: { ...smallest, ...spec },
});
const space = (parameter: object): Spec => ({ parameters: { 'loss.gamma': parameter } });
const random = { method: 'random', limits: { maxTrials: 9 } };

/** Refused in the words of `sweep run`: what, the field, the words; and the field as the API server names it, where it looks less closely. */
const sentences: [what: string, spec: Spec, field: string, sentence: string, coarser?: string][] = [
  ['hyperband without its numbers', { method: 'hyperband' }, 'hyperband', 'is needed with the method hyperband'],
  ['population based training without its numbers', { method: 'pbt' }, 'pbt', 'is needed with the method pbt'],
  ['stages that are not there', { method: 'staged' }, 'stages', 'is needed with the method staged'],
  [
    'asha that stops otherwise',
    { method: 'asha', earlyStop: { type: 'median' }, limits: { maxTrials: 9 } },
    'earlyStop',
    'must be there with the type asha, with the method asha',
  ],
  [
    'hyperband in the rungs of asha',
    { method: 'hyperband', hyperband: { maxTime: 9 }, earlyStop: { type: 'asha' } },
    'earlyStop.type',
    'is asha, and hyperband and pbt end trials themselves; use median',
  ],
  [
    'a population that is ended by steps',
    { method: 'pbt', pbt: { population: 2, interval: 1, mutations: ['seed'] }, earlyStop: { type: 'median', timeMetric: 'step' } },
    'earlyStop.timeMetric',
    'is step, and hyperband and pbt count in epochs; use epoch',
  ],
  [
    'a search without end',
    { method: 'tpe' },
    'limits.maxTrials',
    'is needed with the methods random, sobol, tpe and asha, which could go on for ever',
  ],
  [
    'a grid over all numbers of a range',
    space({ distribution: 'uniform', min: 0, max: 1 }),
    'parameters.loss.gamma',
    'has numbers without end, and a grid takes all of them; give it values, or uniform with a step',
    'parameters',
  ],
  [
    'a stage with a grid over all numbers of a range',
    { stages: [{ name: 'a', parameters: { 'loss.gamma': { distribution: 'normal', mean: 0, deviation: 1, step: 1 } } }] },
    'stages[0].parameters.loss.gamma',
    'has numbers without end, and a grid takes all of them; give it values, or uniform with a step',
    'stages',
  ],
  [
    'a range without an end',
    { ...random, ...space({ distribution: 'uniform', min: 1 }) },
    'parameters.loss.gamma.min',
    'must be there, and below max, with uniform and logUniform',
    'parameters[loss.gamma].min',
  ],
  [
    'a logarithm of zero',
    { ...random, ...space({ distribution: 'logUniform', min: 0, max: 1 }) },
    'parameters.loss.gamma.min',
    'must be above 0 with logUniform',
    'parameters[loss.gamma].min',
  ],
  [
    'a normal distribution of no width',
    { ...random, ...space({ distribution: 'normal', mean: 0 }) },
    'parameters.loss.gamma.mean',
    'must be there, and deviation too, with normal and logNormal',
    'parameters[loss.gamma].mean',
  ],
  [
    'a job that does not fit itself',
    { base: { spec: { data: { path: 'data' }, workers: { replicas: 3 } } } },
    'base.spec.training.batch',
    'is 16, which is not divisible by training.lanes, 3; try 18',
  ],
];

/** Refused by the schema, whose words are those of the API server. */
const refusals: [what: string, spec: Spec, said: string][] = [
  ['a method that is not there', { method: 'gird' }, 'spec.method: Unsupported value: "gird"'],
  ['no parameters', { parameters: undefined }, 'spec.parameters: Required value'],
  ['a parameter that is two things', space({ value: 1, values: [1, 2] }), 'must validate one and only one schema (oneOf)'],
  ['a parameter that is nothing', space({}), 'must validate one and only one schema (oneOf)'],
  [
    'a path that is no field',
    { parameters: { 'loss..gamma': { value: 1 } } },
    'spec.parameters: Invalid value: has a key that does not match',
  ],
  [
    'a path of 129 letters',
    { parameters: { ['x'.repeat(129)]: { value: 1 } } },
    'spec.parameters: Invalid value: has a key that is not of 0 to 128 characters',
  ],
  [
    '65 parameters',
    { parameters: Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, { value: 1 }])) },
    'spec.parameters: Too many: 65: must have at most 64 items',
  ],
  [
    'a thousand and one values',
    space({ values: Array(1001).fill(1) }),
    'spec.parameters.loss.gamma.values: Too many: 1001: must have at most 1000 items',
  ],
  [
    'a stage after no other',
    { stages: [{ name: 'a', fixFrom: 'b.best' }] },
    'spec.stages: Invalid value: has a fixFrom that is not the name of a stage, and .best',
  ],
  ['two stages of one name', { stages: [{ name: 'a' }, { name: 'a' }] }, 'spec.stages[1]: Duplicate value: {"name":"a"}'],
  [
    'a file for a job, which is not on the cluster',
    { base: './focusnet.yaml' },
    'spec.base: Invalid value: "string": spec.base in body must be of type object',
  ],
  [
    'a job with a loss that is not there',
    { base: { spec: { data: { path: 'a' }, loss: { name: 'dise' } } } },
    'spec.base.spec.loss.name: Unsupported value: "dise"',
  ],
  ['a template for a metric', { objective: { metric: '{{ .Values.x }}' } }, 'spec.objective.metric in body should match'],
  ['a time without a unit', { limits: { deadline: '72' } }, 'spec.limits.deadline in body should match'],
  ['a field that is not there', { paralel: 3 }, 'strict decoding error: unknown field "spec.paralel"'],
];

describe.skipIf(!hasKubernetes())('an API server that knows Sweeps', () => {
  let controlPlane: ControlPlane;
  let asker: Asker;
  let api: Api;
  beforeAll(async () => {
    controlPlane = await startWithKinds();
    asker = new Asker(controlPlane);
    api = await connect({ kubeconfig: controlPlane.kubeconfig });
    await api.create({ ...sweepWith(paper), metadata: { name: 'paper', namespace: 'default' } });
  });
  afterAll(async () => {
    await asker?.[Symbol.asyncDispose]();
    await api?.close();
    await controlPlane?.[Symbol.asyncDispose]();
  });
  const ref = { apiVersion, kind: 'Sweep', metadata: { name: 'paper', namespace: 'default' } };

  test('takes the searches of the paper as they stand among the examples', async () => {
    const files = ['table1', 'table2'].map(name => join(import.meta.dirname, '..', '..', '..', 'examples', 'paper', `${name}.yaml`));
    const { stdout } = await controlPlane.kubectl('apply', '--dry-run=server', '--output=name', ...files.map(file => `--filename=${file}`));
    expect(stdout.trim().split('\n')).toEqual(['sweep.segfleet.dev/paper-table1', 'sweep.segfleet.dev/paper-table2']);
  });

  test('keeps values of any type as they are', async () => {
    const { spec } = await api.get<AnyObject & SweepFile>('Sweep', 'paper', { namespace: 'default' });
    expect(spec.parameters).toEqual(paper.parameters);
    expect(spec.baseline).toEqual(paper.baseline);
    const values = [1, 0.5, 'a', true, { name: 'dice', smooth: 1 }, [1, 2]];
    const { object } = await asker.create<SweepFile>(sweepWith({ parameters: { loss: { values } } }));
    expect(object!.spec.parameters.loss.values).toEqual(values);
  });

  test('fills in the defaults, also those of the job', async () => {
    const { object } = await asker.create<SweepFile>(sweepWith({}));
    const { base, ...spec } = object!.spec;
    expect(spec).toEqual({
      objective: { metric: 'val/jaccard', goal: 'maximize' },
      method: 'grid',
      seed: 0,
      parameters: { seed: { values: [1, 2] } },
      replicates: { count: 1, vary: ['seed'] },
      limits: { parallelTrials: 1 },
      suspend: false,
    });
    expect(base).toMatchObject({ spec: { training: { epochs: 50 }, workers: { replicas: 1, min: 1 } } });
  });

  test.each(sentences)('refuses %s as `sweep run` does', async (_, spec, field, sentence, coarser = field) => {
    const given = sweepWith(spec);
    const [issue] = sweepFileSchema.safeParse(given).error!.issues;
    const path = issue.path.map(key => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
    expect([path, issue.message]).toEqual([`.spec.${field}`, sentence]);
    const { refusal } = await asker.create(given);
    expect(refusal).toMatch(new RegExp(`spec\\.${coarser.replace(/[[\]]/g, '\\$&')}: (Invalid|Required) value: `));
    expect(refusal).toContain(`value: ${sentence}`);
  });

  test.each(refusals)('refuses %s', async (_, spec, said) => {
    expect((await asker.create(sweepWith(spec))).refusal).toContain(said);
  });

  const { openAPIV3Schema } = sweep().spec.versions[0].schema;
  const changes: Record<string, unknown> = {
    objective: { metric: 'val/dice' },
    method: 'random',
    seed: 1,
    base: { spec: { training: { epochs: 3 } } },
    parameters: { 'loss.gamma': { value: 0.2 } },
    replicates: { count: 4 },
    earlyStop: null,
    hyperband: { maxTime: 50 },
    pbt: { population: 4, interval: 1, mutations: ['seed'] },
    baseline: { 'loss.name': 'jaccard' },
    stages: [{ name: 'omega-epsilon' }],
  };
  test.each(Object.entries(changes))('%s of a sweep cannot change', async (field, value) => {
    await expect(api.patch(ref, { spec: { [field]: value } })).rejects.toThrow(
      `${field} cannot be changed: of a sweep only suspend, limits, table may; delete it, or make another sweep with another name`,
    );
  });

  const mutable: Record<string, unknown> = { suspend: true, limits: { parallelTrials: 2, maxTrials: null }, table: null };
  test.each(Object.entries(mutable))('%s of a sweep may change', async (field, value) => {
    await api.patch(ref, { spec: { [field]: value } });
  });

  test('no field is forgotten', () => {
    expect([...Object.keys(changes), ...Object.keys(mutable)].sort()).toEqual(
      Object.keys(openAPIV3Schema.properties!.spec.properties!).sort(),
    );
  });

  test('shows where a sweep stands', async () => {
    const trials = { total: 72, pending: 40, running: 8, succeeded: 22, failed: 2, stopped: 0, reused: 0 };
    const status: SweepStatus = {
      phase: 'Running',
      stage: 'omega-epsilon',
      progress: '24/72',
      trials,
      best: { job: 'paper-17', value: '0.8243', parameters: { 'loss.omega': 10, 'loss.epsilon': 0.5 } },
    };
    const { status: kept } = await api.patch<AnyObject>(ref, { status }, 'status');
    expect(kept).toEqual(status);
    const table = async (...flags: string[]) => {
      const { stdout } = await controlPlane.kubectl('get', 'sw', 'paper', ...flags);
      return stdout
        .trim()
        .split('\n')
        .map(line => line.split(/ {2,}/));
    };
    const age = expect.stringMatching(/^\d+m?\d*s$/);
    expect(await table()).toEqual([
      ['NAME', 'PHASE', 'METHOD', 'TRIALS', 'RUNNING', 'FAILED', 'BEST', 'AGE'],
      ['paper', 'Running', 'grid', '24/72', '8', '2', '0.8243', age],
    ]);
    expect(await table('--output=wide')).toEqual([
      ['NAME', 'PHASE', 'METHOD', 'STAGE', 'TRIALS', 'RUNNING', 'FAILED', 'BEST', 'JOB', 'AGE'],
      ['paper', 'Running', 'grid', 'omega-epsilon', '24/72', '8', '2', '0.8243', 'paper-17', age],
    ]);
  });
});
