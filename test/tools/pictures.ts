/**
 * Data sets for tests: discs on a noisy ground, drawn from a seed.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { generator } from '../../trainer/random.ts';

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3] */
  readonly pixels: Uint8Array;
  /** [height, width], 0 or 255 */
  readonly mask: Uint8Array;
}

export function drawPicture(name: string, width = 32, height = 32): Picture {
  const next = generator(3, 'picture', name);
  const draw = (limit: number) => (next() / 2 ** 32) * limit;
  const discs = Array.from({ length: 3 }, () => ({ x: draw(width), y: draw(height), r: 3 + draw(width / 5) }));
  const pixels = new Uint8Array(width * height * 3);
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const inside = discs.some(disc => (x - disc.x) ** 2 + (y - disc.y) ** 2 < disc.r ** 2);
    mask[i] = inside ? 255 : 0;
    for (let c = 0; c < 3; c++) pixels[i * 3 + c] = (inside ? 150 : 60) + draw(40);
  }
  return { width, height, pixels, mask };
}

export const pngOf = (data: Uint8Array, width: number, height: number, channels: 1 | 3 = 1): Promise<Buffer> =>
  sharp(data, { raw: { width, height, channels } })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png()
    .toBuffer();

/** A folder with images/ and masks/, named case00, case01, ... */
export async function drawDataSet(folder: string, count: number, width = 32, height = 32): Promise<void> {
  for (const part of ['images', 'masks']) mkdirSync(join(folder, part), { recursive: true });
  for (let i = 0; i < count; i++) {
    const name = `case${String(i).padStart(2, '0')}`;
    const { pixels, mask } = drawPicture(name, width, height);
    await sharp(await pngOf(pixels, width, height, 3)).toFile(join(folder, 'images', `${name}.png`));
    await sharp(await pngOf(mask, width, height))
      .toColourspace('b-w')
      .toFile(join(folder, 'masks', `${name}.png`));
  }
}
