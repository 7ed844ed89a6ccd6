/**
 * What Keras and our engine are both given: initial weights and batches, from seeds. Keras's answers are in test/fixtures/kerasCurves.json,
 * made by `npm run fixtures:keras`.
 */
import { createHash } from 'node:crypto';
import type { Batch } from '../../trainer/data/batch.ts';
import { type OptimizerSpec, optimizerSchema } from '../../trainer/engine/optimizer.ts';
import { float32, type HostTensor } from '../../trainer/engine/tensor.ts';
import { defaultLoss, type LossName } from '../../trainer/losses/catalogue.ts';
import { createNetwork, modelSchema } from '../../trainer/models/catalogue.ts';
import { declareParameters, initialValue } from '../../trainer/models/layers.ts';
import type { ProgramOptions } from '../../trainer/program.ts';
import { encodeSafetensors } from '../../trainer/storage/safetensors.ts';
import { drawPicture } from './pictures.ts';

export const steps = 20;
export const width = 16;
const image = { height: 64, width: 64, channels: 3 };
const count = 4;
const network = createNetwork(modelSchema.parse({ name: 'unet', width, dropout: 0 }), 1);

/**
 * Small learning rates: with twenty-two batch norms the network is chaotic, and Keras in float32 leaves Keras in float64 by more than
 * 1e-4 within twenty steps of Adam at 1e-4 already.
 */
export const cases: { readonly loss: LossName; readonly optimizer: OptimizerSpec }[] = [
  { loss: 'adaptiveLog', optimizer: optimizerSchema.parse({ name: 'adam', learningRate: 5e-6 }) },
  { loss: 'crossEntropy', optimizer: optimizerSchema.parse({ name: 'sgd', learningRate: 5e-5 }) },
  { loss: 'tversky', optimizer: optimizerSchema.parse({ name: 'adamw', learningRate: 5e-6, weightDecay: 100 }) },
];

export function initialWeights(): Map<string, HostTensor> {
  return new Map(
    declareParameters(network, image).map(parameter => [parameter.name, float32(initialValue(parameter, 1), parameter.shape)]),
  );
}

export const digestOf = (weights: ReadonlyMap<string, HostTensor>): string =>
  createHash('sha256').update(encodeSafetensors(weights)).digest('hex');

/** Five batches, taken in turn. */
export function batches(): Batch[] {
  return Array.from({ length: 5 }, (_, b) => {
    const pictures = Array.from({ length: count }, (_, i) => drawPicture(`keras${b}.${i}`, image.width, image.height));
    return {
      count,
      images: Uint8Array.from(pictures.flatMap(({ pixels }) => [...pixels])),
      labels: Uint8Array.from(pictures.flatMap(({ mask }) => [...mask.map(value => (value > 0 ? 1 : 0))])),
    };
  });
}

export const programOptions = ({ loss, optimizer }: (typeof cases)[number]): ProgramOptions => ({
  network,
  image,
  classes: 1,
  exclusive: false,
  loss: defaultLoss(loss),
  optimizer,
  dtype: 'float32',
  threads: 2,
  seed: 1,
});
