/**
 * Line charts that follow what comes, drawn by uPlot: lines with the range around them, told apart by dashes too; the numbers behind each as a table.
 */
import type { AlignedData, Options, default as UPlot } from 'uplot';
import { h, hidden } from './dom.ts';
import { short } from './format.ts';
import { plainTable } from './table.ts';

declare const uPlot: typeof UPlot;

export interface Line {
  readonly name: string;
  readonly values: readonly (number | null)[];
  readonly low?: readonly (number | null)[];
  readonly high?: readonly (number | null)[];
  /** Points that stand by themselves. */
  readonly isDotted?: boolean;
}

export interface Drawing {
  readonly x: readonly number[];
  readonly lines: readonly Line[];
  /** Vertical lines with a word. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
}

export interface ChartOptions {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  /** Of the files that it leaves the page as. */
  readonly svg: () => string;
  readonly csv: () => string;
  readonly command?: HTMLElement;
  readonly note?: string;
  readonly isLog?: boolean;
  readonly isStacked?: boolean;
  readonly yRange?: readonly [number, number];
  readonly isWall?: boolean;
  readonly height?: number;
  /** A range was chosen with the pointer; undefined: all. */
  readonly zoomed?: (range: readonly [number, number] | undefined) => void;
}

const dashes: readonly (readonly number[])[] = [[], [7, 3], [2, 2.5], [9, 3, 2, 3], [14, 4], [4, 2, 1, 2], [1, 4], [10, 2, 2, 2]];
const mostRows = 60;
let count = 0;

export const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export class LineChart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #holder = h('div', { class: 'plot' });
  readonly #numbers = h('div', { class: 'scroll tall', tabindex: 0, role: 'group' });
  readonly #details: HTMLDetailsElement;
  #plot: UPlot | undefined;
  #drawing: Drawing = { x: [], lines: [] };
  #shape = '';

  constructor(options: ChartOptions) {
    const { title, svg, csv, note } = options;
    this.#options = options;
    const id = `chart-${++count}`;
    this.#numbers.setAttribute('aria-label', `${title}: numbers`);
    this.#details = h('details', { toggle: () => this.#tell() }, h('summary', {}, 'The numbers of this chart'), this.#numbers);
    const link = (kind: string, href: () => string) => {
      const a = h('a', { href: href(), download: true, click: () => a.setAttribute('href', href()) }, kind, hidden(` of ${title}`));
      return a;
    };
    this.element = h(
      'figure',
      { class: 'card', 'aria-labelledby': id },
      h('div', { class: 'head' }, h('h3', { id }, title), h('p', { class: 'take' }, link('SVG', svg), link('CSV', csv))),
      this.#holder,
      note !== undefined && h('p', { class: 'note' }, note),
      h('div', { class: 'foot' }, this.#details, options.command),
    );
    charts.add(this);
    resizes.observe(this.#holder);
  }

  draw(drawing: Drawing): void {
    this.#drawing = drawing;
    const { x, lines } = drawing;
    const isEmpty = x.length === 0 || lines.length === 0;
    this.element.classList.toggle('empty', isEmpty);
    const { title } = this.#options;
    const ends = lines.map(({ name, values }) => `${name} ${short(values.findLast(value => value !== null))}`).join(', ');
    this.#holder.setAttribute('role', 'img');
    this.#holder.setAttribute('aria-label', isEmpty ? `${title}: nothing yet` : `${title}, by ${this.#options.x}. At the end: ${ends}.`);
    if (this.#details.open) this.#tell();
    const shape = lines.map(({ name, low, isDotted }) => [name, low !== undefined, isDotted].join()).join(';');
    if (isEmpty || shape !== this.#shape || !this.#plot) {
      this.#shape = shape;
      this.redraw();
    } else this.#plot.setData(this.#data());
  }

  /** Also where the colours have changed. */
  redraw(): void {
    this.#plot?.destroy();
    this.#plot = undefined;
    const { x, lines } = this.#drawing;
    if (x.length === 0 || lines.length === 0) {
      this.#holder.replaceChildren(h('p', { class: 'nothing' }, 'Nothing yet.'));
      return;
    }
    this.#holder.replaceChildren();
    this.#plot = new uPlot(this.#plotOptions(), this.#data(), this.#holder);
  }

  fit(): void {
    this.#plot?.setSize({ width: this.#holder.clientWidth, height: this.#options.height ?? 240 });
  }

  #data(): AlignedData {
    const { x, lines } = this.#drawing;
    if (!this.#options.isStacked)
      return [x, ...lines.flatMap(({ values, low, high }) => (low && high ? [values, low, high] : [values]))] as AlignedData;
    const sums = x.map(() => 0);
    const stacked = lines.map(({ values }) =>
      values.map((value, i) => {
        if (value === null) return null;
        sums[i] += value;
        return sums[i];
      }),
    );
    return [x, ...stacked.reverse()] as unknown as AlignedData;
  }

  #plotOptions(): Options {
    const { isLog, isStacked, isWall, yRange, zoomed, x: xName, y: yName, height = 240 } = this.#options;
    const { lines } = this.#drawing;
    const [ink, muted, rule] = ['ink', 'muted', 'rule'].map(colour);
    const series: Options['series'] = [
      { label: xName, value: (_, value) => (value == null ? '–' : isWall ? new Date(value * 1000).toLocaleTimeString() : short(value)) },
    ];
    const bands: Options['bands'] = [];
    const order = isStacked ? [...lines.keys()].reverse() : [...lines.keys()];
    for (const i of order) {
      const { name, low, isDotted } = lines[i];
      const stroke = colour(`line-${(i % 8) + 1}`);
      series.push({
        label: name,
        stroke,
        width: isStacked ? 1 : 1.75,
        dash: isStacked ? [] : [...dashes[i % dashes.length]],
        spanGaps: true,
        points: { show: isDotted, size: 6 },
        ...(isStacked && { fill: stroke }),
        // Where nothing is pointed at: the last.
        value: (plot, _, k, at) => {
          const values = isStacked ? this.#drawing.lines[i].values : (plot.data[k] as readonly (number | null)[]);
          return short(at === null ? values.findLast(value => value != null) : values[at]);
        },
      });
      if (!low) continue;
      const edge = { stroke: 'transparent', width: 0, points: { show: false }, class: 'edge', spanGaps: true };
      series.push({ ...edge, label: `${name}, lowest` }, { ...edge, label: `${name}, highest` });
      bands.push({ series: [series.length - 1, series.length - 2], fill: `${stroke}3a` });
    }
    const axis = {
      stroke: muted,
      grid: { stroke: rule, width: 1 },
      ticks: { stroke: rule, width: 1 },
      font: '12px system-ui, sans-serif',
      labelFont: '12px system-ui, sans-serif',
      labelSize: 18,
    };
    return {
      width: this.#holder.clientWidth || 600,
      height,
      series,
      bands,
      scales: {
        x: { time: isWall === true },
        y: {
          distr: isLog ? 3 : 1,
          ...(yRange
            ? { range: [...yRange] as [number, number] }
            : isStacked
              ? { range: (_, __, most) => [0, most * 1.05] as [number, number] }
              : {}),
        },
      },
      axes: [
        { ...axis, label: isWall ? undefined : xName, size: 34 },
        {
          ...axis,
          label: yName,
          size: 66,
          ...(isLog && { grid: { ...axis.grid, filter: powersOfTen }, ticks: { ...axis.ticks, filter: powersOfTen }, filter: powersOfTen }),
          values: (_, ticks) => ticks.map(tick => (tick === null ? '' : short(tick))),
        },
      ],
      cursor: { drag: { x: zoomed !== undefined, y: false, setScale: false }, focus: { prox: 24 }, points: { size: 7 } },
      legend: { live: true },
      hooks: {
        setSelect: [
          plot => {
            const { left, width } = plot.select;
            if (width > 3) zoomed?.([plot.posToVal(left, 'x'), plot.posToVal(left + width, 'x')]);
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
        ready: [plot => plot.over.addEventListener('dblclick', () => zoomed?.(undefined))],
        draw: [
          plot => {
            const { ctx, bbox } = plot;
            ctx.save();
            ctx.textAlign = 'left';
            ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
            for (const { x, label } of this.#drawing.marks ?? []) {
              const at = Math.round(plot.valToPos(x, 'x', true));
              if (at < bbox.left || at > bbox.left + bbox.width) continue;
              ctx.strokeStyle = muted;
              ctx.fillStyle = ink;
              ctx.setLineDash([4, 3]);
              ctx.beginPath();
              ctx.moveTo(at, bbox.top);
              ctx.lineTo(at, bbox.top + bbox.height);
              ctx.stroke();
              ctx.fillText(label, at + 4 * devicePixelRatio, bbox.top + 12 * devicePixelRatio);
            }
            ctx.restore();
          },
        ],
      },
    };
  }

  /** A few of the points: all are in the CSV. */
  #tell(): void {
    if (!this.#details.open) return;
    const { x, lines } = this.#drawing;
    const every = Math.ceil(x.length / mostRows) || 1;
    const shown = [...x.keys()].filter(i => i % every === 0 || i === x.length - 1);
    const { x: xName, isWall } = this.#options;
    this.#numbers.replaceChildren(
      plainTable(
        [[xName, 'number'], ...lines.map(({ name }) => [name, 'number'] as const)],
        shown.map(i => [isWall ? new Date(x[i] * 1000).toLocaleString() : short(x[i]), ...lines.map(({ values }) => short(values[i]))]),
      ),
    );
  }
}

/** Of the marks of a logarithmic axis, those that stay apart. */
const powersOfTen = (_: unknown, splits: readonly number[]) => splits.map(value => (Number.isInteger(Math.log10(value)) ? value : null));

const charts = new Set<LineChart>();

/** Those that are on the page; others were replaced. */
function* onPage(): Generator<LineChart> {
  for (const chart of charts) {
    if (chart.element.isConnected) yield chart;
    else charts.delete(chart);
  }
}

export const redrawAll = (): void => {
  for (const chart of onPage()) chart.redraw();
};
const resizes = new ResizeObserver(entries => {
  for (const { target } of entries) for (const chart of onPage()) if (chart.element.contains(target)) chart.fit();
});

/** Lines whose points are at other places, on one axis. */
export function joined(tables: readonly { readonly x: readonly number[]; readonly lines: readonly Line[] }[]): Drawing {
  const there = tables.filter(({ x, lines }) => x.length > 0 && lines.length > 0);
  const x = [...new Set(there.flatMap(table => table.x))].sort((a, b) => a - b);
  const at = new Map(x.map((value, i) => [value, i]));
  const spread = (table: (typeof there)[number], values: readonly (number | null)[] | undefined) => {
    if (!values) return undefined;
    const column = new Array<number | null>(x.length).fill(null);
    for (const [i, value] of values.entries()) column[at.get(table.x[i])!] = value;
    return column;
  };
  const lines = there.flatMap(table =>
    table.lines.map(line => ({
      ...line,
      values: spread(table, line.values)!,
      low: spread(table, line.low),
      high: spread(table, line.high),
    })),
  );
  return { x, lines };
}
