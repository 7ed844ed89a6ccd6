/**
 * What a reproduction is going to do, and the tables and figures that it made.
 */
import { convergenceConvention } from '../../trainer/report/convergence.ts';
import { aggregationTitles, cellLines, noiseRule } from '../../trainer/report/paper.ts';
import type { FiguresEvent, TablesEvent } from '../../trainer/reproduce/outputs.ts';
import type { Plan } from '../../trainer/reproduce/reproduce.ts';
import { number, table } from './text.ts';

export function* planLines({ title, changes, experiments, cells, runs, done, out }: Plan): Generator<string> {
  yield title;
  for (const change of changes) yield `  ${change}`;
  yield table(
    ['', 'cells', 'trainings', 'shared with those above'],
    experiments.map(({ name, cells, runs, reused }) => [name, String(cells), String(runs), reused === 0 ? '' : String(reused)]),
  );
  yield `${cells.length} cells, ${runs} trainings, ${done} of them done in ${out}`;
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
