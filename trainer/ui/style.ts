/**
 * The style sheet of the live page; its colours are those of the report.
 */
import { numShades } from '../report/style.ts';

const shades = Array.from(
  { length: numShades },
  (_, i) => `.shade-${i}{fill:var(--shade-${i})}.on-shade-${i}{fill:var(--on-shade-${i})}`,
).join('\n');

export const pageStyle = `
*{box-sizing:border-box}
[hidden]{display:none!important}
body{margin:0;background:var(--page);color:var(--ink);font:14.5px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",sans-serif}
.skip{position:absolute;left:-9999px}
.skip:focus{left:1rem;top:.5rem;background:var(--surface);padding:.4rem 1rem;z-index:9}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.bar{display:flex;align-items:center;gap:.9rem;padding:.6rem 1.5rem;background:var(--surface);border-bottom:1px solid var(--rule);position:sticky;top:0;z-index:5}
.brand{font-weight:700;font-size:1.05rem;letter-spacing:-.01em;color:var(--ink);text-decoration:none}
#place{color:var(--muted);overflow:hidden;text-overflow:ellipsis;white-space:nowrap;flex:1}
#live{font-size:.84rem;color:var(--muted)}
#live.on::before{content:"";display:inline-block;width:.55rem;height:.55rem;border-radius:50%;background:var(--line-3);margin-right:.4rem}
#live.off{color:var(--line-2);font-weight:600}
main{max-width:96rem;margin:0 auto;padding:1.2rem 1.5rem 4rem}
main:focus{outline:none}
h1{font-size:1.55rem;line-height:1.2;letter-spacing:-.015em;margin:0;font-weight:650;overflow-wrap:anywhere}
h2{font-size:1.12rem;margin:2rem 0 .6rem;font-weight:650;letter-spacing:-.005em}
h3{font-size:.93rem;margin:0;font-weight:600}
p{margin:.4rem 0}
small{display:block;color:var(--muted);font-size:.78rem;overflow-wrap:anywhere}
a{color:var(--accent);text-underline-offset:.15em;text-decoration-thickness:1px}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px;border-radius:3px}
button,input,select{font:inherit;color:inherit}
button{background:var(--surface);border:1px solid var(--rule);border-radius:6px;padding:.2rem .7rem;cursor:pointer;font-size:.87rem}
button:hover:enabled{background:var(--hover)}
button:disabled{opacity:.55;cursor:default}
button.link{background:none;border:0;padding:0;color:var(--accent);text-decoration:underline;text-underline-offset:.15em}
select,input[type=search]{background:var(--surface);border:1px solid var(--muted);border-radius:6px;padding:.25rem .5rem;font-size:.87rem}
input[type=search]{width:17rem}
input[type=range]{accent-color:var(--accent);vertical-align:middle}
#theme{border-radius:999px;padding:.2rem .9rem}
nav{font-size:.87rem;margin-bottom:.5rem}
.title{display:flex;flex-wrap:wrap;gap:.4rem .9rem;align-items:center}
.lead{color:var(--muted);margin:0}
.note{color:var(--muted);font-size:.84rem;max-width:60rem}
.nothing{color:var(--muted);padding:2rem 1rem;text-align:center}
.card{background:var(--surface);border:1px solid var(--rule);border-radius:10px;padding:.8rem 1rem;margin:.8rem 0;min-width:0}
.trouble{border-left:4px solid var(--line-2)}
.trouble h2{margin:0 0 .3rem;font-size:.95rem}
.trouble ul{margin:.2rem 0;padding-left:1.1rem;overflow-wrap:anywhere}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,30rem),1fr));gap:.9rem;margin:.8rem 0}
.grid>.card{margin:0}
.counts{list-style:none;display:flex;flex-wrap:wrap;gap:.7rem;padding:0;margin:1rem 0}
.counts li{background:var(--surface);border:1px solid var(--rule);border-radius:10px;padding:.5rem 1rem;min-width:7.5rem;max-width:26rem}
.counts strong{display:block;font-size:1.35rem;font-weight:650;letter-spacing:-.01em;line-height:1.3;font-variant-numeric:tabular-nums;white-space:nowrap}
.counts span{color:var(--muted);font-size:.82rem}
.counts .bad{border-color:var(--line-2)}
.controls{display:flex;flex-wrap:wrap;gap:.5rem 1.1rem;align-items:center;margin:.6rem 0}
.choice{font-size:.87rem;color:var(--muted);white-space:nowrap}
.choice select,.choice input,.choice output{color:var(--ink)}
.chips{display:flex;flex-wrap:wrap;gap:.35rem}
.chips button{border-radius:999px}
.chips button[aria-pressed=true]{background:var(--accent);border-color:var(--accent);color:var(--page)}
.chips .n{margin-left:.4rem;opacity:1;font-variant-numeric:tabular-nums}
.head{display:flex;justify-content:space-between;gap:1rem;align-items:baseline}
.take{display:flex;gap:.8rem;font-size:.82rem;margin:0}
.foot{display:flex;flex-wrap:wrap;justify-content:space-between;gap:.2rem 1.2rem;align-items:baseline;margin-top:.3rem}
.foot details[open]{width:100%}
details{font-size:.87rem}
summary{cursor:pointer;color:var(--accent);width:fit-content}
.command{font-size:.8rem;margin:.3rem 0;color:var(--muted);overflow-wrap:anywhere}
.command code{background:var(--hover);color:var(--ink);border-radius:5px;padding:.15rem .45rem;font-family:ui-monospace,"SF Mono",Consolas,"Liberation Mono",monospace}
.copy{font-size:.76rem;padding:.05rem .5rem}
.scroll{overflow:auto;border:1px solid var(--rule);border-radius:8px;background:var(--surface)}
.card .scroll{border-radius:6px}
.tall{max-height:22rem}
table{border-collapse:collapse;width:100%;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.38rem .7rem;border-bottom:1px solid var(--rule);text-align:left;vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
tbody tr:hover{background:var(--hover)}
th{font-weight:600}
tbody th.text{font-weight:500;min-width:11rem}
td.number,th.number{text-align:right;white-space:nowrap}
thead{position:sticky;top:0;background:var(--surface);z-index:1;box-shadow:0 1px 0 var(--rule)}
thead th{white-space:nowrap;color:var(--muted);font-size:.8rem}
thead button{background:none;border:0;padding:0;font-weight:600;font-size:inherit;color:inherit}
thead button:hover:enabled{background:none;text-decoration:underline}
[aria-sort=ascending] button::after{content:" ▲";font-size:.7em}
[aria-sort=descending] button::after{content:" ▼";font-size:.7em}
.pager{font-size:.85rem;color:var(--muted)}
.badge{display:inline-block;border:1px solid currentColor;border-radius:999px;padding:0 .6rem;font-size:.78rem;font-weight:600;white-space:nowrap;color:var(--muted)}
.badge.running{color:var(--accent)}
.badge.succeeded{color:var(--line-3)}
.badge.failed,.badge.killed,.badge.silent,.badge.partial{color:var(--line-2)}
.progress{white-space:nowrap}
progress{width:4.5rem;height:.5rem;vertical-align:middle;accent-color:var(--accent);appearance:none;border:0;border-radius:99px;background:var(--rule);overflow:hidden}
progress::-webkit-progress-bar{background:var(--rule)}
progress::-webkit-progress-value{background:var(--accent)}
progress::-moz-progress-bar{background:var(--accent)}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.25rem 1.2rem;font-size:.87rem;margin:.6rem 0}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
figure{margin:0}
figure.card{margin:.8rem 0}
.grid>figure.card{margin:0}
.square{max-width:34rem}
.plot{min-height:5rem;margin-top:.3rem;overflow:hidden}
.plot .uplot{font:inherit}
.plot .u-legend{font-size:.8rem;text-align:left;color:var(--ink);width:100%}
.plot .u-legend tr:hover{background:none}
.plot .u-legend th,.plot .u-legend td{padding:.05rem .3rem;border:0}
.plot .u-legend .u-value{min-width:4.2rem;display:inline-block}
.plot .u-legend .edge{display:none}
.plot .u-legend .u-marker{border-radius:2px}
.plot .u-select{background:var(--accent);opacity:.15}
.plot .u-cursor-x,.plot .u-cursor-y{border-color:var(--muted)}
.lanes,.parallel,.heat{display:block;width:100%;height:auto;font-size:12px;margin-top:.5rem}
.heat{width:auto;max-width:100%}
svg text{fill:var(--ink);font-size:12px}
.lanes .idle{fill:var(--hover)}
.lanes .busy{fill:var(--line-1);fill-opacity:.75}
.lanes .lost{stroke:var(--line-2);stroke-width:2}
.lanes .again{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:4 3}
.lanes .mark,.lanes .tick,.mid{text-anchor:middle}
.end{text-anchor:end}
.start{text-anchor:start}
.tick{fill:var(--muted)!important;paint-order:stroke;stroke:var(--surface);stroke-width:4px}
.parallel .axis{stroke:var(--muted);stroke-width:1.5}
.parallel .line{fill:none;stroke:var(--line-1);stroke-width:1.5}
.parallel .level-0{stroke-opacity:.16}
.parallel .level-1{stroke-opacity:.26}
.parallel .level-2{stroke-opacity:.4}
.parallel .level-3{stroke-opacity:.65}
.parallel .level-4{stroke-opacity:.95}
.parallel .top{stroke:var(--line-2);stroke-width:3.5;stroke-opacity:1}
.cell.missing{fill:var(--hover)}
.cell.top{stroke:var(--ink);stroke-width:2}
${shades}
.views{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:.9rem}
.view{margin:0!important}
.view canvas,.view img{display:block;width:100%;height:auto;image-rendering:pixelated;background:var(--rule);border-radius:4px;margin:.5rem 0}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;list-style:none;padding:0;margin:0;font-size:.84rem}
.legend span{display:inline-block;width:1.5rem;height:.85rem;margin-right:.4rem;vertical-align:-.1rem;border:1px solid var(--muted)}
.hit{background:rgb(0 158 115/.75)}
.alarm{background:repeating-linear-gradient(-45deg,rgb(213 94 0) 0 3px,rgb(213 94 0/.35) 3px 6px)}
.miss{background:repeating-linear-gradient(45deg,rgb(86 180 233) 0 3px,rgb(86 180 233/.35) 3px 6px)}
@media (max-width:40rem){main,.bar{padding-left:.8rem;padding-right:.8rem}}
`;
