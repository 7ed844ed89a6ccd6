/**
 * From an image to probabilities, plain or as the mean over its mirror images.
 */
import type { Program } from './program.ts';

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

/**
 * Probabilities [pixels, classes] of one image [height, width, channels]: softmax over exclusive classes, else a sigmoid each. With
 * several flips, the mean of what each mirror image gives, mirrored back.
 */
export async function probabilitiesOf(program: Program, pixels: Uint8Array, flips: readonly Flip[] = [identity]): Promise<Float32Array> {
  const { image, classes, exclusive } = program.options;
  const labels = new Uint8Array(image.height * image.width);
  const mean = new Float32Array(labels.length * classes);
  for (const flip of flips) {
    const { logits } = await program.predict({ count: 1, images: mirror(pixels, image.width, image.channels, flip), labels });
    const probabilities = mirror(activate(logits, classes, exclusive), image.width, classes, flip);
    for (let i = 0; i < mean.length; i++) mean[i] += probabilities[i] / flips.length;
  }
  return mean;
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
