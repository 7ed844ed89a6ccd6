/**
 * Every image: how each arm does on it, the hardest first; and all measures of all runs for those who count on.
 */
import { mean } from '../../averages.ts';
import { type MetricKey, metricCatalogue } from '../../metrics/catalogue.ts';
import type { Study } from '../arms.ts';
import type { Part, Section } from '../section.ts';
import { numberCell, type Table, textCell } from '../table.ts';
import { scoresOf } from './comparison.ts';
import { digitsOf, headOf } from './results.ts';

/** A page with more rows is slow to open. */
const mostRows = 1000;

/** @param metrics a table each; of one arm, one table of all measures in the order of the first */
export function images(study: Study, metrics: readonly MetricKey[]): Section {
  const shown = study.arms.length === 1 ? metrics.slice(0, 1) : metrics;
  return { id: `${study.id}-images-section`, title: 'Images', parts: shown.map((metric, i) => imagesBy(study, metric, i > 0)) };
}

function imagesBy(study: Study, metric: MetricKey, isFurther: boolean): Part {
  const { id, arms } = study;
  const isSingle = arms.length === 1;
  const { better } = metricCatalogue[metric];
  const wanted: MetricKey[] = isSingle ? ([...arms[0].runs[0].scored.cases.values.keys()] as MetricKey[]) : [metric];
  const scored = arms.map(arm => scoresOf(arm, wanted));
  const columns = isSingle
    ? wanted.map(one => ({ name: headOf(one), digits: digitsOf(one), of: scored[0], metric: one }))
    : scored.map(of => ({ name: of.name, digits: digitsOf(metric), of, metric }));
  const byColumn = columns.map(({ of, metric }) => new Map(of.ids.map((id, i) => [id, of.values.get(metric)![i]])));
  const ids = [...new Set(scored.flatMap(({ ids }) => ids))];
  const rows = ids.map(id => {
    const values = byColumn.map(column => column.get(id));
    const known = (isSingle ? [values[wanted.indexOf(metric)]] : values).filter(
      value => value !== undefined && Number.isFinite(value),
    ) as number[];
    return { id, values, known, mean: mean(known) };
  });
  const sign = better === 'higher' ? 1 : -1;
  rows.sort((a, b) => sign * (a.mean - b.mean) || (a.id < b.id ? -1 : 1));
  const table: Table = {
    id: isFurther ? `${id}-images-${metric}` : `${id}-images`,
    title: isSingle ? 'Scores of each image' : `${headOf(metric)} of each image`,
    columns: [
      { title: 'Image', kind: 'text' },
      ...columns.map(({ name }) => ({ title: name, kind: 'number' }) as const),
      ...(isSingle ? [] : ([{ title: 'Highest less lowest', kind: 'number' }] as const)),
    ],
    rows: rows
      .slice(0, mostRows)
      .map(({ id, values, known }) => [
        textCell(id),
        ...values.map((value, c) => numberCell(value, columns[c].digits)),
        ...(isSingle ? [] : [numberCell(Math.max(...known) - Math.min(...known), 3)]),
      ]),
  };
  const cut = rows.length > mostRows ? ` The ${mostRows} hardest of ${rows.length}.` : '';
  const note = `${isSingle ? 'Means over the runs' : 'Means over the runs of each arm'}, hardest image first.${cut} Every measure of every image: cases.csv in the evaluation folder of each run.`;
  return { kind: 'table', table, note, isFolded: isFurther || rows.length > 100 };
}
