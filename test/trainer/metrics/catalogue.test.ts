import { describe, expect, test } from 'vitest';
import {
  type Aggregation,
  aggregations,
  type MetricInfo,
  type MetricKey,
  measured,
  metricCatalogue,
} from '../../../trainer/metrics/catalogue.ts';
import { metricNames } from '../../../trainer/metrics/counts.ts';

const entries = Object.entries(metricCatalogue) as [MetricKey, MetricInfo][];

describe('the catalogue of metrics', () => {
  test.each(entries)('%s says what it means and after whom', (_, info) => {
    for (const text of [info.title, info.convention, info.source]) expect(text).not.toBe('');
    const [low, high] = info.range;
    if (low !== null && high !== null) expect(low).toBeLessThan(high);
    if (info.unit === 'ratio') expect(info.range).toEqual([0, 1]);
  });

  test('has all that counts give', () => {
    expect(Object.keys(metricCatalogue)).toEqual(expect.arrayContaining([...metricNames]));
  });

  test('no two metrics have the same title', () => {
    expect(new Set(entries.map(([, { title }]) => title)).size).toBe(entries.length);
  });

  test.each(Object.keys(aggregations) as Aggregation[])('a number averaged %s says so, and what was penalised', aggregation => {
    const number = measured('hd95', aggregation, 3.5, { images: 4, penalisedImages: 1 });
    expect(number).toMatchObject({ name: 'hd95', aggregation, value: 3.5, images: 4, penalisedImages: 1, better: 'lower', unit: 'pixels' });
    expect(number.convention).toBe(`${metricCatalogue.hd95.convention}; ${aggregations[aggregation].convention}`);
  });
});
