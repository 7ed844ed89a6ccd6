/**
 * How training went: curves of each arm with the range of its runs, and after how many epochs it came near its best.
 */
import type { Arm, Study } from '../arms.ts';
import type { Series } from '../chart.ts';
import { bandOf, deltas, epochsToWithin, normalisedLoss, restlessness } from '../curves.ts';
import type { ScoredRun } from '../reportedRun.ts';
import type { Part, Section } from '../section.ts';
import { meanCell, numberCell, summaryOf, type Table, textCell } from '../table.ts';

/** More lines than this say nothing together. */
export const mostLines = 8;

const jaccards = ({ epochs }: ScoredRun) => epochs.map(({ validation }) => validation.pooled.jaccard);
const losses = ({ epochs }: ScoredRun) => epochs.map(({ validation }) => validation.loss);

/** @param delta of the marker */
export function convergence(study: Study, delta: number): Section {
  const drawn = foremost(study.arms);
  const note =
    drawn.length < study.arms.length ? ` Drawn are the ${mostLines} arms with the highest mean Jaccard, of ${study.arms.length}.` : '';
  const range = study.arms.some(({ runs }) => runs.length > 1)
    ? 'Line: mean of the runs; band: from the lowest to the highest of them, where there are several.'
    : 'One run each, so no band.';
  return {
    id: `${study.id}-convergence`,
    title: 'Convergence',
    parts: [
      chartOf(study, drawn, {
        id: 'validation-jaccard',
        title: 'Validation Jaccard, pooled',
        y: 'Jaccard',
        curves: ({ runs }) => runs.map(jaccards),
        isThere: (value, values) => value >= Math.max(...values) - delta,
        note: `${range} Diamond: first epoch at which the line is within ${delta} of its best.${note}`,
      }),
      chartOf(study, drawn, {
        id: 'normalised-loss',
        title: 'Normalised validation loss',
        y: '(L − best) / (L0 − best)',
        curves: ({ runs }) => runs.map(run => normalisedLoss(losses(run))).filter(curve => curve !== undefined),
        isThere: value => value <= delta,
        yDomain: [0, 1.05],
        note: `Each run's own loss, 1 after the first epoch and 0 at its lowest: values of different losses are not comparable otherwise. Diamond: first epoch at which the line is at most ${delta}. What is above 1.05 is cut off.`,
      }),
      { kind: 'table', table: speedTable(study), note: speedNote },
    ],
  };
}

/** The arms with the highest mean Jaccard, in their own order. */
export function foremost(arms: readonly Arm[]): readonly Arm[] {
  if (arms.length <= mostLines) return arms;
  const worth = (arm: Arm) => summaryOf(arm.runs.map(({ scored }) => scored.evaluation.scores.pooled.jaccard))!.mean;
  const best = new Set(arms.toSorted((a, b) => worth(b) - worth(a) || a.style - b.style).slice(0, mostLines));
  return arms.filter(arm => best.has(arm)).map((arm, style) => ({ ...arm, style }));
}

interface CurvesOf {
  readonly id: string;
  readonly title: string;
  readonly y: string;
  readonly curves: (arm: Arm) => readonly (readonly number[])[];
  readonly isThere: (value: number, values: readonly number[]) => boolean;
  readonly yDomain?: readonly [number, number];
  readonly note: string;
}

function chartOf({ id: study }: Study, arms: readonly Arm[], { id, title, y, curves, isThere, yDomain, note }: CurvesOf): Part {
  const drawn = arms.map(arm => {
    const runs = curves(arm);
    const band = bandOf(runs);
    const means = band.map(({ mean }) => mean);
    return { arm, n: runs.length, band, at: band.find(({ mean }) => isThere(mean, means)) };
  });
  const series: Series[] = drawn.map(({ arm: { name, style }, n, band, at }) => ({
    name,
    style,
    points: band.map(({ x, mean }) => [x, mean] as const),
    ...(n > 1 && { band: band.map(({ x, low, high }) => [x, low, high] as const) }),
    ...(at && { marker: [at.x, at.mean] as const }),
  }));
  const ends = drawn.map(({ arm, band }) => `${arm.name} ${band.at(-1)?.mean.toFixed(3) ?? 'not defined'}`).join(', ');
  const data: Table = {
    id: `${study}-${id}`,
    title: `${title}, by epoch`,
    columns: [
      { title: 'Epoch', kind: 'number' },
      ...drawn.flatMap(({ arm: { name }, n }) =>
        n > 1
          ? ([`${name}, mean of ${n}`, `${name}, lowest`, `${name}, highest`] as const).map(title => ({ title, kind: 'number' }) as const)
          : [{ title: name, kind: 'number' } as const],
      ),
    ],
    rows: Array.from({ length: Math.max(0, ...drawn.map(({ band }) => band.length)) }, (_, i) => [
      { shown: String(i + 1), value: i + 1 },
      ...drawn.flatMap(({ n, band }) => {
        const at = band[i];
        return (n > 1 ? [at?.mean, at?.low, at?.high] : [at?.mean]).map(value => numberCell(value, 3));
      }),
    ]),
  };
  const chart = { description: `${title} by epoch. At the end of training: ${ends}.`, x: 'epoch', y, series, yDomain };
  return { kind: 'chart', chart, data, note };
}

const speedNote =
  'Epochs until validation Jaccard, pooled, was first within 0.05, 0.02 and 0.01 of the best that the run ever had. Restlessness: mean change of it from epoch to epoch over the second half of training. Logarithmic branch: share of steps in which the wrapped loss was below gamma.';

function speedTable({ id, arms }: Study): Table {
  const hasBranch = arms.some(({ runs }) => runs.some(({ record }) => record.logShare !== undefined));
  return {
    id: `${id}-speed`,
    title: 'How fast, and how steadily',
    columns: [
      { title: 'Loss', kind: 'text' },
      { title: 'Runs', kind: 'number' },
      { title: 'Best Jaccard', kind: 'mean' },
      { title: 'in epoch', kind: 'mean' },
      ...deltas.map(delta => ({ title: `to within ${delta}`, kind: 'mean' }) as const),
      { title: 'Restlessness', kind: 'mean' },
      ...(hasBranch ? [{ title: 'Logarithmic branch', kind: 'mean' } as const] : []),
    ],
    rows: arms.map(({ name, runs }) => {
      const curves = runs.map(jaccards);
      return [
        textCell(name),
        { shown: String(runs.length), value: runs.length },
        meanCell(
          curves.map(curve => Math.max(...curve)),
          3,
        ),
        meanCell(
          runs.map(({ record }) => record.best?.epoch),
          1,
        ),
        ...deltas.map(delta =>
          meanCell(
            curves.map(curve => epochsToWithin(curve, delta)),
            1,
          ),
        ),
        meanCell(curves.map(restlessness), 4),
        ...(hasBranch
          ? [
              meanCell(
                runs.map(({ record }) => record.logShare),
                3,
              ),
            ]
          : []),
      ];
    }),
  };
}
