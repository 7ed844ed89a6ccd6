/**
 * What chance alone does to tables of results: the best of many cells, differences between means of a few runs, baselines that are told and not shown.
 */
import { deviation, mean } from '../../averages.ts';
import { expectedMaximum, meanDifference } from '../statistics.ts';
import { meets } from './printed.ts';
import type { Entry, Score, ScoreName } from './results.ts';
import { type Finding, labelOf, shown } from './rules.ts';

/** Parameters are named as fields of a job, or as the paper's. */
const isParameter = (name: string): boolean => /^[a-z]\w*(\.\w+)+$/i.test(name) || ['omega', 'epsilon', 'gamma'].includes(name);

/** With fewer cells the best is not a matter of choice. */
const fewestCells = 4;

export interface Selection {
  readonly file: string;
  readonly score: ScoreName;
  readonly best: Entry;
  readonly cells: number;
  readonly mean: number;
  /** Of a cell, by chance: from the runs of each where it is printed, else between the cells, which is more where they really differ. */
  readonly noise: number;
  readonly noiseFrom: 'runs' | 'cells';
  /** By how much the best of so many equal cells is above their mean. */
  readonly byChance: number;
}

/** The searches among the tables: rows told apart by parameters alone. */
export function selectionsIn(entries: readonly Entry[]): Selection[] {
  const groups = Map.groupBy(
    entries.filter(({ keys }) => Object.keys(keys).some(isParameter)),
    ({ file, dataset, aggregation, keys }) =>
      JSON.stringify([file, dataset, aggregation, Object.entries(keys).filter(([name]) => !isParameter(name))]),
  );
  return [...groups.values()].flatMap(group => {
    const score = (['jaccard', 'dice', 'auc'] as const).find(name => group.every(({ scores }) => scores[name]));
    if (!score || group.length < fewestCells) return [];
    const scores = group.map(({ scores }) => scores[score]!);
    const values = scores.map(({ value }) => value);
    const ofRuns = group.map(({ runs }, i) => (runs && scores[i].sd !== undefined ? scores[i].sd ** 2 / runs : Number.NaN));
    const fromRuns = Math.sqrt(mean(ofRuns));
    const noiseFrom = Number.isNaN(fromRuns) ? 'cells' : 'runs';
    const noise = noiseFrom === 'runs' ? fromRuns : deviation(values);
    const best = group[values.indexOf(Math.max(...values))];
    const byChance = expectedMaximum(group.length) * noise;
    return [{ file: best.file, score, best, cells: group.length, mean: mean(values), noise, noiseFrom, byChance }];
  });
}

export function auditSelection({ file, score, best, cells, mean, noise, noiseFrom, byChance }: Selection): Finding {
  const { value, line, column } = best.scores[score]!;
  const above = value - mean;
  if (noise < 1e-12) {
    return {
      ...{ severity: 'remark', rule: 'selection', file, line, row: `all ${cells} cells`, columns: [column] },
      sentence: `all ${cells} cells are ${shown(value)}: what was searched for changes nothing here`,
      numbers: { best: value, cells },
    };
  }
  const gain = best.baseline ? value - best.baseline.value : undefined;
  const explained = `${Math.round((100 * byChance) / above)} %`;
  return {
    severity: 'remark',
    rule: 'selection',
    file,
    line,
    row: labelOf(best),
    columns: [column],
    sentence: `${shown(value)} is the best of ${cells} cells of mean ${shown(mean)}, which spread by ${shown(noise)} ${noiseFrom === 'runs' ? 'by their runs' : '(sd between cells, no spread of runs is printed)'}. The best of ${cells} equal cells is ${shown(byChance)} above their mean by chance alone: ${explained} of the ${shown(above)} here${gain === undefined ? '' : `, and ${Math.round((100 * byChance) / gain)} % of the ${shown(gain)} over the baseline ${shown(best.baseline!.value)}`}. Run the chosen cell anew before it is compared`,
    numbers: { best: value, cells, mean, noise, byChance, above, ...(gain !== undefined && { gain }) },
  };
}

/** Baselines that no table shows. */
export function auditBaselines(entries: readonly Entry[]): Finding[] {
  const told = Map.groupBy(
    entries.filter(({ baseline }) => baseline),
    ({ file, baseline, baselineMethod }) => JSON.stringify([file, baseline!.text, baselineMethod]),
  );
  return [...told.values()].flatMap(([first, ...others]) => {
    const baseline = first.baseline!;
    const score = (Object.keys(first.scores) as ScoreName[])[0];
    const known = entries.flatMap(entry => {
      const { [score]: shownScore } = entry.scores;
      return shownScore && (!first.baselineMethod || Object.values(entry.keys).includes(first.baselineMethod))
        ? [{ entry, score: shownScore }]
        : [];
    });
    if (known.some(({ score: other }) => meets(other, baseline))) return [];
    const of = first.baselineMethod ? ` of ${first.baselineMethod}` : '';
    const there =
      known.length === 0
        ? 'no table has a row of it'
        : `the tables have ${known.map(({ entry, score: { value } }) => `${shown(value)} (${labelOf(entry)})`).join(', ')}`;
    return [
      {
        severity: 'remark' as const,
        rule: 'baseline' as const,
        file: first.file,
        line: baseline.line,
        row: others.length > 0 ? `all ${others.length + 1} rows` : labelOf(first),
        columns: [baseline.column],
        sentence: `the baseline${of} is ${shown(baseline.value)}, which appears nowhere: ${there}. Gains over it are of data or settings that are not shown`,
        numbers: { baseline: baseline.value },
      },
    ];
  });
}

/** Means of several runs without their spread, once a file. */
export function auditSpread(entries: readonly Entry[]): Finding[] {
  const files = Map.groupBy(
    entries.filter(({ runs, scores }) => (runs ?? 1) > 1 && Object.values(scores).some(({ sd }) => sd === undefined)),
    ({ file }) => file,
  );
  return [...files].map(([file, found]) => {
    const runs = [...new Set(found.map(({ runs }) => runs!))].sort((a, b) => a - b);
    return {
      severity: 'remark',
      rule: 'spread',
      file,
      sentence: `means of ${runs.join(', ')} runs (${found.length} of ${entries.filter(entry => entry.file === file).length} rows), and no spread is printed: whether rows differ cannot be told from this table`,
      numbers: { rows: found.length },
    };
  });
}

/** `FocusNet (ALL)` is the loss ALL in the network FocusNet. */
const networkOf = ({ keys }: Entry): string => {
  const name = keys.model ?? keys.method ?? keys.Method ?? '';
  return /^(.*?)\s*\([^()]*\)$/.exec(name)?.[1] ?? keys.model ?? '';
};

/**
 * The best and the second of each network, where they are nearer to each other than chance puts equal ones.
 *
 * @param noise of a mean, from elsewhere, where the table has no spread of its own
 */
export function auditMargins(entries: readonly Entry[], noise?: { readonly sd: number; readonly from: string }): Finding[] {
  const groups = Map.groupBy(
    entries.filter(({ keys }) => !Object.keys(keys).some(isParameter) && (keys.method ?? keys.Method ?? keys.loss) !== undefined),
    entry => JSON.stringify([entry.file, entry.dataset, entry.aggregation, networkOf(entry)]),
  );
  return [...groups.values()].flatMap(group =>
    (['jaccard', 'dice'] as const).flatMap(name => {
      const ranked = group.filter(({ scores }) => scores[name]).sort((a, b) => b.scores[name]!.value - a.scores[name]!.value);
      const [first, second] = ranked;
      if (!second) return [];
      const [a, b] = [first.scores[name]!, second.scores[name]!];
      const margin = a.value - b.value;
      const by = limitOf(first, a, second, b, noise);
      if (!by || margin >= by.limit) return [];
      return [
        {
          severity: 'remark' as const,
          rule: 'margin' as const,
          file: first.file,
          line: a.line,
          row: labelOf(first),
          columns: [a.column],
          sentence: `${shown(a.value)} is ${shown(margin)} above the second, ${labelOf(second)}; ${by.because} differ by up to ${shown(by.limit)} nineteen times in twenty`,
          numbers: { best: a.value, second: b.value, margin, limit: by.limit },
        },
      ];
    }),
  );
}

function limitOf(first: Entry, a: Score, second: Entry, b: Score, noise?: { readonly sd: number; readonly from: string }) {
  if (a.sd !== undefined && b.sd !== undefined && (first.runs ?? 1) > 1 && (second.runs ?? 1) > 1) {
    const { limit } = meanDifference({ mean: a.value, sd: a.sd, runs: first.runs! }, { mean: b.value, sd: b.sd, runs: second.runs! });
    return { limit, because: 'with their spread, equal ones' };
  }
  return noise && { limit: 1.96 * Math.SQRT2 * noise.sd, because: `with ${noise.from}, the only one there is, equal ones` };
}
