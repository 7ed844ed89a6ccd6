/**
 * One run, live.
 */
import type { Axis, RunDetail, RunSummary, SeriesAnswer } from '../api.ts';
import { joined, type Line, LineChart } from './chart.ts';
import { address, ask, choice, command, h, remember, state } from './dom.ts';
import { ago, badge, bytes, duration, fixed, short } from './format.ts';
import { lanes } from './lanes.ts';
import { follow, runs } from './live.ts';
import { Overlays } from './overlays.ts';
import { plainTable } from './table.ts';

const axisNames: Record<Axis, string> = { step: 'step', time: 'seconds since the first step', wall: 'time' };

interface Shown {
  readonly title: string;
  readonly y: string;
  readonly names: readonly string[];
  readonly epochs?: readonly string[];
  readonly isLog?: boolean;
  readonly isStacked?: boolean;
  readonly yRange?: readonly [number, number];
  readonly note?: string;
}

const labels: Readonly<Record<string, string>> = {
  loss: 'training',
  validationLoss: 'validation',
  jaccard: 'Jaccard',
  dice: 'Dice',
  auc: 'AUC',
  gradientNorm: 'gradient norm',
  learningRate: 'learning rate',
  logShare: 'logarithmic branch',
  data: 'waiting for data',
  exchange: 'exchange, not hidden',
};

const shownCharts: readonly Shown[] = [
  {
    title: 'Loss',
    y: 'loss',
    names: ['loss'],
    epochs: ['validationLoss'],
    note: 'Line: mean of the steps that a point stands for; band: from the lowest to the highest of them.',
  },
  { title: 'Validation scores', y: 'pooled over all pixels', names: [], epochs: ['jaccard', 'dice', 'auc'] },
  { title: 'Gradient norm', y: 'norm', names: ['gradientNorm'], isLog: true },
  { title: 'Learning rate', y: 'rate', names: ['learningRate'] },
  {
    title: 'Branches of ALL',
    y: 'share',
    names: ['logShare'],
    yRange: [0, 1],
    note: 'Share of units and classes whose wrapped loss was below gamma: there ALL is logarithmic, else linear.',
  },
  { title: 'Where the time of a step goes', y: 'seconds', names: ['compute', 'data', 'exchange', 'commit', 'apply'], isStacked: true },
];

export async function show(content: HTMLElement): Promise<void> {
  const id = state.get('id') ?? '';
  let detail = await ask<RunDetail>('/api/run', { id });
  const { path, name } = detail.summary;
  document.title = `${name} · segfleet`;
  document.querySelector('#place')!.textContent = path;

  let axis = (['step', 'time', 'wall'] as const).find(one => one === state.get('axis')) ?? 'step';
  let smooth = Number(state.get('smooth') ?? 0) || 0;
  let isLog = state.get('log') === 'true';
  let range: readonly [number, number] | undefined;
  let charts: { shown: Shown; chart: LineChart }[] = [];

  const head = h('div', { class: 'title' });
  const tiles = h('ul', { class: 'counts' });
  const trouble = h('div');
  const grid = h('div', { class: 'grid' });
  const more = h('div');
  const reset = h('button', { type: 'button', hidden: true, click: () => zoom(undefined) }, 'All steps');
  const smoothing = h('input', { type: 'range', min: 0, max: 0.99, step: 0.01, value: smooth, input: () => smoothed() });
  const controls = h('div', { class: 'controls' });
  const overlays = new Overlays(id, path);
  content.replaceChildren(
    h('nav', { 'aria-label': 'Where this is' }, h('a', { href: '/' }, 'All runs')),
    head,
    trouble,
    tiles,
    h('h2', { class: 'hidden' }, 'Curves'),
    controls,
    grid,
    overlays.element,
    more,
  );

  function build(): void {
    const query = (shown: Shown) => ({
      ...{ id, axis, smooth, points: 2000, title: shown.title, log: String((isLog && shown.title === 'Loss') || shown.isLog === true) },
      names: shown.names.join(',') || 'none',
      epochs: shown.epochs?.join(','),
      from: range?.[0],
      to: range?.[1],
    });
    charts = shownCharts.map(shown => ({
      shown,
      chart: new LineChart({
        ...shown,
        x: axisNames[axis],
        isWall: axis === 'wall',
        isLog: shown.isLog || (isLog && shown.title === 'Loss'),
        svg: () => address('/api/series.svg', query(shown)),
        csv: () => address('/api/series.csv', { id, ...(shown.names.length > 0 ? { names: shown.names.join(',') } : { of: 'epochs' }) }),
        command: command('report', path),
        zoomed: zoom,
      }),
    }));
    grid.replaceChildren(...charts.map(({ chart }) => chart.element));
    controls.replaceChildren(
      choice(
        'Along',
        (['step', 'time', 'wall'] as const).map(
          one => [one, one === 'time' ? 'time since its start' : one === 'wall' ? 'time of day' : 'steps'] as const,
        ),
        axis,
        value => {
          axis = value;
          range = undefined;
          remember('axis', value);
          build();
          void load();
        },
      ),
      h('label', { class: 'choice' }, 'Smoothing ', smoothing),
      choice(
        'Loss axis',
        [
          ['false', 'linear'],
          ['true', 'logarithmic'],
        ],
        String(isLog) as 'true' | 'false',
        value => {
          isLog = value === 'true';
          remember('log', value);
          build();
          void load();
        },
      ),
      choice(
        'Range',
        [
          ['', 'all'],
          ['0.5', 'last half'],
          ['0.1', 'last tenth'],
        ],
        '',
        share => {
          const { epochs, x } = last!;
          const [first, end] = [Math.min(x[0] ?? 0, epochs.x[0] ?? 0), Math.max(x.at(-1) ?? 0, epochs.x.at(-1) ?? 0)];
          zoom(share === '' ? undefined : [end - (end - first) * Number(share), end]);
        },
      ),
      reset,
      h('span', { class: 'note' }, 'Drag over a chart to look closer; double-click for all.'),
    );
  }

  function zoom(to: readonly [number, number] | undefined): void {
    range = to;
    reset.hidden = to === undefined;
    void load();
  }

  function smoothed(): void {
    smooth = Number(smoothing.value);
    smoothing.setAttribute('aria-valuetext', smooth === 0 ? 'none' : String(smooth));
    remember('smooth', smooth === 0 ? undefined : String(smooth));
    void load();
  }

  let last: SeriesAnswer | undefined;
  let loading = 0;
  async function load(): Promise<void> {
    const mine = ++loading;
    const answer = await ask<SeriesAnswer>('/api/series', { id, axis, smooth, points: 600, from: range?.[0], to: range?.[1] }).catch(
      () => undefined,
    );
    // Another question was asked meanwhile.
    if (!answer || mine !== loading) return;
    last = answer;
    for (const { shown, chart } of charts) {
      const ofSteps: Line[] = shown.names.flatMap(name => {
        const part = answer.series[name];
        return part
          ? [
              {
                name: labels[name] ?? name,
                values: part.mean,
                ...(!shown.isStacked && shown.names.length === 1 && answer.steps > answer.x.length && { low: part.low, high: part.high }),
              },
            ]
          : [];
      });
      const ofEpochs: Line[] = (shown.epochs ?? []).map(name => ({
        name: labels[name] ?? name,
        values: answer.epochs.values[name] ?? [],
        isDotted: answer.epochs.x.length < 40,
      }));
      const drawing = joined([
        { x: answer.x, lines: ofSteps },
        { x: answer.epochs.x, lines: ofEpochs },
      ]);
      const marks = axis === 'step' ? detail.health.restarts.map(({ step }) => ({ x: step, label: 'restart' })) : [];
      chart.element.hidden = drawing.x.length === 0 && last.steps > 0;
      chart.draw({ ...drawing, marks });
    }
  }

  function tell(): void {
    const summary: RunSummary = runs.get(id) ?? detail.summary;
    const { health } = detail;
    const tile = (value: string | Node, text: string, isBad = false) =>
      h('li', { class: isBad ? 'bad' : undefined }, h('strong', {}, value), h('span', {}, text));
    head.replaceChildren(
      h('h1', {}, summary.name),
      badge(summary.state),
      h('p', { class: 'lead' }, `${summary.loss} · ${summary.model} · ${summary.dataset}`),
    );
    const time = (at: number) => h('time', { datetime: new Date(at).toISOString() }, ago(at));
    const isOn = summary.state === 'running' || summary.state === 'silent';
    tiles.replaceChildren(
      tile(`${summary.epoch}/${summary.epochs}`, 'epochs'),
      tile(
        fixed(summary.best),
        summary.bestEpoch === undefined ? 'best validation Jaccard' : `best validation Jaccard, epoch ${summary.bestEpoch}`,
      ),
      tile(short(summary.trainingLoss), 'training loss'),
      tile(duration(health.stepSeconds), 'a step'),
      tile(
        isOn ? time(summary.heardAt) : duration((summary.heardAt - summary.startedAt) / 1000),
        isOn ? 'last heard' : 'from start to end',
        summary.state === 'silent',
      ),
      tile(
        health.checkpoint ? time(health.checkpoint.at) : '–',
        health.checkpoint ? `checkpoint, step ${health.checkpoint.step}` : 'no checkpoint yet',
      ),
      tile(String(summary.restarts), 'restarts', summary.restarts > 3),
      tile(String(health.lost.length), 'workers lost', health.lost.length > 0),
    );
    const troubles = [
      summary.why !== undefined && `It ended: ${summary.why}`,
      summary.state === 'killed' && 'It says that it runs, and its process is gone: it was killed. It goes on with train --resume.',
      summary.state === 'silent' && `Nothing was heard of it since ${new Date(summary.heardAt).toLocaleString()}.`,
      health.nonFinite > 0 && `${health.nonFinite} steps had a loss or a gradient that is no number.`,
      (last?.damagedLines ?? 0) > 0 && `${last!.damagedLines} lines of its log could not be read.`,
    ].filter(text => text !== false);
    trouble.replaceChildren(
      ...(troubles.length === 0
        ? []
        : [h('div', { class: 'card trouble' }, h('h2', {}, 'Trouble'), h('ul', {}, ...troubles.map(text => h('li', {}, text))))]),
    );
  }

  function tellMore(): void {
    const { health, roc, settings, facts, summary } = detail;
    const parts: HTMLElement[] = [];
    const drawn = lanes(detail);
    if (drawn) parts.push(drawn);
    if (roc) {
      const chart = new LineChart({
        title: roc.auc === undefined ? 'ROC' : `ROC, area ${roc.auc.toFixed(4)}`,
        x: 'false positive rate',
        y: 'true positive rate',
        yRange: [0, 1],
        height: 320,
        svg: () => address('/api/roc.svg', { id }),
        csv: () => address('/api/roc.csv', { id }),
        command: command('evaluate', path),
      });
      parts.push(h('div', { class: 'square' }, chart.element));
      queueMicrotask(() =>
        chart.draw(
          joined(
            roc.classes.map((points, c) => ({
              x: points.map(([x]) => x),
              lines: [{ name: roc.classes.length > 1 ? `class ${c + 1}` : summary.loss, values: points.map(([, y]) => y) }],
            })),
          ),
        ),
      );
    } else {
      parts.push(
        h(
          'div',
          { class: 'card' },
          h('h3', {}, 'ROC'),
          h('p', { class: 'note' }, 'This run was not evaluated yet.'),
          command('evaluate', path),
        ),
      );
    }
    const list = (rows: readonly (readonly [string, string])[]) =>
      h('dl', {}, ...rows.flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
    const { checkpoint } = health;
    parts.push(
      h(
        'div',
        { class: 'grid' },
        h(
          'div',
          { class: 'card' },
          h('h3', {}, 'Health'),
          list([
            ['Last word', new Date(summary.heardAt).toLocaleString()],
            ['Checkpoints written', String(health.checkpoints)],
            ...(checkpoint
              ? [
                  [
                    'The last of them',
                    `step ${checkpoint.step}${checkpoint.bytes ? `, ${bytes(checkpoint.bytes)}` : ''}${checkpoint.seconds ? `, written in ${duration(checkpoint.seconds)}` : ''}`,
                  ] as const,
                ]
              : []),
            ...(health.latest?.workers ?? []).map(
              ({ worker, rank, lanes, seconds, lateMs }) =>
                [
                  `Worker ${worker}`,
                  [
                    `rank ${rank}`,
                    `lanes ${lanes}`,
                    ...(seconds === undefined ? [] : [`computed ${duration(seconds)}`]),
                    ...(lateMs === undefined ? [] : [`came ${duration(lateMs / 1000)} after the first`]),
                    `at step ${health.latest!.step}`,
                  ].join(', '),
                ] as const,
            ),
            ...health.restarts.map(
              ({ at, step, after }) => [`Restart ${new Date(at).toLocaleString()}`, `at step ${step}; before that: ${after}`] as const,
            ),
            ...health.lost.map(
              ({ worker, afterStep, at, why }) =>
                [`Worker ${worker} lost`, `${at ? `${new Date(at).toLocaleString()}, ` : ''}after step ${afterStep}: ${why}`] as const,
            ),
          ]),
          summary.state === 'succeeded' ? undefined : command('train', `${path}/job.yaml`, '--out', path, '--resume'),
        ),
        h('div', { class: 'card' }, h('h3', {}, 'Record'), list(facts)),
      ),
      h(
        'details',
        { class: 'card' },
        h('summary', {}, 'Settings, and where each comes from'),
        h(
          'div',
          { class: 'scroll tall', tabindex: 0, role: 'group', 'aria-label': 'Settings' },
          plainTable(
            ['Field', 'Value', 'From'].map(name => [name, 'text'] as const),
            settings.map(({ path, value, from }) => [path, value, from]),
          ),
        ),
      ),
    );
    more.replaceChildren(...parts);
  }

  build();
  await load();
  tell();
  tellMore();
  overlays.set(detail.overlays);
  let pending = false;
  follow(
    ids => {
      if (!ids.has(id)) return;
      if (!runs.has(id)) {
        trouble.replaceChildren(
          h(
            'div',
            { class: 'card trouble' },
            h('h2', {}, 'Gone'),
            h('p', {}, 'The folder of this run is not there any more, or cannot be read.'),
          ),
        );
        return;
      }
      if (pending) return;
      pending = true;
      void (async () => {
        const before = JSON.stringify([detail.health, detail.overlays, detail.roc, detail.summary.state]);
        detail = await ask<RunDetail>('/api/run', { id }).catch(() => detail);
        await load();
        tell();
        if (
          JSON.stringify([detail.health, detail.overlays, detail.roc, detail.summary.state]) !== before &&
          !more.contains(document.activeElement)
        )
          tellMore();
        overlays.set(detail.overlays);
        pending = false;
      })();
    },
    { only: id },
  );
  setInterval(() => {
    for (const time of content.querySelectorAll('time')) time.textContent = ago(Date.parse(time.dateTime));
  }, 5000);
}
