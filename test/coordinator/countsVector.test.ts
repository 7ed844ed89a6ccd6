/**
 * What a round of validation counts, through a sum of float32 and back.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addCounts, encodeCounts } from '../../coordinator/countsVector.ts';
import { placeOfRound, roundOf, validationRounds } from '../../coordinator/rounds.ts';
import type { Course } from '../../trainer/course.ts';
import { Tally } from '../../trainer/evaluate.ts';
import { afterEpoch, startOfRun } from '../../trainer/position.ts';

const count = fc.oneof(fc.nat({ max: 10 }), fc.nat({ max: 2 ** 20 }), fc.constantFrom(2 ** 16, 2 ** 24 + 1, 2 ** 32 + 1, 2 ** 47));
const counts = fc.record({ tp: count, fp: count, fn: count, tn: count });
const loss = fc.oneof(fc.double(), fc.constantFrom(Number.NaN, -0, Number.MAX_VALUE, Number.MIN_VALUE));
/** Images of each lane, the last lanes perhaps short or empty, and pixels by bin. */
const lanes = (classes: number, perLane: number) =>
  fc.array(
    fc.record({
      images: fc.array(fc.record({ counts: fc.array(counts, { minLength: classes, maxLength: classes }), loss }), {
        minLength: perLane,
        maxLength: perLane,
      }),
      bins: fc.array(fc.tuple(fc.nat(classes - 1), fc.nat(1), fc.nat(2 ** 16 - 1), fc.integer({ min: 1, max: 2 ** 26 })), { maxLength: 8 }),
    }),
    { minLength: 1, maxLength: 64 },
  );

test('is what it was, to the bit, whatever is counted and by how many lanes', () => {
  const cases = fc
    .record({ classes: fc.constantFrom(1, 3), perLane: fc.nat({ max: 2 }), missing: fc.nat({ max: 1 }) })
    .chain(shape => lanes(shape.classes, shape.perLane).map(made => ({ ...shape, made })));
  fc.assert(
    fc.property(cases, ({ classes, perLane, missing, made }) => {
      const images = made.length * perLane;
      const whole = new Tally(classes);
      let sum: Float32Array | undefined;
      for (const [lane, { images: own, bins }] of made.entries()) {
        const tally = new Tally(classes);
        tally.images.push(...own.slice(0, lane === made.length - 1 ? Math.max(0, own.length - missing) : own.length));
        for (const [c, kind, bin, pixels] of bins) {
          tally.rocs[c].histograms[kind][bin] += pixels;
          whole.rocs[c].histograms[kind][bin] += pixels;
        }
        whole.images.push(...tally.images);
        const vector = encodeCounts(tally, lane * perLane, images);
        sum = sum ? sum.map((value, i) => Math.fround(value + vector[i])) : vector;
      }
      const read = new Tally(classes);
      addCounts(read, sum!, whole.images.length, images);
      expect(read.images).toEqual(whole.images);
      for (const [c, { histograms }] of read.rocs.entries()) expect(histograms).toEqual(whole.rocs[c].histograms);
      // What is added to an earlier count stays.
      addCounts(read, sum!, whole.images.length, images);
      expect(read.images).toHaveLength(2 * whole.images.length);
    }),
    { numRuns: 12 },
  );
});

test('rounds are numbered through steps and validations, and the number says where the run stands', () => {
  const course = {
    stepsPerEpoch: 3,
    validation: [[0, 1], [2, 3], [4], [5], [6]],
    job: { spec: { training: { lanes: 2, batch: 4 } } },
  } as unknown as Course;
  expect(validationRounds(course)).toBe(3);
  let position = startOfRun;
  let round = 0;
  for (const epoch of [1, 2]) {
    for (let stepOfEpoch = 0; stepOfEpoch < 3; stepOfEpoch++, round++) {
      position = { ...position, stepOfEpoch, step: 3 * (epoch - 1) + stepOfEpoch };
      expect(roundOf(course, position, 0)).toBe(round);
      expect(placeOfRound(course, round)).toEqual({ step: position.step, epoch, stepOfEpoch });
    }
    position = { ...position, stepOfEpoch: 3, step: 3 * epoch };
    for (let validated = 0; validated < 3; validated++, round++) {
      expect(roundOf(course, position, validated)).toBe(round);
      expect(placeOfRound(course, round)).toEqual({ step: 3 * epoch, epoch, stepOfEpoch: 3 });
    }
    position = afterEpoch(position, 0.5);
  }
});
