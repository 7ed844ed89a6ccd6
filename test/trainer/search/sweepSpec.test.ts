/**
 * What a sweep file may say.
 */
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { sweepFileSchema } from '../../../trainer/search/sweepSpec.ts';

/** Table 1 of the paper: omega and epsilon at gamma 0.1, then gamma. */
const paper = `
apiVersion: segfleet.dev/v1alpha1
kind: Sweep
metadata: {name: paper-table1}
spec:
  objective: {metric: val/jaccard, goal: maximize, target: 0.85}
  method: grid
  seed: 20200
  base: ./focusnet-isic.yaml
  parameters:
    loss.name:    {value: adaptiveLog}
    loss.omega:   {values: [6, 8, 10, 12, 14, 16]}
    loss.epsilon: {values: [0.3, 0.5, 1.0, 2.0]}
    loss.gamma:   {value: 0.1}
    model.dropout: {distribution: uniform, min: 0.0, max: 0.5, step: 0.25, when: "model.name == 'unet'"}
  replicates: {count: 3, vary: [seed]}
  earlyStop: {type: asha, timeMetric: epoch, maxTime: 50, minTime: 5, reductionFactor: 3}
  limits: {maxTrials: 72, parallelTrials: 8, maxFailedTrials: 6, maxGpuHours: 400, deadline: 72h}
  baseline: {loss.name: dice}
  stages:
    - {name: omega-epsilon}
    - {name: gamma, fixFrom: omega-epsilon.best, parameters: {loss.gamma: {values: [0.08, 0.10, 0.12, 0.15, 0.20, 0.30]}}}
  table: {rows: loss.epsilon, cols: loss.omega, cell: "mean(test/jaccard)", reference: paper/table1.csv}
`;

const issueOf = (change: Readonly<Record<string, unknown>>) => {
  const sweep = parse(paper);
  const [issue] = sweepFileSchema.safeParse({ ...sweep, spec: { ...sweep.spec, ...change } }).error!.issues;
  return `${issue.path.slice(1).join('.')} ${issue.message}`;
};

describe('a sweep file', () => {
  test('says what is searched, how, and from which job', () => {
    const { spec } = sweepFileSchema.parse(parse(paper));
    expect(spec).toMatchObject({ base: './focusnet-isic.yaml', method: 'grid', limits: { parallelTrials: 8 }, suspend: false });
    expect(spec.parameters['loss.omega']).toEqual({ values: [6, 8, 10, 12, 14, 16] });
  });

  test('may hold the job instead of its path', () => {
    const sweep = parse(paper);
    sweep.spec.base = { metadata: { labels: { team: 'a' } }, spec: { data: { path: 'data' } } };
    expect(sweepFileSchema.parse(sweep).spec.base).toMatchObject({ spec: { data: { path: 'data' }, training: { lanes: 1 } } });
  });

  test.each([
    [{ method: 'tpe', limits: {} }, 'limits.maxTrials is needed with the methods random, sobol, tpe and asha, which could go on for ever'],
    [{ method: 'staged', stages: undefined }, 'stages is needed with the method staged'],
    [{ method: 'asha', earlyStop: undefined }, 'earlyStop must be there with the type asha, with the method asha'],
    [
      { parameters: { seed: { distribution: 'uniform', min: 0, max: 9 } } },
      'parameters.seed has numbers without end, and a grid takes all of them; give it values, or uniform with a step',
    ],
    [{ parameters: { seed: { value: 1, values: [1] } } }, 'parameters.seed must have exactly one of value, values, distribution'],
    [{ stages: [{ name: 'a', fixFrom: 'b.best' }, { name: 'b' }] }, 'stages.0.fixFrom is b.best, and no earlier stage has that name'],
    [{ stages: [{ name: 'a' }, { name: 'a' }] }, 'stages.1.name is the name of another stage too'],
    [
      { base: { spec: { data: { path: 'a' }, workers: { replicas: 3 } } } },
      'base.spec.training.batch is 16, which is not divisible by training.lanes, 3; try 18',
    ],
  ])('refuses %j', (change, sentence) => {
    expect(issueOf(change)).toBe(sentence);
  });
});
