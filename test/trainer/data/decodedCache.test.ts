import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findCases } from '../../../trainer/data/cases.ts';
import { type CachedCase, DecodedCache, keepDecoded } from '../../../trainer/data/decodedCache.ts';
import { CaseStore, type DecodedCase } from '../../../trainer/data/store.ts';
import { drawDataSet } from '../../tools/pictures.ts';

let folder: string;
let keep: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-cache-'));
  keep = join(folder, 'keep');
  await drawDataSet(join(folder, 'data'), 5);
  copyFileSync(join(folder, 'data/masks/case00.png'), join(folder, 'fov.png'));
  const rows = [0, 1, 2, 3, 4].map(i => `case0${i},data/images/case0${i}.png,data/masks/case0${i}.png,${i === 2 ? 'fov.png' : ''}`);
  writeFileSync(join(folder, 'manifest.csv'), `id,image,mask,fov\n${rows.join('\n')}\n`);
});
afterEach(() => rmSync(folder, { recursive: true }));

const shape = { height: 16, width: 24, channels: 3 };
const binary = { classes: 1, exclusive: false };
const open = async (how: Partial<typeof shape> = {}, where: string | undefined = keep) =>
  new CaseStore(await findCases(folder), { ...shape, ...how }, binary, { keep: where });

async function all(store: CaseStore): Promise<DecodedCase[]> {
  await store.fill();
  const decoded = await Promise.all(store.cases.map((_, i) => store.get(i)));
  // Bytes may come as Buffer or as Uint8Array.
  return decoded.map(one => ({
    ...one,
    image: Uint8Array.from(one.image),
    labels: Uint8Array.from(one.labels),
    fov: one.fov && Uint8Array.from(one.fov),
  }));
}

/** Makes what is kept distinguishable from what decoding gives, and still sound. */
async function mark(): Promise<void> {
  const [key] = readdirSync(keep);
  const cache = (await DecodedCache.open(key, keep))!;
  const cases = await Promise.all([0, 1, 2, 3, 4].map(async i => (await cache.read(i))!));
  await keepDecoded(
    key,
    cases.map(one => ({ ...one, image: one.image.fill(77) })),
    keep,
  );
}

const isMarked = ({ image }: { image: Uint8Array }) => image.every(value => value === 77);

describe('a second start', () => {
  test('has the same cases as the first, fields of view and native sizes too', async () => {
    expect(await all(await open())).toEqual(await all(await open()));
    const native = { height: undefined, width: undefined } as unknown as Partial<typeof shape>;
    expect(await all(await open(native))).toEqual(await all(await open(native)));
    expect(readdirSync(keep)).toHaveLength(2);
    expect((await all(await open()))[2].fov).toBeDefined();
  });

  test('decodes nothing: it takes what is kept', async () => {
    await all(await open());
    await mark();
    expect((await all(await open())).map(isMarked)).toEqual([true, true, true, true, true]);
  });

  test.each([
    [
      'a file was written anew',
      () => writeFileSync(join(folder, 'data/images/case03.png'), readFileSync(join(folder, 'data/images/case01.png'))),
    ],
    [
      'a file was changed and its time set back',
      () => {
        const file = join(folder, 'data/masks/case03.png');
        writeFileSync(file, readFileSync(file));
        utimesSync(file, new Date(0), new Date(0));
      },
    ],
    [
      'a case was left out',
      () => writeFileSync(join(folder, 'manifest.csv'), readFileSync(join(folder, 'manifest.csv'), 'utf8').replace(/case04.*\n/, '')),
    ],
  ])('decodes where %s', async (_, change) => {
    await all(await open());
    await mark();
    change();
    expect((await all(await open())).some(isMarked)).toBe(false);
    expect(readdirSync(keep)).toHaveLength(2);
  });

  test('decodes where another size is asked for', async () => {
    await all(await open());
    await mark();
    expect((await all(await open({ width: 16 }))).some(isMarked)).toBe(false);
  });

  test('decodes the one case whose kept bytes were changed, and keeps it again', async () => {
    await all(await open());
    await mark();
    const file = join(keep, readdirSync(keep)[0]);
    const bytes = readFileSync(file);
    bytes[16 * 24 * 4 + 10] ^= 1; // in the second case: a case is 16 x 24 pixels of three channels and a label
    writeFileSync(file, bytes);
    expect((await all(await open())).map(isMarked)).toEqual([true, false, true, true, true]);
    expect((await all(await open())).map(isMarked)).toEqual([true, false, true, true, true]);
    expect(readFileSync(file).equals(bytes)).toBe(false);
  });

  test('ends in the error of a file that went away, and keeps nothing', async () => {
    const store = await open();
    rmSync(join(folder, 'data/images/case03.png'));
    await expect(store.fill()).rejects.toMatchObject({ code: 'notFound', message: expect.stringContaining('case03.png') });
    await new Promise(setImmediate);
    expect(() => readdirSync(keep)).toThrow('ENOENT');
  });

  test('is no worse off where nothing can be kept', async () => {
    writeFileSync(join(folder, 'file'), '');
    expect(await all(await open({}, join(folder, 'file/below')))).toHaveLength(5);
  });
});

test('a small set is not kept unless asked', async () => {
  process.env.SEGFLEET_CACHE = join(folder, 'cache');
  try {
    await all(new CaseStore(await findCases(folder), shape, binary));
    expect(() => readdirSync(join(folder, 'cache'))).toThrow('ENOENT');
  } finally {
    delete process.env.SEGFLEET_CACHE;
  }
});

test('what is kept with any byte changed is never read as something else', async () => {
  const cases: CachedCase[] = [1, 2].map(value => ({
    image: new Uint8Array(12).fill(value),
    labels: new Uint8Array(4).fill(value),
    size: { height: 2, width: 2 },
    original: { height: 4, width: 4 },
    digest: `digest ${value}`,
  }));
  expect(await keepDecoded('key', cases, keep)).toBe(true);
  const whole = readFileSync(join(keep, 'key'));
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const bytes = Buffer.from(whole);
      bytes[at] ^= change;
      writeFileSync(join(keep, 'key'), bytes);
      const cache = await DecodedCache.open('key', keep);
      for (const [i, { image, digest }] of cases.entries()) {
        const read = await cache?.read(i);
        if (read) expect([Uint8Array.from(read.image), read.digest]).toEqual([image, digest]);
      }
    }),
  );
});
