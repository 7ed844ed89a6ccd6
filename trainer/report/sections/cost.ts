/**
 * What each run took: time, images a second, bytes of checkpoints, hours of GPUs where there were any.
 */
import { describeLoss } from '../../losses/catalogue.ts';
import { percentile } from '../../metrics/surface.ts';
import { html } from '../html.ts';
import type { ReportedRun } from '../reportedRun.ts';
import { plural, type Section } from '../section.ts';
import { type Cell, numberCell, textCell } from '../table.ts';

const seconds = ({ record: { startedAt, endedAt } }: ReportedRun) =>
  endedAt ? (Date.parse(endedAt) - Date.parse(startedAt)) / 1000 : undefined;

const usesGpu = ({ start }: ReportedRun): boolean => start?.devices.some(device => device.includes('GPU')) ?? false;

/** Hours from start to end times the GPUs of the process, one or none; undefined where that is not known, or where workers had their own. */
function gpuHours(run: ReportedRun): number | undefined {
  const wall = seconds(run);
  return wall === undefined || run.record.fleet ? undefined : usesGpu(run) ? wall / 3600 : 0;
}

const median = (values: readonly number[]) => (values.length === 0 ? undefined : percentile(Float64Array.from(values).sort(), 0.5));

function bytesCell(bytes: number | undefined): Cell {
  if (bytes === undefined) return { shown: '–', value: null };
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  const power = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0);
  return { shown: `${(bytes / 1000 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`, value: bytes };
}

export function cost(runs: readonly ReportedRun[]): Section {
  const total = runs.reduce((sum, run) => sum + (seconds(run) ?? 0), 0);
  const gpus = runs.map(gpuHours);
  const onGpus = runs.some(usesGpu) ? `${gpus.reduce<number>((sum, hours) => sum + (hours ?? 0), 0).toFixed(2)} GPU hours` : 'no GPU';
  const unknown = runs.filter(({ record }) => record.fleet).length;
  const without = unknown > 0 ? ` (those of the workers of ${plural(unknown, 'run')} are not known)` : '';
  return {
    id: 'cost',
    title: 'Cost',
    parts: [
      {
        kind: 'text',
        text: html`<p>${plural(runs.length, 'run')}, ${(total / 3600).toFixed(2)} hours from start to end of each, added up; ${onGpus}${without}. Runs on machines that others used too are slower than they could be.</p>`,
      },
      {
        kind: 'table',
        table: {
          id: 'cost',
          title: 'Time and space of each run',
          columns: [
            { title: 'Run', kind: 'text' },
            { title: 'Loss', kind: 'text' },
            ...[
              'Parameters',
              'Workers',
              'Epochs',
              'Steps',
              'Start to end, s',
              'Epoch, s',
              'Images/s',
              'Waiting for data, %',
              'Checkpoints',
              'GPU hours',
            ].map(title => ({ title, kind: 'number' }) as const),
          ],
          rows: runs.map((run, i) => [
            textCell(run.name),
            textCell(describeLoss(run.record.job.spec.loss)),
            run.start ? { shown: run.start.parameters.toLocaleString('en'), value: run.start.parameters } : numberCell(undefined, 0),
            numberCell(Math.max(run.start?.workers ?? 1, ...(run.record.fleet?.sizes.map(({ workers }) => workers) ?? [])), 0),
            numberCell(run.epochs.length, 0),
            numberCell(run.record.steps, 0),
            numberCell(seconds(run), 0),
            numberCell(median(run.epochs.map(epoch => epoch.seconds)), 1),
            numberCell(median(run.epochs.map(epoch => epoch.imagesPerSecond)), 1),
            numberCell(run.epochs.length > 0 ? 100 * median(run.epochs.map(epoch => epoch.waitShare))! : undefined, 2),
            bytesCell(run.checkpointBytes),
            numberCell(gpus[i], 2),
          ]),
        },
        note: 'Start to end includes pauses of runs that were taken up again. Epoch, images a second and waiting: medians over epochs, validation in the first of them. Checkpoints: bytes that lie in the run folder now; "–" where they lie elsewhere or are gone.',
      },
    ],
  };
}
