/**
 * What a sweep tried: every trial with its parameters and what came of it.
 */
import type { SweepRecord } from '../../sweep/sweepFolder.ts';
import { shortName, textOf } from '../arms.ts';
import { html } from '../html.ts';
import { plural, type Section } from '../section.ts';
import { type Cell, fixed, numberCell, type Table, textCell } from '../table.ts';

export function sweep(record: SweepRecord, index: number): Section {
  const { name, spec, trials, counts, status, reason } = record;
  const { metric, goal } = spec.objective;
  const states = Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([state, count]) => `${count} ${state}`);
  const sentence = [
    `${plural(trials.length, 'trial')} by ${spec.method} (seed ${spec.seed}), ${plural(spec.replicates.count, 'run')} each: ${states.join(', ')}.`,
    `Objective: ${metric}, ${goal === 'maximize' ? 'higher' : 'lower'} is better, at the best epoch of each run.`,
    `The sweep is ${status}${reason ? `: ${reason.replace(/\.$/, '')}` : ''}.`,
    trials.length > 1
      ? 'The best of many trials is the best partly by chance: run it again with other seeds before believing its value.'
      : '',
  ];
  return {
    id: `sweep-${index + 1}`,
    title: `Sweep ${name}`,
    parts: [
      { kind: 'text', text: html`<p>${sentence.filter(Boolean).join(' ')}</p>` },
      { kind: 'table', table: trialTable(record, index), isFolded: trials.length > 50 },
    ],
  };
}

function trialTable({ name, trials, best, spec }: SweepRecord, index: number): Table {
  const paths = [...new Set(trials.flatMap(({ parameters }) => Object.keys(parameters)))];
  const hasGroups = trials.some(({ group }) => group !== undefined);
  const value = ({ value, deviation, n }: (typeof trials)[number], isBest: boolean): Cell => {
    const spread = { deviation: deviation ?? null, n };
    if (value === undefined || value === null) return { shown: '–', value: null, spread };
    return { shown: deviation === undefined ? fixed(value, 4) : `${fixed(value, 4)} ± ${fixed(deviation, 4)}`, value, spread, isBest };
  };
  return {
    id: `sweep-${index + 1}-trials`,
    title: `Trials of ${name}`,
    columns: [
      { title: 'Trial', kind: 'number' },
      ...(hasGroups ? [{ title: 'Group', kind: 'text' } as const] : []),
      ...paths.map(
        path =>
          ({ title: shortName(path), kind: trials.every(({ parameters }) => isNumber(parameters[path])) ? 'number' : 'text' }) as const,
      ),
      { title: spec.objective.metric, kind: 'mean' },
      { title: 'Runs', kind: 'number' },
      { title: 'Epochs', kind: 'number' },
      { title: 'State', kind: 'text' },
    ],
    rows: trials.map(trial => [
      numberCell(trial.number, 0),
      ...(hasGroups ? [textCell(trial.group ?? '–')] : []),
      ...paths.map(path =>
        typeof trial.parameters[path] === 'number'
          ? { shown: String(trial.parameters[path]), value: trial.parameters[path] as number }
          : textCell(path in trial.parameters ? textOf(trial.parameters[path]) : '–'),
      ),
      value(trial, trial.number === best),
      numberCell(trial.n, 0),
      numberCell(Math.max(0, ...trial.runs.map(({ epochs }) => epochs)), 0),
      textCell(trial.state),
    ]),
  };
}

const isNumber = (value: unknown): boolean => value === undefined || typeof value === 'number';
