/**
 * Two parameters against each other, as the paper's Tables 1 and 2 are laid out: a row for each value of one, a column for each of the other, in
 * each cell the mean over all runs there.
 */
import { type Arm, type Study, shortName, textOf } from '../arms.ts';
import type { Part, Section } from '../section.ts';
import { meanCell, type Table, textCell, withBest } from '../table.ts';

/** With more values than this a table says nothing. */
const mostValues = 12;

export interface GridAxes {
  readonly rows: string;
  readonly cols: string;
}

/** Of the sweep that says so, or else any two numbers that vary together, the first three of such pairs. */
export function grid(study: Study, wished?: GridAxes): Section | undefined {
  const pairs = wished && isGrid(study, wished) ? [wished] : axesOf(study);
  if (pairs.length === 0) return undefined;
  const parts = pairs.map((axes): Part => {
    const table = gridTable(study, axes);
    const others = study.varied.filter(path => path !== axes.rows && path !== axes.cols);
    const over = others.length > 0 ? ` Means over the values of ${others.map(shortName).join(', ')} too.` : '';
    return {
      kind: 'heat',
      table,
      better: 'higher',
      note: `Jaccard, pooled: mean over the runs in a cell, ± standard deviation where there are several; shades from the lowest to the highest.${over} The best cell of many is the best partly by chance.`,
    };
  });
  return { id: `${study.id}-grid`, title: 'Parameters against each other', parts };
}

function valuesOf(arms: readonly Arm[], path: string): unknown[] {
  const values = new Map(
    arms.filter(({ settings }) => settings.has(path)).map(({ settings }) => [JSON.stringify(settings.get(path)), settings.get(path)]),
  );
  return [...values.values()].sort((a, b) => (typeof a === 'number' && typeof b === 'number' ? a - b : textOf(a) < textOf(b) ? -1 : 1));
}

function isGrid({ arms }: Study, { rows, cols }: GridAxes): boolean {
  const [numRows, numCols] = [rows, cols].map(path => valuesOf(arms, path).length);
  return numRows > 1 && numCols > 1 && numRows <= mostValues && numCols <= mostValues;
}

function axesOf(study: Study): GridAxes[] {
  const numbers = study.varied.filter(path => valuesOf(study.arms, path).every(value => typeof value === 'number'));
  return numbers
    .flatMap((cols, i) => numbers.slice(i + 1).map(rows => ({ rows, cols })))
    .filter(axes => isGrid(study, axes) && isDense(study.arms, axes))
    .slice(0, 3);
}

/** At least half of the cells have runs: else it is a list, not a grid. */
function isDense(arms: readonly Arm[], axes: GridAxes): boolean {
  const filled = new Set(
    arms
      .filter(({ settings }) => settings.has(axes.rows) && settings.has(axes.cols))
      .map(({ settings }) => JSON.stringify([settings.get(axes.rows), settings.get(axes.cols)])),
  );
  return filled.size >= (valuesOf(arms, axes.rows).length * valuesOf(arms, axes.cols).length) / 2;
}

function gridTable({ id, arms }: Study, { rows, cols }: GridAxes): Table {
  const [rowValues, colValues] = [valuesOf(arms, rows), valuesOf(arms, cols)];
  const inCell = (row: unknown, col: unknown) =>
    arms
      .filter(({ settings }) => settings.get(rows) === row && settings.get(cols) === col)
      .flatMap(({ runs }) => runs.map(({ scored }) => scored.evaluation.scores.pooled.jaccard));
  const table: Table = {
    id: `${id}-grid-${shortName(rows)}-${shortName(cols)}`.replace(/[^\w-]/g, '-'),
    title: `Jaccard by ${shortName(rows)} and ${shortName(cols)}`,
    columns: [
      { title: `${shortName(rows)} \\ ${shortName(cols)}`, kind: 'text' },
      ...colValues.map(value => ({ title: textOf(value), kind: 'mean' }) as const),
    ],
    rows: rowValues.map(row => [textCell(textOf(row)), ...colValues.map(col => meanCell(inCell(row, col), 3))]),
  };
  return withBest(table, [undefined, ...colValues.map(() => 'higher' as const)], 'table');
}
