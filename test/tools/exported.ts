/**
 * A network with weights that leave nothing at its default, and what its program says about an image: what exported models are held against.
 */
import type { ModelDescription } from '../../trainer/export/description.ts';
import { defaultLoss } from '../../trainer/losses/catalogue.ts';
import { createNetwork, type ModelSpec, numHeads } from '../../trainer/models/catalogue.ts';
import type { Network } from '../../trainer/models/layers.ts';
import { probabilitiesOf } from '../../trainer/probabilities.ts';
import { Program, type State } from '../../trainer/program.ts';
import { uniform } from './numbers.ts';

export interface ExportedCase {
  readonly network: Network;
  readonly description: ModelDescription;
  readonly weights: State;
  /** Parameters that the program declares. */
  readonly parameters: readonly string[];
  /** [height, width, channels] */
  readonly pixels: Uint8Array;
  /** [height, width, classes], of the program. */
  readonly expected: Float32Array;
}

/** Not square, so that rows and columns cannot be mixed up. */
const image = { height: 16, width: 32, channels: 3 };

interface Classes {
  readonly classes: number;
  readonly exclusive: boolean;
}

export const exportedCase = (spec: ModelSpec, classes: Classes): Promise<ExportedCase> =>
  exportedNetwork(createNetwork(spec, classes.classes), classes, numHeads(spec));

export async function exportedNetwork(network: Network, { classes, exclusive }: Classes, numHeads = 0): Promise<ExportedCase> {
  const loss = { ...defaultLoss('dice'), classes: 'mean' as const };
  const heads = { loss, weights: new Array(numHeads).fill(1) };
  const program = await Program.create({ network, image, classes, exclusive, loss, heads, dtype: 'float32', threads: 2, seed: 1 });
  try {
    const weights = new Map(await program.weights());
    for (const { name, shape, role } of program.parameters) {
      if (role === 'kernel') continue;
      const [low, high] = role === 'scale' || role === 'variance' ? [0.5, 1.5] : [-0.5, 0.5];
      weights.set(name, { dtype: 'float32', shape, data: uniform(shape[0], name, low, high) });
    }
    await program.assign(weights);
    const pixels = Uint8Array.from(uniform(image.height * image.width * image.channels, 'pixels', 0, 256));
    const [{ probabilities }] = await Array.fromAsync(probabilitiesOf(program, [{ image: pixels, size: image }], { batch: 1 }));
    return {
      network,
      description: { name: 'test', image, classes, exclusive, input: 'image', output: 'probabilities', metadata: { name: 'test' } },
      weights,
      parameters: program.parameters.map(({ name }) => name),
      pixels,
      expected: probabilities,
    };
  } finally {
    await program.close();
  }
}

export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  return Math.max(...Array.from(actual, (value, i) => Math.abs(value - expected[i])));
}

/** [height, width, channels] -> [channels, height, width] */
export function channelsFirst(values: ArrayLike<number>, channels: number): Float32Array {
  const pixels = values.length / channels;
  return Float32Array.from({ length: values.length }, (_, i) => values[(i % pixels) * channels + Math.floor(i / pixels)]);
}
