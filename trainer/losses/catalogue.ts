/**
 * All losses by name, and what a job file may say: those of simple.ts, `adaptiveLog` around any of them, weighted sums of any, and what stands
 * beside the outermost one.
 */
import { z } from 'zod';
import { pools } from './prediction.ts';
import { type Definition, type Entry, type SimpleLossName, simpleLosses } from './simple.ts';

/** Fields of the outermost loss: how the values of units and classes become one number, and how the target is taken. */
const reduction = {
  pool: z
    .enum(pools)
    .default('batch')
    .describe('Over what region sums and means run: the batch, a lane of it, or each image (then the mean over images).'),
  classes: z.enum(['sum', 'mean']).default('sum').describe('How the losses of the classes are joined; the paper sums.'),
  classWeights: z.array(z.number().min(0)).min(1).max(255).optional().describe('One factor a class, before they are joined.'),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(1)
    .optional()
    .describe('Share of the target that is spread evenly over the classes (over both answers, where classes do not exclude each other).'),
};

/** `smoothNumerator` above `smoothDenominator` would make an overlap larger than 1. */
const withSmoothingOrder = <S extends z.ZodObject>(schema: S) =>
  schema.refine(
    ({ smooth, smoothNumerator = smooth, smoothDenominator = smooth }: Record<string, unknown>) =>
      smooth === undefined || (smoothNumerator as number) <= (smoothDenominator as number),
    { path: ['smoothNumerator'], message: 'must be at most that of the denominator, else a perfect overlap is above 1' },
  );

/** All simple losses, each with further fields. */
function simpleUnion<F extends z.ZodRawShape>(fields: F) {
  const of = <N extends SimpleLossName>(name: N) =>
    withSmoothingOrder((simpleLosses[name].schema as z.ZodObject).extend(fields)).describe(
      simpleLosses[name].summary,
    ) as unknown as z.ZodObject<(typeof simpleLosses)[N]['schema']['shape'] & F>;
  return [
    of('crossEntropy'),
    of('focal'),
    of('weightedCrossEntropy'),
    of('topKCrossEntropy'),
    of('dice'),
    of('jaccard'),
    of('tversky'),
    of('focalTversky'),
    of('combo'),
    of('generalisedDice'),
    of('logCoshDice'),
    of('exponentialLog'),
    of('unifiedFocal'),
    of('lovasz'),
    of('boundary'),
    of('softClDice'),
  ] as const;
}

const weight = { weight: z.number().positive().default(1).describe('Factor of this term.') };
const adaptiveLogFields = {
  gamma: z.number().positive().default(0.1).describe('Errors below it are in the logarithmic branch; in the unit of the wrapped loss.'),
  omega: z.number().positive().default(10).describe('Factor of the logarithmic branch.'),
  epsilon: z.number().positive().default(0.5).describe('Curvature of the logarithmic branch: the smaller, the steeper it is at zero.'),
  continuity: z
    .enum(['paper', 'slope'])
    .default('paper')
    .describe('paper: only the value is continuous at gamma; slope: the derivative too.'),
};
const wrapsDice = { name: 'dice', smooth: 1 } as const;

const summaries = {
  adaptiveLog: 'makes small errors of another loss count more (ALL, the loss of the paper)',
  sum: 'weighted sum of any losses',
};

const sumOfSimple = z
  .strictObject({
    name: z.literal('sum'),
    terms: z
      .array(z.discriminatedUnion('name', simpleUnion(weight)))
      .min(1)
      .max(8)
      .describe('Losses, each with its fields and a weight.'),
  })
  .describe(summaries.sum);
const wrappedSchema = z.discriminatedUnion('name', [...simpleUnion({}), sumOfSimple]);
const adaptiveLogTerm = z
  .strictObject({
    name: z.literal('adaptiveLog'),
    of: z.discriminatedUnion('name', simpleUnion({})).default(wrapsDice).describe('The loss that is wrapped.'),
    ...adaptiveLogFields,
    ...weight,
  })
  .describe(summaries.adaptiveLog);
const sumSchema = z
  .strictObject({
    name: z.literal('sum'),
    terms: z
      .array(z.discriminatedUnion('name', [...simpleUnion(weight), adaptiveLogTerm]))
      .min(1)
      .max(8)
      .default([
        { name: 'dice', smooth: 1, weight: 1 },
        { name: 'crossEntropy', weight: 1 },
      ])
      .describe('Losses, each with its fields and a weight.'),
    ...reduction,
  })
  .describe(summaries.sum);
const adaptiveLogSchema = z
  .strictObject({
    name: z.literal('adaptiveLog'),
    of: wrappedSchema.default(wrapsDice).describe('The loss that is wrapped.'),
    ...adaptiveLogFields,
    ...reduction,
  })
  .describe(summaries.adaptiveLog);

export const lossSchema = z
  .discriminatedUnion('name', [...simpleUnion(reduction), adaptiveLogSchema, sumSchema])
  .superRefine((spec, context) => {
    for (const { loss, path } of wrappedLosses(spec as LossTree, [])) {
      if (minimumOf(loss) === undefined) {
        context.addIssue({
          code: 'custom',
          path,
          message: `is ${loss.name}, whose least value is not known: adaptiveLog cannot measure from it`,
        });
      }
    }
  });
export type LossSpec = z.infer<typeof lossSchema>;
export type LossName = LossSpec['name'];

/** Any loss, inner or outer. */
export interface LossTree {
  readonly name: LossName;
  readonly of?: LossTree;
  readonly terms?: readonly (LossTree & { readonly weight: number })[];
}

function* wrappedLosses(loss: LossTree, path: readonly (string | number)[]): Generator<{ loss: LossTree; path: (string | number)[] }> {
  if (loss.of) yield { loss: loss.of, path: [...path, 'of'] };
  for (const [i, term] of (loss.terms ?? []).entries()) yield* wrappedLosses(term, [...path, 'terms', i]);
}

export const simpleLoss = (name: LossName): Entry<z.ZodObject> | undefined => (simpleLosses as Record<string, Entry<z.ZodObject>>)[name];

/** Whether any loss of the tree is of the kind. */
const some = (loss: LossTree, kind: (entry: Entry<z.ZodObject>) => boolean | undefined): boolean => {
  const entry = simpleLoss(loss.name);
  if (entry) return kind(entry) === true;
  return [loss.of, ...(loss.terms ?? [])].some(inner => inner !== undefined && some(inner, kind));
};

/** Whether batches must carry distance maps. */
export const needsDistance = (spec: LossSpec): boolean => some(spec as LossTree, entry => entry.needsDistance);

/** Whether all pixels of a unit must be in one place. */
export const sortsPixels = (spec: LossSpec): boolean => some(spec as LossTree, entry => entry.sortsPixels);

/** Whether exclusive classes come out as one value, which class weights cannot reach. */
export const joinsClasses = (spec: LossSpec): boolean => some(spec as LossTree, entry => entry.joinsClasses);

/** The value of a perfect prediction; undefined where it depends on the mask, or where there is none. */
export function minimumOf(loss: LossTree): number | undefined {
  if (loss.name === 'adaptiveLog') return 0;
  if (!loss.terms) {
    const { minimum } = simpleLoss(loss.name)!;
    return minimum ? minimum(loss as unknown as Record<string, unknown>) : 0;
  }
  const minima = loss.terms.map(term => ({ weight: term.weight, minimum: minimumOf(term) }));
  if (minima.some(({ minimum }) => minimum === undefined)) return undefined;
  return minima.reduce((sum, { weight, minimum }) => sum + weight * minimum!, 0);
}

export const losses: Record<LossName, Definition> = {
  ...simpleLosses,
  adaptiveLog: {
    schema: adaptiveLogSchema,
    summary: summaries.adaptiveLog,
    formula: 'omega ln(1 + d/epsilon) where d < gamma, else d - C;  d = the wrapped loss, C = gamma - omega ln(1 + gamma/epsilon)',
    source: 'Kaul, Pears, Manandhar 2019, eq. 1',
  },
  sum: {
    schema: sumSchema,
    summary: summaries.sum,
    formula: 'sum of weight times loss over the terms',
    source: 'by default Dice and cross-entropy, as Isensee et al. 2021',
  },
};

/** The loss with all its defaults, from no more than a name. */
export const defaultLoss = (name: LossName): LossSpec => lossSchema.parse({ name });

export const describeLoss = (loss: LossSpec): string => (loss.name === 'adaptiveLog' ? `adaptiveLog(${loss.of.name})` : loss.name);
