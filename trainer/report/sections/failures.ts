/**
 * What went wrong: runs that did not come to their end, that could not be read or scored, and interruptions that they got over.
 */
import { describeLoss } from '../../losses/catalogue.ts';
import { html } from '../html.ts';
import type { Inputs } from '../inputs.ts';
import { type Part, plural, type Section } from '../section.ts';
import { numberCell, type Table, textCell } from '../table.ts';

export function failures({ runs, missing, unfinished }: Inputs): Section {
  const isFailure = ({ name }: { readonly name: string }) => !unfinished.has(name);
  const failed = runs.filter(run => run.record.status !== 'succeeded' && isFailure(run));
  const unscored = runs.filter(({ trouble }) => trouble !== undefined);
  const rows = [
    ...failed.map(({ name, record, epochs }) => ({
      name,
      loss: describeLoss(record.job.spec.loss),
      status: record.status as string,
      epochs: epochs.length as number | undefined,
      why: record.exit?.message ?? 'it has not said how it ended: it is still going on, or was killed',
      code: record.exit?.error ?? '',
      exit: record.exit?.code,
    })),
    ...unscored.map(({ name, record, epochs, trouble }) => ({
      name,
      loss: describeLoss(record.job.spec.loss),
      status: 'left out',
      epochs: epochs.length,
      why: trouble!,
      code: '',
      exit: undefined,
    })),
    ...missing
      .filter(isFailure)
      .map(({ name, status, why }) => ({ name, loss: '', status, epochs: undefined, why, code: '', exit: undefined })),
  ];
  const interruptions = runs.flatMap(({ name, record }) => [
    ...record.resumed.map(({ step, differs }) => ({
      name,
      step,
      what: 'taken up again from a checkpoint',
      why: differs.length > 0 ? `differs from before: ${differs.join('; ')}` : 'everything as before',
    })),
    ...(record.fleet?.lost.map(({ worker, afterStep, why }) => ({ name, step: afterStep, what: `lost worker ${worker}`, why })) ?? []),
  ]);
  const parts: Part[] = [{ kind: 'text', text: html`<p>${inWords({ runs, missing, unfinished }, rows.length, interruptions.length)}</p>` }];
  if (rows.length > 0) {
    parts.push({
      kind: 'table',
      table: {
        id: 'failures',
        title: 'Runs that are not in the results',
        columns: failureColumns,
        rows: rows.map(row => [
          textCell(row.name),
          textCell(row.loss),
          textCell(row.status),
          numberCell(row.epochs, 0),
          numberCell(row.exit, 0),
          textCell(row.code),
          textCell(row.why),
        ]),
      },
    });
  }
  if (interruptions.length > 0) {
    parts.push({
      kind: 'table',
      table: {
        id: 'interruptions',
        title: 'Interruptions',
        columns: interruptionColumns,
        rows: interruptions.map(({ name, step, what, why }) => [textCell(name), numberCell(step, 0), textCell(what), textCell(why)]),
      },
    });
  }
  return { id: 'failures', title: 'Failures', parts };
}

const failureColumns: Table['columns'] = [
  { title: 'Run', kind: 'text' },
  { title: 'Loss', kind: 'text' },
  { title: 'Status', kind: 'text' },
  { title: 'Epochs', kind: 'number' },
  { title: 'Exit code', kind: 'number' },
  { title: 'Error', kind: 'text' },
  { title: 'Why', kind: 'text' },
];

const interruptionColumns: Table['columns'] = [
  { title: 'Run', kind: 'text' },
  { title: 'After step', kind: 'number' },
  { title: 'What', kind: 'text' },
  { title: 'Why', kind: 'text' },
];

function inWords({ runs, missing, unfinished }: Omit<Inputs, 'sweeps'>, left: number, interruptions: number): string {
  const all = runs.length + missing.length;
  const early = unfinished.size > 0 ? `; ${unfinished.size} more were ended by the search, or it has not come to them` : '';
  const ended =
    left === 0
      ? `${unfinished.size > 0 ? 'No run failed' : `All ${plural(all, 'run')} succeeded`}`
      : `${plural(left, 'run')} of ${all} ${left === 1 ? 'is' : 'are'} not in the results`;
  const went = interruptions === 0 ? 'none was interrupted on its way' : `runs got over ${plural(interruptions, 'interruption')}`;
  return `${ended}${early}; ${went}.`;
}
