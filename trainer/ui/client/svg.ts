/**
 * Pictures that are drawn on the page itself, as files: with the colours that they have on it.
 */
import { h, hidden, save } from './dom.ts';

const inlined = [
  'fill',
  'stroke',
  'stroke-width',
  'stroke-dasharray',
  'stroke-opacity',
  'fill-opacity',
  'opacity',
  'font-size',
  'font-family',
  'font-weight',
  'text-anchor',
];

export function svgText(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const [originals, copies] = [svg, copy].map(one => [one, ...one.querySelectorAll('*')]);
  for (const [i, original] of originals.entries()) {
    const style = getComputedStyle(original);
    for (const name of inlined) copies[i].setAttribute(name, style.getPropertyValue(name));
    copies[i].removeAttribute('class');
    copies[i].removeAttribute('tabindex');
  }
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return new XMLSerializer().serializeToString(copy);
}

/** Buttons that save a picture and its numbers. */
export function take(name: string, svg: () => SVGSVGElement, csv: () => string): HTMLElement {
  const file = name.replace(/[^\w.-]+/g, '-');
  return h(
    'p',
    { class: 'take' },
    h(
      'button',
      { type: 'button', class: 'link', click: () => save(`${file}.svg`, 'image/svg+xml', svgText(svg())) },
      'SVG',
      hidden(` of ${name}`),
    ),
    h('button', { type: 'button', class: 'link', click: () => save(`${file}.csv`, 'text/csv', csv()) }, 'CSV', hidden(` of ${name}`)),
  );
}

export const csvText = (rows: readonly (readonly (string | number | boolean | undefined)[])[]): string =>
  rows.map(row => `${row.map(csvCell).join(',')}\r\n`).join('');

/** Text that a spreadsheet would take for a formula is not left to be one. */
function csvCell(value: string | number | boolean | undefined): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' && /^[=+\-@\t]/.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
