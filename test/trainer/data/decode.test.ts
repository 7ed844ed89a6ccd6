import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { afterAll, describe, expect, test } from 'vitest';
import { decodeImage, decodeMask, resizeNearest } from '../../../trainer/data/decode.ts';
import { SegfleetError } from '../../../trainer/errors.ts';
import { drawPicture, pngOf } from '../../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-decode-'));
afterAll(() => rmSync(folder, { recursive: true }));

const size = { height: 32, width: 32 };
const { pixels, mask } = drawPicture('decode');
const grey = Uint8Array.from({ length: 1024 }, (_, i) => pixels[i * 3]);
const rgba = Uint8Array.from({ length: 4096 }, (_, i) => (i % 4 === 3 ? 128 : pixels[Math.floor(i / 4) * 3 + (i % 4)]));
const raw = (data: Uint8Array | Uint16Array, channels: 1 | 3 | 4) => sharp(data, { raw: { width: 32, height: 32, channels } });
const wide = (data: Uint8Array) => Uint16Array.from(data, value => value * 257);

function file(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    reason => reason,
  );
  expect(error).toBeInstanceOf(SegfleetError);
  expect(error.exitCode).toBe(3);
  return error.message.replace(`${folder}/`, '');
}

describe('an image', () => {
  test.each([
    ['RGB PNG', 'rgb.png', () => raw(pixels, 3).png(), pixels],
    ['RGB TIFF', 'rgb.tif', () => raw(pixels, 3).tiff({ compression: 'lzw' }), pixels],
    ['RGBA PNG, alpha dropped and not multiplied in', 'rgba.png', () => raw(rgba, 4).png(), pixels],
    ['16-bit RGB PNG, scaled to 8', 'rgb16.png', () => raw(wide(pixels), 3).toColourspace('rgb16').png(), pixels],
    ['grey PNG, repeated', 'grey.png', () => raw(grey, 1).toColourspace('b-w').png(), grey.length],
    ['grey 16-bit PNG', 'grey16.png', () => raw(wide(grey), 1).toColourspace('grey16').png(), grey.length],
  ] as const)('%s gives three channels', async (_, name, make, expected) => {
    const decoded = await decodeImage(file(name, await make().toBuffer()), size, 3);
    const wanted = typeof expected === 'number' ? Uint8Array.from({ length: 3072 }, (_, i) => grey[Math.floor(i / 3)]) : expected;
    expect(decoded.pixels).toEqual(wanted);
    expect(decoded.original).toEqual(size);
  });

  test.each([
    ['JPEG', 'x.jpg', () => raw(pixels, 3).jpeg({ quality: 100, chromaSubsampling: '4:4:4' })],
    ['GIF', 'x.gif', () => raw(pixels, 3).gif()],
  ] as const)('%s is read, as closely as its compression allows', async (_, name, make) => {
    const decoded = await decodeImage(file(name, await make().toBuffer()), size, 3);
    const difference = decoded.pixels.reduce((sum, value, i) => sum + Math.abs(value - pixels[i]), 0) / pixels.length;
    expect(difference).toBeLessThan(8);
  });

  test('in one channel is its luminance', async () => {
    const decoded = await decodeImage(file('grey1.png', await raw(grey, 1).toColourspace('b-w').png().toBuffer()), size, 1);
    expect(decoded.pixels).toEqual(grey);
    const red = new Uint8Array(3072).map((_, i) => (i % 3 === 0 ? 255 : 0));
    const { pixels: luminance } = await decodeImage(file('red.png', await raw(red, 3).png().toBuffer()), size, 1);
    expect(luminance).toHaveLength(1024);
    expect(luminance[0]).toBeGreaterThan(40);
    expect(luminance[0]).toBeLessThan(140);
  });

  test('is resized so that it stays over its mask', async () => {
    const large = drawPicture('large', 200, 160);
    const flat = large.mask.map(value => value);
    const path = file('large.png', await pngOf(flat, 200, 160));
    for (const to of [
      { height: 64, width: 64 },
      { height: 80, width: 96 },
      { height: 320, width: 400 },
    ]) {
      const { pixels: image } = await decodeImage(path, to, 1);
      const labels = resizeNearest(large.mask, { height: 160, width: 200 }, to);
      const both = image.filter((value, i) => value > 127 && labels[i] > 0).length;
      const either = image.filter((value, i) => value > 127 || labels[i] > 0).length;
      expect(both / either).toBeGreaterThan(0.97);
    }
  });

  test('cut short anywhere behind its header is refused', async () => {
    for (const [name, bytes] of [
      ['cut.png', await raw(pixels, 3).png().toBuffer()],
      ['cut.jpg', await raw(pixels, 3).jpeg().toBuffer()],
    ] as const) {
      for (const share of [0.3, 0.6, 0.9]) {
        const sentence = await refusal(decodeImage(file(name, bytes.subarray(0, Math.floor(bytes.length * share))), size, 3));
        expect(sentence).toMatch(/^cut\.(png|jpg): (the image is damaged or cut short|this is not an image that can be read)/);
      }
    }
  });

  test.each([
    ['empty', new Uint8Array(0)],
    ['a web page', Buffer.from('<html><body>404</body></html>')],
  ])('that is %s is refused', async (_, bytes) => {
    expect(await refusal(decodeImage(file('no.png', bytes), size, 3))).toMatch(/^no.png: this is not an image that can be read/);
  });

  test('with more than one frame is refused', async () => {
    const frames = await sharp([await pngOf(grey, 32, 32), await pngOf(mask, 32, 32)], { join: { animated: true } })
      .gif()
      .toBuffer();
    expect(await refusal(decodeImage(file('film.gif', frames), size, 3))).toMatch(/^film.gif: the file holds 2 images or frames/);
  });

  test('with more than one frame is refused as a PNG too, which the decoder takes for one', async () => {
    const bytes = await raw(pixels, 3).png().toBuffer();
    const frames = Buffer.concat([Buffer.from([0, 0, 0, 8]), Buffer.from('acTL'), Buffer.from([0, 0, 0, 3, 0, 0, 0, 0]), Buffer.alloc(4)]);
    const path = file('film.png', Buffer.concat([bytes.subarray(0, 33), frames, bytes.subarray(33)]));
    expect(await refusal(decodeImage(path, size, 3))).toMatch(/^film.png: the file holds 3 images or frames/);
  });

  test.each([3, 6, 8])('that EXIF data turns (orientation %i) is refused, for masks are drawn either way', async orientation => {
    for (const [name, encoder] of [
      ['turned.jpg', raw(pixels, 3).jpeg()],
      ['turned.png', raw(pixels, 3).png()],
    ] as const) {
      const path = file(name, await encoder.withMetadata({ orientation }).toBuffer());
      expect(await refusal(decodeImage(path, size, 3))).toContain(
        `its EXIF data says that the pixels are to be turned (orientation ${orientation})`,
      );
    }
  });

  test('in CMYK is read as the colours that it prints, not as their negative, within what ink can do', async () => {
    const flat = (...colour: number[]) => Uint8Array.from({ length: 3072 }, (_, i) => colour[i % 3]);
    for (const colour of [
      [255, 255, 255],
      [200, 60, 50],
      [60, 60, 60],
    ]) {
      const path = file(
        'print.jpg',
        await raw(flat(...colour), 3)
          .toColourspace('cmyk')
          .jpeg({ quality: 100 })
          .toBuffer(),
      );
      expect((await sharp(path).metadata()).space).toBe('cmyk');
      const decoded = await decodeImage(path, size, 3);
      for (let c = 0; c < 3; c++) expect(Math.abs(decoded.pixels[c] - colour[c])).toBeLessThan(30);
    }
  });

  test('keeps its own size where none is asked for, and may come as bytes', async () => {
    const bytes = await raw(pixels, 3).png().toBuffer();
    expect((await decodeImage({ name: 'archive.zip: a.png', bytes }, undefined, 3)).pixels).toEqual(pixels);
    expect(await refusal(decodeImage({ name: 'archive.zip: a.png', bytes: bytes.subarray(0, 900) }, undefined, 3))).toMatch(
      /^archive\.zip: a\.png: the image is damaged or cut short/,
    );
  });

  test('of 20000x20000 in a few hundred kilobytes is refused by its header, before memory is taken', async () => {
    const path = file('bomb.png', pngBomb(20_000));
    const before = process.memoryUsage().rss;
    expect(await refusal(decodeImage(path, size, 3))).toMatch(
      /^bomb.png: the header says 20000x20000 pixels, more than the 128 megapixels allowed/,
    );
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });
});

/** A valid grey PNG of side x side zeros. */
function pngBomb(side: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const out = Buffer.alloc(body.length + 8);
    out.writeUInt32BE(data.length);
    body.copy(out, 4);
    out.writeUInt32BE(crc32(body), body.length + 4);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(side, 0);
  header.writeUInt32BE(side, 4);
  header[8] = 8;
  const rows = deflateSync(Buffer.alloc((side + 1) * side), { level: 9 });
  return Buffer.concat([
    Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]),
    chunk('IHDR', header),
    chunk('IDAT', rows),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function crc32(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let k = 0; k < 8; k++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('a mask', () => {
  const binary = { classes: 1, exclusive: false };
  const expected = mask.map(value => (value > 0 ? 1 : 0));

  test.each([
    ['8-bit PNG of 0 and 255', 'm.png', () => raw(mask, 1).toColourspace('b-w').png()],
    ['PNG of 0 and 1', 'm1.png', () => raw(expected, 1).toColourspace('b-w').png()],
    ['palette PNG', 'mp.png', () => raw(mask, 1).png({ palette: true, colours: 2 })],
    ['16-bit PNG', 'm16.png', () => raw(wide(mask), 1).toColourspace('grey16').png()],
    ['RGB PNG', 'm3.png', () => raw(mask, 1).toColourspace('srgb').png()],
    ['TIFF', 'm.tif', () => raw(mask, 1).toColourspace('b-w').tiff({ compression: 'deflate' })],
    ['GIF', 'm.gif', () => raw(mask, 1).gif()],
  ] as const)('%s gives labels 0 and 1', async (_, name, make) => {
    const decoded = await decodeMask(file(name, await make().toBuffer()), size, size, binary);
    expect(decoded.pixels).toEqual(expected);
  });

  test('with a value that is to be ignored marks those pixels, beside any other values', async () => {
    const marked = mask.map((value, i) => (i % 5 === 0 ? 128 : value));
    const decoded = await decodeMask(file('ignore.png', await pngOf(marked, 32, 32)), size, size, { ...binary, ignore: 128 });
    expect(decoded.pixels).toEqual(expected.map((label, i) => (i % 5 === 0 ? 255 : label)));
  });

  test('with labels of several classes keeps them, in 16 bits too', async () => {
    const labels = mask.map((value, i) => (value > 0 ? 1 + (i % 3) : 0));
    for (const make of [() => raw(labels, 1).toColourspace('b-w'), () => raw(Uint16Array.from(labels), 1).toColourspace('grey16')]) {
      const decoded = await decodeMask(file('labels.png', await make().png().toBuffer()), size, size, { classes: 3, exclusive: false });
      expect(decoded.pixels).toEqual(labels);
    }
  });

  test.each([
    [
      'of another size',
      mask,
      1,
      { height: 16, width: 32 },
      binary,
      'the mask is 32x32 and its image 32x16 (width x height); they must be the same size',
    ],
    ['with soft edges', grey, 1, size, binary, 'the mask is not binary: besides 0 it has'],
    ['in colour', pixels, 3, size, binary, 'the mask is coloured at row 0, column'],
    ['with a label beyond the classes', mask, 1, size, { classes: 3, exclusive: false }, 'with data.classes 3 labels go from 0 to 3'],
    [
      'with a label beyond exclusive classes',
      expected.map(v => v * 3),
      1,
      size,
      { classes: 3, exclusive: true },
      'with data.classes 3 labels go from 0 to 2',
    ],
  ] as const)('%s is refused with what and where', async (_, data, channels, image, rules, sentence) => {
    const path = file('bad.png', await pngOf(data, 32, 32, channels));
    expect(await refusal(decodeMask(path, image, size, rules))).toContain(sentence);
  });

  test('is resized by taking the pixel under the centre of each new one', () => {
    const source = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16); // 4x4
    const from = { height: 4, width: 4 };
    expect([...resizeNearest(source, from, { height: 2, width: 2 })]).toEqual([6, 8, 14, 16]);
    expect([...resizeNearest(source, from, { height: 1, width: 4 })]).toEqual([9, 10, 11, 12]);
    expect([...resizeNearest(source, from, { height: 4, width: 8 }).slice(0, 8)]).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  });
});
