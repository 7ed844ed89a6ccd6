/**
 * `npm run demo`: the example job with ALL(Dice) and with plain Dice, side by side. While the Dice loss stays above gamma both are
 * the same training, step for step; the job is one that gets below.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { evaluateRun, type RunEvaluation } from './evaluateRun.ts';
import { renderChart, type Series } from './report/chart.ts';
import { writeAtomically } from './storage/files.ts';
import { RunFolder } from './storage/runFolder.ts';
import type { DoneEvent, EpochEvent, TrainEvent } from './tracking/events.ts';
import { readJob, train } from './train.ts';

export interface DemoArm {
  readonly title: string;
  readonly run: string;
  readonly done: DoneEvent;
  readonly epochs: readonly EpochEvent[];
  readonly evaluation: RunEvaluation;
}

export interface DemoOptions {
  readonly job: string;
  readonly out: string;
  readonly settings: readonly string[];
  readonly signal?: AbortSignal;
}

const arms = [
  { title: 'ALL(Dice)', folder: 'all', settings: [] },
  { title: 'Dice', folder: 'dice', settings: ['loss.name=dice'] },
];

/** Yields the events of both trainings, one after the other; returns what to show. */
export async function* demo({ job, out, settings, signal }: DemoOptions): AsyncGenerator<TrainEvent, { arms: DemoArm[]; report: string }> {
  const results: DemoArm[] = [];
  for (const arm of arms) {
    const run = join(out, arm.folder);
    await rm(run, { recursive: true, force: true });
    const epochs: EpochEvent[] = [];
    let done: DoneEvent | undefined;
    const loaded = readJob(job, [`metadata.name=nuclei-${arm.folder}`, ...arm.settings, ...settings]);
    for await (const event of train({ ...loaded, out: run, signal })) {
      if (event.event === 'epoch') epochs.push(event);
      if (event.event === 'done') done = event;
      yield event;
    }
    results.push({ title: arm.title, run, done: done!, epochs, evaluation: await evaluateRun(run, { select: 'best' }) });
  }
  const report = join(out, 'report');
  await writeDemoReport(report, results);
  return { arms: results, report };
}

async function writeDemoReport(folder: string, arms: readonly DemoArm[]): Promise<void> {
  const series = (value: (epoch: EpochEvent) => number): Series[] =>
    arms.map(({ title, epochs }) => ({ name: title, points: epochs.map(epoch => [epoch.epoch, value(epoch)] as const) }));
  const charts = {
    'validation-jaccard': {
      title: 'Validation Jaccard (pooled)',
      y: 'Jaccard',
      series: series(e => e.validation.pooled.jaccard),
      yDomain: [0, 1] as const,
    },
    'log-share': {
      title: 'Share of steps in the logarithmic branch',
      y: 'share of the steps of an epoch',
      series: [{ name: arms[0].title, points: arms[0].epochs.map(e => [e.epoch, e.logShare ?? 0] as const) }],
      yDomain: [0, 1] as const,
    },
  };
  for (const [name, chart] of Object.entries(charts))
    await writeAtomically(join(folder, `${name}.svg`), renderChart({ x: 'epoch', ...chart }));
  for (const { run, title } of arms) {
    const source = join(new RunFolder(run).evaluation('best'), 'overlays');
    for (const kind of ['best', 'median', 'worst']) {
      const name = `${title.replace(/\W+/g, '-').replace(/-$/, '')}-${kind}.png`;
      await writeAtomically(join(folder, 'overlays', name), await readFile(join(source, `${kind}.png`)));
    }
  }
}
