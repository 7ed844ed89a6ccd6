/**
 * How sweeps look.
 */
import type { SweepEvent } from '../../trainer/sweep/driver.ts';
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

const describe = (parameters: Readonly<Record<string, unknown>>): string =>
  Object.entries(parameters)
    .map(([path, value]) => `${path}=${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join(' ');

/** @param titles of the trials, kept from event to event */
export function sweepLines(event: SweepEvent, titles: Map<number, string>): string[] {
  if (event.event === 'start') titles.set(event.trial, describe(event.parameters));
  switch (event.event) {
    case 'sweep':
      return [`sweep ${event.name}, ${event.threads} threads a run, in ${event.folder}`];
    case 'driver':
      return [`${event.parallel} of its runs at a time on ${event.cores} processors`];
    case 'attached':
      return [`another process runs the sweep in ${event.folder}: this is what it tells`];
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
          return [`${title} begins: ${titles.get(event.trial) ?? ''}`.trimEnd()];
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
export function variedPaths(trials: SweepRecord['trials']): string[] {
  const paths = [...new Set(trials.flatMap(({ parameters }) => Object.keys(parameters)))];
  const differs = (path: string) => new Set(trials.map(({ parameters }) => JSON.stringify(parameters[path]))).size > 1;
  return paths.filter(path => trials.length === 1 || differs(path));
}

const show = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value));
