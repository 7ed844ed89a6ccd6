/**
 * What a run leaves behind for people: a table of its epochs, curves, and pictures of its best, middle and worst cases.
 */
import { join } from 'node:path';
import type { CaseStore } from '../data/store.ts';
import type { CaseResult, Evaluation } from '../evaluate.ts';
import { metricNames } from '../metrics/counts.ts';
import type { Program } from '../program.ts';
import { segment } from '../segment.ts';
import { writeAtomically } from '../storage/files.ts';
import type { RunFolder } from '../storage/runFolder.ts';
import type { EpochEvent } from '../tracking/events.ts';
import { predictedLabels, renderOverlay, renderProbability } from './overlay.ts';

/** One row an epoch. */
export async function writeResults(file: string, epochs: readonly EpochEvent[]): Promise<void> {
  const columns: [string, (epoch: EpochEvent) => number | undefined][] = [
    ['epoch', e => e.epoch],
    ['step', e => e.step],
    ['loss', e => e.loss],
    ['log_share', e => e.logShare],
    ['learning_rate', e => e.learningRate],
    ['validation_loss', e => e.validation.loss],
    ...metricNames.map(
      name => [`validation_${name}_pooled`, (e: EpochEvent) => e.validation.pooled[name]] as [string, (e: EpochEvent) => number],
    ),
    ...metricNames.map(
      name => [`validation_${name}_per_image`, (e: EpochEvent) => e.validation.perImage[name]] as [string, (e: EpochEvent) => number],
    ),
    ['validation_auc', e => e.validation.auc.auc],
    ['seconds', e => e.seconds],
    ['images_per_second', e => e.imagesPerSecond],
    ['wait_share', e => e.waitShare],
  ];
  const rows = epochs.map(epoch => columns.map(([, value]) => value(epoch) ?? '').join(','));
  await writeAtomically(file, `${[columns.map(([name]) => name).join(','), ...rows].join('\n')}\n`);
}

export interface Examined {
  readonly program: Program;
  readonly store: CaseStore;
  readonly evaluation: Evaluation;
  /** Windows predicted at once. */
  readonly batch: number;
}

export async function writeRunReport(folder: RunFolder, name: string, epochs: readonly EpochEvent[], examined: Examined): Promise<void> {
  const { renderChart } = await import('./chart.ts');
  const series = (label: string, value: (epoch: EpochEvent) => number) => ({
    name: label,
    points: epochs.map(e => [e.epoch, value(e)] as const),
  });
  const charts = {
    loss: { y: 'loss', series: [series('training', e => e.loss), series('validation', e => e.validation.loss)] },
    jaccard: {
      y: 'validation Jaccard',
      series: [series('pooled', e => e.validation.pooled.jaccard), series('mean per image', e => e.validation.perImage.jaccard)],
      yDomain: [0, 1] as const,
    },
  };
  for (const [key, chart] of Object.entries(charts)) {
    await writeAtomically(join(folder.curves, `${key}.svg`), renderChart({ title: `${name}: ${chart.y}`, x: 'epoch', ...chart }));
  }
  await writeOverlays(folder.overlays, examined);
}

/** Best, middle and worst case by Jaccard; ties go to the lower id, so that the choice is the same every time. */
export function typicalCases(cases: readonly CaseResult[]): Record<'best' | 'median' | 'worst', CaseResult> {
  const sorted = [...cases].sort((a, b) => b.metrics.jaccard - a.metrics.jaccard || (a.id < b.id ? -1 : 1));
  return { best: sorted[0], median: sorted[Math.floor((sorted.length - 1) / 2)], worst: sorted.at(-1)! };
}

/** @returns the pictures written; beside each lie its probabilities and its truth */
export async function writeOverlays(folder: string, { program, store, evaluation, batch }: Examined): Promise<string[]> {
  const { classes, exclusive, image } = program.options;
  const files: string[] = [];
  const kinds = Object.entries(typicalCases(evaluation.cases));
  const cases = store.read(kinds.map(([, { index }]) => index));
  for await (const { source, logits } of segment(program, cases, { batch })) {
    const predicted = predictedLabels(logits, classes, exclusive);
    const png = await renderOverlay(source.image, predicted, source.labels, { ...source.size, channels: image.channels });
    const file = join(folder, `${kinds[files.length][0]}.png`);
    await writeAtomically(file, png);
    // For the live page, whose reader moves the threshold.
    const maps = await renderProbability(logits, source.labels, { ...source.size, classes, exclusive });
    for (const [name, map] of Object.entries(maps)) await writeAtomically(file.replace(/png$/, `${name}.png`), map);
    files.push(file);
  }
  return files;
}
