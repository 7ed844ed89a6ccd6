/**
 * What runs were made of: data, seeds, versions, machines, workers, and the digests of what came out; and the jobs themselves.
 */
import { describeLoss } from '../../losses/catalogue.ts';
import { type Job, renderJob } from '../../spec.ts';
import { type Study, textOf } from '../arms.ts';
import type { ReportedRun } from '../reportedRun.ts';
import type { Part, Section } from '../section.ts';
import { type Cell, numberCell, textCell } from '../table.ts';

/** Enough of a digest to see that two differ; CSV has it whole. */
const digestCell = (digest: string | undefined): Cell => (digest ? { shown: digest.slice(0, 12), value: digest } : textCell('–'));

/** Over the run: 2, then 3 from step 40. */
function workersOf({ record: { fleet } }: ReportedRun): string {
  if (!fleet) return 'one process';
  return fleet.sizes.map(({ fromStep, workers }, i) => (i === 0 ? String(workers) : `${workers} from step ${fromStep}`)).join(', then ');
}

export function records(runs: readonly ReportedRun[], studies: readonly Study[]): Section {
  const columns: readonly [title: string, cell: (run: ReportedRun) => Cell][] = [
    ['Run', run => textCell(run.name)],
    ['Loss', ({ record }) => textCell(describeLoss(record.job.spec.loss))],
    ['Status', ({ record }) => textCell(record.status)],
    ['Seed', ({ record }) => numberCell(record.job.spec.seed, 0)],
    ['Weights, last', ({ record }) => digestCell(record.weights?.digest)],
    ['Weights, best', ({ record }) => digestCell(record.weights?.bestDigest)],
    ['Data', ({ record }) => digestCell(record.data.digest)],
    ['Split', ({ record }) => digestCell(record.data.split)],
    ['Images', ({ record: { data } }) => textCell(`${data.training} + ${data.validation} + ${data.test}`)],
    ['Workers', run => textCell(workersOf(run))],
    ['Taken up again', ({ record }) => numberCell(record.resumed.length, 0)],
    ['segfleet', ({ record }) => textCell(record.versions.segfleet)],
    ['TensorFlow', ({ record }) => textCell(record.versions.tensorflow)],
    ['Node', ({ record }) => textCell(record.versions.node)],
    ['Processor', ({ record: { machine } }) => textCell(`${machine.cpu}, ${machine.processors}`)],
    ['Instructions', ({ record: { machine } }) => textCell(machine.instructions.join(' '))],
    ['Precision', ({ record }) => textCell(record.precision)],
    ['Threads', ({ record }) => numberCell(record.threads, 0)],
    ['Started', ({ record }) => textCell(record.startedAt)],
    ['Ended', ({ record }) => textCell(record.endedAt ?? '–')],
  ];
  const numbers = ['Seed', 'Taken up again', 'Threads'];
  const parts: Part[] = [
    {
      kind: 'table',
      table: {
        id: 'records',
        title: 'Run records',
        columns: columns.map(([title]) => ({ title, kind: numbers.includes(title) ? 'number' : 'text' })),
        rows: runs.map(run => columns.map(([, cell]) => cell(run))),
      },
      note: 'Digests are SHA-256, whole in the CSV. The same job, data, TensorFlow, instructions, precision and threads give the same weights, bit for bit, by any number of workers. Images: training + validation + test.',
    },
  ];
  for (const { id, title, arms, varied } of studies) {
    if (varied.length > 0) {
      parts.push({
        kind: 'table',
        table: {
          id: `${id}-settings`,
          title: `${title}: settings that differ`,
          columns: [{ title: 'Loss', kind: 'text' }, ...varied.map(path => ({ title: path, kind: 'text' }) as const)],
          rows: arms.map(({ name, settings }) => [
            textCell(name),
            ...varied.map(path => textCell(settings.has(path) ? textOf(settings.get(path)) : '–')),
          ]),
        },
      });
    }
    for (const { name, runs } of arms) {
      parts.push({
        kind: 'folded',
        title: `Job of ${name} (seed ${runs[0].record.job.spec.seed})`,
        text: renderJob(runs[0].record.job as Job),
      });
    }
  }
  return { id: 'records', title: 'Run records', parts };
}
