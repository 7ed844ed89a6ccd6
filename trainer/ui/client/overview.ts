/**
 * All runs and sweeps, and how the losses converge.
 */
import type { ConvergenceAnswer, ConvergenceMetric, Overview, RunSummary, SweepSummary } from '../api.ts';
import { LineChart } from './chart.ts';
import { address, ask, choice, command, h, remember, state } from './dom.ts';
import { ago, badge, duration, fixed, short } from './format.ts';
import { follow, problems, runs, sweeps, take } from './live.ts';
import { DataTable, plainTable } from './table.ts';

const runLink = (id: string, name: string) => h('a', { href: address('/run', { id }) }, name);

function progress({ epoch, epochs }: RunSummary): HTMLElement {
  return h(
    'span',
    { class: 'progress' },
    h('progress', { max: epochs || 1, value: epoch, 'aria-label': `epoch ${epoch} of ${epochs}` }),
    ` ${epoch}/${epochs}`,
  );
}

/** Of what goes on, from how long it has taken so far. */
function left({ state, epoch, epochs, startedAt, heardAt }: RunSummary): number | undefined {
  return state === 'running' && epoch > 0 && epochs > epoch ? ((heardAt - startedAt) / 1000 / epoch) * (epochs - epoch) : undefined;
}

export async function show(content: HTMLElement): Promise<void> {
  document.title = 'Runs · segfleet';
  const first = await ask<Overview>('/api/overview');
  document.querySelector('#place')!.textContent = first.place;

  const table = new DataTable<RunSummary>(
    'Runs',
    run => run.id,
    [
      { name: 'Run', kind: 'text', value: run => run.name, show: run => h('span', {}, runLink(run.id, run.name), h('small', {}, run.id)) },
      { name: 'State', kind: 'text', value: run => run.state, show: run => badge(run.state) },
      { name: 'Loss', kind: 'text', value: run => run.loss },
      { name: 'Network', kind: 'text', value: run => run.model },
      { name: 'Data set', kind: 'text', value: run => run.dataset },
      { name: 'Epoch', kind: 'number', value: run => run.epoch, show: progress },
      { name: 'Best Jaccard', kind: 'number', value: run => run.best, show: run => fixed(run.best) },
      { name: 'Training loss', kind: 'number', value: run => run.trainingLoss, show: run => short(run.trainingLoss) },
      { name: 'Left', kind: 'number', value: left, show: run => duration(left(run)) },
      { name: 'Restarts', kind: 'number', value: run => run.restarts },
      {
        name: 'Heard',
        kind: 'number',
        value: run => run.heardAt,
        show: run => h('time', { datetime: new Date(run.heardAt).toISOString() }, ago(run.heardAt)),
      },
    ],
    state.get('sort') ?? '-Heard',
    sort => remember('sort', sort),
  );
  const sweepTable = new DataTable<SweepSummary>(
    'Sweeps',
    sweep => sweep.id,
    [
      {
        name: 'Sweep',
        kind: 'text',
        value: sweep => sweep.name,
        show: sweep => h('span', {}, h('a', { href: address('/sweep', { id: sweep.id }) }, sweep.name), h('small', {}, sweep.id)),
      },
      { name: 'State', kind: 'text', value: sweep => sweep.status, show: sweep => badge(sweep.status) },
      { name: 'Search', kind: 'text', value: sweep => sweep.method },
      { name: 'Objective', kind: 'text', value: sweep => sweep.metric },
      { name: 'Best', kind: 'number', value: sweep => sweep.best, show: sweep => fixed(sweep.best) },
      { name: 'Trials', kind: 'number', value: sweep => sweep.trials },
      {
        name: 'Of them',
        kind: 'text',
        value: sweep =>
          Object.entries(sweep.counts)
            .filter(([, n]) => n > 0)
            .map(([name, n]) => `${n} ${name}`)
            .join(', '),
      },
    ],
    'Sweep',
  );

  const search = h('input', {
    type: 'search',
    value: state.get('q') ?? '',
    placeholder: 'loss, data set, name …',
    input: () => soon(),
  });
  const counts = h('ul', { class: 'counts' });
  const chips = h('div', { class: 'chips', role: 'group', 'aria-label': 'States' });
  const troubles = h('div');
  const sweepPart = h('section', { 'aria-labelledby': 'sweeps' }, h('h2', { id: 'sweeps' }, 'Sweeps'), sweepTable.element);
  const none = h(
    'div',
    { class: 'card nothing' },
    h('p', {}, 'There are no runs here yet. What begins here later appears by itself.'),
    command('train', 'job.yaml'),
  );
  const found = h('p', { class: 'note', role: 'status' });
  const convergence = new Convergence();
  const runPart = h(
    'section',
    { 'aria-labelledby': 'runs' },
    h('h2', { id: 'runs' }, 'Runs'),
    h('div', { class: 'controls' }, h('label', { class: 'choice' }, 'Find ', search), chips, found),
    table.element,
  );
  content.replaceChildren(h('h1', { class: 'hidden' }, 'Runs'), counts, troubles, none, convergence.element, sweepPart, runPart);

  let wished = state.get('state') ?? '';
  function filtered(): void {
    remember('q', search.value);
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = [...runs.values()];
    const rows = all.filter(run => {
      const text = `${run.name} ${run.id} ${run.state} ${run.loss} ${run.model} ${run.dataset}`.toLowerCase();
      return (wished === '' || run.state === wished) && words.every(word => text.includes(word));
    });
    table.set(rows);
    found.textContent = rows.length === all.length ? '' : `${rows.length} of ${all.length} runs`;
  }

  /** However fast somebody types, once a picture. */
  let isDue = false;
  function soon(): void {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      filtered();
    });
  }

  function tell(): void {
    const byState = new Map<string, number>();
    for (const { state } of runs.values()) byState.set(state, (byState.get(state) ?? 0) + 1);
    const best = [...runs.values()].reduce<RunSummary | undefined>((a, b) => ((b.best ?? -1) > (a?.best ?? -1) ? b : a), undefined);
    const tile = (value: Node | string, name: string) => h('li', {}, h('strong', {}, value), h('span', {}, name));
    counts.replaceChildren(
      tile(String(runs.size), 'runs'),
      tile(String(byState.get('running') ?? 0), 'running'),
      tile(String((byState.get('failed') ?? 0) + (byState.get('killed') ?? 0) + problems.size), 'failed, killed or damaged'),
      tile(String(sweeps.size), 'sweeps'),
      ...(best?.best === undefined ? [] : [tile(runLink(best.id, fixed(best.best)), `best validation Jaccard, ${best.loss}`)]),
    );
    chips.replaceChildren(
      ...[['', runs.size] as const, ...byState].map(([name, n]) =>
        h(
          'button',
          { type: 'button', 'aria-pressed': String(wished === name), click: () => choose(name) },
          name === '' ? 'all' : name,
          h('span', { class: 'n' }, n),
        ),
      ),
    );
    none.hidden = runs.size + sweeps.size + problems.size > 0;
    runPart.hidden = runs.size === 0;
    sweepPart.hidden = sweeps.size === 0;
    sweepTable.set([...sweeps.values()]);
    troubles.replaceChildren(
      ...(problems.size === 0
        ? []
        : [
            h(
              'div',
              { class: 'card trouble' },
              h('h2', {}, 'Cannot be read'),
              h('ul', {}, ...[...problems.values()].slice(0, 50).map(({ path, why }) => h('li', {}, h('strong', {}, path), ` ${why}`))),
            ),
          ]),
    );
    filtered();
  }

  function choose(name: string): void {
    wished = name;
    remember('state', name);
    tell();
    chips.querySelector<HTMLElement>('[aria-pressed=true]')?.focus();
  }

  const changed = () => {
    tell();
    convergence.changed();
  };
  take({ ...first, isWhole: true, gone: [] });
  changed();
  follow(changed, { after: first.event });
  // Ages grow while nothing else happens.
  setInterval(() => {
    for (const time of content.querySelectorAll('time')) time.textContent = ago(Date.parse(time.dateTime));
  }, 5000);
}

const metricNames: readonly (readonly [ConvergenceMetric, string])[] = [
  ['jaccard', 'Validation Jaccard'],
  ['normalisedLoss', 'Normalised validation loss'],
  ['loss', 'Validation loss'],
];

class Convergence {
  readonly element = h('section', { 'aria-labelledby': 'convergence', hidden: true });
  #chart: LineChart | undefined;
  #shape = '';
  #speed = h('div');
  #metric = metricNames.find(([name]) => name === state.get('metric'))?.[0] ?? 'jaccard';
  #dataset = state.get('dataset') ?? undefined;
  #timer: number | undefined;

  /** Asked for again at most every two seconds. */
  changed(): void {
    this.#timer ??= setTimeout(
      () => {
        this.#timer = undefined;
        void this.#load();
      },
      this.#chart ? 2000 : 0,
    );
  }

  async #load(): Promise<void> {
    const query = { metric: this.#metric, dataset: this.#dataset };
    const answer = await ask<ConvergenceAnswer>('/api/convergence', query).catch(() => undefined);
    if (!answer) return;
    this.element.hidden = answer.arms.length === 0;
    if (answer.arms.length === 0) return;
    const shape = JSON.stringify([answer.dataset, answer.datasets, answer.metric, answer.more]);
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#build(answer);
    }
    const { arms } = answer;
    const longest = Math.max(...arms.map(({ x }) => x.length));
    const full = (values: readonly number[]) => Array.from({ length: longest }, (_, i) => values[i] ?? null);
    this.#chart!.draw({
      x: Array.from({ length: longest }, (_, i) => i + 1),
      lines: arms.map(({ name, runs, mean, low, high }) => ({
        name: `${name} (${runs})`,
        values: full(mean),
        ...(runs > 1 && { low: full(low), high: full(high) }),
      })),
    });
    this.#tellSpeed(answer);
  }

  #build({ dataset, datasets, metric, more }: ConvergenceAnswer): void {
    const query = { metric, dataset };
    const name = metricNames.find(([one]) => one === metric)![1];
    const notes = [
      'Line: mean of the runs of a loss (their number behind its name); band: from the lowest to the highest.',
      metric === 'normalisedLoss'
        ? "Each run's own loss, 1 after the first epoch and 0 at its lowest: values of different losses are not comparable otherwise."
        : '',
      metric === 'loss' ? 'Values of different losses are not comparable.' : '',
      more > 0 ? `Drawn are those with the highest Jaccard; ${more} more are not.` : '',
    ];
    this.#chart = new LineChart({
      title: `${name} by loss, ${dataset}`,
      x: 'epoch',
      y: name,
      svg: () => address('/api/convergence.svg', query),
      csv: () => address('/api/convergence.csv', query),
      command: command('report', document.querySelector('#place')!.textContent || 'runs'),
      note: notes.filter(Boolean).join(' '),
      height: 340,
    });
    const change = (name: 'metric' | 'dataset') => (value: string) => {
      remember(name, value);
      if (name === 'metric') this.#metric = value as ConvergenceMetric;
      else this.#dataset = value;
      void this.#load();
    };
    this.element.replaceChildren(
      h('h2', { id: 'convergence' }, 'Convergence by loss'),
      h(
        'div',
        { class: 'controls' },
        choice('Show', metricNames, metric, change('metric')),
        datasets.length > 1 &&
          choice(
            'of',
            datasets.map(one => [one, one] as const),
            dataset,
            change('dataset'),
          ),
      ),
      this.#chart.element,
      this.#speed,
    );
  }

  #tellSpeed({ arms, dataset, metric }: ConvergenceAnswer): void {
    const mostBehind = arms.reduce((sum, { behind }) => sum + behind, 0);
    const columns = ['Loss', 'Runs', 'Best Jaccard', 'to within 0.05', 'to within 0.02', 'to within 0.01', 'Restlessness'];
    this.#speed.replaceChildren(
      h(
        'details',
        {},
        h('summary', {}, 'How fast, and how steadily'),
        h('p', { class: 'take' }, h('a', { href: address('/api/speed.csv', { dataset, metric }), download: true }, 'CSV')),
        h(
          'div',
          { class: 'scroll', tabindex: 0, role: 'group', 'aria-label': 'How fast, and how steadily' },
          plainTable(
            columns.map((name, i) => [name, i === 0 ? 'text' : 'number'] as const),
            arms.map(({ name, runs, best, within, restlessness }) => [
              name,
              String(runs),
              fixed(best),
              ...within.map(value => fixed(value, 1)),
              fixed(restlessness),
            ]),
          ),
        ),
        h(
          'p',
          { class: 'note' },
          `Epochs until the validation Jaccard of a run was first so near its own best, mean over runs. Restlessness: mean change of it from epoch to epoch over the second half.${mostBehind > 0 ? ` Not counted: ${mostBehind} runs that are not half as far as the others.` : ''}`,
        ),
      ),
    );
  }
}
