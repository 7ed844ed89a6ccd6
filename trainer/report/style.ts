/**
 * The one style sheet of the page. Colours are variables, light and dark; lines and shades are told apart by the colour-blind, and nothing is said by
 * colour alone.
 */

const light = {
  page: '#fbfbfa',
  surface: '#ffffff',
  ink: '#1a1d21',
  muted: '#5a6169',
  rule: '#d9dce0',
  accent: '#0b5cad',
  hover: '#f0f3f7',
  lines: ['#0072b2', '#d05000', '#00795a', '#b0528b', '#8f6800', '#33383d', '#3d8fca', '#767676'],
  shades: ['#eef3f8', '#d6e4f0', '#b3cfe5', '#84b3d6', '#3272a8', '#1f5f96', '#0b3c6b'],
  dark: '#10151a',
  bright: '#ffffff',
  isInkBright: (shade: number) => shade > 3,
};

const dark: typeof light = {
  page: '#121417',
  surface: '#181b1f',
  ink: '#e7e9ec',
  muted: '#a3abb4',
  rule: '#353a41',
  accent: '#7ab8ff',
  hover: '#22272d',
  lines: ['#4da8e8', '#ff8a4c', '#2cc295', '#e58fc0', '#e3b341', '#f2f2f2', '#9bd5ff', '#a6a6a6'],
  shades: ['#1d2a36', '#203447', '#27496a', '#2f6090', '#6ea8dc', '#9bc6ee', '#cfe5fb'],
  dark: '#0b1520',
  bright: '#ffffff',
  isInkBright: shade => shade <= 3,
};

export const numShades = light.shades.length;

function variables(theme: typeof light, scheme: 'light' | 'dark'): string {
  const { page, surface, ink, muted, rule, accent, hover, lines, shades } = theme;
  return [
    `color-scheme:${scheme}`,
    ...Object.entries({ page, surface, ink, muted, rule, accent, hover }).map(([name, value]) => `--${name}:${value}`),
    ...lines.map((value, i) => `--line-${i + 1}:${value}`),
    ...shades.flatMap((value, i) => [`--shade-${i}:${value}`, `--on-shade-${i}:${theme.isInkBright(i) ? theme.bright : theme.dark}`]),
  ].join(';');
}

/** The colours, by how the reader has it or as `data-theme` of the root says. */
export const themes = `
:root{${variables(light, 'light')}}
@media (prefers-color-scheme:dark){:root:not([data-theme=light]){${variables(dark, 'dark')}}}
:root[data-theme=dark]{${variables(dark, 'dark')}}
`;

export const style = `${themes}*{box-sizing:border-box}
html{scroll-padding-top:1rem;-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
.skip{position:absolute;left:-9999px}
.skip:focus{left:1rem;top:1rem;background:var(--surface);padding:.5rem 1rem;z-index:1}
header,main,footer{max-width:74rem;margin:0 auto;padding:0 1.5rem}
header{padding-top:2.5rem}
footer{padding-top:3rem;padding-bottom:3rem;color:var(--muted);font-size:.87rem}
.top{display:flex;gap:1rem;align-items:flex-start;justify-content:space-between}
h1{font-size:1.9rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .5rem;font-weight:650;overflow-wrap:anywhere}
h2{font-size:1.4rem;line-height:1.25;letter-spacing:-.01em;margin:3.5rem 0 .75rem;padding-top:1.25rem;border-top:2px solid var(--ink);font-weight:650}
h3{font-size:1.12rem;margin:2.5rem 0 .5rem;font-weight:650}
h4{font-size:.95rem;margin:0;font-weight:600}
p,ul{max-width:46rem;margin:.5rem 0}
ul{padding-left:1.2rem}
.lead{color:var(--muted);margin:0}
.note{color:var(--muted);font-size:.87rem}
a{color:var(--accent);text-underline-offset:.15em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:2px}
button{font:inherit;color:inherit}
.switch{flex:none;background:var(--surface);border:1px solid var(--rule);border-radius:999px;padding:.3rem .9rem;cursor:pointer;font-size:.87rem}
.switch:hover{background:var(--hover)}
nav{margin:1.5rem 0 0;font-size:.93rem}
nav ul{list-style:none;padding:0;margin:.25rem 0;max-width:none;display:flex;flex-wrap:wrap;gap:.25rem 1.1rem}
nav strong{font-weight:600}
.block{margin:1.75rem 0}
figure.block{margin-left:0;margin-right:0}
.head{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;align-items:baseline;margin-bottom:.4rem}
.take{font-size:.82rem;margin:0;display:flex;gap:.75rem}
.scroll{position:relative;overflow-x:auto;width:fit-content;max-width:100%;background:var(--surface);border-top:1.5px solid var(--ink);border-bottom:1.5px solid var(--ink)}
.scroll.tall{max-height:29rem;overflow-y:auto}
table{border-collapse:collapse;min-width:20rem;font-variant-numeric:tabular-nums;font-size:.88rem;line-height:1.4}
th,td{padding:.42rem .7rem;text-align:left;font-weight:400;vertical-align:baseline}
.number,.mean{text-align:right}
tbody .number,tbody .mean,.line{white-space:nowrap}
thead th{font-weight:600;font-size:.84rem;vertical-align:bottom;border-bottom:1px solid var(--ink);background:var(--surface)}
.tall thead th{position:sticky;top:0;box-shadow:inset 0 -1px var(--ink)}
tbody tr+tr>*{border-top:1px solid var(--rule)}
tbody tr:hover>*{background:var(--hover)}
tbody .text:not(.line){overflow-wrap:anywhere;min-width:14rem}
td.best{font-weight:700}
td.bar{min-width:9rem;background:linear-gradient(to right,var(--shade-2) var(--share),transparent 0) no-repeat 0 60%/100% 70%}
thead button{background:none;border:0;padding:0;margin:0;font-weight:600;text-align:inherit;cursor:pointer}
thead button:hover{text-decoration:underline}
[aria-sort=ascending] button::after{content:" ▲"}
[aria-sort=descending] button::after{content:" ▼"}
.heat td,.heat thead th+th{text-align:center}
.heat td{border:2px solid var(--surface);min-width:7rem}
${light.shades.map((_, i) => `.heat td.shade-${i}{background:var(--shade-${i});color:var(--on-shade-${i})}`).join('\n')}
.heat td.best{outline:2px solid var(--ink);outline-offset:-3px}
.chart svg{display:block;max-width:100%;height:auto;background:var(--surface)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:0 2rem}
details{margin:.6rem 0}
summary{cursor:pointer;font-size:.9rem;color:var(--accent);width:fit-content}
details pre{overflow:auto;max-height:30rem;background:var(--surface);border:1px solid var(--rule);padding:.8rem 1rem;font-size:.82rem;line-height:1.45}
.pictures{display:flex;flex-wrap:wrap;gap:1rem;margin:.6rem 0 1.6rem;padding:0;list-style:none;max-width:none}
.pictures li{width:192px}
.pictures figure{margin:0}
.pictures img{display:block;width:192px;height:auto;image-rendering:pixelated;background:var(--rule)}
.pictures figcaption{font-size:.84rem;line-height:1.35;margin-top:.35rem;overflow-wrap:anywhere}
.pictures small{color:var(--muted);font-size:.78rem;display:block;font-variant-numeric:tabular-nums}
.legend{display:flex;flex-wrap:wrap;gap:.4rem 1.5rem;list-style:none;padding:0;font-size:.87rem;max-width:none}
.legend span{display:inline-block;width:1.6rem;height:.95rem;margin-right:.45rem;vertical-align:-.12rem;border:1px solid var(--muted)}
.hit{background:rgb(0 158 115/.75)}
.alarm{background:repeating-linear-gradient(-45deg,rgb(213 94 0) 0 3px,rgb(213 94 0/.35) 3px 6px)}
.miss{background:repeating-linear-gradient(45deg,rgb(86 180 233) 0 3px,rgb(86 180 233/.35) 3px 6px)}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
h5{margin:1.2rem 0 .3rem;font-size:.87rem;font-weight:600}
@media print{.switch,.take,nav,.skip{display:none}.scroll{overflow:visible;max-height:none}h2{break-after:avoid}.block{break-inside:avoid}}
@media (max-width:40rem){header,main,footer{padding-left:1rem;padding-right:1rem}h1{font-size:1.5rem}}
`;
