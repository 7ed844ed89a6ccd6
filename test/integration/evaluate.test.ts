/**
 * What `segfleet evaluate` leaves behind and prints. Real processes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunEvaluation } from '../../trainer/evaluateRun.ts';
import { imageMetricNames } from '../../trainer/measure.ts';
import { type Aggregation, aggregations, type MetricKey, metricCatalogue } from '../../trainer/metrics/catalogue.ts';
import { metricNames } from '../../trainer/metrics/counts.ts';
import { type Finished, segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet, pngOf } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-evaluate-'));
const at = (...parts: string[]) => join(folder, ...parts);
const run = at('run');
let evaluated: Finished;
let result: RunEvaluation;

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  writeJob(folder, smallJob('data').replace('validation: 0.2', 'validation: 0.4'));
  await segfleet(['train', at('job.yaml'), '--out', run, '--json']);
  evaluated = await segfleet(['evaluate', run, '--json']);
  result = JSON.parse(evaluated.stdout);
});
afterAll(() => rmSync(folder, { recursive: true }));

const numberOf = (name: MetricKey, aggregation: Aggregation) =>
  result.metrics.find(number => number.name === name && number.aggregation === aggregation)!;

describe('an evaluation', () => {
  test('prints what it writes, every number with its convention', () => {
    expect(evaluated).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(readFileSync(at('run', 'evaluation', 'best', 'scores.json'), 'utf8'))).toEqual(result);
    expect(new Set(result.metrics.map(({ name }) => name))).toEqual(new Set(Object.keys(metricCatalogue)));
    for (const { name, value, range, convention } of result.metrics) {
      expect(convention).toContain(metricCatalogue[name].convention);
      const [low, high] = range;
      expect(value).toBeGreaterThanOrEqual(low ?? Number.NEGATIVE_INFINITY);
      expect(value).toBeLessThanOrEqual(high ?? Number.POSITIVE_INFINITY);
    }
  });

  test('has the numbers of training, and means over images that are those of its cases', () => {
    for (const name of metricNames) {
      expect(numberOf(name, 'pooled').value).toBe(result.scores.pooled[name]);
      expect(numberOf(name, 'perImage').value).toBe(result.scores.perImage[name]);
    }
    const cases = parse(readFileSync(at('run', 'evaluation', 'best', 'cases.csv')), { columns: true }) as Record<string, string>[];
    expect(cases).toHaveLength(4);
    for (const name of imageMetricNames) {
      const values = cases.map(row => row[name]).filter(value => value !== '');
      const mean = values.reduce((sum, value) => sum + Number(value), 0) / values.length;
      expect(numberOf(name, 'perImage').value).toBeCloseTo(mean, 9);
      expect(numberOf(name, 'perImage').images).toBe(values.length);
    }
    const penalised = cases.filter(row => row.penalised === 'true').length;
    expect(numberOf('hd95', 'perImage').penalisedImages).toBe(penalised);
  });

  test('draws the reliability of its probabilities', async () => {
    const file = at('run', 'evaluation', 'best', 'reliability.svg');
    expect((await sharp(file).metadata()).format).toBe('svg');
    expect(readFileSync(file, 'utf8')).toContain('observed share');
    const pixels = result.reliability[0].reduce((sum, point) => sum + point.pixels, 0);
    expect(pixels).toBe(4 * 16 * 16);
  });

  test('in text shows a table of averages, a table of the others, and what each means', async () => {
    const { stdout } = await segfleet(['evaluate', run]);
    for (const aggregation of ['pooled', 'perImage', 'perBatchAsKeras'] as const) expect(stdout).toContain(aggregations[aggregation].title);
    const shown = Object.entries(metricCatalogue).filter(([name]) => !(metricNames as readonly string[]).includes(name));
    for (const [, { title, convention }] of shown) {
      expect(stdout).toContain(`│ ${title} `);
      expect(stdout).toContain(`${title}: ${convention}`);
    }
    expect(stdout).toMatch(/│ HD95 .* of 4 images penalised/);
    expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
  });
});

test('of classes that exclude each other shows the reliability of each', async () => {
  const data = at('classes');
  await drawDataSet(data, 6, 16, 16);
  for (let i = 0; i < 6; i++) {
    const file = join(data, 'masks', `case0${i}.png`);
    const { data: mask, info } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
    const labels = Uint8Array.from({ length: 256 }, (_, k) => (mask[k * info.channels] > 0 ? 1 + (k % 2) : 0));
    writeFileSync(file, await pngOf(labels, 16, 16));
  }
  const settings = [`data.path="${data}"`, 'data.classes=3', 'data.exclusive=true', 'training.epochs=1', 'loss.classes=mean'];
  await segfleet(['train', at('job.yaml'), '--out', at('exclusive'), ...settings.flatMap(setting => ['--set', setting])]);
  const { code, stderr, stdout } = await segfleet(['evaluate', at('exclusive'), '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const { reliability, metrics } = JSON.parse(stdout) as RunEvaluation;
  expect(reliability.map(points => points.reduce((sum, { pixels }) => sum + pixels, 0))).toEqual([512, 512, 512]); // 2 images each
  expect(metrics.find(({ name }) => name === 'hd95')).toMatchObject({ images: 2, penalisedImages: expect.any(Number) });
  const svg = readFileSync(at('exclusive', 'evaluation', 'best', 'reliability.svg'), 'utf8');
  for (const label of [0, 1, 2]) expect(svg).toContain(`label ${label}`);
});
