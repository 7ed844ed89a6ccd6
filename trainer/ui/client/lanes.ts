/**
 * Who computed a run: how many workers from which step to which, which were lost and when, and where it was begun again.
 */
import type { RunDetail } from '../api.ts';
import { command, h, s } from './dom.ts';
import { csvText, take } from './svg.ts';
import { numbersOf, plainTable } from './table.ts';

const [width, laneHeight, left, right, top] = [1000, 22, 90, 26, 24];

/** Nothing where one process did all, without a break. */
export function lanes({ summary, health }: RunDetail): HTMLElement | undefined {
  const { sizes, lost, restarts } = health;
  const most = Math.max(0, ...sizes.map(({ workers }) => workers));
  if (most < 2 && restarts.length === 0) return undefined;
  const last = Math.max(1, summary.step);
  const numLanes = Math.max(1, most);
  const x = (step: number) => left + ((width - left - right) * Math.min(step, last)) / last;
  const height = top + numLanes * laneHeight + 34;
  const svg = s('svg', {
    viewBox: `0 0 ${width} ${height}`,
    class: 'lanes',
    role: 'img',
    'aria-label': `Workers by step: ${sizes.map(({ fromStep, workers }) => `from step ${fromStep} ${workers}`).join(', ') || 'one process'}; ${lost.length} lost, ${restarts.length} restarts`,
  });
  const starts = sizes.length > 0 ? sizes : [{ fromStep: 0, workers: 1 }];
  for (let lane = 0; lane < numLanes; lane++) {
    const y = top + lane * laneHeight;
    svg.append(
      s('text', { x: 4, y: y + 15, class: 'label' }, `worker ${lane + 1}`),
      s('rect', { x: left, y: y + 3, width: width - left - right, height: laneHeight - 6, class: 'idle' }),
    );
    for (const [i, { fromStep, workers }] of starts.entries()) {
      const end = starts[i + 1]?.fromStep ?? last;
      if (lane >= workers || end <= fromStep) continue;
      svg.append(s('rect', { x: x(fromStep), y: y + 3, width: Math.max(1, x(end) - x(fromStep)), height: laneHeight - 6, class: 'busy' }));
    }
  }
  const bottom = top + numLanes * laneHeight;
  for (const { afterStep, worker, why } of lost) {
    svg.append(
      s(
        'line',
        { x1: x(afterStep), x2: x(afterStep), y1: top - 8, y2: bottom, class: 'lost' },
        s('title', {}, `${worker} lost after step ${afterStep}: ${why}`),
      ),
      s('text', { x: x(afterStep), y: top - 10, class: 'mark' }, '✕ lost'),
    );
  }
  for (const { step, after } of restarts) {
    svg.append(
      s(
        'line',
        { x1: x(step), x2: x(step), y1: top - 8, y2: bottom, class: 'again' },
        s('title', {}, `begun again at step ${step}, after: ${after}`),
      ),
      s('text', { x: x(step), y: top - 10, class: 'mark' }, '↻ restart'),
    );
  }
  for (const share of [0, 0.25, 0.5, 0.75, 1])
    svg.append(s('text', { x: x(share * last), y: bottom + 16, class: 'tick' }, String(Math.round(share * last))));
  svg.append(s('text', { x: left + (width - left) / 2, y: bottom + 31, class: 'tick' }, 'step'));
  const rows = [
    ...starts.map(({ fromStep, workers }) => [fromStep, 'workers', `${workers}`] as const),
    ...lost.map(({ worker, afterStep, at, why }) => [afterStep, `${worker} lost`, at ? `${why} (${at})` : why] as const),
    ...restarts.map(({ step, after }) => [step, 'begun again', after] as const),
  ].sort((a, b) => a[0] - b[0]);
  const name = `${summary.name}: workers by step`;
  return h(
    'figure',
    { class: 'card', 'aria-label': 'Workers' },
    h(
      'div',
      { class: 'head' },
      h('h3', {}, 'Workers'),
      take(
        name,
        () => svg,
        () => csvText([['step', 'what', 'more'], ...rows]),
      ),
    ),
    svg,
    h(
      'p',
      { class: 'note' },
      'Lanes are numbered, not named: how many workers shared the steps. Who was lost is in the table, with the reason.',
    ),
    h(
      'div',
      { class: 'foot' },
      numbersOf(
        plainTable(
          [
            ['Step', 'number'],
            ['What', 'text'],
            ['', 'text'],
          ],
          rows,
          { named: false },
        ),
      ),
      command('report', summary.path),
    ),
  );
}
