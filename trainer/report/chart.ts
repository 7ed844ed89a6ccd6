/**
 * Line charts as SVG, drawn by Observable Plot without a browser.
 */
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';

export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Chart {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly series: readonly Series[];
  readonly xDomain?: readonly [number, number];
  readonly yDomain?: readonly [number, number];
  readonly yType?: 'linear' | 'log';
  /** Vertical lines with a label, such as the kink of a loss. */
  readonly marks?: readonly { readonly x: number; readonly label: string }[];
  readonly square?: boolean;
  /** Corner of the names of the series; by default the right one. */
  readonly legend?: 'top-left' | 'top-right';
}

/** Okabe and Ito's palette: told apart by the colour-blind too. */
const palette = ['#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000'];

const axis = (label: string | null, labelOffset: number) =>
  ({ label, labelAnchor: 'center', labelArrow: 'none', labelOffset, grid: true }) as const;

export function renderChart({ title, x, y, series, xDomain, yDomain, yType, marks = [], square, legend = 'top-right' }: Chart): string {
  const { document } = parseHTML('<html><body></body></html>');
  const rows = series.flatMap(({ name, points }) => points.map(([px, py]) => ({ series: name, x: px, y: py })));
  const plot = Plot.plot({
    document: document as unknown as Plot.PlotOptions['document'],
    width: square ? 480 : 640,
    height: square ? 480 : 360,
    marginLeft: 60,
    marginRight: 20,
    marginTop: 50,
    marginBottom: 45,
    style: { background: 'white', color: 'black', fontFamily: 'sans-serif', fontSize: '12px' },
    x: { ...axis(x, 38), domain: xDomain as [number, number] | undefined },
    y: { ...axis(y || null, 48), domain: yDomain as [number, number] | undefined, type: yType },
    color: { domain: series.map(({ name }) => name), range: palette },
    marks: [
      Plot.frame({ stroke: '#ccc' }),
      Plot.text([title], { frameAnchor: 'top', dy: -38, fontWeight: 'bold', fontSize: 14 }),
      ...marks.flatMap(mark => [
        Plot.ruleX([mark.x], { stroke: '#888', strokeDasharray: '4,3' }),
        Plot.text([mark], { x: 'x', text: 'label', frameAnchor: 'top', dy: 12, textAnchor: 'start', dx: 5, fill: '#555' }),
      ]),
      Plot.line(rows, { x: 'x', y: 'y', z: 'series', stroke: 'series', strokeWidth: 2, clip: true }),
      // A legend inside the frame: one line of text a series, in its colour.
      ...series.map(({ name }, i) =>
        Plot.text([name], {
          frameAnchor: legend,
          dx: legend === 'top-left' ? 8 : -8,
          dy: 8 + 16 * i,
          fill: palette[i % palette.length],
          fontWeight: 'bold',
        }),
      ),
    ],
  });
  const svg = (plot as unknown as { outerHTML: string }).outerHTML;
  // Plot numbers its clip paths through the process: the same chart shall be the same bytes.
  return svg.replace(/^<svg(?![^>]*xmlns=)/, '<svg xmlns="http://www.w3.org/2000/svg"').replace(/plot-clip-\d+/g, 'plot-clip');
}
