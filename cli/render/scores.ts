import type { RunEvaluation } from '../../trainer/evaluateRun.ts';
import { type Aggregation, aggregations, type Measured, metricCatalogue } from '../../trainer/metrics/catalogue.ts';
import { metricNames } from '../../trainer/metrics/counts.ts';
import { number, table } from './text.ts';

/** The averages that are shown side by side; the others are in JSON. */
const columns = ['pooled', 'perImage', 'perBatchAsKeras'] as const satisfies readonly Aggregation[];

/** Scores of counts in all their averages, then the other metrics, then what each of these means. */
export function renderScores({ metrics }: Pick<RunEvaluation, 'metrics'>): string {
  const isOfCounts = ({ name }: Measured) => (metricNames as readonly string[]).includes(name);
  const scoreOf = (name: string, column: Aggregation) => metrics.find(m => m.name === name && m.aggregation === column)?.value;
  const overlap = metricNames.map(name => [name, ...columns.map(column => number(scoreOf(name, column)))]);
  const others = metrics.filter(metric => !isOfCounts(metric) && metric.aggregation !== 'perBatchAsKeras22');
  return [
    table(['', ...columns.map(column => aggregations[column].title)], overlap),
    table(
      ['', 'value', 'better', 'average', 'note'],
      others.map(metric => [metric.title, valueText(metric), metric.better, aggregations[metric.aggregation].title, noteText(metric)]),
    ),
    ...new Set(others.map(({ name }) => `${metricCatalogue[name].title}: ${metricCatalogue[name].convention}`)),
    ...columns.map(column => aggregations[column].convention),
  ].join('\n');
}

const valueText = ({ value, unit, name }: Measured): string =>
  unit === 'pixels' ? `${number(value, 2)} px` : number(value, name === 'auc' ? 5 : 4);

function noteText({ value, images, penalisedImages, halfWidth }: Measured): string {
  if (!Number.isFinite(value)) return 'not defined: pixels of one kind only';
  if (halfWidth !== undefined) return `± ${halfWidth.toExponential(1)}`;
  return penalisedImages === undefined ? '' : `${penalisedImages} of ${images} images penalised`;
}
