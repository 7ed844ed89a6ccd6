/**
 * What each number means: which way is better, its range and unit, how it is computed and after whom. A number without this is not
 * comparable with another of the same name, so both tables and JSON carry it.
 */
import { numCalibrationBins } from './calibration.ts';
import { emptyMaskRule, isicThreshold } from './counts.ts';
import { softSmooth } from './perBatch.ts';
import { boundaryTolerance } from './surface.ts';

export interface MetricInfo {
  /** For tables. */
  readonly title: string;
  readonly better: 'higher' | 'lower';
  /** Lowest and highest possible value; null where there is none. */
  readonly range: readonly [low: number | null, high: number | null];
  readonly unit: 'ratio' | 'pixels' | 'loss';
  readonly convention: string;
  readonly source: string;
}

const ratio = { better: 'higher', range: [0, 1], unit: 'ratio' } as const;
const counted = (title: string, formula: string, source: string): MetricInfo => ({
  ...ratio,
  title,
  convention: `${formula} of pixels; ${emptyMaskRule}`,
  source,
});

const oneEmpty = 'both masks empty: 0, one: the diagonal of the image';
const outlines = 'outlines: foreground pixels with background, or the frame, at one of four sides';

export const metricCatalogue = {
  jaccard: counted('Jaccard', 'TP / (TP + FP + FN)', 'Jaccard 1912'),
  dice: counted('Dice', '2 TP / (2 TP + FP + FN)', 'Dice 1945'),
  precision: counted('precision', 'TP / (TP + FP)', 'van Rijsbergen 1979'),
  recall: counted('recall', 'TP / (TP + FN), also called sensitivity', 'van Rijsbergen 1979'),
  specificity: counted('specificity', 'TN / (TN + FP)', 'Yerushalmy 1947'),
  f1: counted('F1', '2 TP / (2 TP + FP + FN), the same number as Dice', 'van Rijsbergen 1979'),
  accuracy: counted('accuracy', '(TP + TN) / (TP + FP + FN + TN)', 'van Rijsbergen 1979'),
  softJaccard: {
    ...ratio,
    title: 'soft Jaccard',
    convention: `(I + s) / (P + T - I + s) of probabilities without a threshold, s = ${softSmooth}, a batch taken as one image`,
    source: "the code of the paper's authors (TheFocusNetSeries, losses.py, 2019)",
  },
  softDice: {
    ...ratio,
    title: 'soft Dice',
    convention: `(2 I + s) / (P + T + s) of probabilities without a threshold, s = ${softSmooth}, a batch taken as one image`,
    source: "the code of the paper's authors (TheFocusNetSeries, losses.py, 2019)",
  },
  thresholdedJaccard: {
    ...ratio,
    title: `Jaccard, 0 below ${isicThreshold}`,
    convention: `the Jaccard of an image counts as 0 where it is below ${isicThreshold}`,
    source: 'ISIC challenge 2018, task 1',
  },
  auc: {
    ...ratio,
    title: 'AUC-ROC',
    convention:
      'share of pairs (foreground pixel, background pixel) ranked right by the logit, ties half; images with one kind only left out',
    source: 'Hanley and McNeil 1982',
  },
  hd95: {
    better: 'lower',
    range: [0, null],
    unit: 'pixels',
    title: 'HD95',
    convention: `larger of the two directed 95th percentiles of distances between outlines, linear between ranks; ${outlines}; ${oneEmpty}`,
    source: 'Huttenlocher et al. 1993; percentiles as in MONAI',
  },
  averageSurfaceDistance: {
    better: 'lower',
    range: [0, null],
    unit: 'pixels',
    title: 'mean surface distance',
    convention: `mean distance of the pixels of both outlines to the other; ${outlines}; ${oneEmpty}`,
    source: 'Heimann et al. 2009; as in MONAI, symmetric',
  },
  boundaryF: {
    ...ratio,
    title: 'boundary F',
    convention: `F of the pixels of each outline within ${boundaryTolerance} pixels of the other; ${outlines}; both masks empty: 1, one: 0`,
    source: 'Csurka et al. 2013',
  },
  clDice: {
    ...ratio,
    title: 'clDice',
    convention:
      'harmonic mean of topology precision and sensitivity; skeletons by Guo and Hall 1989 (scikit-image thin); both masks empty: 1, one: 0',
    source: 'Shit et al. 2021',
  },
  topologyPrecision: {
    ...ratio,
    title: 'topology precision',
    convention: 'share of the predicted skeleton inside the true mask; both masks empty: 1, one: 0',
    source: 'Shit et al. 2021',
  },
  topologySensitivity: {
    ...ratio,
    title: 'topology sensitivity',
    convention: 'share of the true skeleton inside the predicted mask; both masks empty: 1, one: 0',
    source: 'Shit et al. 2021',
  },
  objectAp: {
    ...ratio,
    title: 'object AP',
    convention:
      'mean over IoU thresholds 0.5, 0.55, ... 0.95 of TP / (TP + FP + FN), matched above the threshold; objects: components of the masks (8 neighbours), so that those that touch are one; none in either: 1',
    source: 'Data Science Bowl 2018',
  },
  ece: {
    better: 'lower',
    range: [0, 1],
    unit: 'ratio',
    title: 'ECE',
    convention: `mean over pixels of |mean probability - share of foreground| of their bin, ${numCalibrationBins} equal bins of the foreground probability`,
    source: 'Guo et al. 2017',
  },
  mce: {
    better: 'lower',
    range: [0, 1],
    unit: 'ratio',
    title: 'MCE',
    convention: `largest |mean probability - share of foreground| of a bin with pixels, ${numCalibrationBins} equal bins of the foreground probability`,
    source: 'Guo et al. 2017',
  },
  brier: {
    better: 'lower',
    range: [0, 1],
    unit: 'ratio',
    title: 'Brier',
    convention: 'mean of (foreground probability - truth)^2 over pixels',
    source: 'Brier 1950, for one class',
  },
  loss: {
    better: 'lower',
    range: [null, null],
    unit: 'loss',
    title: 'loss',
    convention: 'the loss that the run was trained with, each batch evaluated as one, without dropout',
    source: 'loss in the job',
  },
} as const satisfies Record<string, MetricInfo>;

export type MetricKey = keyof typeof metricCatalogue;

export const aggregations = {
  pooled: { title: 'pooled', convention: 'pooled: pixels of all images together' },
  perImage: { title: 'mean per image', convention: 'mean over images' },
  perBatchAsKeras: {
    title: 'per batch (Keras)',
    convention:
      'mean over batches (training.batch images in order, the last may be short) of the score of each, all batches counting the same: as Keras 3 prints it',
  },
  perBatchAsKeras22: {
    title: 'per batch (Keras 2.2)',
    convention: 'mean over batches of the score of each, batches counting by their images: as Keras up to 2.2 printed it',
  },
} as const satisfies Record<string, { readonly title: string; readonly convention: string }>;

export type Aggregation = keyof typeof aggregations;

/** A number with all that it takes to compare it. */
export interface Measured extends MetricInfo {
  readonly name: MetricKey;
  readonly aggregation: Aggregation;
  readonly value: number;
  /** Images that the mean is over. */
  readonly images?: number;
  /** Of these, images of which exactly one mask was empty: they count with the worst value there is. */
  readonly penalisedImages?: number;
  /** The exact value lies within `value` plus or minus this. */
  readonly halfWidth?: number;
}

export function measured(
  name: MetricKey,
  aggregation: Aggregation,
  value: number,
  more: Pick<Measured, 'images' | 'penalisedImages' | 'halfWidth'> = {},
): Measured {
  const info: MetricInfo = metricCatalogue[name];
  return { name, aggregation, value, ...more, ...info, convention: `${info.convention}; ${aggregations[aggregation].convention}` };
}
