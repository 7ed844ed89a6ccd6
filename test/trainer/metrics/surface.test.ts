import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { labelComponents } from '../../../trainer/metrics/objects.ts';
import { boundaryPixels, boundaryTolerance, directedDistances, percentile, surfaceScores } from '../../../trainer/metrics/surface.ts';
import { maskPairs } from '../../tools/masks.ts';
import { drawnRows, goldenPairs, maskOf } from '../../tools/metricsGolden.ts';

const without = (mask: Uint8Array, labels: Int32Array, label: number) => mask.map((value, i) => (labels[i] === label ? 0 : value));

describe('boundary pixels', () => {
  test('are those with background to a side, or the frame; a corner alone does not count', () => {
    const mask = maskOf('####', '####', '####', '###.');
    expect(drawnRows(boundaryPixels(mask, { height: 4, width: 4 }), 4)).toEqual(['####', '#..#', '#..#', '###.']);
  });

  test.each(goldenPairs)("as SciPy's erosion: $name", ({ predicted, truth, size, answers }) => {
    expect([predicted, truth].map(mask => drawnRows(boundaryPixels(mask, size), size.width))).toEqual(answers.surface.edges);
  });
});

test.each([
  [[0, 1, 2, 3], 0.5, 1.5],
  [[0, 1, 2, 3], 1, 3],
  [[0, 10], 0.95, 9.5],
  [[7], 0.95, 7],
])('percentile of %j at %d is %d', (sorted, share, expected) => {
  expect(percentile(Float64Array.from(sorted), share)).toBeCloseTo(expected, 12);
});

describe('surface scores', () => {
  test('by hand: two dots three apart, and a third that only the truth has', () => {
    const size = { height: 1, width: 8 };
    const [predicted, truth] = [maskOf('#.......'), maskOf('...#...#')];
    // prediction to truth: 3. truth to prediction: 3 and 7, 95th percentile 3 + 0.95 x 4.
    const scores = surfaceScores(predicted, truth, size, 3);
    expect(scores.hd95).toBeCloseTo(6.8, 12);
    expect(scores.averageSurfaceDistance).toBeCloseTo((3 + 3 + 7) / 3, 12);
    expect(scores.boundaryF).toBeCloseTo((2 * 1 * 0.5) / 1.5, 12); // all of the prediction and half of the truth are within 3
    expect(surfaceScores(predicted, truth, size, 2.9).boundaryF).toBe(0);
  });

  const size = { height: 3, width: 4 };
  const [nothing, dot] = [new Uint8Array(12), maskOf('....', '.#..', '....')];
  test.each([
    ['both empty: no distance, F 1', nothing, nothing, { hd95: 0, averageSurfaceDistance: 0, boundaryF: 1, penalised: false }],
    ['nothing predicted: the diagonal of 3 by 4', nothing, dot, { hd95: 5, averageSurfaceDistance: 5, boundaryF: 0, penalised: true }],
    ['nothing to find: the same', dot, nothing, { hd95: 5, averageSurfaceDistance: 5, boundaryF: 0, penalised: true }],
    ['equal', dot, dot, { hd95: 0, averageSurfaceDistance: 0, boundaryF: 1, penalised: false }],
  ])('%s', (_, predicted, truth, expected) => {
    expect(surfaceScores(predicted, truth, size)).toEqual(expected);
  });

  test.each(goldenPairs)('as MONAI, scikit-image and SciPy: $name', ({ predicted, truth, size, answers: { surface } }) => {
    const scores = surfaceScores(predicted, truth, size);
    expect(scores.hd95).toBeCloseTo(surface.hd95, 5);
    expect(scores.averageSurfaceDistance).toBeCloseTo(surface.averageSurfaceDistance, 5);
    expect(scores.boundaryF).toBeCloseTo(surface.boundaryF, 12);
    const [from, to] = [predicted, truth].map(mask => boundaryPixels(mask, size));
    const both = [directedDistances(from, to, size), directedDistances(to, from, size)];
    expect(Math.max(...both.map(distances => percentile(distances, 1)))).toBeCloseTo(surface.hausdorff, 12);
    const all = both.flatMap(distances => [...distances]);
    expect(all.filter(distance => distance <= boundaryTolerance).length / all.length).toBeCloseTo(surface.surfaceDice, 6);
  });

  test('do not depend on which mask is which', () => {
    fc.assert(
      fc.property(maskPairs(), ({ size, a, b }) => {
        const [forth, back] = [surfaceScores(a, b, size), surfaceScores(b, a, size)];
        expect(forth.hd95).toBe(back.hd95);
        expect(forth.averageSurfaceDistance).toBeCloseTo(back.averageSurfaceDistance, 12);
        expect(forth.boundaryF).toBeCloseTo(back.boundaryF, 12);
        expect(forth.penalised).toBe(back.penalised);
      }),
    );
  });
});

/**
 * Removing a predicted object can rightly improve a score: where it was a false alarm, or so badly drawn that its own outline was
 * the far one. What must not be is that a score improves because an object that had been found is missed.
 */
describe('a miss does not improve a score', () => {
  test('predicting nothing where there is something is worse than any prediction', () => {
    fc.assert(
      fc.property(maskPairs(), ({ size, a, b }) => {
        fc.pre(a.includes(1) && b.includes(1));
        const [some, none] = [surfaceScores(a, b, size), surfaceScores(new Uint8Array(a.length), b, size)];
        expect(none.hd95).toBeGreaterThan(some.hd95);
        expect(none.averageSurfaceDistance).toBeGreaterThan(some.averageSurfaceDistance);
        expect(none.boundaryF).toBeLessThanOrEqual(some.boundaryF);
      }),
    );
  });

  test('of several true objects, missing one that was found exactly never improves any score', () => {
    fc.assert(
      fc.property(maskPairs(), fc.nat(), ({ size, a, b }, choice) => {
        // The truth is a; the prediction has one object of it exactly, and elsewhere whatever b has that does not touch that object.
        const objects = labelComponents(a, size);
        fc.pre(objects.some(label => label > 0));
        const found = 1 + (choice % Math.max(...objects));
        const object = a.map((_, i) => (objects[i] === found ? 1 : 0));
        const all = labelComponents(
          a.map((_, i) => (object[i] || b[i] ? 1 : 0)),
          size,
        );
        const touched = new Set(all.filter((_, i) => object[i]));
        const others = b.map((value, i) => (value && !touched.has(all[i]) ? 1 : 0));
        const hit = surfaceScores(
          others.map((value, i) => value | object[i]),
          a,
          size,
        );
        const missed = surfaceScores(others, a, size);
        expect(missed.hd95).toBeGreaterThanOrEqual(hit.hd95 - 1e-12);
        expect(missed.averageSurfaceDistance).toBeGreaterThanOrEqual(hit.averageSurfaceDistance - 1e-12);
        expect(missed.boundaryF).toBeLessThanOrEqual(hit.boundaryF + 1e-12);
      }),
      { numRuns: 300 },
    );
  });

  test('removing any predicted object never brings the truth closer to the prediction', () => {
    fc.assert(
      fc.property(maskPairs(), fc.nat(), ({ size, a, b }, choice) => {
        const labels = labelComponents(a, size);
        const numObjects = Math.max(...labels);
        fc.pre(numObjects > 1 && b.includes(1));
        const truth = boundaryPixels(b, size);
        const before = directedDistances(truth, boundaryPixels(a, size), size);
        const after = directedDistances(truth, boundaryPixels(without(a, labels, 1 + (choice % numObjects)), size), size);
        for (const share of [0, 0.5, 0.95, 1]) expect(percentile(after, share)).toBeGreaterThanOrEqual(percentile(before, share));
      }),
    );
  });
});
