/**
 * All networks by name. Adding one is a file beside this and an entry here.
 */
import { z } from 'zod';
import type { Network } from './layers.ts';
import { unet, unetSchema, unetStride } from './unet.ts';

export const modelSchema = z.discriminatedUnion('name', [unetSchema]);
export type ModelSpec = z.infer<typeof modelSchema>;
export type ModelName = ModelSpec['name'];

interface Model {
  readonly summary: string;
  /** Height and width of the image must be divisible by it. */
  readonly stride: number;
  readonly create: (spec: ModelSpec, classes: number) => Network;
}

export const models: Record<ModelName, Model> = {
  unet: { summary: 'U-Net with batch norm, dropout and strided down-sampling, as in the paper', stride: unetStride, create: unet },
};
