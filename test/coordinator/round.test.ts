import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Fault, Fleet, type Plan } from './fleet.ts';

const kinds: Fault['kind'][] = [
  'kill',
  'pause',
  'hang',
  'cut',
  'add',
  'leave',
  'twin',
  'coordinator',
  'pauseCoordinator',
  'checkpoint',
  'impostor',
];

const faults = fc.array(
  fc.record({
    at: fc.integer({ min: 0, max: 12_000 }),
    kind: fc.constantFrom(...kinds),
    worker: fc.nat(7),
    lasts: fc.integer({ min: 1, max: 15_000 }),
  }),
  { maxLength: 10 },
);

const plans: fc.Arbitrary<Plan> = fc
  .record({
    seed: fc.nat(),
    lanes: fc.integer({ min: 1, max: 6 }),
    workers: fc.integer({ min: 1, max: 6 }),
    min: fc.integer({ min: 1, max: 3 }),
    steps: fc.integer({ min: 1, max: 25 }),
    batch: fc.integer({ min: 1, max: 9 }),
    samples: fc.integer({ min: 9, max: 40 }),
    loss: fc.constantFrom(0, 0, 0.02, 0.2),
    repeat: fc.constantFrom(0, 0.1),
    late: fc.constantFrom(0, 0.02),
    capacity: fc.integer({ min: 1, max: 6 }),
    faults,
  })
  .map(plan => ({ ...plan, min: Math.min(plan.min, plan.lanes) }));

test('whatever dies, stops, joins, is lost, late or doubled, the run ends with the weights of the undisturbed one', () => {
  const numRuns = Number(process.env.FLEET_RUNS ?? 1000);
  fc.assert(
    fc.property(plans, plan => {
      const fleet = new Fleet(plan);
      fleet.run();
      expect(fleet.ends.map(({ code }) => code)).toEqual(['ok']);
    }),
    { numRuns },
  );
});
