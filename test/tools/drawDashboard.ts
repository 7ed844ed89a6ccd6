/**
 * A dashboard as one SVG: the panels where Grafana has them, with what Prometheus answered. It is no picture of Grafana: it shows what is in the panels.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import type { Dashboard, Panel, Unit } from '../../k8s/monitoring/dashboard.ts';
import { grafanaDashboard } from '../../k8s/monitoring/grafana.ts';
import { escaped } from '../../trainer/report/html.ts';
import type { Result } from './prometheus.ts';

const columnWidth = 60;
const rowHeight = 27;
const gap = 8;
const palette = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#444444', '#8c6d31'];
const dashes = ['none', '6 3', '2 2', '9 3 2 3'];
const stateColours = ['#9ecae1', '#f2d64b', '#009E73', '#0072B2', '#9467bd', '#00674b', '#e8e0a0', '#E69F00', '#d62728'];
const letterWidth = 5.6;
const mostNames = 8;

const { document } = parseHTML('<html><body></body></html>');

interface Line {
  readonly name: string;
  readonly colour: string;
  readonly dash: string;
  readonly points: readonly { readonly at: number; readonly value: number; readonly name: string }[];
}

/** @param answers to the queries of a panel @param from where the axis of time begins, in seconds; `to` where it ends */
export function drawDashboard(
  dashboard: Dashboard,
  answers: (panel: Panel) => readonly (readonly Result[])[],
  { from, to }: { readonly from: number; readonly to: number },
): string {
  const { panels: placed = [] } = grafanaDashboard(dashboard);
  const panels = dashboard.rows.flatMap(({ panels }) => panels);
  const colours = new Map<string, string>();
  const colourOf = (key: string) => {
    if (!colours.has(key)) colours.set(key, palette[colours.size % palette.length]);
    return colours.get(key)!;
  };
  const parts: string[] = [];
  let bottom = 0;
  let next = 0;
  for (const { type, title, gridPos } of placed) {
    const { x, y, w, h } = gridPos!;
    const place = { left: x * columnWidth + gap / 2, top: 44 + y * rowHeight, width: w * columnWidth - gap, height: h * rowHeight - gap };
    bottom = Math.max(bottom, place.top + place.height);
    if (type === 'row') {
      parts.push(text(title!, place.left + 2, place.top + 16, { size: 14, weight: 'bold' }));
      continue;
    }
    const panel = panels[next++];
    const lines = linesOf(panel, answers(panel), from, colourOf);
    const { left, top, width, height } = place;
    parts.push(
      `<svg x="${left}" y="${top}" width="${width}" height="${height}"><rect x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="3" fill="#fff" stroke="#d5d8dd"/>`,
      text(panel.title.replace('$metric', 'dice'), 9, 17, { size: 11.5, weight: '600' }),
      drawPanel(panel, lines, answers(panel), width, height, to - from),
      '</svg>',
    );
  }
  const width = 24 * columnWidth;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${bottom + gap}" font-family="system-ui, sans-serif" role="img" aria-label="${escaped(dashboard.title)}">`,
    `<rect width="100%" height="100%" fill="#f4f5f7"/>`,
    text(dashboard.title, gap / 2 + 2, 28, { size: 18, weight: 'bold' }),
    ...parts,
    '</svg>\n',
  ].join('\n');
}

const text = (words: string, x: number, y: number, { size = 11, weight = 'normal', fill = '#1f2329', anchor = 'start' } = {}) =>
  `<text x="${x}" y="${y}" font-size="${size}" font-weight="${weight}" fill="${fill}" text-anchor="${anchor}">${escaped(words)}</text>`;

function linesOf(
  { kind, queries }: Panel,
  answers: readonly (readonly Result[])[],
  from: number,
  colourOf: (key: string) => string,
): Line[] {
  const uses = new Map<string, number>();
  return answers.flatMap((results, i) =>
    results.map(({ labels, points }) => {
      const name = queries[i].legend.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? '').trim() || 'none';
      // The same loss, run or rank has one colour in all panels.
      const key = labels.loss ?? labels.run ?? name;
      const use = uses.get(key) ?? 0;
      uses.set(key, use + 1);
      const known = points.filter(([, value]) => Number.isFinite(value)).map(([at, value]) => ({ at: at - from, value, name }));
      // Areas on one another are told apart by nothing else.
      const colour =
        use === 0 || (labels.loss && kind !== 'stacked') ? colourOf(key) : palette[(palette.indexOf(colourOf(key)) + use) % palette.length];
      return { name, colour, dash: dashes[use % dashes.length], points: known };
    }),
  );
}

function drawPanel(
  panel: Panel,
  lines: readonly Line[],
  answers: readonly (readonly Result[])[],
  width: number,
  height: number,
  seconds: number,
): string {
  const withData = lines.filter(({ points }) => points.length > 0);
  if (withData.length === 0)
    return text(panel.needs ? `needs ${panel.needs}` : 'no data', width / 2, height / 2, { fill: '#777', anchor: 'middle' });
  switch (panel.kind) {
    case 'bars':
      return drawBars(panel, withData, width);
    case 'stat':
      return drawStats(panel, withData, width, height);
    case 'table':
      return drawTable(panel, answers, width);
    case 'states':
      return drawStates(panel, withData, width, seconds);
    default:
      return drawLines(panel, withData, width, height, seconds);
  }
}

const last = ({ points }: Line): number => points.at(-1)!.value;

export function written(value: number, unit: Unit = 'short'): string {
  const short = (number: number) => (Number.isInteger(number) ? String(number) : String(Number(number.toPrecision(3))));
  switch (unit) {
    case 'percentunit':
      return `${short(value * 100)} %`;
    case 's':
      return value >= 60 ? `${short(value / 60)} min` : value >= 1 || value === 0 ? `${short(value)} s` : `${short(value * 1000)} ms`;
    case 'bytes':
      return value >= 2 ** 20 ? `${short(value / 2 ** 20)} MiB` : `${short(value / 1024)} KiB`;
    case 'ops':
      return `${short(value)}/s`;
    default:
      return short(value);
  }
}

const clock = (seconds: number) => `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;

function drawLines(panel: Panel, all: readonly Line[], width: number, height: number, seconds: number): string {
  // Many reasons never come: what is 0 throughout is counted in the legend where there is no room for its name.
  const risen = all.filter(({ points }) => points.some(({ value }) => value !== 0));
  const lines = all.length > mostNames && risen.length > 0 ? risen : all;
  const legend = drawLegend(lines, all.length - lines.length, width, height);
  const isStacked = panel.kind === 'stacked';
  const points = lines.flatMap(line => line.points);
  const values = points.map(({ value }) => value);
  const largest = Math.max(...values);
  const top = panel.max ?? (largest === 0 ? 1 : undefined);
  const colours = { domain: lines.map(({ name }) => name), range: lines.map(({ colour }) => colour) };
  const plot = Plot.plot({
    document: document as unknown as Plot.PlotOptions['document'],
    width: width - 10,
    height: height - 24 - legend.height,
    marginLeft: 52,
    marginRight: 12,
    marginTop: 8,
    marginBottom: 22,
    style: { background: 'none', color: '#555', fontFamily: 'system-ui, sans-serif', fontSize: '10px' },
    x: { domain: [0, seconds], label: null, tickFormat: clock, ticks: width > 500 ? 8 : 4 },
    y: {
      label: null,
      grid: true,
      ticks: panel.isLog ? 3 : 4,
      tickFormat: (value: number) => written(value, panel.unit),
      nice: true,
      ...(panel.isLog ? { type: 'log' } : { zero: true }),
      ...(top !== undefined && !panel.isLog ? { domain: [0, top] } : {}),
    },
    color: colours,
    marks: isStacked
      ? [Plot.areaY(points, Plot.stackY({ x: 'at', y: 'value', fill: 'name', fillOpacity: 0.75, order: colours.domain }))]
      : lines.map(({ points, colour, dash }) =>
          points.length === 1
            ? Plot.dot(points, { x: 'at', y: 'value', fill: colour, r: 2.5 })
            : Plot.line(points, { x: 'at', y: 'value', stroke: colour, strokeWidth: 1.6, strokeDasharray: dash }),
        ),
  });
  const svg = (plot as unknown as { outerHTML: string }).outerHTML;
  return `<g transform="translate(4,24)">${tidied(svg)}</g>${legend.svg}`;
}

const tidied = (svg: string): string =>
  svg
    .replace(/<style>[\s\S]*?<\/style>/g, '')
    .replace(/ (aria-(label|hidden|description)|xmlns|class)="[^"]*"/g, '')
    .replace(/ (d|x|y|x1|x2|y1|y2|cx|cy|width|height|transform|points)="[^"]*"/g, numbers => numbers.replace(/(\.\d)\d+/g, '$1'));

function drawLegend(lines: readonly Line[], numZero: number, width: number, height: number) {
  const named = lines.slice(0, mostNames);
  const left = lines.length - named.length;
  const more = [left > 0 ? `and ${left} more` : '', numZero > 0 ? `${numZero} others are 0` : ''].filter(Boolean).join(', ');
  const entries: { readonly words: string; readonly line?: Line }[] = named.map(line => ({ words: line.name, line }));
  if (more) entries.push({ words: more });
  const rows: { words: string; line?: Line; x: number }[][] = [[]];
  let x = 10;
  for (const entry of entries) {
    const needed = entry.words.length * letterWidth + (entry.line ? 30 : 12);
    if (x + needed > width && rows.at(-1)!.length > 0) {
      rows.push([]);
      x = 10;
    }
    rows.at(-1)!.push({ ...entry, x });
    x += needed;
  }
  const top = height - 14 * rows.length - 2;
  const svg = rows.flatMap((row, i) =>
    row.map(({ words, line, x }) => {
      const y = top + 14 * i + 9;
      const sample = line
        ? `<line x1="${x}" x2="${x + 14}" y1="${y - 3}" y2="${y - 3}" stroke="${line.colour}" stroke-width="2.5" stroke-dasharray="${line.dash}"/>`
        : '';
      return sample + text(words, x + (line ? 18 : 0), y, { size: 10, fill: '#444' });
    }),
  );
  return { svg: svg.join(''), height: 14 * rows.length + 4 };
}

function drawBars(panel: Panel, lines: readonly Line[], width: number): string {
  const largest = panel.max ?? Math.max(1e-12, ...lines.map(last));
  return lines
    .slice(0, 5)
    .map((line, i) => {
      const y = 30 + i * 23;
      const length = ((width - 250) * last(line)) / largest;
      return [
        text(line.name, 9, y + 12, { size: 10.5 }),
        `<rect x="170" y="${y}" width="${width - 250}" height="16" fill="#eceef1"/>`,
        `<rect x="170" y="${y}" width="${Math.max(0, length).toFixed(1)}" height="16" fill="${line.colour}"/>`,
        text(written(last(line), panel.unit), width - 72, y + 12, { size: 11, weight: '600' }),
      ].join('');
    })
    .join('');
}

const drawStats = (panel: Panel, lines: readonly Line[], width: number, height: number): string =>
  lines
    .slice(0, 4)
    .map((line, i, { length }) => {
      const x = (width * (i + 0.5)) / length;
      const size = length > 2 ? 16 : 22;
      return (
        text(written(last(line), panel.unit), x, height / 2 + 10, { size, weight: '600', anchor: 'middle' }) +
        text(line.name, x, height / 2 + 28, { size: 10, fill: '#555', anchor: 'middle' })
      );
    })
    .join('');

function drawTable({ columns = [] }: Panel, answers: readonly (readonly Result[])[], width: number): string {
  const runs = [...new Map(answers.flat().map(({ labels }) => [labels.run, labels])).values()];
  const header = ['Run', 'Loss', ...columns];
  const x = (column: number) => 12 + (column * (width - 24)) / header.length;
  const lastOf = (results: readonly Result[], run: string) => results.find(({ labels }) => labels.run === run)?.points.at(-1)?.[1];
  const rows = runs.map(({ run, loss }) => [
    run,
    loss,
    ...answers.map(results => {
      const value = lastOf(results, run);
      return value === undefined ? '' : written(value);
    }),
  ]);
  return [header, ...rows]
    .slice(0, 8)
    .map((cells, i) => cells.map((cell, column) => text(cell, x(column), 42 + i * 20, { weight: i === 0 ? '600' : 'normal' })).join(''))
    .join('');
}

function drawStates({ states = [] }: Panel, lines: readonly Line[], width: number, seconds: number): string {
  const left = 110;
  const x = (at: number) => left + ((width - left - 16) * at) / seconds;
  const seen = new Set<number>();
  const rows = lines.slice(0, 4).map(({ name, points }, i) => {
    const y = 28 + i * 19;
    const step = points.length > 1 ? points[1].at - points[0].at : 1;
    const bars: string[] = [];
    for (let k = 0; k < points.length; ) {
      let end = k;
      while (end + 1 < points.length && points[end + 1].value === points[k].value) end++;
      seen.add(points[k].value);
      const from = x(points[k].at);
      const to = x(Math.min(seconds, points[end].at + step));
      bars.push(
        `<rect x="${from.toFixed(1)}" y="${y}" width="${(to - from).toFixed(1)}" height="14" fill="${stateColours[points[k].value]}"/>`,
      );
      k = end + 1;
    }
    return text(name, 9, y + 11, { size: 10.5 }) + bars.join('');
  });
  let at = left;
  const legend = states.flatMap((state, number) => {
    if (!seen.has(number)) return [];
    const part = `<rect x="${at}" y="110" width="10" height="10" fill="${stateColours[number]}"/>${text(state, at + 14, 119, { size: 10, fill: '#444' })}`;
    at += 30 + state.length * letterWidth;
    return [part];
  });
  return rows.join('') + legend.join('');
}
