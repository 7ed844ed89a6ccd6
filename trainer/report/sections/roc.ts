/**
 * ROC curves: of each arm the mean over its runs at equal false positive rates (vertical averaging, Fawcett 2006), and the area of each run with
 * the half-width within which the exact one lies.
 */
import type { RocPoint } from '../../metrics/roc.ts';
import type { Arm, Study } from '../arms.ts';
import type { Section } from '../section.ts';
import { meanCell, numberCell, summaryOf, type Table, textCell } from '../table.ts';
import { foremost } from './convergence.ts';

/** Finer near 0, where curves differ. */
const grid = Array.from({ length: 201 }, (_, i) => (i / 200) ** 2);

/** True positive rate at a false positive rate, between points along the line; of several points at that rate the highest. */
export function rateAt(curve: readonly RocPoint[], falsePositiveRate: number): number {
  let [low, high] = [0, curve.length - 1];
  // The last point whose rate is not above.
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (curve[middle].falsePositiveRate <= falsePositiveRate) low = middle;
    else high = middle - 1;
  }
  const [at, next] = [curve[low], curve[low + 1]];
  if (!next || at.falsePositiveRate >= falsePositiveRate) return at.truePositiveRate;
  const share = (falsePositiveRate - at.falsePositiveRate) / (next.falsePositiveRate - at.falsePositiveRate);
  return at.truePositiveRate + share * (next.truePositiveRate - at.truePositiveRate);
}

interface MeanCurve {
  readonly arm: Arm;
  readonly points: readonly (readonly [number, number])[];
}

/** Over runs, and of several classes over classes. */
function meanCurve(arm: Arm): MeanCurve {
  const curves = arm.runs.flatMap(({ scored }) => scored.rocs.filter(curve => curve?.length > 0));
  if (curves.length === 0) return { arm, points: [] };
  const points = grid.map(x => [x, curves.reduce((sum, curve) => sum + rateAt(curve, x), 0) / curves.length] as const);
  return { arm, points: [[0, 0], ...points] };
}

export function roc(study: Study): Section {
  const { id, arms } = study;
  const curves = foremost(arms).map(meanCurve);
  const auc = ({ runs }: Arm) => summaryOf(runs.map(({ scored }) => scored.evaluation.scores.auc.auc));
  const named = curves.map(({ arm, points }) => ({ name: `${arm.name} ${auc(arm)?.mean.toFixed(4) ?? ''}`, style: arm.style, points }));
  const lowest = Math.min(1, ...curves.flatMap(({ points }) => points.filter(([x]) => x >= 0.02 && x <= zoom).map(([, y]) => y)));
  const corner = Math.max(0, Math.floor(lowest * 10) / 10);
  const description = `ROC curves. Area: ${curves.map(({ arm }) => `${arm.name} ${auc(arm)?.mean.toFixed(4) ?? 'not defined'}`).join(', ')}.`;
  const shared = { x: 'false positive rate', y: 'true positive rate', square: true, legend: 'bottom-right' } as const;
  const table: Table = {
    id: `${id}-roc`,
    title: 'ROC, mean over runs',
    columns: [{ title: 'False positive rate', kind: 'number' }, ...curves.map(({ arm }) => ({ title: arm.name, kind: 'number' }) as const)],
    rows: grid
      .filter((_, i) => i % 5 === 0)
      .map(x => [numberCell(x, 4), ...curves.map(({ points }) => numberCell(points.find(([at], i) => i > 0 && at === x)?.[1], 4))]),
  };
  return {
    id: `${id}-roc-section`,
    title: 'ROC',
    parts: [
      {
        kind: 'chart',
        chart: { ...shared, description, series: named, xDomain: [0, 1], yDomain: [0, 1] },
        data: table,
        note: 'Every pixel counts once, by its logit. Behind each name the area under its curve, the mean over its runs.',
      },
      {
        kind: 'chart',
        chart: {
          ...shared,
          description: `The same curves up to a false positive rate of ${zoom}.`,
          series: named.map(one => ({ ...one, points: one.points.filter(([x]) => x <= zoom) })),
          xDomain: [0, zoom],
          yDomain: [corner, 1],
        },
        data: {
          ...table,
          id: `${id}-roc-corner`,
          title: 'ROC, upper left corner',
          rows: table.rows.filter(([{ value }]) => (value as number) <= zoom),
        },
        note: `The upper left corner, where they differ.`,
      },
      {
        kind: 'table',
        table: {
          id: `${id}-auc`,
          title: 'Area under the ROC curve',
          columns: [
            { title: 'Loss', kind: 'text' },
            { title: 'Runs', kind: 'number' },
            { title: 'AUC', kind: 'mean' },
            { title: 'Half-width', kind: 'number' },
            { title: 'Each run', kind: 'text' },
          ],
          rows: arms.map(arm => [
            textCell(arm.name),
            { shown: String(arm.runs.length), value: arm.runs.length },
            meanCell(
              arm.runs.map(({ scored }) => scored.evaluation.scores.auc.auc),
              4,
            ),
            numberCell(summaryOf(arm.runs.map(({ scored }) => scored.evaluation.scores.auc.halfWidth))?.mean, 5),
            textCell(arm.runs.map(({ scored }) => numberCell(scored.evaluation.scores.auc.auc, 4).shown).join(', ')),
          ]),
        },
        note: 'The area comes from histograms of logits; the exact one lies within the half-width of it, whatever the number of pixels.',
      },
    ],
  };
}

const zoom = 0.2;
