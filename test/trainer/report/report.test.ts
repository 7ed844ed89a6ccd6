import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { ignoredLabel } from '../../../trainer/data/batch.ts';
import type { CaseResult } from '../../../trainer/evaluate.ts';
import { metricsOf } from '../../../trainer/metrics/counts.ts';
import { renderChart } from '../../../trainer/report/chart.ts';
import { predictedLabels, renderAgreement, renderOverlay } from '../../../trainer/report/overlay.ts';
import { typicalCases } from '../../../trainer/report/run.ts';

describe('a chart', () => {
  const chart = {
    title: 'A <title> & more',
    x: 'epoch',
    y: 'loss',
    series: [
      {
        name: 'training',
        points: [
          [1, 3],
          [2, 2],
          [3, 1],
        ] as const,
      },
      {
        name: 'validation',
        points: [
          [1, 2.5],
          [2, 2.2],
          [3, 2.4],
        ] as const,
      },
    ],
    marks: [{ x: 2, label: 'here' }],
  };

  test('is an SVG that opens, with title, axes and a line a series', async () => {
    const svg = renderChart(chart);
    expect((await sharp(Buffer.from(svg)).metadata()).format).toBe('svg');
    for (const text of ['A &lt;title&gt; &amp; more', 'epoch', 'training', 'validation', 'here']) expect(svg).toContain(text);
    // The line, and what leads from its end to its name.
    expect(svg.match(/stroke="#0072B2"/g)).toHaveLength(2);
    expect(svg.match(/stroke="#D55E00"/g)).toHaveLength(2);
  });

  test('is the same for the same numbers', () => {
    expect(renderChart(chart)).toBe(renderChart(chart));
  });

  test('tells lines apart by dashes too', () => {
    expect(renderChart(chart).match(/stroke-dasharray="7 3"/g)).toHaveLength(1);
  });

  test('writes no name over another, however close lines end, and none outside', () => {
    const series = Array.from({ length: 8 }, (_, i) => ({
      name: `run ${i}`,
      points: [
        [1, 0],
        [2, 0.5 + i / 1000],
      ] as [number, number][],
    }));
    const svg = renderChart({ x: 'epoch', y: 'loss', series });
    const places = [...svg.matchAll(/<text[^>]* y="([\d.]+)"[^>]*>run \d</g)].map(([, y]) => Number(y)).sort((a, b) => a - b);
    expect(places).toHaveLength(8);
    for (const [i, place] of places.entries()) if (i > 0) expect(place - places[i - 1]).toBeGreaterThanOrEqual(16);
    expect(places[0]).toBeGreaterThan(0);
    expect(places[7]).toBeLessThan(400);
  });
});

describe('an overlay', () => {
  test('shows the image, and beside it hits green, false alarms orange and misses blue', async () => {
    const shape = { height: 2, width: 2, channels: 1 };
    const png = await renderOverlay(Uint8Array.of(100, 100, 100, 100), Uint8Array.of(1, 1, 0, 0), Uint8Array.of(1, 0, 1, 0), shape);
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect([info.width, info.height]).toEqual([768, 384]); // enlarged 192 times
    const at = (x: number, y: number) => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)];
    const tinted = (tint: number[]) => tint.map(value => Math.round(45 + 0.55 * value));
    expect(at(10, 10)).toEqual([100, 100, 100]);
    expect(at(384 + 10, 10)).toEqual(tinted([0, 158, 115]));
    expect(at(384 + 200, 10)).toEqual(tinted([213, 94, 0]));
    expect(at(384 + 10, 200)).toEqual(tinted([86, 180, 233]));
    expect(at(384 + 200, 200)).toEqual([100, 100, 100]);
  });

  test('for a page is small, says what is what by stripes too, and leaves out what does not count', async () => {
    const shape = { height: 2, width: 2, channels: 1 };
    const labels = { predicted: Uint8Array.of(1, 1, 0, 1), truth: Uint8Array.of(1, 0, 1, ignoredLabel) };
    const { bytes, width, height } = await renderAgreement(Uint8Array.of(100, 100, 100, 100), shape, labels);
    const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
    expect([info.format, width, height, info.width, info.height]).toEqual(['raw', 192, 192, 192, 192]);
    const at = (x: number, y: number) => [...data.subarray((y * 192 + x) * 3, (y * 192 + x) * 3 + 3)];
    const shades = (x: number, y: number) => new Set(Array.from({ length: 12 }, (_, i) => Math.round(at(x + i, y)[0] / 40))).size;
    expect(shades(20, 48)).toBe(1); // hit: even
    expect(shades(116, 48)).toBeGreaterThan(1); // false alarm
    expect(shades(20, 144)).toBeGreaterThan(1); // miss
    for (const value of at(144, 144)) expect(Math.abs(value - 100)).toBeLessThan(6); // WebP is not exact
  });

  test.each([
    ['one class: above 0', [0.1, -0.1], 1, false, [1, 0]],
    ['several: the largest, if above 0', [1, 2, /**/ -1, -2], 2, false, [2, 0]],
    ['exclusive: the largest', [-1, -2, /**/ -3, -2], 2, true, [0, 1]],
  ])('labels of %s', (_, logits, classes, exclusive, expected) => {
    expect([...predictedLabels(Float32Array.from(logits), classes, exclusive)]).toEqual(expected);
  });
});

test('the cases shown are the best, the middle and the worst by Jaccard, ties by id', () => {
  const result = (id: string, tp: number): CaseResult => {
    const counts = { tp, fp: 10 - tp, fn: 0, tn: 0 };
    return { id, index: 0, counts: [counts], metrics: metricsOf(counts) };
  };
  const { best, median, worst } = typicalCases([result('c', 5), result('b', 9), result('a', 9), result('e', 1), result('d', 5)]);
  expect([best.id, median.id, worst.id]).toEqual(['a', 'c', 'e']);
});
