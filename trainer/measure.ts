/**
 * All that can be said of predictions beside their counts: outlines, centrelines, objects, calibration, and the averages that Keras
 * takes. Too slow for every epoch of training; `segfleet evaluate` gathers it image by image while it evaluates.
 */
import { mean } from './averages.ts';
import { ignoredLabel } from './data/batch.ts';
import type { Size } from './data/decode.ts';
import { classScores, type Scores } from './evaluate.ts';
import { CalibrationState, type ReliabilityPoint } from './metrics/calibration.ts';
import { type Measured, type MetricKey, measured } from './metrics/catalogue.ts';
import { countsOfImage, metricNames, metricsOf, thresholdedJaccard } from './metrics/counts.ts';
import { labelComponents, matchObjects, objectAveragePrecision } from './metrics/objects.ts';
import { type ImageSums, scoresPerBatch, softSums } from './metrics/perBatch.ts';
import { RocState } from './metrics/roc.ts';
import { centrelineScores } from './metrics/skeleton.ts';
import { surfaceScores } from './metrics/surface.ts';

/** Scores that an image has by itself, in the order of their columns. */
export const imageMetricNames = [
  'thresholdedJaccard',
  'auc',
  'hd95',
  'averageSurfaceDistance',
  'boundaryF',
  'clDice',
  'topologyPrecision',
  'topologySensitivity',
  'objectAp',
] as const satisfies readonly MetricKey[];

export type ImageMetricName = (typeof imageMetricNames)[number];

/** Those of outlines: an image of which exactly one mask is empty counts with the worst value there is. */
const outlineMetrics: readonly MetricKey[] = ['hd95', 'averageSurfaceDistance', 'boundaryF'];

export interface ImageMeasures {
  /** Of several classes the mean over classes; outlines, centrelines and objects without the background class. NaN where not defined. */
  readonly values: Readonly<Record<ImageMetricName, number>>;
  /** In one of the classes exactly one of the masks was empty. */
  readonly penalised: boolean;
  readonly sums: ImageSums;
}

export interface MeasureOptions {
  readonly classes: number;
  /** As in `countsOfImage`; label 0 is background either way. */
  readonly exclusive: boolean;
}

/** One class against all others. */
interface ClassView {
  /** Of the pixels that count. */
  readonly logits: Float32Array;
  readonly foreground: Uint8Array;
  /** Whole masks; pixels that do not count are background in both. */
  readonly predicted: Uint8Array;
  readonly truth: Uint8Array;
}

/** @param logits [pixels, classes]  @param labels [pixels] */
function viewsOf(logits: Float32Array, labels: Uint8Array, { classes, exclusive }: MeasureOptions): ClassView[] {
  const largest = (at: number) => {
    let best = 0;
    for (let c = 1; c < classes; c++) if (logits[at + c] > logits[at + best]) best = c;
    return best;
  };
  const counts = (pixel: number) => labels[pixel] !== ignoredLabel;
  const decided = exclusive ? labels.map((_, pixel) => largest(pixel * classes)) : undefined;
  return Array.from({ length: classes }, (_, c) => {
    const ofClass = classScores(logits, classes, c, exclusive);
    const label = exclusive ? c : c + 1;
    const truth = labels.map(value => (value === label ? 1 : 0));
    return {
      logits: ofClass.filter((_, pixel) => counts(pixel)),
      foreground: truth.filter((_, pixel) => counts(pixel)),
      predicted: labels.map((_, pixel) => (counts(pixel) && (decided ? decided[pixel] === c : ofClass[pixel] > 0) ? 1 : 0)),
      truth,
    };
  });
}

export class Measurements {
  /** In the order in which they were added. */
  readonly images: ImageMeasures[] = [];
  readonly #options: MeasureOptions;
  readonly #calibration: readonly CalibrationState[];

  constructor(options: MeasureOptions) {
    this.#options = options;
    this.#calibration = Array.from({ length: options.classes }, () => new CalibrationState());
  }

  /** @param logits [pixels, classes]  @param labels [pixels]; those of `ignoredLabel` do not count */
  add(logits: Float32Array, labels: Uint8Array, size: Size): void {
    const { classes, exclusive } = this.#options;
    const counts = countsOfImage(logits, labels, classes, exclusive);
    const views = viewsOf(logits, labels, this.#options);
    views.forEach((view, c) => {
      this.#calibration[c].add(view.logits, view.foreground);
    });
    const foreground = exclusive ? views.slice(1) : views;
    const masks = foreground.map(({ predicted, truth }) => masksScores(predicted, truth, size));
    const meanOf = (name: keyof MaskScores['values']) => mean(masks.map(({ values }) => values[name]));
    this.images.push({
      values: {
        thresholdedJaccard: mean(counts.map(count => thresholdedJaccard(metricsOf(count).jaccard))),
        auc: mean(views.map(aucOf)),
        hd95: meanOf('hd95'),
        averageSurfaceDistance: meanOf('averageSurfaceDistance'),
        boundaryF: meanOf('boundaryF'),
        clDice: meanOf('clDice'),
        topologyPrecision: meanOf('topologyPrecision'),
        topologySensitivity: meanOf('topologySensitivity'),
        objectAp: meanOf('objectAp'),
      },
      penalised: masks.some(({ penalised }) => penalised),
      sums: { counts, soft: views.map(view => softSums(view.logits, view.foreground)) },
    });
  }

  /** Points of the reliability diagram of each class. */
  reliability(): ReliabilityPoint[][] {
    return this.#calibration.map(state => state.curve());
  }

  /**
   * Every number of an evaluation with its convention.
   *
   * @param scores of the same images
   * @param batch images a batch, for the averages that Keras takes
   */
  measured({ pooled, perImage, auc, loss, images }: Scores, batch: number): Measured[] {
    const { equal, byImages } = scoresPerBatch(
      this.images.map(({ sums }) => sums),
      batch,
    );
    const calibration = this.#calibration.map(state => state.scores());
    const penalisedImages = this.images.filter(({ penalised }) => penalised).length;
    return [
      ...metricNames.flatMap(name => [
        measured(name, 'pooled', pooled[name]),
        measured(name, 'perImage', perImage[name], { images }),
        measured(name, 'perBatchAsKeras', equal.perBatch[name]),
        measured(name, 'perBatchAsKeras22', byImages.perBatch[name]),
      ]),
      measured('softJaccard', 'perBatchAsKeras', equal.soft.jaccard),
      measured('softJaccard', 'perBatchAsKeras22', byImages.soft.jaccard),
      measured('softDice', 'perBatchAsKeras', equal.soft.dice),
      measured('softDice', 'perBatchAsKeras22', byImages.soft.dice),
      measured('auc', 'pooled', auc.auc, { halfWidth: auc.halfWidth }),
      ...imageMetricNames.map(name => {
        const defined = this.images.map(({ values }) => values[name]).filter(value => !Number.isNaN(value));
        return measured(name, 'perImage', mean(defined), {
          images: defined.length,
          ...(outlineMetrics.includes(name) && { penalisedImages }),
        });
      }),
      measured('ece', 'pooled', mean(calibration.map(({ ece }) => ece))),
      measured('mce', 'pooled', mean(calibration.map(({ mce }) => mce))),
      measured('brier', 'pooled', mean(calibration.map(({ brier }) => brier))),
      measured('loss', 'perImage', loss, { images }),
    ];
  }
}

interface MaskScores {
  readonly values: Omit<ImageMeasures['values'], 'thresholdedJaccard' | 'auc'>;
  readonly penalised: boolean;
}

function masksScores(predicted: Uint8Array, truth: Uint8Array, size: Size): MaskScores {
  const { penalised, ...surface } = surfaceScores(predicted, truth, size);
  const objects = matchObjects(labelComponents(predicted, size), labelComponents(truth, size));
  return { values: { ...surface, ...centrelineScores(predicted, truth, size), objectAp: objectAveragePrecision(objects) }, penalised };
}

function aucOf({ logits, foreground }: ClassView): number {
  const roc = new RocState();
  roc.add(logits, foreground);
  return roc.auc().auc;
}
