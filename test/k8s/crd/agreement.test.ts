/**
 * The trainer and a real API server take the same jobs and sweeps: whatever the schemas of zod say of a spec, the definitions made of them say too, but for
 * what is listed at the end.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { JsonSchema } from '../../../k8s/crd/structural.ts';
import { apiVersion } from '../../../k8s/names.ts';
import { sweepSpecSchema } from '../../../trainer/search/sweepSpec.ts';
import { jobSpecSchema } from '../../../trainer/spec.ts';
import { arbitraryOf, spoiled } from '../../tools/arbitrary.ts';
import type { ControlPlane } from '../../tools/controlPlane.ts';
import { Asker, startWithKinds } from '../../tools/crds.ts';
import { hasKubernetes } from '../../tools/tools.ts';

const numRuns = Number(process.env.FUZZ_RUNS ?? 200);

describe.skipIf(!hasKubernetes())('the trainer and an API server take the same', () => {
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

  const jobs = arbitraryOf(z.toJSONSchema(jobSpecSchema, { io: 'input' }) as JsonSchema);
  const takenJobs = jobs.filter(spec => jobSpecSchema.safeParse(spec).success);
  const anySweeps = arbitraryOf(z.toJSONSchema(sweepSpecSchema, { io: 'input' }) as JsonSchema) as fc.Arbitrary<object>;
  const parameter = fc.oneof(
    fc.record({ value: fc.anything({ maxDepth: 1 }).filter(isJson) }),
    fc.record({ values: fc.array(fc.double({ noNaN: true }), { minLength: 1, maxLength: 3 }) }),
    fc.record({
      distribution: fc.constantFrom('uniform', 'logUniform'),
      min: fc.integer({ min: -1, max: 9 }),
      max: fc.nat(9),
      step: fc.constant(1),
    }),
  );
  const parameters = fc.dictionary(fc.constantFrom('seed', 'loss.gamma', 'training.optimizer.learningRate'), parameter);
  // Few of those that the schema alone describes are taken: most have a job, or a parameter, that is in conflict with itself.
  const sweeps = fc.tuple(anySweeps, takenJobs, parameters).map(([sweep, spec, parameters]) => ({ ...sweep, base: { spec }, parameters }));
  const takenSweeps = sweeps.filter(spec => sweepSpecSchema.safeParse(spec).success);

  describe.each([
    ['TrainingJob', jobSpecSchema, jobs, takenJobs],
    ['Sweep', sweepSpecSchema, fc.oneof<fc.Arbitrary<unknown>[]>(anySweeps, sweeps), takenSweeps],
  ] as const)('%s', (kind, schema, any, taken) => {
    test.each([
      ['whose fields are right, each by itself', fc.oneof<fc.Arbitrary<unknown>[]>(any, taken), 0.1],
      ['with one place that is something else', spoiled(taken), 0.01],
    ])('%s', async (_, specs, leastShare) => {
      const seen = { taken: 0, refused: 0 };
      await fc.assert(
        fc.asyncProperty(specs, async spec => {
          const parsed = schema.safeParse(spec);
          const { refusal } = await asker.create({ apiVersion, kind, metadata: { name: 'some' }, spec } as Parameters<Asker['create']>[0]);
          seen[parsed.success ? 'taken' : 'refused']++;
          const trainer = parsed.error?.issues.map(({ path, message }) => `${path.join('.')}: ${message}`) ?? [];
          expect({ trainer, refused: refusal !== '', refusal }).toEqual({ trainer, refused: !parsed.success, refusal });
        }),
        { numRuns },
      );
      // Neither side of the question was left out.
      expect(Math.min(seen.taken, seen.refused)).toBeGreaterThan(leastShare * numRuns);
    });
  });

  const data = { path: 'data' };
  const sweep = { objective: { metric: 'val/jaccard' }, method: 'grid', base: { spec: { data } }, parameters: {} };
  test.each([
    ['nothing for a field with a default, which it then has', 'TrainingJob', jobSpecSchema, { data, workers: null }],
    [
      'a stage that goes on from a later one',
      'Sweep',
      sweepSpecSchema,
      { ...sweep, stages: [{ name: 'a', fixFrom: 'b.best' }, { name: 'b' }] },
    ],
    ['a baseline with a path that is none', 'Sweep', sweepSpecSchema, { ...sweep, baseline: { 'a..b': 1 } }],
  ] as const)('but an API server alone takes %s', async (_, kind, schema, spec) => {
    expect(schema.safeParse(spec).success).toBe(false);
    expect((await asker.create({ apiVersion, kind, metadata: { name: 'some' }, spec } as Parameters<Asker['create']>[0])).refusal).toBe('');
  });
});

/** What is the same after a way over the wire. */
const isJson = (value: unknown) =>
  value !== undefined && value !== null && JSON.stringify(JSON.parse(JSON.stringify(value) ?? 'null')) === JSON.stringify(value);
