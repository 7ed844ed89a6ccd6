/**
 * How sweeps look.
 */

import type { Answer } from '../../trainer/sweep/ask.ts';
import type { SweepEvent } from '../../trainer/sweep/driver.ts';
import { describeParameters } from '../../trainer/sweep/parameters.ts';
import type { SweepPlan } from '../../trainer/sweep/plan.ts';
import type { SweepRecord } from '../../trainer/sweep/sweepFolder.ts';
import { program } from '../base.ts';
import { duration, number, table } from './text.ts';

export interface SweepViewOptions {
  readonly json: boolean;
  readonly log: (line: string) => void;
  /** The folder of the sweep. */
  readonly out: string;
}

/** One line an event: JSON, or text. */
export async function showSweep(events: AsyncGenerator<SweepEvent, SweepRecord>, { json, log, out }: SweepViewOptions): Promise<void> {
  let next = await events.next();
  const titles = new Map<number, string>();
  for (; !next.done; next = await events.next()) {
    const event = next.value;
    if (json) process.stdout.write(`${JSON.stringify(event)}\n`);
    else for (const line of sweepLines(event, titles)) log(line);
  }
  if (json) return;
  log(`\n${resultsTable(next.value)}`);
  log(`sweep folder: ${out} (sweep.json, trials/)\nnext:\n  ${program} sweep results ${out}\n  ${program} sweep best ${out}`);
}

export function tellMetrics(url: string, { json, log }: Pick<SweepViewOptions, 'json' | 'log'>): void {
  if (json) process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event: 'metrics', url })}\n`);
  else log(`metrics for Prometheus: ${url}/metrics`);
}

/** @param titles of the trials, kept from event to event */
export function sweepLines(event: SweepEvent, titles: Map<number, string>): string[] {
  if (event.event === 'start') titles.set(event.trial, describeParameters(event.parameters));
  switch (event.event) {
    case 'sweep':
      return [`sweep ${event.name}, ${event.threads} threads a run, in ${event.folder}`];
    case 'driver':
      return [`${event.parallel} of its runs at a time on ${event.cores} processors`];
    case 'attached':
      return [`another process runs the sweep in ${event.folder}: this is what it tells`];
    case 'problem':
      return [`warning: ${event.message}`];
    case 'start':
      return [];
    case 'continue':
      return [`trial ${event.trial} goes on${event.until === undefined ? ' to its end' : ` to ${event.until}`}`];
    case 'stop':
      return [`trial ${event.trial} ends: ${event.reason}`];
    case 'finish':
      return [event.reason];
    case 'report':
      return [`  ${runTitle(event)}  epoch ${event.epoch}  ${number(event.value ?? undefined)}`];
    case 'run': {
      const title = runTitle(event);
      switch (event.status) {
        case 'begins':
          return [titles.has(event.trial) ? `${title} begins: ${titles.get(event.trial)}` : `${title} goes on`];
        case 'reused':
          return [`${title} is there already: ${event.from}`];
        case 'failed':
          return [`${title} failed: ${event.error.message}`];
        case 'tried':
          return [`${title} is tried again: ${event.error.message}`];
        case 'paused':
        case 'succeeded':
        case 'stopped':
        case 'interrupted':
          return [`${title} ${event.status} after ${duration(event.seconds)}`];
        default:
          return event satisfies never;
      }
    }
    case 'rerun':
      return [`${event.runs.length} runs are done anew`];
    case 'paused':
      return [`paused, ${event.reason}; sweep resume lets it go on`];
    case 'resumed':
      return ['goes on'];
    case 'ended':
      return [`ended: ${event.status}${event.reason ? `, ${event.reason}` : ''}`];
    default:
      return event satisfies never;
  }
}

const runTitle = ({ trial, replicate }: { readonly trial: number; readonly replicate: number }): string => `${trial}.${replicate}`;

export function resultsTable({ trials, spec, best }: SweepRecord): string {
  const varied = variedPaths(trials);
  const rows = trials.map(({ number: i, parameters, state, value, deviation, n, runs }) => [
    `${i}${i === best ? ' *' : ''}`,
    state,
    ...varied.map(path => (path in parameters ? show(parameters[path]) : '-')),
    `${number(value)}${deviation === undefined ? '' : ` ± ${number(deviation)}`}`,
    String(n),
    runs.map(({ epoch }) => epoch ?? '-').join(' '),
  ]);
  return table(['trial', 'state', ...varied, spec.objective.metric, 'n', 'best epoch'], rows, 2 + varied.length);
}

/** Of what is the same in all trials a table says nothing. */
export function variedPaths(trials: readonly Pick<SweepRecord['trials'][number], 'parameters'>[]): string[] {
  const paths = [...new Set(trials.flatMap(({ parameters }) => Object.keys(parameters)))];
  const differs = (path: string) => new Set(trials.map(({ parameters }) => JSON.stringify(parameters[path]))).size > 1;
  return paths.filter(path => trials.length === 1 || differs(path));
}

const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));

const gigabytes = (bytes: number): string => (bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`);

/** Of a long list its beginning says what the rest is like. */
const maxRows = 40;

export function planText(plan: SweepPlan, given: string): string {
  const { name, method, trials, isComplete, maxTrials, counts, parallel, threads, cores, time, bytes } = plan;
  const varied = variedPaths(trials);
  const rows = trials
    .slice(0, maxRows)
    .map(({ number: i, parameters, runs }) => [
      String(i),
      ...varied.map(path => (path in parameters ? show(parameters[path]) : '-')),
      [...new Set(runs.map(({ state, from }) => (from === undefined ? state : `reused from ${from}`)))].join(', '),
    ]);
  const more = trials.length > maxRows ? `\n... and ${trials.length - maxRows} more (--json has all)` : '';
  const others = isComplete
    ? ''
    : `; the search chooses the others by what it sees${maxTrials === undefined ? '' : `, ${maxTrials} trials at most`}`;
  return [
    `${name}, ${method}: ${trials.length} trials, ${counts.runs} runs${others}`,
    `${counts.toRun} to run, ${counts.done} done, ${counts.reused} reused, ${counts.failed} failed`,
    `${parallel} at a time with ${threads} threads each, on ${cores} processors`,
    `time: ${time.hours === undefined ? '' : `${duration(time.hours * 3600)}, by `}${time.basis}`,
    `data to read: ${gigabytes(bytes.data)}; left on the disk: ${gigabytes(bytes.kept)} of weights; on top while it runs: ${gigabytes(bytes.checkpoints)} of checkpoints`,
    `${table(['trial', ...varied, 'state'], rows, 2 + varied.length)}${more}`,
    `next:\n  ${program} sweep run ${given}`,
  ].join('\n');
}

export function statusText(record: SweepRecord, { isDriven, folder }: { readonly isDriven: boolean; readonly folder: string }): string {
  const { name, status, reason, counts, best, trials, spec } = record;
  const isLive = status === 'running' || status === 'paused';
  const now = isLive && !isDriven ? `${status}, and no process runs it (sweep run goes on)` : status;
  const runs = trials.flatMap(trial => trial.runs.map(run => ({ trial: trial.number, ...run })));
  const named = best === undefined ? undefined : trials[best];
  return [
    `${name}: ${now}${reason === undefined ? '' : ` (${reason})`}`,
    `trials: ${Object.entries(counts)
      .map(([state, count]) => `${count} ${state}`)
      .join(', ')}`,
    ...(named
      ? [`best: trial ${named.number} (${describeParameters(named.parameters)}), ${spec.objective.metric} ${number(named.value)}`]
      : []),
    ...runs
      .filter(({ state }) => state === 'running')
      .map(
        ({ trial, replicate, epochs, value }) =>
          `running: ${runTitle({ trial, replicate })}, epoch ${epochs} done, ${number(value)} at best`,
      ),
    ...runs
      .filter(({ state }) => state === 'failed')
      .map(({ trial, replicate, error }) => `failed: ${runTitle({ trial, replicate })}: ${error?.message}`),
    `folder: ${folder}`,
  ].join('\n');
}

const answered = { pause: 'paused', run: 'goes on', stop: 'stopped' } as const;
const noted = { pause: 'is to rest', run: 'may go on', stop: 'is stopped' } as const;

export const answerText = ({ wish, isDriven }: Answer, folder: string): string =>
  isDriven ? `${folder}: ${answered[wish]}` : `${folder} ${noted[wish]}: no process runs it; next: ${program} sweep run ${folder}`;
