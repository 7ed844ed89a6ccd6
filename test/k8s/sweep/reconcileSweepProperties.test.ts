/**
 * Whatever happens to trials and to the operator: never too many at a time, the same choices, no dead end, and nothing that runs after the end.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SweepWorld, trialOf } from '../../tools/sweepWorld.ts';

/** What may happen between two looks of the operator. `crash`: a look that ends in the middle, before the status is written. */
type Happening = {
  readonly do: 'look' | 'crash' | 'obey' | 'epoch' | 'succeed' | 'fail' | 'delete' | 'suspend' | 'resume';
  readonly job: number;
  readonly value: number;
};

const happening: fc.Arbitrary<Happening> = fc.record({
  do: fc.constantFrom(
    ...(['look', 'look', 'look', 'crash', 'crash', 'obey', 'obey', 'obey', 'epoch', 'succeed', 'succeed'] as const),
    ...(['fail', 'delete', 'suspend', 'resume', 'resume'] as const),
  ),
  job: fc.nat(9),
  value: fc.nat(100).map(value => value / 100),
});

const grid = { 'loss.gamma': { values: [0.1, 0.2, 0.3] }, 'loss.name': { value: 'adaptiveLog' } };
const range = { 'loss.gamma': { distribution: 'logUniform', min: 1e-3, max: 1 }, 'loss.name': { value: 'adaptiveLog' } };

interface Given {
  readonly method: 'grid' | 'random' | 'sobol' | 'asha' | 'hyperband';
  readonly count: number;
  readonly parallelTrials: number;
  readonly maxFailedTrials: number | undefined;
  readonly isMedian: boolean;
  readonly target: number | undefined;
}

const specs: fc.Arbitrary<Given> = fc.record({
  method: fc.constantFrom(...(['grid', 'random', 'sobol', 'asha', 'asha', 'hyperband', 'hyperband'] as const)),
  count: fc.integer({ min: 1, max: 2 }),
  parallelTrials: fc.integer({ min: 1, max: 3 }),
  maxFailedTrials: fc.option(fc.nat(2), { nil: undefined }),
  isMedian: fc.boolean(),
  target: fc.option(fc.constant(0.98), { nil: undefined }),
});

function specOf({ method, count, parallelTrials, maxFailedTrials, isMedian, target }: Given) {
  return {
    method,
    parameters: method === 'grid' ? grid : range,
    objective: { metric: 'validation/jaccard', ...(target !== undefined && { target }) },
    replicates: { count },
    limits: {
      parallelTrials,
      ...(method !== 'grid' && method !== 'hyperband' && { maxTrials: 4 }),
      ...(maxFailedTrials !== undefined && { maxFailedTrials }),
    },
    ...(method === 'hyperband' && { hyperband: { maxTime: 4, eta: 2, brackets: 1 } }),
    // Rungs at the first and the second of four epochs.
    ...(method === 'asha'
      ? { earlyStop: { type: 'asha', minTime: 1, reductionFactor: 2 } }
      : isMedian && { earlyStop: { type: 'median' } }),
  };
}

function happen(world: SweepWorld, { do: what, job, value }: Happening): void {
  const name = world.names.at(job % Math.max(1, world.names.length));
  switch (what) {
    case 'look':
      return void world.reconcile();
    case 'crash':
      return world.crash(job);
    case 'suspend':
    case 'resume':
      return void world.edit(spec => Object.assign(spec, { suspend: what === 'suspend' }));
    default:
  }
  if (name === undefined) return;
  const { status } = world.job(name);
  if (what === 'delete') return void world.jobs.delete(name);
  if (what === 'obey') return world.obey(name);
  if (status?.phase !== 'Running') return;
  const values = [...(status.objective?.reports ?? []).map(report => report.value!), value];
  if (what === 'fail') world.fail(name);
  else if (what === 'epoch') world.shows(name, ...values);
  else world.succeed(name, ...values);
}

/** All trials in the order of their numbers, where nothing goes wrong. */
function undisturbed(given: Given): unknown[] {
  const world = new SweepWorld(specOf({ ...given, maxFailedTrials: undefined, isMedian: false, target: undefined }));
  bringToEnd(world);
  const choices: unknown[] = [];
  for (const name of world.names) choices[trialOf(world.job(name))] = world.parametersOf(name);
  return choices;
}

function bringToEnd(world: SweepWorld): void {
  world.edit(spec => Object.assign(spec, { suspend: false }));
  for (let round = 0; round < 40; round++) {
    for (const name of world.names) world.obey(name);
    world.settle();
    if (world.status.completionTime !== undefined) return;
    for (const name of world.names) if (world.job(name).status?.phase === 'Running') world.succeed(name, 0.5);
  }
  throw new Error(`the sweep finds no end: ${JSON.stringify(world.status)}`);
}

test('never runs too many trials, chooses the same whatever happens, and comes to its end with nothing that runs', () => {
  fc.assert(
    fc.property(specs, fc.array(happening, { minLength: 10, maxLength: 60, size: 'max' }), (given, happenings) => {
      const world = new SweepWorld(specOf(given));
      for (const one of happenings) {
        happen(world, one);
        expect(world.busy.length).toBeLessThanOrEqual(given.parallelTrials);
        // Whoever looks next decides the same.
        expect(world.decide()).toEqual(world.decide());
      }
      bringToEnd(world);
      expect(world.status.conditions?.find(({ type }) => type === 'Accepted')?.status).toBe('True');
      for (const name of world.names) world.obey(name);
      expect(world.busy).toEqual([]);
      const { trials } = world.status;
      expect(trials!.succeeded + trials!.failed + trials!.stopped).toBe(trials!.total);
      expect(trials!.pending + trials!.running).toBe(0);
      // Nothing ends it before all were chosen but what it says.
      if (given.maxFailedTrials === undefined && given.target === undefined) expect(trials!.total).toBe(given.method === 'grid' ? 3 : 4);
      const choices = undisturbed(given);
      for (const name of world.names) expect(world.parametersOf(name)).toEqual(choices[trialOf(world.job(name))]);
    }),
    { numRuns: 30 },
  );
}, 60_000);
