/**
 * Windows of images: where the random patches of training lie, and how a window is cut out of an image that may be smaller.
 */
import { z } from 'zod';
import { generator } from '../random.ts';
import type { Size } from './decode.ts';

const side = z.int().min(16).max(4096).describe('Pixels, a multiple of 16.');

export const patchesSchema = z
  .strictObject({
    height: side,
    width: side,
    perImage: z.int().min(1).max(100_000).describe('Random patches of each training image in an epoch; every epoch draws others.'),
    insideFov: z.boolean().default(false).describe('Only patches whose centre lies in the field of view (the column fov of the manifest).'),
  })
  .describe('Train on random patches at native resolution; whole images are segmented by a sliding window. `size` is not used then.');
export type PatchesSpec = z.infer<typeof patchesSchema>;

/** A rectangle of an image, in pixels. It may reach beyond the bottom and the right of an image that is smaller. */
export interface Window extends Size {
  readonly top: number;
  readonly left: number;
}

/**
 * Where patch `sample` of an epoch lies: a pure function of seed, epoch and sample. All positions are equally likely; with a field of
 * view, all whose centre is in it.
 *
 * @param fov [height, width], not 0 inside; it must hold a possible centre (see `hasCentre`)
 */
export function patchWindow(
  image: Size,
  { height, width }: Size,
  key: { readonly seed: number; readonly epoch: number; readonly sample: number },
  fov?: Uint8Array,
): Window {
  const next = generator(key.seed, 'patch', key.epoch, key.sample);
  const draw = (positions: number) => Math.floor((next() / 2 ** 32) * positions);
  for (;;) {
    const window = { top: draw(numPositions(image.height, height)), left: draw(numPositions(image.width, width)), height, width };
    if (fov?.[centreOf(window, image)] !== 0) return window;
  }
}

/** Whether some patch of this size has its centre in the field of view. */
export function hasCentre(fov: Uint8Array, image: Size, { height, width }: Size): boolean {
  for (let top = 0; top < numPositions(image.height, height); top++)
    for (let left = 0; left < numPositions(image.width, width); left++)
      if (fov[centreOf({ top, left, height, width }, image)] !== 0) return true;
  return false;
}

const numPositions = (length: number, window: number) => Math.max(length - window, 0) + 1;

/** The pixel in the middle of the part of the window that lies on the image. */
function centreOf({ top, left, height, width }: Window, image: Size): number {
  const middle = (start: number, window: number, length: number) => start + Math.floor(Math.min(window, length) / 2);
  return middle(top, height, image.height) * image.width + middle(left, width, image.width);
}

/** The pixel of a line of `length` that stands for one beyond its ends: reflected at the outermost pixels, which are not repeated. */
export function reflect(position: number, length: number): number {
  if (position >= 0 && position < length) return position;
  if (length === 1) return 0;
  const period = 2 * length - 2;
  const inPeriod = ((position % period) + period) % period;
  return inPeriod < length ? inPeriod : period - inPeriod;
}

/**
 * Copies a window of `source` [height, width, channels] to `target` at `offset`; what lies beyond the image is its reflection.
 */
export function cutWindow(source: Uint8Array, image: Size, channels: number, window: Window, target: Uint8Array, offset: number): void {
  const { top, left, height, width } = window;
  const isInside = left >= 0 && left + width <= image.width;
  for (let y = 0; y < height; y++) {
    const row = reflect(top + y, image.height) * image.width;
    const to = offset + y * width * channels;
    if (isInside) {
      target.set(source.subarray((row + left) * channels, (row + left + width) * channels), to);
      continue;
    }
    for (let x = 0; x < width; x++) {
      const from = (row + reflect(left + x, image.width)) * channels;
      for (let c = 0; c < channels; c++) target[to + x * channels + c] = source[from + c];
    }
  }
}
