/**
 * Line charts as SVG, drawn by Observable Plot without a browser: pure functions of their numbers, and the same numbers are the same bytes. Lines
 * are told apart by dashes and names too, not by colour alone.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import { escaped } from './html.ts';

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Drawn behind the line. */
  readonly band?: readonly (readonly [x: number, low: number, high: number])[];
  /** One point that stands out. */
  readonly marker?: readonly [x: number, y: number];
  /** Which of the styles its line has, so that it has the same in several charts; by default that of its place. */
  readonly style?: number;
}

export interface Chart {
  /** Begins the names of its parts, so that several charts can stand on one page. @default plot */
  readonly id?: string;
  /** Above the chart, where nothing around it says what it is. */
  readonly title?: string;
  /** For who cannot see it. */
  readonly description?: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
  readonly xDomain?: readonly [number, number];
  readonly yDomain?: readonly [number, number];
  readonly yType?: 'linear' | 'log';
  /** Vertical lines with a label, such as the kink of a loss. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
  readonly square?: boolean;
  /** Where the names of the series stand: at the ends of their lines, or in a corner. */
  readonly legend?: 'ends' | Corner;
  /** @default on white, for files */
  readonly theme?: ChartTheme;
}

type Corner = 'top-left' | 'top-right' | 'bottom-right';

export interface ChartTheme {
  readonly background: string;
  readonly ink: string;
  readonly muted: string;
  readonly frame: string;
  readonly lines: readonly string[];
}

/** Okabe and Ito's palette: told apart by the colour-blind too. */
const palette = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000'];
const dashes = ['none', '7 3', '2 2.5', '9 3 2 3', '14 4', '4 2 1 2', '1 4', '10 2 2 2 2 2'];

export const numStyles = dashes.length;

const onWhite: ChartTheme = { background: 'white', ink: 'black', muted: '#555', frame: '#ccc', lines: palette };

/** Colours of the page around it, which may be light or dark. */
export const ofPage: ChartTheme = {
  background: 'var(--surface)',
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  frame: 'var(--rule)',
  lines: dashes.map((_, i) => `var(--line-${i + 1})`),
};

const letterWidth = 6.6; // of 12 pixels high, about
const lineHeight = 16;

const { document } = parseHTML('<html><body></body></html>');

export function renderChart(chart: Chart): string {
  const { title, x, y, series, xDomain, yDomain, yType, marks = [], square, legend = 'ends', theme = onWhite } = chart;
  const drawn = series.map((one, i) => ({ ...one, ...styleOf(one.style ?? i, theme) }));
  const longest = Math.max(0, ...series.map(({ name }) => name.length));
  const plot = Plot.plot({
    document: document as unknown as Plot.PlotOptions['document'],
    width: square ? 520 : 860,
    height: square ? 520 : 400,
    marginLeft: 68,
    marginRight: legend === 'ends' ? 40 + letterWidth * Math.min(longest, mostLetters) : 20,
    marginTop: title ? 50 : 16,
    marginBottom: 45,
    style: { background: theme.background, color: theme.ink, fontFamily: 'system-ui, sans-serif', fontSize: '12px' },
    x: { ...axis(x, 38), domain: xDomain as [number, number] | undefined, ...wholeTicks(series, x) },
    y: { ...axis(y || null, 58), domain: yDomain as [number, number] | undefined, type: yType, nice: !yDomain },
    marks: [
      Plot.frame({ stroke: theme.frame }),
      title ? Plot.text([title], { frameAnchor: 'top', dy: -34, fontWeight: 'bold', fontSize: 14 }) : null,
      ...marks.flatMap(mark => [
        Plot.ruleX([mark.x], { stroke: theme.muted, strokeDasharray: '4,3' }),
        Plot.text([mark], { x: 'x', text: 'label', frameAnchor: 'top', dy: 12, textAnchor: 'start', dx: 5, fill: theme.muted }),
      ]),
      ...drawn.map(({ band = [], colour }) => Plot.areaY(band, { x: '0', y1: '1', y2: '2', fill: colour, fillOpacity: 0.16, clip: true })),
      ...drawn.map(({ points, colour, dash }) =>
        points.length === 1
          ? Plot.dot(points, { x: '0', y: '1', fill: colour, r: 4 })
          : Plot.line(points, { x: '0', y: '1', stroke: colour, strokeWidth: 2, strokeDasharray: dash, clip: true }),
      ),
      ...drawn
        .filter(({ marker }) => marker)
        .map(({ marker, colour }) =>
          Plot.dot([marker!], { x: '0', y: '1', symbol: 'diamond', r: 5.5, fill: theme.background, stroke: colour, strokeWidth: 2 }),
        ),
      legend === 'ends' ? namesAtEnds(drawn, theme) : namesInCorner(drawn, theme, legend),
    ],
  });
  const { outerHTML } = plot as unknown as { outerHTML: string };
  const label = escaped(chart.description ?? title ?? y);
  return tidied(outerHTML, chart.id ?? 'plot').replace(
    /^<svg/,
    () => `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${label}"`,
  );
}

const mostLetters = 42;
const shortened = (name: string) => (name.length > mostLetters ? `${name.slice(0, mostLetters - 1)}…` : name);

const styleOf = (style: number, { lines }: ChartTheme) => ({ colour: lines[style % lines.length], dash: dashes[style % dashes.length] });

const axis = (label: string | null, labelOffset: number) =>
  ({ label, labelAnchor: 'center', labelArrow: 'none', labelOffset, grid: true }) as const;

/** There is no half epoch. */
function wholeTicks(series: readonly Series[], x: string): Plot.ScaleOptions {
  if (x !== 'epoch') return {};
  const last = Math.max(1, ...series.flatMap(({ points }) => points.map(([at]) => at)));
  return last > 10 ? {} : { ticks: Array.from({ length: last }, (_, i) => i + 1), tickFormat: String };
}

interface Drawn extends Series {
  readonly colour: string;
  readonly dash: string;
}

type RenderMark = (index: unknown, scales: unknown, values: unknown, dimensions: unknown) => unknown;
interface Place {
  readonly scales: { x(value: number): number; y(value: number): number };
  readonly width: number;
  readonly height: number;
  readonly margins: { readonly left: number; readonly right: number; readonly top: number; readonly bottom: number };
}

/** A mark that is drawn by hand, in pixels. */
function byHand(draw: (place: Place) => readonly (readonly [tag: string, attributes: Record<string, string | number>, text?: string])[]) {
  const render: RenderMark = (_index, scales, _values, dimensions) => {
    const { width, height, marginLeft, marginRight, marginTop, marginBottom } = dimensions as Record<string, number>;
    const make = (tag: string) => document.createElementNS('http://www.w3.org/2000/svg', tag);
    const group = make('g');
    const margins = { left: marginLeft, right: marginRight, top: marginTop, bottom: marginBottom };
    for (const [tag, attributes, text] of draw({ scales: scales as Place['scales'], width, height, margins })) {
      const element = make(tag);
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
      if (text !== undefined) element.textContent = text;
      group.append(element);
    }
    return group;
  };
  return render as unknown as Plot.Markish;
}

/** Names at the right, each led to from the end of its line, and none over another. */
const namesAtEnds = (series: readonly Drawn[], { ink }: ChartTheme) =>
  byHand(({ scales, width, height, margins }) => {
    const ends = series.flatMap(({ name, points, colour }) => {
      const last = points.at(-1);
      return last ? [{ name, colour, x: scales.x(last[0]), y: scales.y(last[1]) }] : [];
    });
    const right = width - margins.right;
    const places = apart(
      ends.map(({ y }) => y),
      margins.top + lineHeight / 2,
      height - margins.bottom,
    );
    return ends.flatMap(({ name, colour, x, y }, i) => [
      [
        'path',
        { d: `M${x},${y}L${right + 4},${y}L${right + 16},${places[i]}`, fill: 'none', stroke: colour, 'stroke-width': 1.2 },
      ] as const,
      ['text', { x: right + 20, y: places[i], dy: '0.32em', fill: ink, 'text-anchor': 'start' }, shortened(name)] as const,
    ]);
  });

/** Places at least a line apart, near those that are wished for and in their order. */
function apart(wished: readonly number[], top: number, bottom: number): number[] {
  const order = wished.map((_, i) => i).sort((a, b) => wished[a] - wished[b] || a - b);
  const places = [...wished];
  let free = top;
  for (const i of order) {
    places[i] = Math.max(places[i], free);
    free = places[i] + lineHeight;
  }
  free = bottom;
  for (const i of order.reverse()) {
    places[i] = Math.min(places[i], free);
    free = places[i] - lineHeight;
  }
  return places;
}

const namesInCorner = (series: readonly Drawn[], { ink }: ChartTheme, corner: Corner) =>
  byHand(({ width, height, margins }) => {
    const [isLeft, isBottom] = [corner.endsWith('left'), corner.startsWith('bottom')];
    const edge = isLeft ? margins.left + 10 : width - margins.right - 10;
    const into = isLeft ? 1 : -1;
    const top = isBottom ? height - margins.bottom - 10 - lineHeight * (series.length - 1) : margins.top + 14;
    return series.flatMap(({ name, colour, dash }, i) => {
      const y = top + lineHeight * i;
      const line = { x1: edge, x2: edge + 26 * into, y1: y, y2: y, stroke: colour, 'stroke-width': 2, 'stroke-dasharray': dash };
      const anchor = isLeft ? 'start' : 'end';
      return [['line', line] as const, ['text', { x: edge + 32 * into, y, dy: '0.32em', fill: ink, 'text-anchor': anchor }, name] as const];
    });
  });

/** Without what Plot says of its groups (the chart is one picture), with hundredths of pixels, and with names of its own. */
function tidied(svg: string, id: string): string {
  // Plot numbers its clip paths through the process: the same chart shall be the same bytes.
  const clips = [...new Set(svg.match(/plot-clip-\d+/g))];
  return svg
    .replace(/ (aria-(label|hidden|description)|xmlns)="[^"]*"/g, '')
    .replace(/ (d|x|y|x1|x2|y1|y2|cx|cy|width|height|transform)="[^"]*"/g, numbers => numbers.replace(/(\.\d\d)\d+/g, '$1'))
    .replace(/plot-clip-\d+/g, clip => `${id}-clip-${clips.indexOf(clip)}`);
}
