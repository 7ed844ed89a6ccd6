/**
 * One sweep: its parameters against each other, all of them side by side, and its trials.
 */
import type { SweepDetail } from '../api.ts';
import { address, ask, choice, command, h, remember, s, state } from './dom.ts';
import { badge, fixed, short } from './format.ts';
import { follow, sweeps } from './live.ts';
import { csvText, take } from './svg.ts';
import { DataTable, numbersOf, plainTable } from './table.ts';

type Trial = SweepDetail['trials'][number];
type Value = string | number | boolean | undefined;

const numShades = 7;
/** With more values than this a table says nothing. */
const mostValues = 16;
/** More lines than this are a felt. */
const mostLines = 500;

const byText = new Intl.Collator('en', { numeric: true }).compare;
const byValue = (a: Value, b: Value) => (typeof a === 'number' && typeof b === 'number' ? a - b : byText(String(a), String(b)));
const valuesOf = (trials: readonly Trial[], parameter: string) =>
  [...new Set(trials.map(({ parameters }) => parameters[parameter]).filter(value => value !== undefined))].sort(byValue);
const shown = (value: Value) => (typeof value === 'number' ? short(value) : String(value ?? '–'));

export async function show(content: HTMLElement): Promise<void> {
  const id = state.get('id') ?? '';
  let detail = await ask<SweepDetail>('/api/sweep', { id });
  const { path, name } = detail.summary;
  document.title = `${name} · segfleet`;
  document.querySelector('#place')!.textContent = path;
  const head = h('div', { class: 'title' });
  const counts = h('ul', { class: 'counts' });
  const heat = h('div');
  const parallel = h('div');
  const isBetter = (a: number, b: number) => (detail.goal === 'maximize' ? a > b : a < b);
  const best = () =>
    detail.trials.reduce<Trial | undefined>(
      (a, b) => (b.value !== undefined && b.state !== 'failed' && (a?.value === undefined || isBetter(b.value, a.value)) ? b : a),
      undefined,
    );
  const table = new DataTable<Trial>(
    'Trials',
    trial => trial.number,
    [
      {
        name: 'Trial',
        kind: 'number',
        value: trial => trial.number,
        show: trial =>
          trial.runs.length > 0 ? h('a', { href: address('/run', { id: trial.runs[0] }) }, String(trial.number)) : String(trial.number),
      },
      { name: 'State', kind: 'text', value: trial => trial.state, show: trial => badge(trial.state) },
      ...detail.parameters.map(parameter => ({
        name: parameter,
        kind: detail.trials.some(trial => typeof trial.parameters[parameter] === 'number') ? ('number' as const) : ('text' as const),
        value: (trial: Trial) =>
          typeof trial.parameters[parameter] === 'boolean'
            ? String(trial.parameters[parameter])
            : (trial.parameters[parameter] as string | number | undefined),
        show: (trial: Trial) => shown(trial.parameters[parameter]),
      })),
      {
        name: 'Objective',
        kind: 'number',
        value: trial => trial.value,
        show: trial => `${fixed(trial.value)}${trial.deviation === undefined ? '' : ` ± ${fixed(trial.deviation)} (${trial.n})`}`,
      },
      { name: 'Epochs', kind: 'number', value: trial => trial.epochs },
      { name: 'Error', kind: 'text', value: trial => trial.error ?? '' },
    ],
    state.get('sort') ?? (detail.goal === 'maximize' ? '-Objective' : 'Objective'),
    sort => remember('sort', sort),
  );
  content.replaceChildren(
    h('nav', { 'aria-label': 'Where this is' }, h('a', { href: '/' }, 'All runs')),
    head,
    counts,
    heat,
    parallel,
    h(
      'section',
      { 'aria-labelledby': 'trials' },
      h('h2', { id: 'trials' }, 'Trials'),
      h('p', { class: 'take' }, h('a', { href: address('/api/sweep.csv', { id }), download: true }, 'CSV')),
      table.element,
      command('sweep', 'results', path),
    ),
  );

  function tell(): void {
    const { summary, reason, trials } = detail;
    const top = best();
    head.replaceChildren(
      h('h1', {}, summary.name),
      badge(summary.status),
      h('p', { class: 'lead' }, `${summary.method} search, ${detail.goal} ${summary.metric}${reason ? ` · ${reason}` : ''}`),
    );
    const tile = (value: string, text: string) => h('li', {}, h('strong', {}, value), h('span', {}, text));
    counts.replaceChildren(
      tile(String(trials.length), 'trials'),
      ...Object.entries(summary.counts)
        .filter(([, n]) => n > 0)
        .map(([name, n]) => tile(String(n), name)),
      ...(top
        ? [
            tile(
              fixed(top.value),
              `best: trial ${top.number}, ${Object.entries(top.parameters)
                .map(([name, value]) => `${name.split('.').at(-1)} ${shown(value)}`)
                .join(', ')}`,
            ),
          ]
        : []),
    );
    table.set(trials);
    if (!heat.contains(document.activeElement)) heat.replaceChildren(...heatMap(detail, tell));
    if (!parallel.contains(document.activeElement)) parallel.replaceChildren(...parallelLines(detail));
  }
  tell();
  let pending = false;
  follow(
    ids => {
      if (!ids.has(id) || pending || !sweeps.has(id)) return;
      pending = true;
      void (async () => {
        detail = await ask<SweepDetail>('/api/sweep', { id }).catch(() => detail);
        tell();
        pending = false;
      })();
    },
    { only: id },
  );
}

/** Two parameters against each other; where there are more, means over the others. */
function heatMap(detail: SweepDetail, again: () => void): HTMLElement[] {
  const { trials, parameters, goal, summary } = detail;
  const able = parameters
    .filter(parameter => {
      const { length } = valuesOf(trials, parameter);
      return length > 1 && length <= mostValues;
    })
    // Seeds are varied to be averaged over.
    .sort((a, b) => Number(/seed$/.test(a)) - Number(/seed$/.test(b)));
  if (able.length < 2) return [];
  const rows = able.find(one => one === state.get('rows')) ?? able[1];
  const cols = able.find(one => one === state.get('cols') && one !== rows) ?? able.find(one => one !== rows)!;
  const [rowValues, colValues] = [valuesOf(trials, rows), valuesOf(trials, cols)];
  const cells = rowValues.map(row =>
    colValues.map(col => {
      const values = trials
        .filter(({ parameters, value }) => parameters[rows] === row && parameters[cols] === col && value !== undefined)
        .map(({ value }) => value!);
      return values.length === 0 ? undefined : values.reduce((a, b) => a + b) / values.length;
    }),
  );
  const all = cells.flat().filter(value => value !== undefined);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const top = goal === 'maximize' ? high : low;
  const shade = (value: number) => {
    const share = high > low ? (value - low) / (high - low) : 1;
    return Math.min(numShades - 1, Math.floor((goal === 'maximize' ? share : 1 - share) * numShades));
  };
  const [cellWidth, cellHeight, left, above] = [96, 40, 24 + 7 * rows.length, 54];
  const width = left + colValues.length * cellWidth + 8;
  const svg = s('svg', {
    width,
    viewBox: `0 0 ${width} ${above + rowValues.length * cellHeight + 8}`,
    class: 'heat',
    role: 'img',
    'aria-label': `${summary.metric} by ${rows} and ${cols}; the best cell has ${fixed(top)}`,
  });
  svg.append(
    s('text', { x: left + (colValues.length * cellWidth) / 2, y: 18, class: 'mid' }, cols),
    s('text', { x: 8, y: above - 12 }, rows),
  );
  for (const [k, col] of colValues.entries())
    svg.append(s('text', { x: left + (k + 0.5) * cellWidth, y: above - 12, class: 'mid' }, shown(col)));
  for (const [i, row] of rowValues.entries()) {
    const y = above + i * cellHeight;
    svg.append(s('text', { x: left - 12, y: y + cellHeight / 2 + 5, class: 'end' }, shown(row)));
    for (const [k, value] of cells[i].entries()) {
      const x = left + k * cellWidth;
      const of = value === undefined ? 'missing' : `shade-${shade(value)}`;
      svg.append(
        s(
          'rect',
          { x: x + 1, y: y + 1, width: cellWidth - 2, height: cellHeight - 2, rx: 3, class: `cell ${of}${value === top ? ' top' : ''}` },
          s('title', {}, `${rows} ${shown(row)}, ${cols} ${shown(colValues[k])}: ${fixed(value)}`),
        ),
        s(
          'text',
          { x: x + cellWidth / 2, y: y + cellHeight / 2 + 5, class: `mid on-${of}` },
          value === top ? `★ ${fixed(value)}` : fixed(value),
        ),
      );
    }
  }
  const csv = () => csvText([[rows, ...colValues], ...rowValues.map((row, i) => [row, ...cells[i]])]);
  const others = parameters.filter(one => one !== rows && one !== cols);
  const pick = (name: 'rows' | 'cols') => (value: string) => {
    remember(name, value);
    (document.activeElement as HTMLElement | null)?.blur();
    again();
  };
  const options = able.map(one => [one, one] as const);
  return [
    h('h2', {}, 'Two parameters against each other'),
    able.length > 2
      ? h('div', { class: 'controls' }, choice('Rows', options, rows, pick('rows')), choice('columns', options, cols, pick('cols')))
      : h('span'),
    h(
      'figure',
      { class: 'card', 'aria-label': 'Heat map' },
      h(
        'div',
        { class: 'head' },
        h('h3', {}, `${summary.metric} by ${rows} and ${cols}`),
        take(`${summary.name} heat map`, () => svg, csv),
      ),
      h('div', { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'Heat map, as a picture' }, svg),
      h(
        'p',
        { class: 'note' },
        `Means of the trials in a cell${others.length > 0 ? `, over the values of ${others.join(', ')} too` : ''}; ★: the best. The best cell of many is the best partly by chance.`,
      ),
      h(
        'div',
        { class: 'foot' },
        numbersOf(
          plainTable(
            [[`${rows} \\ ${cols}`, 'text'], ...colValues.map(col => [shown(col), 'number'] as const)],
            rowValues.map((row, i) => [shown(row), ...cells[i].map(value => fixed(value))]),
          ),
        ),
        command('report', summary.path),
      ),
    ),
  ];
}

/** A line a trial, through its value on each axis. */
function parallelLines(detail: SweepDetail): HTMLElement[] {
  const { trials, parameters, summary, goal } = detail;
  const valued = trials.filter(({ value }) => value !== undefined);
  if (valued.length < 2 || parameters.length === 0) return [];
  // The best are drawn last, above the others.
  const drawn = valued.toSorted((a, b) => (goal === 'maximize' ? a.value! - b.value! : b.value! - a.value!)).slice(-mostLines);
  const [width, height, side, above] = [1000, 320, 70, 40];
  const axes = [...parameters.filter(parameter => valuesOf(valued, parameter).length > 1), summary.metric];
  const x = (i: number) => (axes.length === 1 ? width / 2 : side + (i * (width - 2 * side)) / (axes.length - 1));
  const of = (trial: Trial, axis: string, i: number): Value => (i === axes.length - 1 ? trial.value : trial.parameters[axis]);
  const scales = axes.map((axis, i) => {
    const values = drawn.map(trial => of(trial, axis, i)).filter(value => value !== undefined);
    const numbers = values.filter(value => typeof value === 'number');
    if (numbers.length === values.length) {
      const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
      // Drawn on a logarithmic scale, most likely.
      const isLog = low > 0 && high / low >= 100;
      const at = (value: number) => (isLog ? Math.log(value) : value);
      const ends = [at(low), at(high)];
      const place = (value: Value) => height - 30 - ((at(value as number) - ends[0]) / (ends[1] - ends[0] || 1)) * (height - 30 - above);
      return { place, ticks: low === high ? [low] : [low, high] };
    }
    const words = [...new Set(values)].sort(byValue);
    const place = (value: Value) => height - 30 - (words.indexOf(value!) / (words.length - 1 || 1)) * (height - 30 - above);
    return { place, ticks: words.slice(0, 12) };
  });
  const [low, high] = [drawn[0].value!, drawn.at(-1)!.value!];
  const svg = s('svg', {
    viewBox: `0 0 ${width} ${height}`,
    class: 'parallel',
    role: 'img',
    'aria-label': `${drawn.length} trials, a line each through ${axes.join(', ')}`,
  });
  for (const trial of drawn) {
    const points = axes.flatMap((axis, i) => {
      const value = of(trial, axis, i);
      return value === undefined ? [] : [`${x(i).toFixed(1)},${scales[i].place(value).toFixed(1)}`];
    });
    const share = high === low ? 1 : (trial.value! - low) / (high - low);
    const isTop = trial === drawn.at(-1);
    svg.append(
      s(
        'polyline',
        { points: points.join(' '), class: `line level-${Math.min(4, Math.floor(share * 5))}${isTop ? ' top' : ''}` },
        s('title', {}, `trial ${trial.number}: ${fixed(trial.value)}`),
      ),
    );
  }
  for (const [i, axis] of axes.entries()) {
    const anchor = i === 0 ? 'start' : i === axes.length - 1 ? 'end' : 'mid';
    const at = i === 0 ? x(i) - 60 : i === axes.length - 1 ? x(i) + 60 : x(i);
    svg.append(
      s('line', { x1: x(i), x2: x(i), y1: above, y2: height - 30, class: 'axis' }),
      s('text', { x: at, y: 18, class: anchor }, axis),
    );
    for (const tick of scales[i].ticks) {
      const isLast = i === axes.length - 1;
      svg.append(
        s(
          'text',
          { x: isLast ? x(i) + 7 : x(i) - 7, y: scales[i].place(tick) + 4, class: isLast ? 'tick start' : 'tick end' },
          shown(tick),
        ),
      );
    }
  }
  const csv = () => csvText([['trial', ...axes], ...drawn.map(trial => [trial.number, ...axes.map((axis, i) => of(trial, axis, i))])]);
  return [
    h('h2', {}, 'All parameters side by side'),
    h(
      'figure',
      { class: 'card', 'aria-label': 'Parallel coordinates' },
      h(
        'div',
        { class: 'head' },
        h('h3', {}, 'A line a trial'),
        take(`${summary.name} parallel coordinates`, () => svg, csv),
      ),
      svg,
      h(
        'p',
        { class: 'note' },
        `Strong lines: the best; the thick one: the best of all.${drawn.length < valued.length ? ` Drawn are the ${mostLines} best of ${valued.length}.` : ''} The table of trials has the same numbers.`,
      ),
      command('sweep', 'best', summary.path),
    ),
  ];
}
