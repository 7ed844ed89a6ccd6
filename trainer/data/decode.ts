/**
 * One image or mask file -> bytes at the size of the network. Everything that can be wrong with a file is found here and named.
 */
import { hash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import sharp, { type Sharp } from 'sharp';
import { fromSystemError, SegfleetError } from '../errors.ts';
import { ignoredLabel } from './batch.ts';
import { type Header, isAnimatedPng, plainHeader } from './header.ts';
import { isMember, readMember } from './shardIndex.ts';

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

/** An image file on disk by its path, in a shard by the name of the member, or one that lies elsewhere (in an archive) by the name that errors shall give it. */
export type ImageFile = string | { readonly name: string; readonly bytes: Buffer };

/** Larger images are refused by their header: a few kilobytes can claim gigabytes. 128 megapixels are 400 MB decoded. */
export const maxPixels = 2 ** 27;

/** Counted up when the same file would decode to other bytes than before: decoded bytes that were kept are then decoded anew. */
export const decoderVersion = 1;

/**
 * Colour (3 channels) or luminance (1), whatever the file has; alpha is dropped; 16 bits are scaled to 8. Resized with a
 * triangle filter (bilinear; when it shrinks, over all pixels that fall together).
 *
 * @param size of the result; the image's own where it is left out
 */
export async function decodeImage(file: ImageFile, size: Size | undefined, channels: number): Promise<DecodedImage> {
  const { name, bytes } = await readImageFile(file);
  const { height, width } = await header(name, bytes);
  const decoder = sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels }).removeAlpha();
  const toned = channels === 1 ? decoder.greyscale() : decoder.toColourspace('srgb');
  const same = !size || (width === size.width && height === size.height);
  const resized = same ? toned : toned.resize(size.width, size.height, { fit: 'fill', kernel: 'linear' });
  const { data, info } = await decode(name, resized);
  return { pixels: withChannels(data, info.channels, channels), original: { height, width }, sha256: hash('sha256', bytes) };
}

/** What the header of an image says. @throws invalidData: what cannot be taken, by name (no image, too large, frames, rotation, type) */
export async function readHeader(file: ImageFile): Promise<Header> {
  const { name, bytes } = await readImageFile(file);
  return header(name, bytes);
}

function withChannels(data: Uint8Array | Uint16Array, from: number, to: number): Uint8Array {
  if (from === to) return data as Uint8Array;
  const pixels = new Uint8Array((data.length / from) * to);
  for (let i = 0; i < pixels.length; i++) pixels[i] = data[Math.floor(i / to) * from];
  return pixels;
}

export interface LabelRules {
  readonly classes: number;
  readonly exclusive: boolean;
  /** Mask value of pixels that do not count; they become `ignoredLabel`. */
  readonly ignore?: number;
}

/** The values of a mask as they stand in the file, one a pixel. */
export interface MaskValues extends Size {
  readonly values: Uint8Array | Uint16Array;
  readonly sha256: string;
}

/** @throws invalidData: no readable image, or pixels in colour */
export async function decodeMaskValues(file: ImageFile): Promise<MaskValues> {
  const { name, bytes } = await readImageFile(file);
  const { height, width, depth, channels, space } = await header(name, bytes);
  const decoder = sharp(bytes, { failOn: 'error', limitInputPixels: maxPixels });
  // A grey file is decoded as it is: three equal channels cost three times as much.
  const grey = channels === 1 && space === 'b-w';
  const wide = depth === 'ushort';
  const toned = grey ? decoder.toColourspace('b-w') : decoder.removeAlpha().toColourspace(wide ? 'grey16' : 'srgb');
  const { data, info } = await decode(name, toned, depth);
  return { values: oneChannel(name, data, info.channels, width), height, width, sha256: hash('sha256', bytes) };
}

function oneChannel(name: string, data: Uint8Array | Uint16Array, channels: number, width: number): Uint8Array | Uint16Array {
  if (channels === 1) return data;
  const values = data.slice(0, data.length / channels);
  for (let i = 0; i < values.length; i++) {
    const value = data[i * channels];
    values[i] = value;
    for (let channel = 1; channel < channels; channel++) {
      if (data[i * channels + channel] !== value) {
        throw invalid(name, `the mask is coloured at ${place(i, width)}; a mask has one value a pixel`);
      }
    }
  }
  return values;
}

const place = (pixel: number, width: number) => `row ${Math.floor(pixel / width)}, column ${pixel % width}`;

/**
 * Labels of a mask, resized by nearest neighbour. With one class: 0 is background and one other value foreground, which becomes 1.
 * With several, the values are the labels: 0 background, then 1 to `classes` (or, where classes exclude each other, 0 to `classes` - 1).
 *
 * @param image size of the image that the mask belongs to
 * @param size of the result; the mask's own where it is left out
 */
export async function decodeMask(file: ImageFile, image: Size, size: Size | undefined, rules: LabelRules): Promise<DecodedImage> {
  const mask = await decodeMaskValues(file);
  const name = nameOf(file);
  if (mask.height !== image.height || mask.width !== image.width) {
    throw invalid(
      name,
      `the mask is ${mask.width}x${mask.height} and its image ${image.width}x${image.height} (width x height); they must be the same size`,
    );
  }
  const labels = toLabels(name, mask, rules);
  const original = { height: mask.height, width: mask.width };
  return { pixels: size ? resizeNearest(labels, original, size) : labels, original, sha256: mask.sha256 };
}

function toLabels(name: string, { values, width }: MaskValues, { classes, exclusive, ignore }: LabelRules): Uint8Array {
  const labels = new Uint8Array(values.length);
  const highest = exclusive ? classes - 1 : classes;
  let foreground = 0;
  for (let i = 0; i < labels.length; i++) {
    const value = values[i];
    if (value === ignore) labels[i] = ignoredLabel;
    if (value === 0 || value === ignore) continue;
    if (classes > 1) {
      if (value > highest) {
        throw invalid(
          name,
          `the mask has the value ${value} at ${place(i, width)}; with data.classes ${classes} labels go from 0 to ${highest}`,
        );
      }
      labels[i] = value;
    } else {
      foreground ||= value;
      if (value !== foreground) {
        throw invalid(
          name,
          `the mask is not binary: besides 0 it has ${foreground} and, at ${place(i, width)}, ${value}; threshold it to two values, or set data.classes`,
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

const invalid = (file: string, sentence: string, cause?: unknown) =>
  new SegfleetError('invalidData', `${file}: ${sentence}`, { cause, details: { file } });

const nameOf = (file: ImageFile) => (typeof file === 'string' ? file : file.name);

export async function readImageFile(file: ImageFile): Promise<{ name: string; bytes: Buffer }> {
  if (typeof file !== 'string') return file;
  if (isMember(file)) return { name: file, bytes: await readMember(file) };
  try {
    return { name: file, bytes: await readFile(file) };
  } catch (error) {
    throw fromSystemError(error, file);
  }
}

async function header(file: string, bytes: Buffer): Promise<Header> {
  const found = plainHeader(bytes) ?? (await openHeader(file, bytes));
  const { width, height, pages = 1, depth, orientation = 1 } = found;
  if (width * height > maxPixels) {
    throw invalid(
      file,
      `the header says ${width}x${height} pixels, more than the ${maxPixels / 2 ** 20} megapixels allowed; shrink the image`,
    );
  }
  if (pages > 1) throw invalid(file, `the file holds ${pages} images or frames, and one is expected; keep the one that is meant`);
  if (orientation !== 1) {
    throw invalid(
      file,
      `its EXIF data says that the pixels are to be turned (orientation ${orientation}), which programs that draw masks do or leave undone; ` +
        'turn the pixels and drop the tag (mogrify -auto-orient)',
    );
  }
  if (depth !== 'uchar' && depth !== 'ushort' && depth !== 'char') {
    throw invalid(file, `the pixels are of type ${depth}; 8 or 16 bits are expected`);
  }
  return found;
}

async function openHeader(file: string, bytes: Buffer): Promise<Header> {
  try {
    const metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
    // The decoder knows no animated PNG and would take its first frame.
    return isAnimatedPng(bytes) ? { ...metadata, pages: bytes.readUInt32BE(bytes.indexOf('acTL') + 4) } : metadata;
  } catch (cause) {
    throw invalid(file, 'this is not an image that can be read (PNG, JPEG, TIFF and GIF are); replace the file or remove the case', cause);
  }
}

async function decode(file: string, image: Sharp, depth: string = 'uchar') {
  try {
    const { data, info } = await image.raw({ depth: depth === 'ushort' ? 'ushort' : 'uchar' }).toBuffer({ resolveWithObject: true });
    const values =
      depth === 'ushort'
        ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2)
        : new Uint8Array(data.buffer, data.byteOffset, data.length);
    return { data: values, info };
  } catch (cause) {
    throw invalid(
      file,
      `the image is damaged or cut short (${(cause as Error).message.split('\n')[0]}); replace the file or remove the case`,
      cause,
    );
  }
}
