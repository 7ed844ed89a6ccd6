/**
 * Tables of results, read from CSV: which numbers are scores, of which data set and method, and how they were averaged.
 *
 * Wide: a column a metric, perhaps with the data set before it (`ISIC 2018 Recall`) and `sd` or the way of averaging behind it (`jaccard sd`,
 * `validation_jaccard_pooled`). Long: the columns `metric` and `value`, perhaps `sd`. Columns `runs`, `aggregation`, `baseline` are taken for what
 * they say; any other column tells rows apart. Scores are in percent or shares of 1, `81.43`, `81.43 %` or `81.43 ± 0.31`; empty or `-` is none.
 */
import { readFileSync } from 'node:fs';
import { CsvError, parse } from 'csv-parse/sync';
import { fromSystemError, SegfleetError } from '../../errors.ts';
import { type Printed, readPrinted, scaled } from './printed.ts';

/** F-measure and Dice are one number of counts, so they have one name here. */
export const scoreNames = {
  jaccard: ['jaccard', 'jaccard index', 'iou', 'ji', 'intersection over union', 'mean iou', 'miou'],
  dice: ['dice', 'dice score', 'dice coefficient', 'dsc', 'f', 'f1', 'f measure', 'f score', 'f1 score'],
  precision: ['precision', 'ppv', 'positive predictive value'],
  recall: ['recall', 'sensitivity', 'tpr', 'true positive rate'],
  specificity: ['specificity', 'tnr', 'true negative rate'],
  accuracy: ['accuracy'],
  auc: ['auc', 'auc roc', 'roc auc', 'auroc'],
} as const;
export type ScoreName = keyof typeof scoreNames;

export type Aggregation = 'pooled' | 'perImage';
const aggregationNames: Readonly<Record<string, Aggregation>> = {
  pooled: 'pooled',
  'pooled over all pixels': 'pooled',
  'per image': 'perImage',
  perimage: 'perImage',
  'mean per image': 'perImage',
  'mean over images': 'perImage',
};

export interface Score extends Printed {
  readonly line: number;
  readonly column: string;
  /** Standard deviation between runs, as a share. */
  readonly sd?: number;
}

/** The scores of one method on one data set: what identities hold between. */
export interface Entry {
  readonly file: string;
  readonly line: number;
  /** What tells its row from others, such as method or omega and epsilon. */
  readonly keys: Readonly<Record<string, string>>;
  /** Empty where the table names none. */
  readonly dataset: string;
  readonly aggregation?: Aggregation;
  /** That the scores are means of. */
  readonly runs?: number;
  readonly scores: Readonly<Partial<Record<ScoreName, Score>>>;
  readonly baseline?: Score;
  readonly baselineMethod?: string;
}

export interface ReadOptions {
  readonly unit?: 'percent' | 'fraction';
  /** Of tables that do not say it. */
  readonly aggregation?: Aggregation;
}

/** `F-Measure [%]` -> `f measure` */
const plain = (name: string) =>
  name
    .toLowerCase()
    .replace(/[[(].*?[\])]|%/g, ' ')
    .replace(/[\s_-]+/g, ' ')
    .trim();

type Role =
  | { readonly is: 'score' | 'sd'; readonly score: ScoreName; readonly dataset: string; readonly aggregation?: Aggregation }
  | { readonly is: 'runs'; readonly dataset: string }
  | { readonly is: 'metric' | 'value' | 'deviation' | 'aggregation' | 'baseline' | 'baselineMethod' | 'dataset' | 'ignored' | 'key' };

const wholeColumns: Readonly<Record<string, Role['is']>> = {
  metric: 'metric',
  value: 'value',
  mean: 'value',
  aggregation: 'aggregation',
  baseline: 'baseline',
  'baseline method': 'baselineMethod',
  dataset: 'dataset',
  'data set': 'dataset',
  // What `reproduce` writes beside its own numbers.
  ...Object.fromEntries(['paper', 'paper runs', 'difference', 'limit', 'within noise'].map(name => [name, 'ignored' as const])),
};
const deviations = ['sd', 'std', 'standard deviation'];
const runsNames = ['runs', 'n', 'num runs'];
const scoresByName = Object.entries(scoreNames)
  .flatMap(([score, names]) => names.map(name => [name, score as ScoreName] as const))
  .sort(([a], [b]) => b.length - a.length);

/** The rest of a name before a word or words that it ends in. */
const before = (name: string, end: string): string | undefined =>
  name === end ? '' : name.endsWith(` ${end}`) ? name.slice(0, -end.length - 1) : undefined;

function splitEnd(name: string, ends: readonly string[]): readonly [rest: string, end: string] | undefined {
  for (const end of ends) {
    const rest = before(name, end);
    if (rest !== undefined) return [rest, end];
  }
  return undefined;
}

function scoreOf(name: string): { score: ScoreName; dataset: string; aggregation?: Aggregation } | undefined {
  const [rest, how] = splitEnd(name, Object.keys(aggregationNames)) ?? [name, undefined];
  const found = splitEnd(
    rest,
    scoresByName.map(([known]) => known),
  );
  if (!found) return undefined;
  const score = scoresByName.find(([known]) => known === found[1])![1];
  return { score, dataset: found[0], ...(how !== undefined && { aggregation: aggregationNames[how] }) };
}

function roleOf(column: string): Role {
  const name = plain(column);
  if (name in wholeColumns) return { is: wholeColumns[name] } as Role;
  if (deviations.includes(name)) return { is: 'deviation' };
  const runs = splitEnd(name, runsNames);
  if (runs) return { is: 'runs', dataset: runs[0] };
  const deviation = splitEnd(name, deviations);
  const ofDeviation = deviation && scoreOf(deviation[0]);
  if (ofDeviation) return { is: 'sd', ...ofDeviation };
  const score = scoreOf(name);
  return score ? { is: 'score', ...score } : { is: 'key' };
}

/** @throws invalidData: file, line and column, what stands there, what is expected */
export function readResults(file: string, options: ReadOptions = {}): Entry[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw fromSystemError(error, `results ${file}`);
  }
  return parseResults(text, file, options);
}

interface Draft {
  readonly line: number;
  readonly keys: Readonly<Record<string, string>>;
  readonly dataset: string;
  readonly aggregation?: Aggregation;
  runs?: number;
  readonly cells: Map<ScoreName, { text: string; column: string; line: number; sd?: string }>;
  baseline?: { text: string; column: string; line: number };
  baselineMethod?: string;
}

export function parseResults(text: string, file: string, options: ReadOptions = {}): Entry[] {
  const rows = readRows(text, file);
  if (rows.length === 0)
    throw new SegfleetError('invalidData', `${file} has no row; a line of column names and rows of results are expected`);
  const columns = Object.keys(rows[0].record).map(name => ({ name, role: roleOf(name) }));
  const columnOf = (is: Role['is']) => columns.find(({ role }) => role.is === is)?.name;
  const isLong = columnOf('metric') !== undefined && columnOf('value') !== undefined;
  if (!isLong && !columns.some(({ role }) => role.is === 'score')) {
    throw new SegfleetError(
      'invalidData',
      `${file}, line ${rows[0].line - 1}: no column is a score; known are ${Object.keys(scoreNames).join(', ')}, or the two columns metric and value`,
    );
  }
  const drafts = new Map<string, Draft>();
  for (const { record, line } of rows) {
    const cell = (is: Role['is']) => record[columnOf(is) ?? ''] ?? '';
    const keys = Object.fromEntries(
      columns.filter(({ name, role }) => role.is === 'key' && record[name] !== '').map(({ name }) => [name, record[name]]),
    );
    const draftOf = (dataset: string, aggregation: Aggregation | undefined) => {
      const place = cell('dataset') || dataset;
      const name = JSON.stringify([keys, place, aggregation, isLong ? '' : line]);
      if (!drafts.has(name)) drafts.set(name, { line, keys, dataset: place, aggregation, cells: new Map() });
      return drafts.get(name)!;
    };
    const ofRow = cell('aggregation') === '' ? options.aggregation : aggregationAt(cell('aggregation'), `${file}, line ${line}`);
    const put = (score: ScoreName, dataset: string, how: Aggregation | undefined, column: string, value: string, sd?: string) => {
      if (value === '' || value === '-') return;
      const [mean, after] = value.split('±').map(part => part.trim());
      draftOf(dataset, how ?? ofRow).cells.set(score, { text: mean, column, line, sd: after ?? sd });
    };
    if (isLong) {
      const found = scoreOf(plain(cell('metric')));
      // Other metrics, distances for instance, may stand in the same table.
      if (found) put(found.score, found.dataset, found.aggregation, columnOf('value')!, cell('value'), cell('deviation') || undefined);
    } else {
      for (const { name, role } of columns) {
        if (role.is !== 'score') continue;
        const sdColumn = columns.find(
          other =>
            other.role.is === 'sd' &&
            other.role.score === role.score &&
            other.role.dataset === role.dataset &&
            other.role.aggregation === role.aggregation,
        );
        put(role.score, role.dataset, role.aggregation, name, record[name], sdColumn && (record[sdColumn.name] || undefined));
      }
    }
    for (const draft of drafts.values()) {
      if (draft.line !== line) continue;
      const runs = columns.find(({ role }) => role.is === 'runs' && (role.dataset === draft.dataset || role.dataset === ''));
      if (runs && record[runs.name] !== '') draft.runs = runsAt(record[runs.name], `${file}, line ${line}, column ${runs.name}`);
      const baseline = columnOf('baseline');
      if (baseline && cell('baseline') !== '') draft.baseline = { text: cell('baseline'), column: baseline, line };
      if (cell('baselineMethod') !== '') draft.baselineMethod = cell('baselineMethod');
    }
  }
  return toEntries([...drafts.values()], file, options.unit);
}

function readRows(text: string, file: string): { record: Record<string, string>; line: number }[] {
  try {
    const parsed: { record: Record<string, string>; info: { lines: number } }[] = parse(text, {
      ...{ columns: true, bom: true, info: true, skip_empty_lines: true, trim: true },
      ...{ comment: '#', comment_no_infix: true },
    });
    return parsed.map(({ record, info }) => ({ record, line: info.lines }));
  } catch (cause) {
    const { message, lines, column } = cause as CsvError & { lines?: number; column?: number | string | null };
    const where = [file, lines === undefined ? '' : `line ${lines}`, typeof column !== 'string' ? '' : `column ${column}`].filter(Boolean);
    const known = cause instanceof CsvError ? (cause as CsvError).code : '';
    const what =
      known === 'CSV_RECORD_INCONSISTENT_COLUMNS' || known === 'CSV_RECORD_INCONSISTENT_FIELDS_LENGTH'
        ? 'the row has more or fewer cells than there are columns; quote cells with commas in them'
        : `this is no readable CSV (${message})`;
    throw new SegfleetError('invalidData', `${where.join(', ')}: ${what}`, { cause });
  }
}

function aggregationAt(text: string, where: string): Aggregation {
  const found = aggregationNames[plain(text)];
  if (found) return found;
  throw new SegfleetError(
    'invalidData',
    `${where}, column aggregation: ${JSON.stringify(text)} is not known; pooled or perImage is expected`,
  );
}

function runsAt(text: string, where: string): number {
  if (/^[1-9]\d{0,6}$/.test(text)) return Number(text);
  throw new SegfleetError('invalidData', `${where}: ${JSON.stringify(text)} is no number of runs; a whole number from 1 is expected`);
}

function toEntries(drafts: readonly Draft[], file: string, given: ReadOptions['unit']): Entry[] {
  const numberAt = ({ text, column, line }: { text: string; column: string; line: number }): Printed => {
    const printed = readPrinted(text.replace(/\s*%$/, ''));
    if (printed) return printed;
    throw new SegfleetError(
      'invalidData',
      `${file}, line ${line}, column ${column}: ${JSON.stringify(text)} is no number; a score is expected, such as 81.43 or 81.43 ± 0.31`,
      { details: { file, line, column } },
    );
  };
  const read = drafts.map(draft => ({
    ...draft,
    numbers: [...draft.cells].map(([score, cell]) => ({ score, cell, printed: numberAt(cell) })),
  }));
  // Most scores are far above 1 % and at most 1: the middle one tells the unit, and one that is out of range is still found.
  const sorted = read.flatMap(({ numbers }) => numbers.map(({ printed }) => Math.abs(printed.value))).sort((a, b) => a - b);
  const isPercent = given ? given === 'percent' : sorted[Math.floor(sorted.length / 2)] > 1;
  const factor = isPercent ? 0.01 : 1;
  return read.map(({ line, keys, dataset, aggregation, runs, baseline, baselineMethod, numbers }) => ({
    file,
    line,
    keys,
    dataset,
    aggregation,
    runs,
    scores: Object.fromEntries(
      numbers.map(({ score, cell, printed }) => [
        score,
        {
          ...scaled(printed, factor),
          line: cell.line,
          column: cell.column,
          ...(cell.sd !== undefined && { sd: numberAt({ ...cell, text: cell.sd }).value * factor }),
        },
      ]),
    ),
    ...(baseline && { baseline: { ...scaled(numberAt(baseline), factor), line: baseline.line, column: baseline.column } }),
    ...(baselineMethod !== undefined && { baselineMethod }),
  }));
}
