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
  'leaveAll',
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

// FLEET_RUNS=20000 for a long night.
const numRuns = Number(process.env.FLEET_RUNS ?? 1000);

test('whatever dies, stops, joins, is lost, late or doubled, the run ends with the weights of the undisturbed one', {
  timeout: 120_000 + 200 * numRuns,
}, () => {
  fc.assert(
    fc.property(plans, plan => {
      const fleet = new Fleet(plan);
      fleet.run();
      expect(fleet.ends.map(({ code }) => code)).toEqual(['ok']);
    }),
    { numRuns },
  );
});

test('a death costs no more than its detection, one step and a state to pass on', { timeout: 120_000 + 200 * numRuns }, () => {
  const kills = fc.array(
    fc.record({ at: fc.integer({ min: 0, max: 8000 }), kind: fc.constantFrom('kill' as const), worker: fc.nat(7), lasts: fc.nat(4000) }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(plans, kills, (plan, faults) => {
      const workers = Math.max(plan.workers, plan.min + 1);
      const fleet = new Fleet({ ...plan, workers, capacity: plan.lanes, loss: 0, repeat: 0, late: 0, faults });
      fleet.run();
      // Shares within 2200 ms, the manifest within 500 ms.
      const checkpoint = 2700;
      // Beginning (gathering at most 3000 ms), a step at most 140 ms, a checkpoint every 5 steps and at the end.
      const undisturbed = 3500 + 140 * plan.steps + checkpoint * Math.ceil(plan.steps / 5);
      // Noticed after 2500 ms (or its replacement comes, up to 4000 ms), the state in two hops, then at worst gathering anew and saving anew.
      const death = 2700 + 4000 + 1200 + 3000 + checkpoint;
      expect(fleet.now).toBeLessThan(undisturbed + faults.length * death);
    }),
    { numRuns: Math.ceil(numRuns / 3) },
  );
});
