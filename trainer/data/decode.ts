/**
 * One image or mask file -> bytes at the size of the network. Everything that can be wrong with a file is found here and named.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import sharp, { type Metadata, type Sharp } from 'sharp';
import { fromSystemError, SegfleetError } from '../errors.ts';

export interface Size {
  readonly height: number;
  readonly width: number;
}

export interface DecodedImage {
  /** [height, width, channels] */
  readonly pixels: Uint8Array;
  /** Of the file, before resizing. */
  readonly original: Size;
  readonly sha256: string;
}

/** Larger images are refused by their header: a few kilobytes can claim gigabytes. 128 megapixels are 400 MB decoded. */
export const maxPixels = 2 ** 27;

/**
 * Colour (3 channels) or luminance (1), whatever the file has; alpha is dropped; 16 bits are scaled to 8. Resized with a
 * triangle filter (bilinear; when it shrinks, over all pixels that fall together).
 *
 * @param size the image's own where it is left out
 */
export async function decodeImage(file: string, size: Size | undefined, channels: number): Promise<DecodedImage> {
  const bytes = await read(file);
  const metadata = await header(file, bytes);
  const { height, width } = size ?? metadata;
  const decoder = sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels }).removeAlpha();
  const toned = channels === 1 ? decoder.greyscale() : decoder.toColourspace('srgb');
  const resized =
    metadata.width === width && metadata.height === height ? toned : toned.resize(width, height, { fit: 'fill', kernel: 'linear' });
  const { data, info } = await decode(file, resized);
  return {
    pixels: withChannels(data, info.channels, channels),
    original: { height: metadata.height, width: metadata.width },
    sha256: digest(bytes),
  };
}

function withChannels(data: Uint8Array, from: number, to: number): Uint8Array {
  if (from === to) return data;
  const pixels = new Uint8Array((data.length / from) * to);
  for (let i = 0; i < pixels.length; i++) pixels[i] = data[Math.floor(i / to) * from];
  return pixels;
}

export interface LabelRules {
  readonly classes: number;
  readonly exclusive: boolean;
}

/**
 * Labels of a mask, resized by nearest neighbour. With one class: 0 is background and one other value foreground, which becomes 1.
 * With several, the values are the labels: 0 background, then 1 to `classes` (or, where classes exclude each other, 0 to `classes` - 1).
 *
 * @param image size of the image that the mask belongs to
 */
export async function decodeMask(file: string, image: Size, { height, width }: Size, rules: LabelRules): Promise<DecodedImage> {
  const bytes = await read(file);
  const metadata = await header(file, bytes);
  const original = { height: metadata.height, width: metadata.width };
  if (original.height !== image.height || original.width !== image.width) {
    throw invalid(
      file,
      `the mask is ${original.width}x${original.height} and its image ${image.width}x${image.height} (width x height); they must be the same size`,
    );
  }
  const decoder = sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels });
  const raw = await decode(file, decoder.removeAlpha().toColourspace(metadata.depth === 'ushort' ? 'grey16' : 'srgb'), metadata.depth);
  const labels = toLabels(file, raw.data, raw.info.channels, original, rules);
  return { pixels: resizeNearest(labels, original, { height, width }), original, sha256: digest(bytes) };
}

function toLabels(
  file: string,
  values: ArrayLike<number>,
  channels: number,
  { width }: Size,
  { classes, exclusive }: LabelRules,
): Uint8Array {
  const labels = new Uint8Array(values.length / channels);
  const highest = exclusive ? classes - 1 : classes;
  let foreground = 0;
  for (let i = 0; i < labels.length; i++) {
    const value = values[i * channels];
    const at = () => `row ${Math.floor(i / width)}, column ${i % width}`;
    for (let channel = 1; channel < channels; channel++) {
      if (values[i * channels + channel] !== value) throw invalid(file, `the mask is coloured at ${at()}; a mask has one value a pixel`);
    }
    if (value === 0) continue;
    if (classes > 1) {
      if (value > highest) {
        throw invalid(file, `the mask has the value ${value} at ${at()}; with data.classes ${classes} labels go from 0 to ${highest}`);
      }
      labels[i] = value;
    } else {
      foreground ||= value;
      if (value !== foreground) {
        throw invalid(
          file,
          `the mask is not binary: besides 0 it has ${foreground} and, at ${at()}, ${value}; threshold it to two values, or set data.classes`,
        );
      }
      labels[i] = 1;
    }
  }
  return labels;
}

/** Takes the pixel under the centre of each new one. */
export function resizeNearest(source: Uint8Array, from: Size, to: Size): Uint8Array {
  if (from.height === to.height && from.width === to.width) return source;
  const result = new Uint8Array(to.height * to.width);
  const columns = Uint32Array.from({ length: to.width }, (_, x) => Math.floor(((x + 0.5) * from.width) / to.width));
  for (let y = 0; y < to.height; y++) {
    const row = Math.floor(((y + 0.5) * from.height) / to.height) * from.width;
    for (let x = 0; x < to.width; x++) result[y * to.width + x] = source[row + columns[x]];
  }
  return result;
}

const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

const invalid = (file: string, sentence: string, cause?: unknown) =>
  new SegfleetError('invalidData', `${file}: ${sentence}`, { cause, details: { file } });

async function read(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    throw fromSystemError(error, file);
  }
}

async function header(file: string, bytes: Buffer): Promise<Metadata & Size> {
  let metadata: Metadata;
  try {
    metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
  } catch (cause) {
    throw invalid(file, 'this is not an image that can be read (PNG, JPEG, TIFF and GIF are); replace the file or remove the case', cause);
  }
  const { width, height, pages = 1, depth } = metadata;
  if (width * height > maxPixels) {
    throw invalid(
      file,
      `the header says ${width}x${height} pixels, more than the ${maxPixels / 2 ** 20} megapixels allowed; shrink the image`,
    );
  }
  if (pages > 1) throw invalid(file, `the file holds ${pages} images or frames, and one is expected; keep the one that is meant`);
  if (depth !== 'uchar' && depth !== 'ushort' && depth !== 'char') {
    throw invalid(file, `the pixels are of type ${depth}; 8 or 16 bits are expected`);
  }
  return metadata;
}

async function decode(file: string, image: Sharp, depth: string = 'uchar') {
  try {
    const { data, info } = await image.raw({ depth: depth === 'ushort' ? 'ushort' : 'uchar' }).toBuffer({ resolveWithObject: true });
    const values =
      depth === 'ushort'
        ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2)
        : new Uint8Array(data.buffer, data.byteOffset, data.length);
    return { data: values as Uint8Array, info };
  } catch (cause) {
    throw invalid(
      file,
      `the image is damaged or cut short (${(cause as Error).message.split('\n')[0]}); replace the file or remove the case`,
      cause,
    );
  }
}
