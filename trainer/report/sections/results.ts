/**
 * How well each arm segments: mean and spread over its runs, pooled over pixels, as a mean over images, and of outlines, objects and calibration.
 */
import { type Aggregation, type MetricKey, metricCatalogue } from '../../metrics/catalogue.ts';
import type { Study } from '../arms.ts';
import { html } from '../html.ts';
import type { ScoredRun } from '../reportedRun.ts';
import { listed, plural, type Section } from '../section.ts';
import { meanCell, summaryOf, type Table, textCell, withBest } from '../table.ts';

const bestNote = 'Bold: the best mean of a column, whether or not it is told apart from the others.';

type Wanted = readonly (readonly [MetricKey, Aggregation])[];

const of = (aggregation: Aggregation, ...names: MetricKey[]): Wanted => names.map(name => [name, aggregation]);

const kinds: readonly { readonly id: string; readonly title: string; readonly wanted: Wanted }[] = [
  { id: 'pooled', title: 'Pooled over all pixels', wanted: of('pooled', 'jaccard', 'dice', 'precision', 'recall', 'specificity', 'auc') },
  {
    id: 'per-image',
    title: 'Mean over images',
    wanted: of('perImage', 'jaccard', 'dice', 'precision', 'recall', 'specificity', 'thresholdedJaccard'),
  },
  {
    id: 'beyond-overlap',
    title: 'Outlines, centrelines, objects and calibration',
    wanted: [...of('perImage', 'hd95', 'averageSurfaceDistance', 'boundaryF', 'clDice', 'objectAp'), ...of('pooled', 'ece', 'brier')],
  },
];

export const digitsOf = (metric: MetricKey): number => (metricCatalogue[metric].unit === 'pixels' ? 2 : metric === 'auc' ? 4 : 3);

/** As a heading; names that are written like `clDice` stay. */
export const headOf = (metric: MetricKey): string =>
  metricCatalogue[metric].title.replace(/^[a-z](?=[a-z]*( |$))/, letter => letter.toUpperCase());

export const measuredOf = ({ scored }: ScoredRun, [name, aggregation]: Wanted[number]): number | undefined =>
  scored.evaluation.metrics.find(one => one.name === name && one.aggregation === aggregation)?.value ?? undefined;

export function results(study: Study): Section {
  const tables = kinds.map(kind => tableOf(study, kind));
  return {
    id: `${study.id}-results`,
    title: 'Results',
    parts: [
      { kind: 'text', text: html`<p>${inWords(study)}</p>` },
      ...tables.map((table, i) => ({ kind: 'table', table, note: i === 0 && hasBest(table) ? bestNote : undefined }) as const),
    ],
  };
}

const hasBest = ({ rows }: Table) => rows.some(row => row.some(({ isBest }) => isBest));

function tableOf({ id, arms }: Study, kind: (typeof kinds)[number]): Table {
  return withBest(
    {
      id: `${id}-${kind.id}`,
      title: kind.title,
      columns: [
        { title: 'Loss', kind: 'text' },
        { title: 'Runs', kind: 'number' },
        ...kind.wanted.map(([name]) => ({ title: headOf(name), kind: 'mean' }) as const),
      ],
      rows: arms.map(({ name, runs }) => [
        textCell(name),
        { shown: String(runs.length), value: runs.length },
        ...kind.wanted.map(wanted =>
          meanCell(
            runs.map(run => measuredOf(run, wanted)),
            digitsOf(wanted[0]),
          ),
        ),
      ]),
    },
    [undefined, undefined, ...kind.wanted.map(([name]) => metricCatalogue[name].better)],
  );
}

/** The first sentences that somebody reads: no more than the numbers carry. */
function inWords({ arms, varied }: Study): string {
  const means = arms
    .map(({ name, runs }) => ({ name, ...summaryOf(runs.map(run => measuredOf(run, ['jaccard', 'pooled'])))! }))
    .sort((a, b) => b.mean - a.mean);
  const [best, second] = means;
  const { evaluation } = arms[0].runs[0].scored;
  const { select, part, scores } = evaluation;
  const many = `${plural(scores.images, `${part} image`)}, weights of the ${select} epoch.`;
  const lead = second
    ? `Highest mean Jaccard, pooled: ${best.name}, ${best.mean.toFixed(3)}; then ${second.name}, ${second.mean.toFixed(3)}.`
    : `${best.name}: Jaccard ${best.mean.toFixed(3)}, pooled.`;
  const single = means.filter(({ n }) => n === 1).map(({ name }) => name);
  const spread =
    single.length === means.length
      ? `${means.length === 1 ? 'It is one run' : 'Each is one run'}: how much another seed would change is not known.`
      : `Spread is the sample standard deviation over runs${single.length > 0 ? `; of ${listed(single)} there is one run, and so no spread` : ''}.`;
  const chosen =
    part === 'validation' && select === 'best'
      ? ' The epoch was chosen by Jaccard on these very images, so all scores are somewhat too good; hold cases out with data.split.test for an unbiased one.'
      : '';
  const others = [...new Set(varied.filter(path => !/^(loss|model)\./.test(path)).map(path => path.split('.').slice(0, 2).join('.')))];
  const unequal = others.length > 0 ? ` The arms differ not only in loss and network but in ${listed(others)} too (see Run records).` : '';
  const [same] = sameWeights(arms);
  if (same?.length === arms.length)
    return `${many} All arms ended in the very same weights: what they differ in never came to bear. ${spread}${chosen}`;
  const equal = same ? ` ${listed(same)} ended in the very same weights: what they differ in never came to bear.` : '';
  return `${many} ${lead}${equal} ${spread}${unequal}${chosen}`;
}

/** Groups of arms that are one and the same training, as ALL and the loss that it wraps are above gamma; the largest first. */
function sameWeights(arms: Study['arms']): string[][] {
  const key = ({ runs }: Study['arms'][number]) => runs.map(({ record }) => `${record.job.spec.seed} ${record.weights?.digest}`).join();
  const groups = [...Map.groupBy(arms, key).values()].filter(({ length }) => length > 1);
  return groups.map(group => group.map(({ name }) => name)).sort((a, b) => b.length - a.length);
}
