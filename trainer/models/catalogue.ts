/**
 * All networks by name. Adding one is a file beside this and an entry here.
 */
import { z } from 'zod';
import { attentionUnet, attentionUnetSchema } from './attentionUnet.ts';
import { focusnet, focusnetSchema } from './focusnet.ts';
import type { Network } from './layers.ts';
import { batchNormUnet, batchNormUnetSchema, plainUnet, plainUnetSchema } from './plainUnet.ts';
import { unet, unetSchema } from './unet.ts';

interface Model<S extends z.ZodObject> {
  readonly schema: S;
  readonly summary: string;
  readonly create: (spec: z.infer<S>, classes: number) => Network;
  /** Outputs at coarser levels, for deep supervision. */
  readonly heads?: (spec: z.infer<S>) => number;
}

const entry = <S extends z.ZodObject>(model: Model<S>) => model;

export const models = {
  unet: entry({ schema: unetSchema, summary: 'U-Net with batch norm, dropout and strided down-sampling, as in the paper', create: unet }),
  focusnet: entry({ schema: focusnetSchema, summary: 'FocusNet, as its authors released it', create: focusnet }),
  plainUnet: entry({ schema: plainUnetSchema, summary: 'U-Net without batch norm, with max-pooling', create: plainUnet }),
  batchNormUnet: entry({
    schema: batchNormUnetSchema,
    summary: 'U-Net with batch norm in the encoder and transposed convolutions',
    create: batchNormUnet,
  }),
  attentionUnet: entry({
    schema: attentionUnetSchema,
    summary: 'attention U-Net with multi-scale input and deep supervision',
    create: attentionUnet,
    heads: ({ deepSupervision }) => (deepSupervision ? 3 : 0),
  }),
};
export type ModelName = keyof typeof models;

export const modelSchema = z.discriminatedUnion('name', [
  unetSchema.describe(models.unet.summary),
  focusnetSchema.describe(models.focusnet.summary),
  plainUnetSchema.describe(models.plainUnet.summary),
  batchNormUnetSchema.describe(models.batchNormUnet.summary),
  attentionUnetSchema.describe(models.attentionUnet.summary),
]);
export type ModelSpec = z.infer<typeof modelSchema>;

/** Height and width of the image must be divisible by it: all of them halve it four times. */
export const stride = 16;

/** How many outputs a network has besides the one at full size. */
export const numHeads = (spec: ModelSpec): number => (models[spec.name] as Model<z.ZodObject>).heads?.(spec) ?? 0;

export function createNetwork(spec: ModelSpec, classes: number): Network {
  const { create } = models[spec.name] as Model<z.ZodObject>;
  return create(spec, classes);
}
