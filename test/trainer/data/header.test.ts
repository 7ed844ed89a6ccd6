import fc from 'fast-check';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { isAnimatedPng, plainHeader } from '../../../trainer/data/header.ts';
import { drawPicture } from '../../tools/pictures.ts';

const { pixels, mask } = drawPicture('header', 40, 24);
const colour = () => sharp(pixels, { raw: { width: 40, height: 24, channels: 3 } });
const grey = () => sharp(mask, { raw: { width: 40, height: 24, channels: 1 } }).toColourspace('b-w');
const wide = () =>
  sharp(
    Uint16Array.from(mask, value => value * 257),
    { raw: { width: 40, height: 24, channels: 1 } },
  ).toColourspace('grey16');

describe('the header of a plain file says what the decoder says', () => {
  test.each([
    ['RGB PNG', () => colour().png()],
    ['RGBA PNG', () => colour().ensureAlpha(0.5).png()],
    ['grey PNG', () => grey().png()],
    ['16-bit grey PNG', () => wide().png()],
    ['16-bit RGB PNG', () => colour().toColourspace('rgb16').png()],
    ['interlaced PNG', () => colour().png({ progressive: true })],
    ['JPEG', () => colour().jpeg()],
    ['progressive JPEG', () => colour().jpeg({ progressive: true })],
    ['JPEG without chroma subsampling', () => colour().jpeg({ chromaSubsampling: '4:4:4' })],
    ['grey JPEG', () => grey().jpeg()],
  ] as const)('%s', async (_, make) => {
    const bytes = await make().toBuffer();
    const { width, height, channels, depth, space, format, hasAlpha } = await sharp(bytes).metadata();
    expect(plainHeader(bytes)).toEqual({ width, height, channels, depth, space, format, hasAlpha });
  });
});

test.each([
  ['palette PNG', () => grey().png({ palette: true })],
  ['JPEG with EXIF data', () => colour().withMetadata({ orientation: 3 }).jpeg()],
  ['CMYK JPEG', () => colour().toColourspace('cmyk').jpeg()],
  ['GIF', () => colour().gif()],
  ['TIFF', () => colour().tiff()],
] as const)('%s is left to the decoder', async (_, make) => {
  expect(plainHeader(await make().toBuffer())).toBeUndefined();
});

test.each([
  ['PNG', () => colour().png()],
  ['JPEG', () => colour().jpeg()],
] as const)('a %s cut or changed anywhere gives a header or none, and no error', async (_, make) => {
  const whole = await make().toBuffer();
  fc.assert(
    fc.property(fc.nat(whole.length), fc.nat(200), fc.nat(255), (length, at, change) => {
      const bytes = Buffer.from(whole.subarray(0, length));
      if (at < length) bytes[at] ^= change;
      const header = plainHeader(bytes);
      if (header) expect(header.width * header.height).toBeGreaterThan(0);
    }),
  );
});

test('an animated PNG has a chunk acTL before its pixels', async () => {
  const bytes = await colour().png().toBuffer();
  const chunk = Buffer.concat([Buffer.from([0, 0, 0, 8]), Buffer.from('acTL'), Buffer.from([0, 0, 0, 3, 0, 0, 0, 0]), Buffer.alloc(4)]);
  const animated = Buffer.concat([bytes.subarray(0, 33), chunk, bytes.subarray(33)]);
  expect([isAnimatedPng(bytes), isAnimatedPng(animated), isAnimatedPng(Buffer.from('GIF89a acTL IDAT'))]).toEqual([false, true, false]);
  expect(plainHeader(animated)).toBeUndefined();
});
