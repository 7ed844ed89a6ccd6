/**
 * Small generated sets in the layouts of the official ones, with their traps. None of the official data is in them.
 */
import sharp from 'sharp';
import type { Files } from './archives.ts';
import { drawPicture, pngOf } from './pictures.ts';

const [width, height] = [40, 32];
export const lookAlikeSize = { width, height };

/** [height, width], 0 or 255 */
export const maskOf = (id: string): Uint8Array => drawPicture(id, width, height).mask;

const raw = (id: string) => sharp(drawPicture(id, width, height).pixels, { raw: { width, height, channels: 3 } });
export const jpegOf = (id: string): Promise<Buffer> => raw(id).jpeg().toBuffer();
export const grey = (mask: Uint8Array): Promise<Buffer> => pngOf(mask, width, height);

/** Ids are numbers. Text files lie in the folders of the images. */
export async function isic(ids: readonly number[], part: string): Promise<{ input: Files; truth: Files }> {
  const [input, truth]: Record<string, Buffer | string>[] = [{ [`ISIC2018_Task1-2_${part}_Input/LICENSE.txt`]: 'CC BY-NC' }, {}];
  for (const number of ids) {
    const id = `ISIC_${String(number).padStart(7, '0')}`;
    input[`ISIC2018_Task1-2_${part}_Input/${id}.jpg`] = await jpegOf(id);
    truth[`ISIC2018_Task1_${part}_GroundTruth/${id}_segmentation.png`] = await grey(maskOf(id));
  }
  return { input, truth };
}

/** Instances of an image: its mask cut into the left and the right half, which share `overlap` columns. */
export function instancesOf(id: string, overlap = 0): Uint8Array[] {
  const mask = maskOf(id);
  const middle = width / 2;
  return [mask.map((value, i) => (i % width < middle ? value : 0)), mask.map((value, i) => (i % width >= middle - overlap ? value : 0))];
}

/** RGBA images and one mask an instance. */
export async function dsb(ids: readonly string[], prefix = 'stage1_train/', overlap = 0): Promise<Files> {
  const files: Record<string, Buffer> = {};
  for (const id of ids) {
    files[`${prefix}${id}/images/${id}.png`] = await raw(id).ensureAlpha().png().toBuffer();
    for (const [i, mask] of instancesOf(id, overlap).entries()) files[`${prefix}${id}/masks/instance${i}.png`] = await grey(mask);
  }
  return files;
}

/** "start length ..." down the columns from 1: the run lengths of a mask, one pixel a run, so that the code under test does the counting. */
export function runsOf(mask: Uint8Array): string {
  const runs: string[] = [];
  for (let x = 0; x < width; x++) for (let y = 0; y < height; y++) if (mask[y * width + x]) runs.push(`${x * height + y + 1} 1`);
  return runs.join(' ');
}

/** TIFF images of once JPEG-compressed photographs; GIF masks that are not strictly binary; no manual masks in the test part. */
export async function drive(training: readonly number[], test: readonly number[]): Promise<{ training: Files; test: Files }> {
  const gif = (values: Uint8Array) =>
    sharp(values, { raw: { width, height, channels: 1 } })
      .gif()
      .toBuffer();
  const part = async (numbers: readonly number[], name: 'training' | 'test') => {
    const files: Record<string, Buffer> = {};
    for (const number of numbers) {
      const id = `${String(number).padStart(2, '0')}_${name}`;
      files[`${name}/images/${id}.tif`] = await sharp(await jpegOf(id))
        .tiff({ compression: 'lzw' })
        .toBuffer();
      files[`${name}/mask/${id}_mask.gif`] = await gif(fovOf());
      if (name === 'test') continue;
      files[`training/1st_manual/${id.slice(0, 2)}_manual1.gif`] = await gif(softened(maskOf(id)));
      files[`training/2nd_manual/${id.slice(0, 2)}_manual2.gif`] = await gif(maskOf('another observer'));
    }
    return files;
  };
  return { training: await part(training, 'training'), test: await part(test, 'test') };
}

/** A disc. */
export const fovOf = (): Uint8Array =>
  Uint8Array.from({ length: width * height }, (_, i) => (((i % width) - 20) ** 2 + (Math.floor(i / width) - 16) ** 2 < 14 ** 2 ? 255 : 0));

/** As compressed copies have it: some of the white is not quite white, some of the black not quite black. */
const softened = (mask: Uint8Array) => mask.map((value, i) => (i % 5 === 0 ? (value ? 200 : 40) : value));

/** JPEG images and masks of two observers, one bit a pixel, side by side. */
export async function chase(children: readonly number[]): Promise<Files> {
  const files: Record<string, Buffer> = {};
  for (const child of children) {
    for (const eye of ['L', 'R']) {
      const id = `Image_${String(child).padStart(2, '0')}${eye}`;
      files[`${id}.jpg`] = await jpegOf(id);
      for (const [name, mask] of [
        ['1stHO', maskOf(id)],
        ['2ndHO', maskOf('another observer')],
      ] as const) {
        const bits = sharp(mask, { raw: { width, height, channels: 1 } }).png({ palette: true, colours: 2 });
        files[`${id}_${name}.png`] = await bits.toBuffer();
      }
    }
  }
  return files;
}
