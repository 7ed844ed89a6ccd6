/**
 * What a sweep tried: every trial with its parameters and what came of it.
 */
import { importance } from '../../search/importance.ts';
import type { Trial } from '../../search/strategy.ts';
import type { SweepRecord } from '../../sweep/sweepFolder.ts';
import { shortName, textOf } from '../arms.ts';
import { html } from '../html.ts';
import { type Part, plural, type Section } from '../section.ts';
import { type Cell, fixed, numberCell, shareCell, type Table, textCell } from '../table.ts';

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
      ...importanceParts(record, index),
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

function importanceParts({ name, spec, trials }: SweepRecord, index: number): Part[] {
  const sign = spec.objective.goal === 'maximize' ? 1 : -1;
  const history = trials.map(({ number, parameters, state, value, runs }): Trial => {
    const time = Math.max(0, ...runs.map(({ epochs }) => epochs));
    return { number, parameters, state, reports: typeof value === 'number' ? [{ time, value: sign * value }] : [] };
  });
  const parameters = Object.assign({}, spec.parameters, ...(spec.stages ?? []).map(stage => stage.parameters));
  const found = importance(history, parameters);
  if (!found)
    return [
      {
        kind: 'text',
        text: html`<p>How much each parameter matters cannot be told from these trials: too few came to their end, or nothing varies.</p>`,
      },
    ];
  const rows = [
    ...found.parameters.map(({ name, share }) => ({ names: shortName(name), share })),
    ...found.pairs.map(({ names, share }) => ({ names: `${names.map(shortName).join(' and ')} together`, share })),
  ];
  const how =
    found.method === 'exact'
      ? 'Exact, as the trials are a whole grid.'
      : `Estimated by a random forest, which explains ${(100 * Math.max(0, found.explained)).toFixed(0)} % of the variance of trials that it has not seen${found.explained < 0.5 ? ': too little to rely on' : ''}.`;
  const table: Table = {
    id: `sweep-${index + 1}-importance`,
    title: `How much each parameter of ${name} matters`,
    columns: [
      { title: 'Parameter', kind: 'text' },
      { title: 'Share of variance', kind: 'number' },
    ],
    rows: rows.map(({ names, share }) => [textCell(names), shareCell(share)]),
  };
  const note = `Share of the variance of ${spec.objective.metric} over ${plural(found.numTrials, 'trial')} that a parameter brings about by itself, and pairs beyond what their two do (functional analysis of variance, Hutter et al. 2014). ${how} Differences between seeds are in it: with few runs a trial, small shares are noise.`;
  return [{ kind: 'table', table, note }];
}

const isNumber = (value: unknown): boolean => value === undefined || typeof value === 'number';
