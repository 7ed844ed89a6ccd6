/**
 * The field of view: scores are taken on the pixels inside it, as is the custom for fundus images, whose black border is no work.
 */
import { ignoredLabel } from './batch.ts';

/** The labels of an image, and that of pixels that do not count outside its field of view, where it has one. */
export function labelsInside({ labels, fov }: { readonly labels: Uint8Array; readonly fov?: Uint8Array }): Uint8Array {
  return fov ? labels.map((label, pixel) => (fov[pixel] ? label : ignoredLabel)) : labels;
}
