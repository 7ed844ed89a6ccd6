/**
 * What a browser loads besides data: modules of this folder, a style sheet and uPlot from its package. In a checkout types are stripped as the modules are
 * served; what is published has them compiled.
 */
import { hash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { join } from 'node:path';
import { html } from '../report/html.ts';
import { themes } from '../report/style.ts';
import { pageStyle } from './style.ts';

export interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly etag: string;
}

const client = join(import.meta.dirname, 'client');
const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js';

const shell = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>segfleet</title>
<link rel="icon" href="/icon.svg">
<link rel="stylesheet" href="/uPlot.css">
<link rel="stylesheet" href="/style.css">
<script src="/theme.js"></script>
<script src="/uPlot.js" defer></script>
<script type="module" src="/client/main.${ending}"></script>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<header class="bar"><a class="brand" href="/">segfleet</a><span id="place"></span><span id="live" role="status"></span><button type="button" id="theme"></button></header>
<main id="content" tabindex="-1"><p class="note">Loading …</p><noscript><p>This page needs JavaScript: it shows runs as they go on. <code>segfleet report</code> makes one that does not.</p></noscript></main>
</body>
</html>
`.text;

/** Before anything is drawn, so that nothing flashes. */
const theme = `try{const t=localStorage.getItem('segfleet-theme');if(t)document.documentElement.dataset.theme=t}catch{}`;

const icon = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0b5cad"/><path d="M2.5 4.5C5 4.5 5 12 8 12s3-4.5 5.5-4.5" fill="none" stroke="#fff" stroke-width="2" stroke-linecap="round"/></svg>`;

/** By path. */
export function readAssets(): ReadonlyMap<string, Asset> {
  const uPlot = createRequire(import.meta.url).resolve('uplot/dist/uPlot.iife.min.js');
  const script = 'text/javascript; charset=utf-8';
  const assets: [path: string, type: string, body: string | Buffer][] = [
    ['/shell', 'text/html; charset=utf-8', shell],
    ['/theme.js', script, theme],
    ['/icon.svg', 'image/svg+xml', icon],
    ['/style.css', 'text/css; charset=utf-8', `${themes}${pageStyle}`],
    ['/uPlot.js', script, readFileSync(uPlot)],
    ['/uPlot.css', 'text/css; charset=utf-8', readFileSync(join(uPlot, '..', 'uPlot.min.css'))],
  ];
  for (const name of readdirSync(client).filter(name => name.endsWith(`.${ending}`) && !name.endsWith('.d.ts'))) {
    const source = readFileSync(join(client, name), 'utf8');
    assets.push([`/client/${name}`, script, ending === 'ts' ? withoutTypes(source) : source]);
  }
  return new Map(
    assets.map(([path, type, text]) => [path, { type, body: Buffer.from(text), etag: `"${hash('sha256', text).slice(0, 16)}"` }]),
  );
}

function withoutTypes(source: string): string {
  // Node calls this a release candidate, and says so on standard error.
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return module.stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}
