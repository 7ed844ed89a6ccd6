/**
 * All losses by name: what a job file may say of each, what it computes, and where it comes from. Adding one is an entry here and
 * the function it names.
 */
import * as tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { adaptiveLog } from './adaptiveLog.ts';
import { combo } from './combo.ts';
import { crossEntropy, focal } from './pixel.ts';
import { fromLogits, pools, type UnitLoss } from './prediction.ts';
import { dice, focalTversky, jaccard, tversky } from './region.ts';

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

/** Fields of the outermost loss: how the values of units and classes become one number. */
const reduction = {
  pool: z
    .enum(pools)
    .default('batch')
    .describe('Over what region sums and means run: the batch, a lane of it, or each image (then the mean over images).'),
  classes: z.enum(['sum', 'mean']).default('sum').describe('How the losses of the classes are joined; the paper sums.'),
};

interface Definition {
  readonly schema: z.ZodObject;
  readonly summary: string;
  readonly formula: string;
  readonly source: string;
}

interface Entry<S extends z.ZodObject> extends Definition {
  readonly schema: S;
  readonly create: (options: z.infer<S>) => UnitLoss;
  /** Value of a perfect prediction where it is not 0: `adaptiveLog` measures from there. */
  readonly minimum?: (options: z.infer<S>) => number;
}

const entry = <S extends z.ZodObject>(definition: Entry<S>) => definition;

/** Losses of a prediction against a target. In the formulas p is the probability, t the target, TP = sum p t, FP = sum p (1-t), FN = sum (1-p) t. */
const simpleLosses = {
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
      exponent: z.number().positive().max(10).default(0.75),
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
      ...smoothing,
    }),
    summary: 'weighted cross-entropy against the Dice score; negative at its best',
    formula: 'm mean of -[w t ln p + (1-w) (1-t) ln(1-p)] - (1-m) (2 TP + s) / (2 TP + FP + FN + s),  m = mix, w = positiveWeight',
    source: 'Taghanaki et al. 2019, eq. 3 (sign of the paper, not of the released file)',
    create: combo,
    minimum: ({ mix }) => mix - 1,
  }),
};

export type SimpleLossName = keyof typeof simpleLosses;

/** `smoothNumerator` above `smoothDenominator` would make an overlap larger than 1. */
const withSmoothingOrder = <S extends z.ZodObject>(schema: S) =>
  schema.refine(
    ({ smooth, smoothNumerator = smooth, smoothDenominator = smooth }: Record<string, unknown>) =>
      smooth === undefined || (smoothNumerator as number) <= (smoothDenominator as number),
    { path: ['smoothNumerator'], message: 'must be at most that of the denominator, else a perfect overlap is above 1' },
  );

const { crossEntropy: ce, focal: fl, dice: dl, jaccard: jl, tversky: tl, focalTversky: ftl, combo: cl } = simpleLosses;

const wrappedSchema = z.discriminatedUnion('name', [
  ce.schema,
  fl.schema,
  withSmoothingOrder(dl.schema),
  withSmoothingOrder(jl.schema),
  withSmoothingOrder(tl.schema),
  withSmoothingOrder(ftl.schema),
  withSmoothingOrder(cl.schema),
]);

const adaptiveLogSchema = z.strictObject({
  name: z.literal('adaptiveLog'),
  of: wrappedSchema.default({ name: 'dice', smooth: 1 }).describe('The loss that is wrapped.'),
  gamma: z.number().positive().default(0.1).describe('Errors below it are in the logarithmic branch; in the unit of the wrapped loss.'),
  omega: z.number().positive().default(10),
  epsilon: z.number().positive().default(0.5),
  continuity: z
    .enum(['paper', 'slope'])
    .default('paper')
    .describe('paper: only the value is continuous at gamma; slope: the derivative too.'),
  ...reduction,
});

export const lossSchema = z.discriminatedUnion('name', [
  ce.schema.extend(reduction),
  fl.schema.extend(reduction),
  withSmoothingOrder(dl.schema.extend(reduction)),
  withSmoothingOrder(jl.schema.extend(reduction)),
  withSmoothingOrder(tl.schema.extend(reduction)),
  withSmoothingOrder(ftl.schema.extend(reduction)),
  withSmoothingOrder(cl.schema.extend(reduction)),
  adaptiveLogSchema,
]);
export type LossSpec = z.infer<typeof lossSchema>;
export type LossName = LossSpec['name'];
type WrappedSpec = z.infer<typeof wrappedSchema>;

export const losses: Record<LossName, Definition> = {
  ...simpleLosses,
  adaptiveLog: {
    schema: adaptiveLogSchema,
    summary: 'makes small errors of another loss count more (ALL, the loss of the paper)',
    formula: 'omega ln(1 + d/epsilon) where d < gamma, else d - C;  d = the wrapped loss, C = gamma - omega ln(1 + gamma/epsilon)',
    source: 'Kaul, Pears, Manandhar 2019, eq. 1',
  },
};

export interface LossValue {
  readonly value: tf.Scalar;
  /** With `adaptiveLog`: the wrapped losses [units, classes], which say on which branch each is. */
  readonly wrapped?: tf.Tensor2D;
}

function createWrapped(spec: WrappedSpec): { loss: UnitLoss; minimum: number } {
  const { create, minimum } = simpleLosses[spec.name] as Entry<z.ZodObject>;
  return { loss: create(spec), minimum: minimum?.(spec) ?? 0 };
}

/**
 * The loss that a specification names, as a function of logits [N,H,W,C] (float32) and target [N,H,W,C] in [0,1].
 *
 * @param exclusive classes exclude each other (softmax); otherwise each is a sigmoid
 */
export function createLoss(spec: LossSpec, exclusive = false): (logits_NHWC: tf.Tensor4D, target_NHWC: tf.Tensor4D) => LossValue {
  const join = (values_UC: tf.Tensor2D) => {
    const values_C = tf.mean(values_UC, 0);
    return spec.classes === 'sum' ? tf.sum<tf.Scalar>(values_C) : tf.mean<tf.Scalar>(values_C);
  };
  const { loss, minimum } = createWrapped(spec.name === 'adaptiveLog' ? spec.of : spec);
  return (logits, target) => {
    const values = loss(fromLogits(logits, exclusive), target, spec.pool);
    if (spec.name !== 'adaptiveLog') return { value: join(values) };
    // Measured from its minimum, so that `d` is never negative (the paper's absolute value).
    const wrapped = minimum === 0 ? values : tf.sub<tf.Tensor2D>(values, minimum);
    return { value: join(adaptiveLog(wrapped, spec)), wrapped };
  };
}

/** The loss with all its defaults, from no more than a name. */
export const defaultLoss = (name: LossName): LossSpec => lossSchema.parse({ name });
