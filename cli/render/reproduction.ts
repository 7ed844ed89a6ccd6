/**
 * What a reproduction is going to do, and the tables and figures that it made.
 */
import { convergenceConvention } from '../../trainer/report/convergence.ts';
import { aggregationTitles, cellLines, noiseRule } from '../../trainer/report/paper.ts';
import type { FiguresEvent, TablesEvent } from '../../trainer/reproduce/outputs.ts';
import type { Plan, ReproduceEvent } from '../../trainer/reproduce/reproduce.ts';
import { sweepLines } from './sweep.ts';
import { number, table } from './text.ts';

/** Lines of each event; what a sweep tells needs what it told before. */
export function reproductionLines(): (event: ReproduceEvent) => Iterable<string> {
  let titles = new Map<number, string>();
  return function* lines(event) {
    switch (event.event) {
      case 'plan':
        return yield* planLines(event);
      case 'group':
        titles = new Map(event.trials.entries());
        return yield `\n[${event.number}/${event.of}] ${event.name}`;
      case 'progress':
        return yield* sweepLines(event.told, titles);
      case 'failure':
        return yield `${event.group}: failed, ${event.message}`;
      case 'tables':
        return yield* tablesLines(event);
      case 'figures':
        return yield* figuresLines(event);
      default:
        event satisfies never;
    }
  };
}

export function* planLines({ title, changes, experiments, groups, runs, out }: Plan): Generator<string> {
  yield title;
  for (const change of changes) yield `  ${change}`;
  yield table(
    ['', 'cells', 'trainings', 'shared with those above'],
    experiments.map(({ name, cells, runs, reused }) => [name, String(cells), String(runs), reused === 0 ? '' : String(reused)]),
  );
  const done = groups.reduce((sum, group) => sum + group.done, 0);
  yield `${runs} trainings; ${done} are done already in ${out}`;
}

export function* tablesLines({ title, changes, tables, convergence, notes, files }: TablesEvent): Generator<string> {
  for (const { table: name, aggregation, columns, rows } of tables) {
    yield `\nTable ${name}, ${aggregationTitles[aggregation]}. ${title}`;
    yield table(
      columns,
      rows.map(([row, cells]) => [row, ...cells.map(cell => cellLines(cell).join('\n'))]),
    );
  }
  yield 'A cell: our mean ± standard deviation (runs), in percent; what the paper prints; the difference.';
  yield noiseRule;
  yield `\nConvergence. ${title}`;
  yield table(convergence.columns, convergence.rows, 2);
  yield convergenceConvention;
  for (const change of changes) yield `not as in the paper: ${change}`;
  for (const note of notes) yield note;
  yield `tables: ${files.join(', ')}`;
}

export function* figuresLines({ title, roc, files }: FiguresEvent): Generator<string> {
  for (const { figure, network, arms } of roc) {
    yield `\nFigure ${figure.slice(3)}, ${network}. ${title}`;
    yield table(
      ['', 'runs', 'best area', 'half-width'],
      arms.map(({ method, areas }) => {
        const best = areas.reduce((a, b) => (b.auc > a.auc ? b : a));
        return [method, String(areas.length), number(best.auc, 5), best.halfWidth.toExponential(1)];
      }),
    );
  }
  yield `figures: ${files.join(', ')}`;
}
