/**
 * A report as one page that needs nothing else: opened from a file, without network, it says all, and asks for nothing.
 */
import { hash } from 'node:crypto';
import { ofPage, renderChart } from './chart.ts';
import { Html, html } from './html.ts';
import { script } from './script.ts';
import type { Part, Picture, Section } from './section.ts';
import { numShades, style } from './style.ts';
import { type Cell, type Table, toCsv, toLatex, toMarkdown } from './table.ts';

export interface Report {
  readonly title: string;
  readonly lead: string;
  /** What stands above all else. */
  readonly front: readonly Section[];
  /** Of each data set. */
  readonly studies: readonly { readonly title: string; readonly id: string; readonly sections: readonly Section[] }[];
  /** Of all together. */
  readonly general: readonly Section[];
}

const policy = () =>
  [
    "default-src 'none'",
    'img-src data:',
    "style-src 'unsafe-inline'",
    `script-src 'sha256-${hash('sha256', script, 'base64')}'`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');

export function renderPage({ title, lead, front, studies, general }: Report): string {
  const link = ({ id, title }: { id: string; title: string }) => html`<li><a href="#${id}">${title}</a></li>`;
  const page = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy()}">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${new Html(style)}</style>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header>
<div class="top"><div><h1>${title}</h1><p class="lead">${lead}</p></div></div>
<nav aria-label="Contents">
${front.length > 0 ? html`<ul>${front.map(link)}</ul>\n` : undefined}${studies.map(study => html`<ul>${studies.length > 1 ? html`<li><strong>${study.title}</strong></li>` : undefined}${study.sections.map(link)}</ul>\n`)}
<ul>${studies.length > 1 ? html`<li><strong>All runs</strong></li>` : undefined}${general.map(link)}</ul>
</nav>
</header>
<main id="content">
${front.length > 0 ? html`<section><h2>Overview</h2>\n${front.map(sectionOf)}</section>\n` : undefined}${studies.map(study => html`<section><h2 id="${study.id}">${study.title}</h2>\n${study.sections.map(sectionOf)}</section>\n`)}
<section><h2 id="all-runs">All runs</h2>
${general.map(sectionOf)}</section>
</main>
<footer><p>Made by <code>segfleet report</code>. The same runs give this page byte for byte.</p></footer>
<script>${new Html(script)}</script>
</body>
</html>
`;
  return page.text;
}

function sectionOf({ id, title, parts }: Section): Html {
  return html`<section><h3 id="${id}">${title}</h3>\n${sideBySide(parts)}</section>\n`;
}

/** Square charts that follow each other share a row where there is room. */
function sideBySide(parts: readonly Part[]): Html[] {
  const isSquare = (part: Part | undefined) => part?.kind === 'chart' && part.chart.square;
  return parts.map((part, i) => {
    const [opens, closes] = [isSquare(part) && !isSquare(parts[i - 1]), isSquare(part) && !isSquare(parts[i + 1])];
    return html`${opens ? new Html('<div class="pair">') : undefined}${partOf(part)}${closes ? new Html('</div>') : undefined}`;
  });
}

function partOf(part: Part): Html {
  switch (part.kind) {
    case 'text':
      return html`${part.text}\n`;
    case 'table': {
      const content = html`${scrolled(part.table)}${noteOf(part.note)}`;
      return part.isFolded
        ? html`<details class="block"><summary>${part.table.title}</summary>${takeAway(part.table)}${content}</details>\n`
        : html`<div class="block"><div class="head"><h4>${part.table.title}</h4>${takeAway(part.table)}</div>${content}</div>\n`;
    }
    case 'chart': {
      const { chart, data, note } = part;
      return html`<figure class="block chart" aria-labelledby="${data.id}-title"><div class="head"><h4 id="${data.id}-title">${data.title}</h4><p class="take">${download(`${data.id}.svg`, 'image/svg+xml', renderChart({ ...chart, title: data.title }), `SVG`, data.title)}</p></div>
${new Html(renderChart({ ...chart, id: data.id, theme: ofPage }))}${noteOf(note)}
<details><summary>The numbers of this chart</summary>${takeAway(data)}${scrolled(data)}</details></figure>\n`;
    }
    case 'heat':
      return html`<div class="block heat"><div class="head"><h4>${part.table.title}</h4>${takeAway(part.table)}</div>${scrolled(part.table, shadesOf(part.table, part.better))}${noteOf(part.note)}</div>\n`;
    case 'pictures':
      return html`<div class="block"><h4>${part.title}</h4>
<ul class="legend"><li><span class="hit"></span>hit (TP): even</li><li><span class="alarm"></span>false alarm (FP): stripes that rise to the right</li><li><span class="miss"></span>miss (FN): stripes that fall</li></ul>
${part.rows.map(({ title, pictures }) => html`<h5>${title}</h5><ul class="pictures">${pictures.map(pictureOf)}</ul>\n`)}${noteOf(part.note)}</div>\n`;
    case 'folded':
      return html`<details><summary>${part.title}</summary><pre tabindex="0">${part.text}</pre></details>\n`;
    default:
      return part satisfies never;
  }
}

const noteOf = (note: string | undefined) => (note ? html`<p class="note">${note}</p>` : undefined);

function pictureOf({ caption, detail, description, bytes, width, height }: Picture): Html {
  const source = `data:image/webp;base64,${Buffer.from(bytes).toString('base64')}`;
  return html`<li><figure><img src="${source}" alt="${description}" width="${width}" height="${height}"><figcaption>${caption}<small>${detail}</small></figcaption></figure></li>`;
}

/** The files that a table leaves the page as. */
export const formatsOf = (table: Table) =>
  [
    { ending: 'csv', name: 'CSV', type: 'text/csv', text: toCsv(table) },
    { ending: 'md', name: 'Markdown', type: 'text/markdown', text: toMarkdown(table) },
    { ending: 'tex', name: 'LaTeX', type: 'application/x-tex', text: toLatex(table) },
  ] as const;

function takeAway(table: Table): Html {
  return html`<p class="take">${formatsOf(table).map(({ ending, name, type, text }) => download(`${table.id}.${ending}`, type, text, name, table.title))}</p>`;
}

function download(file: string, type: string, text: string, name: string, what: string): Html {
  const source = `data:${type};charset=utf-8;base64,${Buffer.from(text).toString('base64')}`;
  return html`<a download="${file}" href="${source}">${name}<span class="hidden"> of ${what}</span></a>`;
}

/** A table that may be wider, or longer, than there is room. */
function scrolled({ title, columns, rows }: Table, shades?: (cell: Cell) => string | undefined): Html {
  const isTall = rows.length > 16;
  return html`<div class="scroll${isTall ? ' tall' : ''}" tabindex="0" role="group" aria-label="${title}"><table class="${rows.length > 2 && !shades ? 'sortable' : ''}"><thead><tr>${columns.map(({ title, kind }) => html`<th scope="col" class="${kind}">${title}</th>`)}</tr></thead>
<tbody>${rows.map(row => html`<tr>${row.map((cell, i) => cellOf(cell, columns[i].kind, i === 0, shades?.(cell)))}</tr>\n`)}</tbody></table></div>`;
}

/** Text of more letters may be broken. */
const longestLine = 32;

function cellOf(cell: Cell, kind: string, isHead: boolean, shade?: string): Html {
  const classes = [
    kind,
    cell.shown.length <= longestLine ? 'line' : undefined,
    cell.isBest ? 'best' : undefined,
    cell.bar === undefined ? undefined : 'bar',
    isHead ? undefined : shade,
  ]
    .filter(Boolean)
    .join(' ');
  const text = html`${cell.shown}${cell.isBest ? html`<span class="hidden"> (best)</span>` : undefined}`;
  if (isHead) return html`<th scope="row" class="${classes}">${text}</th>`;
  // What is sorted by, where it is not what is shown.
  const value = typeof cell.value === 'number' && /[a-z,]/i.test(cell.shown) ? html` data-value="${cell.value}"` : undefined;
  const bar = cell.bar === undefined ? undefined : html` style="--share:${(100 * cell.bar).toFixed(1)}%"`;
  return html`<td class="${classes}"${value}${bar}>${text}</td>`;
}

/** Even steps from the worst value to the best. */
function shadesOf({ rows }: Table, better: 'higher' | 'lower'): (cell: Cell) => string | undefined {
  const values = rows.flatMap(row => row.slice(1).flatMap(({ value }) => (typeof value === 'number' ? [value] : [])));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return ({ value }) => {
    if (typeof value !== 'number') return undefined;
    const share = high > low ? (value - low) / (high - low) : 1;
    return `shade-${Math.min(numShades - 1, Math.floor((better === 'higher' ? share : 1 - share) * numShades))}`;
  };
}
