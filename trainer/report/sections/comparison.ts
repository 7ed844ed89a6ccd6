/**
 * Arms held against each other on the same images: differences with interval, effect and test, and how often each would come first with other images.
 */
import { type MetricKey, metricCatalogue } from '../../metrics/catalogue.ts';
import { generator } from '../../random.ts';
import type { Arm, Study } from '../arms.ts';
import { html } from '../html.ts';
import { allPairs, comparePairs, comparisonMethod, level, type Pair, type PairComparison, type Scored, smallestPValue } from '../pairs.ts';
import { listed, type Part, plural, type Section } from '../section.ts';
import { fixed, numberCell, shareCell, type Table, textCell } from '../table.ts';
import { headOf } from './results.ts';

/** With more arms than this each is only held against the one with the highest mean. */
const mostForAllPairs = 6;

/** Of each image that every run of the arm was scored on: the mean over the runs; NaN where one has no value. */
export function scoresOf({ name, runs }: Pick<Arm, 'name' | 'runs'>, metrics: readonly string[]): Scored {
  const tables = runs.map(({ scored: { cases } }) => ({ cases, rowOf: new Map(cases.ids.map((id, i) => [id, i])) }));
  const ids = tables[0].cases.ids.filter(id => tables.every(({ rowOf }) => rowOf.has(id)));
  const values = metrics.map(metric => {
    const means = ids.map(
      id => tables.reduce((sum, { cases, rowOf }) => sum + cases.values.get(metric)![rowOf.get(id)!], 0) / tables.length,
    );
    return [metric, means] as const;
  });
  return { name, ids, values: new Map(values) };
}

export function comparison(study: Study, metrics: readonly MetricKey[]): Section {
  const { id, arms } = study;
  const section = (parts: readonly Part[]): Section => ({ id: `${id}-comparison`, title: 'Differences, image by image', parts });
  const text = (words: string): Part => ({ kind: 'text', text: html`<p>${words}</p>` });
  if (arms.length < 2) return section([text('There is one arm: nothing to hold it against.')]);
  const scored = arms.map(arm => scoresOf(arm, metrics));
  const pairs = pairsOf(scored, metrics[0]);
  const told: PairComparison[] = [];
  // One correction over all that can be tested.
  const testable = metrics.filter(metric => pairs.every(pair => isDefined(pair, metric)));
  if (testable.length > 0) told.push(...comparePairs(pairs, testable));
  if (told.length === 0) return section([text('The runs held out different images, so there are no pairs of scores.')]);
  const parts: Part[] = [text(inWords(arms, told, pairs.length < (arms.length * (arms.length - 1)) / 2))];
  for (const metric of testable) {
    parts.push({
      kind: 'table',
      table: pairTable(
        id,
        metric,
        told.filter(pair => pair.metric === metric),
      ),
    });
  }
  parts.push({ kind: 'text', text: html`<p class="note">Method: ${comparisonMethod}.</p>` });
  const ranks = ranking(scored, metrics[0]);
  if (ranks) parts.push({ kind: 'table', table: rankTable(id, metrics[0], scored, ranks), note: rankNote });
  return section(parts);
}

const isDefined = ([first, second]: Pair, metric: string): boolean => {
  const other = new Map(second.ids.map((id, i) => [id, second.values.get(metric)![i]]));
  return first.values.get(metric)!.some((value, i) => Number.isFinite(value - (other.get(first.ids[i]) ?? Number.NaN)));
};

function pairsOf(scored: readonly Scored[], metric: MetricKey): Pair[] {
  if (scored.length <= mostForAllPairs) return allPairs(scored);
  const sign = metricCatalogue[metric].better === 'higher' ? 1 : -1;
  const worth = ({ values }: Scored) => {
    const known = values.get(metric)!.filter(Number.isFinite);
    return (sign * known.reduce((sum, value) => sum + value, 0)) / known.length;
  };
  const best = scored.reduce((a, b) => (worth(b) > worth(a) ? b : a));
  return scored.filter(one => one !== best).map(one => [best, one] as const);
}

function inWords(arms: readonly Arm[], told: readonly PairComparison[], isAgainstBest: boolean): string {
  const found = told.filter(({ better }) => better !== null);
  const fewest = Math.min(...told.map(({ images }) => images));
  const runs = arms.every(({ runs }) => runs.length === 1)
    ? 'Each arm is one run, so this tells these trained networks apart, not their losses: nothing is known of other seeds.'
    : 'Of each image the mean over the runs of an arm is taken. The tests are over images: that a difference would hold for other seeds is told by the spread over runs above, not by these p-values.';
  const which = isAgainstBest
    ? ` The arm with the highest mean is held against each other; having been chosen as the best of ${arms.length}, it is favoured.`
    : '';
  const few =
    smallestPValue(fewest) >= level
      ? ` With ${plural(fewest, 'image')} no p-value can be below ${smallestPValue(fewest).toPrecision(2)}: too few to tell arms apart by this test.`
      : '';
  const verdict =
    found.length === 0
      ? `None of ${plural(told.length, 'difference')} is told from 0.`
      : `${found.length} of ${plural(told.length, 'difference')} ${found.length === 1 ? 'is' : 'are'} told from 0: ${listed(found.map(({ metric, better, first, second }) => `${better} over ${better === first ? second : first} by ${metricCatalogue[metric as MetricKey].title}`))}.`;
  return `${verdict} ${runs}${which}${few}`;
}

export const probability = (value: number): string => (value < 0.001 ? value.toExponential(1).replace('-', '−') : value.toFixed(3));

const signed = (value: number, digits: number): string => (value < 0 ? fixed(value, digits) : `+${value.toFixed(digits)}`);

function pairTable(study: string, metric: MetricKey, told: readonly PairComparison[]): Table {
  const digits = metricCatalogue[metric].unit === 'pixels' ? 2 : 4;
  return {
    id: `${study}-pairs-${metric}`,
    title: `${headOf(metric)} of each image: first less second`,
    columns: [
      { title: 'First', kind: 'text' },
      { title: 'Second', kind: 'text' },
      ...['Difference', '95 % low', '95 % high', 'Effect', 'p', 'p, Holm', 'Images'].map(title => ({ title, kind: 'number' }) as const),
      { title: 'Better', kind: 'text' },
    ],
    rows: told.map(({ first, second, difference, interval, effect, pValue, adjustedP, images, better }) => [
      textCell(first),
      textCell(second),
      { shown: signed(difference, digits), value: difference },
      { shown: signed(interval.low, digits), value: interval.low },
      { shown: signed(interval.high, digits), value: interval.high },
      { shown: signed(effect, 2), value: effect },
      { shown: probability(pValue), value: pValue },
      { shown: probability(adjustedP), value: adjustedP },
      { shown: String(images), value: images },
      textCell(better ?? 'not told apart'),
    ]),
  };
}

const numDraws = 2000;

const rankNote = `The images are drawn anew ${numDraws.toLocaleString('en')} times with replacement: how often an arm then has the best mean, and its mean rank. Where no arm is first nearly always, the order above could be another with other images.`;

interface Rank {
  /** Share of the draws; ties are shared. */
  readonly first: number;
  readonly mean: number;
}

/** How stable the order of the arms is. Undefined where they share no image. */
export function ranking(scored: readonly Scored[], metric: MetricKey): Rank[] | undefined {
  const tables = scored.map(({ ids, values }) => new Map(ids.map((id, i) => [id, values.get(metric)![i]])));
  const ids = scored[0].ids.filter(id => tables.every(table => Number.isFinite(table.get(id))));
  if (ids.length === 0) return undefined;
  const sign = metricCatalogue[metric].better === 'higher' ? 1 : -1;
  const rows = tables.map(table => Float64Array.from(ids, id => sign * table.get(id)!));
  const next = generator(0, 'ranking');
  const [first, ranks] = [new Float64Array(rows.length), new Float64Array(rows.length)];
  const drawn = new Int32Array(ids.length);
  for (let draw = 0; draw < numDraws; draw++) {
    for (let i = 0; i < drawn.length; i++) drawn[i] = Math.floor((next() / 2 ** 32) * drawn.length);
    const sums = rows.map(row => drawn.reduce((sum, i) => sum + row[i], 0));
    const best = Math.max(...sums);
    const numBest = sums.filter(sum => sum === best).length;
    sums.forEach((sum, a) => {
      if (sum === best) first[a] += 1 / numBest;
      const [above, equal] = [sums.filter(other => other > sum).length, sums.filter(other => other === sum).length];
      ranks[a] += above + (equal + 1) / 2;
    });
  }
  return rows.map((_, a) => ({ first: first[a] / numDraws, mean: ranks[a] / numDraws }));
}

function rankTable(study: string, metric: MetricKey, scored: readonly Scored[], ranks: readonly Rank[]): Table {
  return {
    id: `${study}-ranks`,
    title: `How stable the order is: ${headOf(metric)}`,
    columns: [
      { title: 'Loss', kind: 'text' },
      { title: 'First', kind: 'number' },
      { title: 'Mean rank', kind: 'number' },
    ],
    rows: scored.map(({ name }, i) => [textCell(name), shareCell(ranks[i].first), numberCell(ranks[i].mean, 2)]),
  };
}
