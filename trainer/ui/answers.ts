/**
 * What can be asked for: paths to answers, all of them only ever read.
 */
import type { Chart, Series } from '../report/chart.ts';
import { deltas } from '../report/curves.ts';
import {
  type Axis,
  axes,
  type ConvergenceAnswer,
  type ConvergenceMetric,
  convergenceMetrics,
  type Overview,
  type SeriesAnswer,
} from './api.ts';
import { convergenceOf } from './convergence.ts';
import { detailOf, isPicture } from './detail.ts';
import type { Fleet } from './fleet.ts';
import type { Logs } from './logs.ts';
import { type SeriesName, seriesNames } from './steps.ts';
import { sweepDetail } from './sweeps.ts';

export type Answer =
  | { readonly json: unknown }
  | { readonly type: string; readonly body: string | Buffer; readonly file?: string }
  | { readonly type: string; readonly pieces: Iterable<string>; readonly file: string }
  | { readonly missing: string };

export interface World {
  /** Of this server: events of another one are not known here. */
  readonly boot: string;
  readonly fleet: Fleet;
  readonly logs: Logs;
}

type Ask = (world: World, query: URLSearchParams) => Answer | Promise<Answer>;

/** Of a chart. */
const mostPoints = 2000;
const csv = 'text/csv; charset=utf-8';
const svg = 'image/svg+xml';

const overview: Ask = ({ boot, fleet }) => {
  const { runs, sweeps, problems } = fleet.since();
  return { json: { event: `${boot}-${fleet.sequence}`, place: fleet.source.place, runs, sweeps, problems } satisfies Overview };
};

const run: Ask = async ({ fleet, logs }, query) => {
  const id = query.get('id') ?? '';
  const found = fleet.run(id);
  if (!found) return { missing: `there is no run ${id} (any more)` };
  return { json: await detailOf(fleet.source, id, found, await logs.stepsOf(id)) };
};

interface SeriesQuestion {
  readonly id: string;
  readonly names: readonly SeriesName[];
  readonly axis: Axis;
  readonly range: readonly [number, number];
  readonly points: number;
  readonly smooth: number;
}

/** What is not as it should be is as if it were not there. */
function seriesQuestion(query: URLSearchParams): SeriesQuestion {
  const number = (name: string, otherwise: number, [least, most]: readonly [number, number]) => {
    const given = query.get(name);
    const value = given === null || given === '' ? Number.NaN : Number(given);
    return Number.isNaN(value) ? otherwise : Math.min(most, Math.max(least, value));
  };
  const all = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] as const;
  const wished = query.get('names')?.split(',') ?? seriesNames;
  return {
    id: query.get('id') ?? '',
    names: seriesNames.filter(name => wished.includes(name)),
    axis: axes.find(axis => axis === query.get('axis')) ?? 'step',
    range: [number('from', all[0], all), number('to', all[1], all)],
    points: Math.round(number('points', 500, [1, mostPoints])),
    smooth: number('smooth', 0, [0, 0.999]),
  };
}

async function seriesOf({ logs }: World, { id, names, ...how }: SeriesQuestion): Promise<SeriesAnswer> {
  const steps = await logs.stepsOf(id);
  const parts = steps.parts(names, how);
  const epochs = steps.epochs.filter(epoch => {
    const x = steps.placeOf(epoch, how.axis);
    return x >= how.range[0] && x <= how.range[1];
  });
  // There may be as many epochs as there were steps.
  const every = Math.ceil(epochs.length / how.points) || 1;
  const shown = epochs.filter((_, i) => i % every === 0 || i === epochs.length - 1);
  const column = (value: (epoch: (typeof shown)[number]) => number) => shown.map(epoch => finite(value(epoch)));
  return {
    axis: how.axis,
    ...parts,
    epochs: {
      x: shown.map(epoch => steps.placeOf(epoch, how.axis)),
      values: {
        epoch: column(({ epoch }) => epoch),
        loss: column(({ loss }) => loss),
        validationLoss: column(({ validationLoss }) => validationLoss),
        jaccard: column(({ jaccard }) => jaccard),
        dice: column(({ dice }) => dice),
        auc: column(({ auc }) => auc),
      },
    },
    steps: steps.total,
    damagedLines: steps.damagedLines,
    stride: steps.stride,
  };
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

const series: Ask = async (world, query) => {
  const question = seriesQuestion(query);
  if (!world.fleet.run(question.id)) return { missing: `there is no run ${question.id} (any more)` };
  return { json: await seriesOf(world, question) };
};

/** All steps, or all epochs: no summary. */
const seriesCsv: Ask = async ({ fleet, logs }, query) => {
  const { id, names } = seriesQuestion(query);
  const found = fleet.run(id);
  if (!found) return { missing: `there is no run ${id} (any more)` };
  const steps = await logs.stepsOf(id);
  const file = `${fileName(found.summary.name)}-${query.get('of') === 'epochs' ? 'epochs' : 'steps'}.csv`;
  if (query.get('of') === 'epochs') {
    const columns = ['epoch', 'step', 'loss', 'validationLoss', 'jaccard', 'dice', 'auc'] as const;
    const lines = steps.epochs.map(epoch => columns.map(column => finite(epoch[column]) ?? '').join(','));
    return { type: csv, body: `${[columns.join(','), ...lines].join('\n')}\n`, file };
  }
  return { type: csv, pieces: inPieces(['step', 'time', ...names].join(','), steps.rows(names)), file };
};

function* inPieces(head: string, rows: Iterable<readonly (number | '')[]>): Generator<string> {
  let piece = `${head}\n`;
  for (const row of rows) {
    piece += `${row.join(',')}\n`;
    if (piece.length < 65_536) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

const labels: Readonly<Record<string, string>> = {
  loss: 'loss',
  validationLoss: 'validation loss',
  jaccard: 'validation Jaccard',
  dice: 'validation Dice',
  auc: 'validation AUC',
  gradientNorm: 'gradient norm',
  learningRate: 'learning rate',
  logShare: 'share in the logarithmic branch',
  seconds: 's a step',
};

const seriesSvg: Ask = async (world, query) => {
  const question = seriesQuestion(query);
  const found = world.fleet.run(question.id);
  if (!found) return { missing: `there is no run ${question.id} (any more)` };
  const answer = await seriesOf(world, question);
  const epochNames = (query.get('epochs') ?? '').split(',').filter(name => name in answer.epochs.values);
  const pointsOf = (x: readonly number[], y: readonly (number | null)[]) =>
    x.flatMap((at, i) => (y[i] === null ? [] : [[at, y[i]] as [number, number]]));
  const ofSteps = Object.entries(answer.series).map(([name, { mean, low, high }]): Series => {
    const band = answer.x.flatMap((x, i) =>
      low[i] === null || high[i] === null ? [] : [[x, low[i], high[i]] as [number, number, number]],
    );
    return { name: labels[name] ?? name, points: pointsOf(answer.x, mean), band };
  });
  const ofEpochs = epochNames.map(
    (name): Series => ({ name: labels[name] ?? name, points: pointsOf(answer.epochs.x, answer.epochs.values[name]) }),
  );
  const shown = [...ofSteps, ...ofEpochs].filter(({ points }) => points.length > 0);
  const title = (query.get('title') ?? '').slice(0, 100);
  return svgOf(
    {
      title: `${found.summary.name}: ${title}`,
      x: question.axis === 'step' ? 'step' : 'seconds',
      y: shown.length === 1 ? shown[0].name : title,
      series: shown,
      yType: query.get('log') === 'true' ? 'log' : 'linear',
    },
    `${fileName(found.summary.name)}-${fileName(title)}.svg`,
  );
};

async function svgOf(chart: Chart, file: string): Promise<Answer> {
  if (chart.series.every(({ points }) => points.length === 0)) return { missing: 'there is nothing to draw yet' };
  const { renderChart } = await import('../report/chart.ts');
  return { type: svg, body: renderChart(chart), file };
}

const convergenceTitles: Record<ConvergenceMetric, string> = {
  jaccard: 'validation Jaccard, pooled',
  normalisedLoss: 'normalised validation loss',
  loss: 'validation loss',
};

function convergenceAnswer({ fleet }: World, query: URLSearchParams): ConvergenceAnswer {
  const metric = convergenceMetrics.find(one => one === query.get('metric')) ?? 'jaccard';
  return convergenceOf(fleet.runs, metric, query.get('dataset') ?? undefined);
}

const convergence: Ask = (world, query) => ({ json: convergenceAnswer(world, query) });

const convergenceSvg: Ask = (world, query) => {
  const { metric, dataset, arms } = convergenceAnswer(world, query);
  const chart: Chart = {
    title: `${dataset}: ${convergenceTitles[metric]}`,
    x: 'epoch',
    y: convergenceTitles[metric],
    series: arms.map(({ name, runs, x, mean, low, high, there }) => ({
      name: `${name} (${runs})`,
      points: x.map((at, i) => [at, mean[i]] as const),
      ...(runs > 1 && { band: x.map((at, i) => [at, low[i], high[i]] as const) }),
      ...(there !== undefined && { marker: [there, mean[there - 1]] as const }),
    })),
  };
  return svgOf(chart, `convergence-${fileName(dataset)}-${metric}.svg`);
};

const convergenceCsv: Ask = (world, query) => {
  const { metric, dataset, arms } = convergenceAnswer(world, query);
  const lines = arms.flatMap(({ name, runs, x, mean, low, high }) =>
    x.map((at, i) => [textCell(name), runs, at, mean[i], low[i], high[i]].join(',')),
  );
  return {
    type: csv,
    body: `loss,runs,epoch,mean,low,high\n${lines.join('\n')}\n`,
    file: `convergence-${fileName(dataset)}-${metric}.csv`,
  };
};

/** A cell that a spreadsheet takes for text. */
const textCell = (text: string): string => `"${(/^[=+\-@\t]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;

const speedCsv: Ask = (world, query) => {
  const { dataset, arms } = convergenceAnswer(world, query);
  const lines = arms.map(({ name, runs, best, within, restlessness }) =>
    [textCell(name), runs, best, ...within, restlessness ?? ''].join(','),
  );
  const head = ['loss', 'runs', 'best_jaccard', ...deltas.map(delta => `epochs_to_within_${delta}`), 'restlessness'].join(',');
  return { type: csv, body: `${head}\n${lines.join('\n')}\n`, file: `convergence-speed-${fileName(dataset)}.csv` };
};

const sweep: Ask = ({ fleet }, query) => {
  const id = query.get('id') ?? '';
  const found = fleet.sweep(id);
  if (!found) return { missing: `there is no sweep ${id} (any more)` };
  return { json: sweepDetail(id, fleet.source.pathOf(id), found.record, one => fleet.run(one) !== undefined) };
};

const sweepCsv: Ask = async ({ fleet }, query) => {
  const found = fleet.sweep(query.get('id') ?? '');
  if (!found) return { missing: 'there is no such sweep (any more)' };
  const { resultsCsv } = await import('../sweep/results.ts');
  return { type: csv, body: resultsCsv(found.record), file: `${fileName(found.record.name)}.csv` };
};

const rocSvg: Ask = async ({ fleet, logs }, query) => {
  const id = query.get('id') ?? '';
  const found = fleet.run(id);
  const roc = found && (await detailOf(fleet.source, id, found, await logs.stepsOf(id))).roc;
  if (!roc) return { missing: 'this run was not evaluated yet' };
  return svgOf(
    {
      title: `${found.summary.name}: ROC${roc.auc === undefined ? '' : `, area ${roc.auc.toFixed(4)}`}`,
      x: 'false positive rate',
      y: 'true positive rate',
      series: roc.classes.map((points, c) => ({ name: roc.classes.length > 1 ? `class ${c + 1}` : found.summary.loss, points })),
      square: true,
      legend: 'bottom-right',
      xDomain: [0, 1],
      yDomain: [0, 1],
    },
    `${fileName(found.summary.name)}-roc.svg`,
  );
};

const rocCsv: Ask = async ({ fleet }, query) => {
  const found = fleet.run(query.get('id') ?? '');
  const body = found && (await fleet.source.read(found.summary.id, 'evaluation/best/roc.csv'));
  return body ? { type: csv, body, file: `${fileName(found.summary.name)}-roc.csv` } : { missing: 'this run was not evaluated yet' };
};

const picture: Ask = async ({ fleet }, query) => {
  const [id, name] = [query.get('id') ?? '', query.get('name') ?? ''];
  const body = fleet.run(id) && isPicture(name) ? await fleet.source.read(id, name) : undefined;
  return body ? { type: 'image/png', body } : { missing: 'there is no such picture' };
};

const fileName = (text: string): string =>
  text
    .replace(/[^\w.-]+/g, '-')
    .replace(/^[-.]+/, '')
    .slice(0, 80) || 'run';

export const answers: Readonly<Record<string, Ask>> = {
  '/api/overview': overview,
  '/api/run': run,
  '/api/series': series,
  '/api/series.csv': seriesCsv,
  '/api/series.svg': seriesSvg,
  '/api/convergence': convergence,
  '/api/convergence.svg': convergenceSvg,
  '/api/convergence.csv': convergenceCsv,
  '/api/speed.csv': speedCsv,
  '/api/sweep': sweep,
  '/api/sweep.csv': sweepCsv,
  '/api/roc.svg': rocSvg,
  '/api/roc.csv': rocCsv,
  '/api/picture': picture,
};
