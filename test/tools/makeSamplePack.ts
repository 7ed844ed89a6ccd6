/**
 * Makes examples/nuclei from the full set of nuclei images: `node test/tools/makeSamplePack.ts <folder of dsb2018> [out]`.
 * Takes 100 fluorescence images (grey, dark background) by a seeded draw and cuts the 128x128 window out of each that a second
 * draw picks among those with at least 5 % of nucleus pixels.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import sharp from 'sharp';
import { generator, permutation } from '../../trainer/random.ts';

const [source, out = 'examples/nuclei'] = process.argv.slice(2);
if (!source) throw new Error('usage: node test/tools/makeSamplePack.ts <folder of dsb2018> [out]');

const side = 128;
const wanted = 100;
const seed = 2018;
const rows: { id: string; image: string; mask: string }[] = parse(await readFile(join(source, 'manifest.csv'), 'utf8'), { columns: true });

/** Grey, dark background and visible nuclei, by pixel statistics. */
function isFluorescence(pixels: Uint8Array): boolean {
  let coloured = 0;
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 3) {
    if (pixels[i] !== pixels[i + 1] || pixels[i] !== pixels[i + 2]) coloured++;
    sum += pixels[i];
  }
  return coloured === 0 && sum / (pixels.length / 3) < 64;
}

await rm(out, { recursive: true, force: true });
for (const folder of ['images', 'masks']) await mkdir(join(out, folder), { recursive: true });
const lines = ['id,image,mask,source,left,top'];
for (const index of permutation(rows.length, seed)) {
  if (lines.length > wanted) break;
  const { id, image, mask } = rows[index];
  const { data: pixels, info } = await sharp(join(source, image)).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  if (info.width < side || info.height < side || !isFluorescence(pixels)) continue;
  const truth = await sharp(join(source, mask)).extractChannel(0).raw().toBuffer();
  const next = generator(seed, 'window', id);
  const draw = (limit: number) => Math.floor((next() / 2 ** 32) * (limit + 1));
  for (let attempt = 0; attempt < 20; attempt++) {
    const [left, top] = [draw(info.width - side), draw(info.height - side)];
    let foreground = 0;
    for (let y = 0; y < side; y++) for (let x = 0; x < side; x++) if (truth[(top + y) * info.width + left + x]) foreground++;
    if (foreground < 0.05 * side * side) continue;
    const name = `${id.slice(0, 12)}.png`;
    const window = { left, top, width: side, height: side };
    const png = { compressionLevel: 9, adaptiveFiltering: true };
    await sharp(join(source, image))
      .extract(window)
      .extractChannel(0)
      .png(png)
      .toFile(join(out, 'images', name));
    await sharp(join(source, mask))
      .extract(window)
      .extractChannel(0)
      .png({ ...png, palette: false })
      .toFile(join(out, 'masks', name));
    lines.push(`${id.slice(0, 12)},images/${name},masks/${name},${id},${left},${top}`);
    break;
  }
}
lines.splice(1, Infinity, ...lines.slice(1).sort());
await writeFile(join(out, 'manifest.csv'), `${lines.join('\n')}\n`);
console.log(`${lines.length - 1} images in ${out}`);
