import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nearPairs, normalise } from '../../../trainer/data/duplicates.ts';
import { countPieces } from '../../../trainer/data/inspect.ts';
import { writeSplit } from '../../../trainer/data/splitFile.ts';
import { dataStatistics, summarise } from '../../../trainer/data/stats.ts';
import { verifyDataSet } from '../../../trainer/data/verify.ts';
import { writeTree } from '../../tools/archives.ts';
import { drawDataSet, drawPicture, pngOf } from '../../tools/pictures.ts';

let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-verify-'));
  await drawDataSet(folder, 6);
});
afterEach(() => rmSync(folder, { recursive: true }));

const verify = (options: Partial<Parameters<typeof verifyDataSet>[1]> = {}) =>
  verifyDataSet(folder, { classes: 1, exclusive: false, ...options });
const put = (name: string, bytes: Uint8Array | string) => writeTree(folder, { [name]: bytes });
const original = (name: string) => readFileSync(join(folder, name));
const maskWith = (change: (mask: Uint8Array) => void) => {
  const mask = Uint8Array.from(drawPicture('case02').mask);
  change(mask);
  return pngOf(mask, 32, 32);
};

describe('verifying', () => {
  test('finds nothing in a sound set', async () => {
    expect(await verify()).toEqual({ cases: 6, findings: [], errors: 0, warnings: 0 });
  });

  test.each<[string, 'error' | 'warning', string, () => Promise<Uint8Array> | Uint8Array | string, string]>([
    ['unreadable', 'error', 'images/case02.png', () => '<html>', 'this is not an image that can be read'],
    ['unreadable', 'error', 'images/case02.png', () => original('images/case02.png').subarray(0, 700), 'the image is damaged or cut short'],
    ['unreadable', 'error', 'masks/case02.png', () => original('masks/case02.png').subarray(0, 100), 'the image is damaged or cut short'],
    ['unreadable', 'error', 'masks/case02.png', () => original('images/case02.png'), 'the mask is coloured at row 0, column'],
    [
      'sizeMismatch',
      'error',
      'masks/case02.png',
      () => pngOf(drawPicture('case02', 32, 16).mask, 32, 16),
      'the mask is 32x16 and its image 32x32',
    ],
    ['notBinary', 'error', 'masks/case02.png', () => maskWith(mask => mask.fill(7, 0, 3)), 'besides 0 it has 2 values (7, 255)'],
    ['emptyMask', 'warning', 'masks/case02.png', () => maskWith(mask => mask.fill(0)), 'it has no foreground'],
    ['fullMask', 'warning', 'masks/case02.png', () => maskWith(mask => mask.fill(255)), 'all of it is foreground'],
    ['duplicate', 'warning', 'images/case02.png', () => original('images/case00.png'), 'the same bytes as'],
  ])('names what is %s (%s): %s', async (problem, severity, name, make, sentence) => {
    put(name, await make());
    const { findings, errors, warnings } = await verify();
    expect(findings).toEqual([
      {
        problem,
        severity,
        id: 'case02',
        file: join(folder, name),
        sentence: expect.stringContaining(`${join(folder, name)}: ${sentence}`),
      },
    ]);
    expect([errors, warnings]).toEqual(severity === 'error' ? [1, 0] : [0, 1]);
  });

  test('judges labels by the classes that there shall be', async () => {
    put('masks/case02.png', await maskWith(mask => mask.set(mask.map((value, i) => (value ? 1 + (i % 3) : 0)))));
    for (let i = 0; i < 6; i++)
      if (i !== 2)
        put(
          `masks/case0${i}.png`,
          await pngOf(
            drawPicture(`case0${i}`).mask.map(value => value / 255),
            32,
            32,
          ),
        );
    expect((await verify({ classes: 3 })).findings).toEqual([]);
    expect((await verify({ classes: 3, exclusive: true })).findings).toMatchObject([
      { problem: 'notBinary', sentence: expect.stringContaining('it has the value 3; with 3 classes labels go from 0 to 2') },
    ]);
    expect((await verify()).findings).toMatchObject([{ problem: 'notBinary', id: 'case02' }]);
    expect((await verify({ classes: 2, ignore: 3 })).findings).toEqual([]);
  });

  test('names fields of view of another size', async () => {
    put('fov/case02.png', await pngOf(new Uint8Array(64), 8, 8));
    expect((await verify()).findings).toMatchObject([{ problem: 'sizeMismatch', file: join(folder, 'fov/case02.png') }]);
  });

  test('names masks in several pieces where the import says that each is one', async () => {
    const split = maskWith(mask => mask.fill(0).fill(255, 0, 4).fill(255, 8, 12));
    for (let i = 0; i < 6; i++) put(`masks/case0${i}.png`, await (i === 2 ? split : maskWith(mask => mask.fill(0).fill(255, 0, 40))));
    expect((await verify()).findings).toEqual([]);
    put('import.json', JSON.stringify({ onePiece: true }));
    expect((await verify()).findings).toMatchObject([
      { problem: 'severalPieces', id: 'case02', sentence: expect.stringContaining('it has 2 connected regions') },
    ]);
  });

  describe('an image that is there again, brighter and as a JPEG', () => {
    beforeEach(async () => {
      const brighter = sharp(original('images/case00.png')).linear(1.1, 5).jpeg({ quality: 90 });
      put('images/twin.jpg', await brighter.toBuffer());
      put('masks/twin.png', original('masks/case00.png'));
    });

    test('is named', async () => {
      expect((await verify()).findings).toMatchObject([
        {
          problem: 'nearDuplicate',
          severity: 'warning',
          id: 'twin',
          sentence: expect.stringMatching(/twin\.jpg: nearly the same picture as .*case00\.png \(correlation 0\.9/),
        },
      ]);
    });

    test('is named with the sides where the split divides them, in the manifest or in a file', async () => {
      const ids = ['case00', 'case01', 'case02', 'case03', 'case04', 'case05', 'twin'];
      const rows = ids.map(
        id => `${id},images/${id}.${id === 'twin' ? 'jpg' : 'png'},masks/${id}.png,${id === 'twin' ? 'test' : 'training'}`,
      );
      put('manifest.csv', `id,image,mask,part\n${rows.join('\n')}\n`);
      expect((await verify()).findings).toMatchObject([
        { problem: 'nearDuplicateAcrossSplit', sentence: expect.stringMatching(/case00\.png \(training\)/) },
      ]);
      rmSync(join(folder, 'manifest.csv'));
      const file = join(folder, 'split.json');
      const options = { share: 0.3, by: 'image', stratify: false, patch: 16 } as const;
      for (let seed = 0; ; seed++) {
        const { validation } = await writeSplit(folder, file, { ...options, seed });
        if (validation.includes('twin') !== validation.includes('case00')) break;
      }
      expect((await verify({ split: file })).findings).toMatchObject([{ problem: 'nearDuplicateAcrossSplit', id: 'twin' }]);
    });
  });

  test('the same bytes on both sides are an error', async () => {
    put('images/case02.png', original('images/case00.png'));
    put('manifest.csv', 'id,image,mask,part\na,images/case00.png,masks/case00.png,training\nb,images/case02.png,masks/case02.png,test\n');
    expect(await verify()).toMatchObject({ cases: 2, errors: 1, findings: [{ problem: 'duplicateAcrossSplit', id: 'b' }] });
  });

  test('cases without a mask are checked as far as they go', async () => {
    put('manifest.csv', 'id,image,mask,part\na,images/case00.png,,test\nb,images/case01.png,masks/case01.png,training\n');
    put('images/case00.png', 'broken');
    expect(await verify()).toMatchObject({ cases: 2, findings: [{ problem: 'unreadable', id: 'a' }] });
  });
});

describe('pieces', () => {
  test.each([
    ['nothing', '....\n....', 0],
    ['corners that touch', '#...\n.#..\n..#.', 1],
    ['two apart', '##..\n...#', 2],
    ['a ring and what is in it', '#####\n#...#\n#.#.#\n#...#\n#####', 2],
    ['the ends of two rows, which are neighbours in memory only', '...#\n#...', 2],
    ['a spiral', '#####\n....#\n###.#\n#...#\n#####', 1],
  ])('of %s', (_, picture, expected) => {
    const rows = picture.split('\n');
    const values = rows.flatMap(row => [...row].map(pixel => (pixel === '#' ? 1 : 0)));
    expect(countPieces(values, { height: rows.length, width: rows[0].length })).toBe(expected);
  });
});

describe('near duplicates', () => {
  const thumbnail = (seed: string) => Uint8Array.from({ length: 576 }, (_, i) => drawPicture(seed, 24, 24).pixels[i * 3]);

  test('are told whatever brightness and contrast', () => {
    const one = thumbnail('a');
    const other = one.map(value => value * 0.5 + 20);
    expect(nearPairs([one, thumbnail('b'), other])).toMatchObject([{ first: 0, second: 2 }]);
  });

  test('are never told of flat pictures: they have nothing to compare', () => {
    const flat = new Uint8Array(576).fill(9);
    expect(normalise(flat)).toBeUndefined();
    expect(nearPairs([flat, flat])).toEqual([]);
  });

  test('have a correlation of one with themselves, and of minus one with their negative', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), picture => {
        const vector = normalise(picture);
        if (!vector) return;
        const negative = normalise(picture.map(value => 255 - value))!;
        expect(vector.reduce((sum, value, i) => sum + value * vector[i], 0)).toBeCloseTo(1, 5);
        expect(vector.reduce((sum, value, i) => sum + value * negative[i], 0)).toBeCloseTo(-1, 5);
      }),
    );
  });
});

describe('statistics', () => {
  test('of two masks with a quarter and a half of foreground', async () => {
    const set = join(folder, 'two');
    const quarter = Uint8Array.from({ length: 64 }, (_, i) => (i < 16 ? 255 : 0));
    const half = Uint8Array.from({ length: 256 }, (_, i) => (i < 128 ? 255 : 0));
    writeTree(set, {
      'images/a.png': await pngOf(drawPicture('a', 8, 8).pixels, 8, 8, 3),
      'masks/a.png': await pngOf(quarter, 8, 8),
      'images/b.png': await pngOf(half, 16, 16),
      'masks/b.png': await pngOf(half, 16, 16),
    });
    const found = await dataStatistics(set);
    expect(found).toMatchObject({
      cases: 2,
      labelled: 2,
      unreadable: 0,
      parts: { none: 2 },
      sizes: [
        { size: '8x8', count: 1 },
        { size: '16x16', count: 1 },
      ],
      formats: { png: 2 },
      channels: { 1: 1, 3: 1 },
      foreground: { mean: 0.375, median: 0.375, min: 0.25, max: 0.5, pooled: 144 / 320 },
      values: [
        { value: 0, pixels: 176, share: 0.55, masks: 2 },
        { value: 255, pixels: 144, share: 0.45, masks: 2 },
      ],
    });
    expect(found.foreground!.histogram.filter(({ count }) => count > 0)).toEqual([
      { upTo: 0.3, count: 1 },
      { upTo: 0.5, count: 1 },
    ]);
  });

  test('leave out what cannot be read, and say so', async () => {
    writeFileSync(join(folder, 'images/case03.png'), 'broken');
    expect(await dataStatistics(folder)).toMatchObject({ cases: 6, unreadable: 1, formats: { png: 5 } });
  });

  test('the median of an even number lies in the middle: of 1, 2, 4 and 10 it is 3', () => {
    expect(summarise([10, 1, 4, 2])).toEqual({ mean: 4.25, median: 3, min: 1, max: 10 });
  });
});
