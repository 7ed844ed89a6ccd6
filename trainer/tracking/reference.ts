/**
 * The reference page of the metrics, from the catalogue.
 */
import { catalogue, type LabelValues, type MetricEntry, maxSeries } from './catalogue.ts';

/** Markdown. */
export const referencePage = (): string =>
  `${[
    '# Metrics',
    '<!-- Written by `npm run generate`: what is changed here is lost. -->',
    'All that segfleet tells Prometheus. Units are base units (seconds, bytes, ratios from 0 to 1), counters end in `_total`. Loss, network and data set of a run are labels of `segfleet_run_info` alone:',
    '```\nsegfleet_loss_normalised_ratio{split="validation"} * on (job, instance, run) group_left (loss, dataset) segfleet_run_info\n```',
    'A metric of which there is nothing to tell yet has no series. `series` is how many one run, sweep or operator can have at most, buckets counted.',
    ...catalogue.flatMap(({ of, about, metrics }) => [`## ${of}`, about, tableOf(metrics)]),
  ].join('\n\n')}\n`;

const tableOf = (metrics: readonly MetricEntry[]): string =>
  ['| metric | type | unit | labels | series | what |', '|---|---|---|---|---|---|', ...metrics.map(rowOf)].join('\n');

function rowOf(entry: MetricEntry): string {
  const { name, type, unit, labels, help } = entry;
  const ofLabels = Object.entries(labels).map(([label, values]) => `\`${label}\`: ${describe(values)}`);
  return `| \`${name}\` | ${type} | ${unit} | ${ofLabels.join('<br>')} | ${maxSeries(entry)} | ${cell(help)} |`;
}

const describe = (values: LabelValues): string =>
  'of' in values ? `${cell(values.of)}${values.atMost > 1 ? ` (at most ${values.atMost})` : ''}` : values.join(', ');

const cell = (text: string): string => text.replaceAll('|', '\\|');
