/**
 * What a reproduction is going to do, and the tables that it filled.
 */
import { aggregationTitles, cellLines, noiseRule } from '../../trainer/report/paper.ts';
import type { Plan, TablesEvent } from '../../trainer/reproduce/reproduce.ts';
import { table } from './text.ts';

export function* planLines({ title, changes, experiments, cells, runs, done, out }: Plan): Generator<string> {
  yield title;
  for (const change of changes) yield `  ${change}`;
  yield table(
    ['', 'cells', 'trainings', 'shared with those above'],
    experiments.map(({ name, cells, runs, reused }) => [name, String(cells), String(runs), reused === 0 ? '' : String(reused)]),
  );
  yield `${cells.length} cells, ${runs} trainings, ${done} of them done in ${out}`;
}

export function* tablesLines({ title, changes, tables, note, files }: TablesEvent): Generator<string> {
  for (const { table: name, aggregation, columns, rows } of tables) {
    yield `\nTable ${name}, ${aggregationTitles[aggregation]}. ${title}`;
    yield table(
      columns,
      rows.map(([row, cells]) => [row, ...cells.map(cell => cellLines(cell).join('\n'))]),
    );
  }
  yield 'A cell: our mean ± standard deviation (runs), in percent; what the paper prints; the difference.';
  yield noiseRule;
  for (const change of changes) yield `not as in the paper: ${change}`;
  yield `${note}\ntables: ${files.join(', ')}`;
}
