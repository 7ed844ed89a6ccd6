/**
 * From images to probabilities, plain or as the mean over their mirror images.
 */
import type { Program } from './program.ts';
import { type SegmentOptions, segment, type Whole } from './segment.ts';

/** Which axes are mirrored. */
export interface Flip {
  readonly horizontal: boolean;
  readonly vertical: boolean;
}

export const identity: Flip = { horizontal: false, vertical: false };

/** The four that keep height and width. */
export const allFlips: readonly Flip[] = [
  identity,
  { horizontal: true, vertical: false },
  { horizontal: false, vertical: true },
  { horizontal: true, vertical: true },
];

export interface ProbabilitiesOptions extends SegmentOptions {
  readonly flips?: readonly Flip[];
}

/**
 * Probabilities [pixels, classes] of images, in their order: softmax over exclusive classes, else a sigmoid each. With several flips, the
 * mean of what each mirror image gives, mirrored back.
 */
export async function* probabilitiesOf<T extends Whole>(
  program: Program,
  sources: AsyncIterable<T> | Iterable<T>,
  { flips = [identity], ...options }: ProbabilitiesOptions,
): AsyncGenerator<{ source: T; probabilities: Float32Array }> {
  const { image, classes, exclusive } = program.options;
  async function* mirrored() {
    for await (const source of sources) {
      for (const flip of flips) {
        const { size } = source;
        yield { source, flip, size, image: mirror(source.image, size.width, image.channels, flip) };
      }
    }
  }
  let mean: Float32Array | undefined;
  for await (const { source: seen, logits } of segment(program, mirrored(), options)) {
    const { source, flip, size } = seen;
    const probabilities = mirror(activate(logits, classes, exclusive), size.width, classes, flip);
    if (flip === flips[0]) mean = new Float32Array(probabilities.length);
    for (let i = 0; i < probabilities.length; i++) mean![i] += probabilities[i] / flips.length;
    if (flip === flips.at(-1)) yield { source, probabilities: mean! };
  }
}

/** @param values [height, width, channels], row by row. Done twice, it gives the values back. */
export function mirror<T extends Uint8Array | Float32Array>(values: T, width: number, channels: number, { horizontal, vertical }: Flip): T {
  if (!horizontal && !vertical) return values;
  const height = values.length / (width * channels);
  const result = values.slice() as T;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const from = ((vertical ? height - 1 - y : y) * width + (horizontal ? width - 1 - x : x)) * channels;
      for (let c = 0; c < channels; c++) result[(y * width + x) * channels + c] = values[from + c];
    }
  }
  return result;
}

/** @param logits [pixels, classes] */
function activate(logits: Float32Array, classes: number, exclusive: boolean): Float32Array {
  if (!exclusive) return logits.map(z => 1 / (1 + Math.exp(-z)));
  const probabilities = new Float32Array(logits.length);
  for (let at = 0; at < logits.length; at += classes) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[at + c]);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += Math.exp(logits[at + c] - largest);
    for (let c = 0; c < classes; c++) probabilities[at + c] = Math.exp(logits[at + c] - largest) / sum;
  }
  return probabilities;
}
