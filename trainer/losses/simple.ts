/**
 * The losses that are not made of others, by name: what a job file may say of each, what it computes, and where it comes from. Adding one is
 * an entry here and the function it names.
 */
import { z } from 'zod';
import { boundary } from './boundary.ts';
import { combo } from './combo.ts';
import { exponentialLog } from './exponentialLog.ts';
import { lovasz } from './lovasz.ts';
import { crossEntropy, focal, topKCrossEntropy, weightedCrossEntropy } from './pixel.ts';
import type { UnitLoss } from './prediction.ts';
import { dice, focalTversky, generalisedDice, jaccard, logCoshDice, tversky } from './region.ts';
import { softClDice } from './softClDice.ts';
import { unifiedFocal } from './unifiedFocal.ts';

const share = z.number().min(0).max(1);

const smoothing = {
  smooth: z.number().min(0).default(1).describe('Added to numerator and denominator of the overlap.'),
  smoothNumerator: z.number().min(0).optional().describe('Instead of `smooth`, in the numerator; at most that of the denominator.'),
  smoothDenominator: z.number().min(0).optional().describe('Instead of `smooth`, in the denominator.'),
};

const tverskyFields = {
  fpWeight: z.number().min(0).default(0.3).describe('Weight of false positives.'),
  fnWeight: z.number().min(0).default(0.7).describe('Weight of false negatives.'),
  ...smoothing,
};

export interface Definition {
  readonly schema: z.ZodObject;
  readonly summary: string;
  readonly formula: string;
  readonly source: string;
}

export interface Entry<S extends z.ZodObject> extends Definition {
  readonly schema: S;
  readonly create: (options: z.infer<S>) => UnitLoss;
  /** Value of a perfect prediction where it is not 0: `adaptiveLog` measures from there. Undefined where there is none. */
  readonly minimum?: (options: z.infer<S>) => number | undefined;
  /** Exclusive classes come out as one value, joined in a way of its own. */
  readonly joinsClasses?: boolean;
  /** Sorts the pixels of a unit: they must all be in one place, so a batch that is spread over lanes cannot be a unit. */
  readonly sortsPixels?: boolean;
  /** Wants the signed distance of each pixel to the boundary of its class. */
  readonly needsDistance?: boolean;
}

const entry = <S extends z.ZodObject>(definition: Entry<S>) => definition;

/** Losses of a prediction against a target. In the formulas p is the probability, t the target, TP = sum p t, FP = sum p (1-t), FN = sum (1-p) t. */
export const simpleLosses = {
  crossEntropy: entry({
    schema: z.strictObject({ name: z.literal('crossEntropy') }),
    summary: 'cross-entropy of each pixel',
    formula: 'mean of -[t ln p + (1-t) ln(1-p)]',
    source: 'classic',
    create: () => crossEntropy,
  }),
  focal: entry({
    schema: z.strictObject({
      name: z.literal('focal'),
      positiveWeight: share.default(0.25).describe('Weight of foreground; background has the rest.'),
      focus: z.number().min(0).max(10).default(2).describe('How strongly well predicted pixels are discounted.'),
    }),
    summary: 'cross-entropy that discounts well predicted pixels',
    formula: 'mean of -[w t (1-p)^f ln p + (1-w) (1-t) p^f ln(1-p)],  w = positiveWeight, f = focus',
    source: 'Lin et al. 2017, eq. 5',
    create: focal,
  }),
  weightedCrossEntropy: entry({
    schema: z.strictObject({
      name: z.literal('weightedCrossEntropy'),
      positiveWeight: share.default(0.7).describe('Weight of foreground; background has the rest.'),
    }),
    summary: 'cross-entropy with weights for foreground and background',
    formula: 'mean of -[w t ln p + (1-w) (1-t) ln(1-p)],  w = positiveWeight',
    source: 'Ronneberger et al. 2015, with weights by class',
    create: weightedCrossEntropy,
  }),
  topKCrossEntropy: entry({
    schema: z.strictObject({
      name: z.literal('topKCrossEntropy'),
      share: z.number().positive().max(1).default(0.1).describe('Of the pixels of a unit: those predicted worst.'),
    }),
    summary: 'cross-entropy of the worst predicted pixels alone',
    formula: 'mean of -[t ln p + (1-t) ln(1-p)] over the worst pixels of each class',
    source: 'Wu, Shen, van den Hengel 2016',
    create: topKCrossEntropy,
    sortsPixels: true,
  }),
  dice: entry({
    schema: z.strictObject({ name: z.literal('dice'), ...smoothing }),
    summary: 'one minus the Dice overlap',
    formula: '1 - (2 TP + s) / (2 TP + FP + FN + s),  s = smooth',
    source: 'Milletari et al. 2016, with sums instead of squares',
    create: dice,
  }),
  jaccard: entry({
    schema: z.strictObject({ name: z.literal('jaccard'), ...smoothing }),
    summary: 'one minus intersection over union',
    formula: '1 - (TP + s) / (TP + FP + FN + s),  s = smooth',
    source: 'Rahman and Wang 2016',
    create: jaccard,
  }),
  tversky: entry({
    schema: z.strictObject({ name: z.literal('tversky'), ...tverskyFields }),
    summary: 'one minus an overlap that weighs false positives and false negatives',
    formula: '1 - (TP + s) / (TP + a FP + b FN + s),  a = fpWeight, b = fnWeight, s = smooth',
    source: 'Salehi et al. 2017, eq. 3',
    create: tversky,
  }),
  focalTversky: entry({
    schema: z.strictObject({
      name: z.literal('focalTversky'),
      exponent: z.number().positive().max(10).default(0.75).describe('Power of the Tversky loss.'),
      ...tverskyFields,
    }),
    summary: 'Tversky loss to a power',
    formula: 'tversky^q,  q = exponent',
    source: 'Abraham and Khan 2019, eq. 4 (exponent = 1/gamma)',
    create: focalTversky,
  }),
  combo: entry({
    schema: z.strictObject({
      name: z.literal('combo'),
      mix: share.default(0.5).describe('Share of the cross-entropy; the rest is Dice.'),
      positiveWeight: share.default(0.5).describe('Weight of foreground in the cross-entropy.'),
      asReleased: z.boolean().default(false).describe("With the wrong sign of background in the authors' file: rewards false positives."),
      ...smoothing,
    }),
    summary: 'weighted cross-entropy against the Dice score; negative at its best',
    formula: 'm mean of -[w t ln p + (1-w) (1-t) ln(1-p)] - (1-m) (2 TP + s) / (2 TP + FP + FN + s),  m = mix, w = positiveWeight',
    source: 'Taghanaki et al. 2019, eq. 3 (sign of the paper, not of the released file)',
    create: combo,
    minimum: ({ mix, asReleased }) => (asReleased ? undefined : mix - 1),
  }),
  generalisedDice: entry({
    schema: z.strictObject({
      name: z.literal('generalisedDice'),
      weighting: z
        .enum(['square', 'simple', 'uniform'])
        .default('square')
        .describe('Weight of a class: its size in the truth to the power -2, -1 or 0.'),
    }),
    summary: 'one Dice loss over all classes, small ones weighted up',
    formula: '1 - 2 sum w TP / sum w (2 TP + FP + FN),  w = size^-2; a single class with its background',
    source: 'Sudre et al. 2017',
    create: generalisedDice,
    joinsClasses: true,
  }),
  logCoshDice: entry({
    schema: z.strictObject({ name: z.literal('logCoshDice'), ...smoothing }),
    summary: 'logarithm of the hyperbolic cosine of the Dice loss',
    formula: 'ln cosh dice',
    source: 'Jadon 2020',
    create: logCoshDice,
  }),
  exponentialLog: entry({
    schema: z.strictObject({
      name: z.literal('exponentialLog'),
      mix: share.default(0.8).describe('Share of the Dice part; the rest is cross-entropy.'),
      exponent: z.number().positive().max(10).default(0.3).describe('Power of both logarithms.'),
      positiveWeight: share.default(0.5).describe('Weight of foreground in the cross-entropy.'),
      ...smoothing,
    }),
    summary: 'logarithms of Dice and of probabilities, to a power',
    formula: 'm (-ln(1 - dice))^g + (1-m) mean of [w t (-ln p)^g + (1-w) (1-t) (-ln(1-p))^g],  m = mix, g = exponent, w = positiveWeight',
    source: 'Wong et al. 2018, eq. 1-3',
    create: exponentialLog,
  }),
  unifiedFocal: entry({
    schema: z.strictObject({
      name: z.literal('unifiedFocal'),
      mix: share.default(0.5).describe('Their lambda: share of the Tversky part; the rest is cross-entropy.'),
      positiveWeight: share.default(0.6).describe('Their delta: weight of foreground, and of false negatives.'),
      focus: z.number().min(0).lt(1).default(0.5).describe('Their gamma: discount of easy background, enhancement of foreground.'),
      symmetric: z.boolean().default(false).describe('Discount and enhance foreground and background alike.'),
      ...smoothing,
    }),
    summary: 'focal cross-entropy and focal Tversky under common parameters',
    formula: 'm mean(tversky^(1-f) of foreground, tversky of background) + (1-m) mean of -[d t ln p + (1-d) (1-t) p^f ln(1-p)]',
    source: 'Yeung et al. 2022',
    create: unifiedFocal,
    joinsClasses: true,
  }),
  lovasz: entry({
    schema: z.strictObject({ name: z.literal('lovasz') }),
    summary: 'convex extension of the Jaccard loss of hard decisions',
    formula: 'sum of e (rise of the Jaccard loss when the pixel joins those with larger e),  e = max(0, 1 - z s); |t - p| with softmax',
    source: 'Berman et al. 2018, algorithm 1',
    create: () => lovasz,
    sortsPixels: true,
  }),
  boundary: entry({
    schema: z.strictObject({ name: z.literal('boundary') }),
    summary: 'probability times the distance to the true boundary; use it beside a region loss',
    formula: 'mean of p (signed distance to the boundary in pixels, negative inside)',
    source: 'Kervadec et al. 2019, eq. 5',
    create: () => boundary,
    minimum: () => undefined,
    needsDistance: true,
  }),
  softClDice: entry({
    schema: z.strictObject({
      name: z.literal('softClDice'),
      iterations: z
        .int()
        .min(1)
        .max(50)
        .default(3)
        .describe('Erosions of the skeleton: at least the largest radius of a vessel in pixels.'),
      smooth: z.number().min(0).default(1).describe('Added to numerators and denominators.'),
    }),
    summary: 'overlap of centrelines, for vessels',
    formula: '1 - 2 P S / (P + S),  P = (sum skel(p) t + s) / (sum skel(p) + s), S = (sum skel(t) p + s) / (sum skel(t) + s)',
    source: 'Shit et al. 2021, algorithms 1 and 2',
    create: softClDice,
  }),
};
export type SimpleLossName = keyof typeof simpleLosses;
