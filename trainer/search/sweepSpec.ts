/**
 * The sweep file: which jobs are made of one, by what search, and when it ends. `sweep run` and a cluster take the same file; on a cluster the job
 * that it starts from stands in it, as there are no other files there.
 */
import { z } from 'zod';
import { label, texts } from '../clusterFields.ts';
import { jobSpecSchema, metadataSchema } from '../spec.ts';

export const methods = ['grid', 'random', 'sobol', 'tpe', 'asha', 'hyperband', 'pbt', 'staged'] as const;
export type Method = (typeof methods)[number];
/** They could go on for ever. */
export const endlessMethods: readonly Method[] = ['random', 'sobol', 'tpe', 'asha'];

/** A field of a job as `--set` names it. */
const fieldPath = z
  .string()
  .max(128)
  .regex(/^[A-Za-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)*$/, 'must be the path of a field below spec, such as loss.gamma');

const duration = z
  .string()
  .max(16)
  .regex(/^\d+(\.\d+)?[smhd]$/, 'must be a time such as 90s, 30m, 72h or 3d');

const entries = <V extends z.ZodType>(value: V, maxEntries: number) =>
  z
    .record(fieldPath, value)
    .refine(given => Object.keys(given).length <= maxEntries, `has more than ${maxEntries} entries`)
    .meta({ maxProperties: maxEntries });

const distributions = ['uniform', 'logUniform', 'normal', 'logNormal'] as const;
const sources = ['value', 'values', 'distribution'] as const;

const parameter = z
  .strictObject({
    value: z.unknown().optional().describe('The same in all trials.'),
    values: z.array(z.unknown()).min(1).max(1000).optional().describe('One of these.'),
    distribution: z
      .enum(distributions)
      .optional()
      .describe('A number drawn at random; logUniform and logNormal are even in its logarithm.'),
    min: z.number().optional().describe('Smallest number.'),
    max: z.number().optional().describe('Largest number.'),
    mean: z.number().optional().describe('Of normal; of logNormal, that of the logarithm.'),
    deviation: z.number().positive().optional().describe('Standard deviation of normal; of logNormal, that of the logarithm.'),
    step: z.number().positive().optional().describe('Numbers are min and whole steps above it, which must be there. A grid needs it.'),
    when: z
      .string()
      .min(1)
      .max(512)
      .optional()
      .describe("Only in trials where this holds: model.name == 'unet'. Elsewhere it is as in base."),
  })
  .refine(given => sources.filter(source => given[source] !== undefined).length === 1, {
    message: `must have exactly one of ${sources.join(', ')}`,
  })
  .refine(({ distribution, min, max }) => !distribution?.endsWith('niform') || (min !== undefined && max !== undefined && min < max), {
    path: ['min'],
    message: 'must be there, and below max, with uniform and logUniform',
  })
  .refine(({ distribution, min }) => distribution !== 'logUniform' || (min !== undefined && min > 0), {
    path: ['min'],
    message: 'must be above 0 with logUniform',
  })
  .refine(({ distribution, mean, deviation }) => !distribution?.endsWith('ormal') || (mean !== undefined && deviation !== undefined), {
    path: ['mean'],
    message: 'must be there, and deviation too, with normal and logNormal',
  });

const parameters = entries(parameter, 64);

const earlyStop = z
  .strictObject({
    type: z
      .enum(['asha', 'median'])
      .describe('asha: only the best of each rung go on. median: those below the median of the others at the same time end.'),
    timeMetric: z.enum(['epoch', 'step']).default('epoch').describe('What time is counted in.'),
    maxTime: z.int().min(1).max(1_000_000_000).optional().describe('When a trial ends in any case. By default the end of its training.'),
    minTime: z.int().min(1).max(1_000_000_000).default(1).describe('No trial ends before.'),
    reductionFactor: z
      .number()
      .min(2)
      .max(16)
      .default(3)
      .describe('One in so many goes on to the next rung; rungs are so many times longer (asha).'),
  })
  .describe('Ends trials that promise little.');

const hyperband = z
  .strictObject({
    eta: z.number().min(2).max(16).default(3).describe('One in so many goes on to the next rung.'),
    maxTime: z.int().min(1).max(1_000_000_000).describe('Epochs of the longest trials.'),
    brackets: z.int().min(1).max(16).optional().describe('By default as many as maxTime allows.'),
  })
  .describe('Of the method hyperband.');

const pbt = z
  .strictObject({
    population: z.int().min(2).max(1000).describe('Trials that run side by side.'),
    interval: z.int().min(1).max(100_000).describe('Epochs between exchanges.'),
    mutations: z.array(fieldPath).min(1).max(64).describe('Parameters that change when a trial takes over the weights of a better one.'),
    quantile: z.number().positive().max(0.5).default(0.25).describe('Share that is replaced, by members of the best share of that size.'),
  })
  .describe('Of the method pbt (population based training).');

const limits = z
  .strictObject({
    maxTrials: z.int().min(1).max(100_000).optional().describe('All trials. Needed with random, sobol, tpe and asha.'),
    parallelTrials: z.int().min(1).max(1000).default(1).describe('Trials that run at a time.'),
    maxFailedTrials: z
      .int()
      .min(0)
      .max(100_000)
      .optional()
      .describe('With more than these the sweep ends. By default it goes on with the others.'),
    maxGpuHours: z.number().positive().optional().describe('Hours times GPUs, of all trials.'),
    deadline: duration.optional().describe('Time from the start of the sweep: 72h.'),
  })
  .describe('When the sweep ends, and how much runs at a time.');

const stage = z.strictObject({
  name: label.describe('Of the stage.'),
  fixFrom: z
    .string()
    .max(68)
    .regex(/^[-a-z0-9]+\.best$/, 'must be an earlier stage, and .best')
    .optional()
    .describe('Parameters have the values of the best trial of that stage: omega-epsilon.best.'),
  parameters: parameters.optional().describe('Those of the sweep, with these instead.'),
});

const template = z
  .strictObject({
    metadata: z
      .strictObject({
        labels: texts(32).optional().describe('Of each trial.'),
        annotations: texts(32).optional().describe('Of each trial.'),
      })
      .optional()
      .describe('Of each trial.'),
    spec: jobSpecSchema,
  })
  .describe('The job that all trials are made of.');

const table = z
  .strictObject({
    rows: fieldPath.describe('Parameter that changes from row to row.'),
    cols: fieldPath.describe('Parameter that changes from column to column.'),
    cell: z.string().min(1).max(256).describe('What stands in a cell: mean(test/jaccard).'),
    reference: z.string().min(1).max(1024).optional().describe('A CSV file with the numbers to compare with.'),
  })
  .describe('A table of the results in the report.');

const sweepFields = {
  objective: z
    .strictObject({
      metric: z
        .string()
        .max(128)
        .regex(/^[A-Za-z0-9][A-Za-z0-9/._@-]*$/, 'must be the name of a metric, such as val/jaccard')
        .describe('What trials are compared by: val/jaccard.'),
      goal: z.enum(['maximize', 'minimize']).default('maximize').describe('Which values are better.'),
      target: z.number().optional().describe('The sweep ends when a trial reaches it.'),
    })
    .describe('What is looked for.'),
  method: z.enum(methods).describe('How parameters are chosen. asha: at random. staged: a grid in each of the stages.'),
  seed: z
    .int()
    .min(0)
    .max(2 ** 31 - 1)
    .default(0)
    .describe('Of the choice: the same sweep chooses the same trials.'),
  parameters: parameters.describe('What changes from trial to trial: the field of the job, and its values.'),
  replicates: z
    .strictObject({
      count: z.int().min(1).max(100).default(1).describe('Runs of each choice; results are their mean and deviation.'),
      vary: z.array(fieldPath).min(1).max(8).default(['seed']).describe('What differs between them: seeds.'),
    })
    .prefault({})
    .describe('How often each choice is run.'),
  earlyStop: earlyStop.optional(),
  hyperband: hyperband.optional(),
  pbt: pbt.optional(),
  limits: limits.prefault({}),
  baseline: entries(z.unknown(), 64).optional().describe('The choice that reports compare with: loss.name: dice.'),
  stages: z
    .array(stage)
    .min(1)
    .max(16)
    .optional()
    .describe('Searches by the method one after another, each from what an earlier one found. Those without end share maxTrials evenly.'),
  table: table.optional(),
  suspend: z.boolean().default(false).describe('true: no trial is started, and those that run are suspended.'),
};

type Given = z.infer<z.ZodObject<typeof sweepFields>>;

/** What each field allows and several together do not. */
function* conflicts({
  method,
  parameters,
  hyperband,
  pbt,
  earlyStop,
  limits,
  stages,
}: Given): Generator<[path: (string | number)[], message: string]> {
  if (method === 'hyperband' && !hyperband) yield [['hyperband'], 'is needed with the method hyperband'];
  if (method === 'pbt' && !pbt) yield [['pbt'], 'is needed with the method pbt'];
  if (method === 'asha' && earlyStop?.type !== 'asha') yield [['earlyStop'], 'must be there with the type asha, with the method asha'];
  if (method === 'hyperband' || method === 'pbt') {
    if (earlyStop?.type === 'asha') yield [['earlyStop', 'type'], 'is asha, and hyperband and pbt end trials themselves; use median'];
    if (earlyStop?.timeMetric === 'step') yield [['earlyStop', 'timeMetric'], 'is step, and hyperband and pbt count in epochs; use epoch'];
  }
  if (method === 'staged' && !stages) yield [['stages'], 'is needed with the method staged'];
  if (endlessMethods.includes(method) && limits.maxTrials === undefined) {
    yield [['limits', 'maxTrials'], 'is needed with the methods random, sobol, tpe and asha, which could go on for ever'];
  }
  if (method === 'grid' || method === 'staged') {
    const spaces = [
      { path: [] as (string | number)[], space: parameters },
      ...(stages ?? []).map(({ parameters: space = {} }, i) => ({ path: ['stages', i], space })),
    ];
    for (const { path, space } of spaces) {
      for (const [name, { distribution, step }] of Object.entries(space)) {
        if (distribution && !(distribution === 'uniform' && step !== undefined)) {
          yield [
            [...path, 'parameters', name],
            'has numbers without end, and a grid takes all of them; give it values, or uniform with a step',
          ];
        }
      }
    }
  }
  const names = (stages ?? []).map(({ name }) => name);
  for (const [i, { name, fixFrom }] of (stages ?? []).entries()) {
    if (names.indexOf(name) < i) yield [['stages', i, 'name'], 'is the name of another stage too'];
    if (fixFrom !== undefined && !names.slice(0, i).includes(fixFrom.slice(0, -'.best'.length))) {
      yield [['stages', i, 'fixFrom'], `is ${fixFrom}, and no earlier stage has that name`];
    }
  }
}

const checked = <F extends z.ZodRawShape>(fields: F) =>
  z.strictObject({ ...sweepFields, ...fields }).superRefine((spec, context) => {
    for (const [path, message] of conflicts(spec as Given)) context.addIssue({ code: 'custom', path, message });
  });

/** What a sweep says below `spec` where its job stands in it, as on a cluster. */
export const sweepSpecSchema = checked({ base: template });
export type SweepSpec = z.infer<typeof sweepSpecSchema>;
export type SweepSpecInput = z.input<typeof sweepSpecSchema>;

/** The file: its job may be another file. */
export const sweepFileSchema = z.strictObject({
  apiVersion: z.literal('segfleet.dev/v1alpha1'),
  kind: z.literal('Sweep'),
  metadata: metadataSchema,
  spec: checked({ base: z.union([z.string().min(1).max(1024), template]).describe('A job, or the path of a job file from here.') }),
});
export type SweepFile = z.infer<typeof sweepFileSchema>;
