/**
 * A picture of one case: the image, and beside it the same image with what the mask marks tinted.
 */
import { SegfleetError } from '../errors.ts';
import { renderOverlay } from '../report/overlay.ts';
import { writeAtomically } from '../storage/files.ts';
import { findAllCases } from './cases.ts';
import { decodeImage, decodeMaskValues, readHeader, resizeNearest, type Size } from './decode.ts';

const longestSide = 1024;

export interface Shown {
  readonly id: string;
  readonly image: string;
  readonly mask?: string;
  readonly width: number;
  readonly height: number;
  /** Share of the pixels that are not 0; missing where there is no mask. */
  readonly foreground?: number;
  readonly picture: string;
}

/** @throws notFound: an id that the set does not have, with one that is like it */
export async function showCase(path: string, id: string, out: string): Promise<Shown> {
  const cases = await findAllCases(path);
  const found = cases.find(one => one.id === id);
  if (!found) {
    const like = cases.find(one => one.id.toLowerCase().includes(id.toLowerCase())) ?? cases[0];
    throw new SegfleetError('notFound', `${path} has no case ${id}; one of its ${cases.length} is ${like.id}`);
  }
  const { image, mask } = found;
  const { height, width } = await readHeader(image);
  const size = fitting({ height, width });
  const { pixels } = await decodeImage(image, size, 3);
  const truth = mask === undefined ? undefined : await decodeMaskValues(mask);
  if (truth && (truth.height !== height || truth.width !== width)) {
    throw new SegfleetError(
      'invalidData',
      `${mask}: the mask is ${truth.width}x${truth.height} and its image ${width}x${height} (width x height); they must be the same size`,
      { details: { file: mask } },
    );
  }
  const labels = new Uint8Array(height * width);
  for (let i = 0; truth && i < labels.length; i++) labels[i] = truth.values[i] > 0 ? 1 : 0;
  const foreground = truth && labels.reduce((sum, label) => sum + label, 0) / labels.length;
  const shown = resizeNearest(labels, { height, width }, size);
  await writeAtomically(out, await renderOverlay(pixels, shown, shown, { ...size, channels: 3 }));
  return { id, image, mask, width, height, foreground, picture: out };
}

function fitting({ height, width }: Size): Size {
  const shrink = Math.min(1, longestSide / Math.max(height, width));
  return { height: Math.max(1, Math.round(height * shrink)), width: Math.max(1, Math.round(width * shrink)) };
}
