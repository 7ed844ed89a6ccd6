/**
 * `segfleet predict`: masks for images without truth, at the images' own size.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import sharp from 'sharp';
import { storedShapeOf } from './course.ts';
import { imageExtensions } from './data/cases.ts';
import { decodeImage, type Size } from './data/decode.ts';
import type { StoredShape } from './data/store.ts';
import { fromSystemError, SegfleetError } from './errors.ts';
import { openRun } from './openRun.ts';
import { allFlips, probabilitiesOf } from './probabilities.ts';
import { writeAtomically } from './storage/files.ts';
import type { Selection } from './storage/runFolder.ts';

export interface PredictOptions {
  readonly select: Selection;
  readonly out: string;
  /** Also write 16-bit probability maps, one a class. */
  readonly probabilities?: boolean;
  /** The mean of probabilities over the image and its three mirror images: four times the work. */
  readonly flips?: boolean;
}

export interface PredictedImage {
  readonly image: string;
  readonly mask: string;
  readonly probabilities: readonly string[];
  /** Share of the pixels that are not background. */
  readonly foreground: number;
}

/**
 * @param inputs image files, and folders of them
 * @yields one result an image, in order. Masks are 0 and 255; with several classes, the labels.
 */
export async function* predict(
  run: string,
  inputs: readonly string[],
  { select, out, probabilities, flips }: PredictOptions,
): AsyncGenerator<PredictedImage> {
  const images = await listImages(inputs);
  const { program, job } = await openRun(run, select);
  try {
    const { classes, exclusive } = program.options;
    const batch = job.spec.data.patches ? job.spec.training.batch : 1;
    const sources = readImages(images, storedShapeOf(job));
    for await (const result of probabilitiesOf(program, sources, { batch, flips: flips ? allFlips : undefined })) {
      const { file: image, size, original } = result.source;
      const maps = await Promise.all(probabilityMaps(result.probabilities, classes).map(map => resizeMap(map, size, original)));
      const mask = decide(maps, exclusive);
      const stem = basename(image, extname(image));
      const write = async (name: string, data: Uint8Array | Uint16Array) => {
        const file = join(out, name);
        const raw = { width: original.width, height: original.height, channels: 1 as const };
        await writeAtomically(
          file,
          await sharp(data, { raw })
            .toColourspace(data instanceof Uint16Array ? 'grey16' : 'b-w')
            .png()
            .toBuffer(),
        );
        return file;
      };
      const shown = classes === 1 ? mask.map(label => label * 255) : mask;
      const written = await write(`${stem}.png`, shown);
      const probabilityFiles: string[] = [];
      if (probabilities) {
        for (const [c, map] of maps.entries())
          probabilityFiles.push(await write(`${stem}.probability${classes === 1 ? '' : `-${c}`}.png`, map));
      }
      yield { image, mask: written, probabilities: probabilityFiles, foreground: mask.filter(label => label > 0).length / mask.length };
    }
  } finally {
    await program.close();
  }
}

/** At the size that the network was trained at: the job's, or where patches are on the image's own. */
async function* readImages(files: readonly string[], { height, width, channels }: StoredShape) {
  for (const file of files) {
    const { pixels, original } = await decodeImage(file, height && width ? { height, width } : undefined, channels);
    yield { file, image: pixels, size: { height: height ?? original.height, width: width ?? original.width }, original };
  }
}

async function listImages(inputs: readonly string[]): Promise<string[]> {
  const images: string[] = [];
  for (const input of inputs) {
    const found = await stat(input).catch(error => {
      throw fromSystemError(error, input);
    });
    if (!found.isDirectory()) images.push(input);
    else {
      const names = (await readdir(input)).sort().filter(name => imageExtensions.includes(extname(name).toLowerCase()));
      if (names.length === 0)
        throw new SegfleetError(
          'invalidData',
          `${input} holds no image (${imageExtensions.join(', ')}); name files, or a folder with some`,
        );
      images.push(...names.map(name => join(input, name)));
    }
  }
  const byStem = new Map<string, string>();
  for (const image of images) {
    const stem = basename(image, extname(image));
    const other = byStem.get(stem);
    if (other)
      throw new SegfleetError('usage', `${other} and ${image} would write the same mask ${stem}.png; predict them into different folders`);
    byStem.set(stem, image);
  }
  return images;
}

/** One map a class, 0 to 65535 for probabilities 0 to 1. */
function probabilityMaps(probabilities: Float32Array, classes: number): Uint16Array[] {
  const pixels = probabilities.length / classes;
  return Array.from({ length: classes }, (_, c) =>
    Uint16Array.from({ length: pixels }, (_, pixel) => Math.round(probabilities[pixel * classes + c] * 65535)),
  );
}

async function resizeMap(map: Uint16Array, from: Size, to: Size): Promise<Uint16Array> {
  if (from.height === to.height && from.width === to.width) return map;
  const image = sharp(map, { raw: { width: from.width, height: from.height, channels: 1 } }).toColourspace('grey16');
  const data = await image.resize(to.width, to.height, { fit: 'fill', kernel: 'linear' }).raw({ depth: 'ushort' }).toBuffer();
  return new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
}

/** The label of each pixel: of the likeliest class; where classes do not exclude each other only if it is above one half. */
function decide(maps: readonly Uint16Array[], exclusive: boolean): Uint8Array {
  return Uint8Array.from(maps[0], (_, pixel) => {
    let best = 0;
    for (let c = 1; c < maps.length; c++) if (maps[c][pixel] > maps[best][pixel]) best = c;
    if (exclusive) return best;
    return maps[best][pixel] > 32767 ? best + 1 : 0;
  });
}
