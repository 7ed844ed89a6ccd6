import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cutIntoBatches, readBatches } from '../../../trainer/data/batches.ts';
import { findCases } from '../../../trainer/data/cases.ts';
import { CaseStore } from '../../../trainer/data/store.ts';
import { drawDataSet, drawPicture, pngOf } from '../../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-store-'));
const shape = { height: 32, width: 32, channels: 3 };
const binary = { classes: 1, exclusive: false };
beforeAll(() => drawDataSet(folder, 6));
afterAll(() => rmSync(folder, { recursive: true }));

const open = async () => new CaseStore(await findCases(folder), shape, binary);

describe('a store of cases', () => {
  test('gives image and labels at the size of the network', async () => {
    const { id, image, labels, size, fov } = await (await open()).get(4);
    const { pixels, mask } = drawPicture('case04');
    expect({ id, size, fov }).toEqual({ id: 'case04', size: { height: 32, width: 32 }, fov: undefined });
    expect(image).toEqual(pixels);
    expect(labels).toEqual(mask.map(value => (value > 0 ? 1 : 0)));
  });

  test('without a size keeps each image at its own', async () => {
    const wide = mkdtempSync(join(tmpdir(), 'segfleet-wide-'));
    await drawDataSet(wide, 1, 40, 24);
    const { image, size, labels } = await new CaseStore(await findCases(wide), { channels: 3 }, binary).get(0);
    expect(size).toEqual({ height: 24, width: 40 });
    expect(image).toEqual(drawPicture('case00', 40, 24).pixels);
    expect(labels).toHaveLength(24 * 40);
    rmSync(wide, { recursive: true });
  });

  test('reads the field of view that a manifest names, and refuses one that is empty', async () => {
    const file = join(folder, 'fov.png');
    writeFileSync(join(folder, 'manifest.csv'), 'id,image,mask,fov\na,images/case00.png,masks/case00.png,fov.png\n');
    writeFileSync(
      file,
      await pngOf(
        Uint8Array.from({ length: 1024 }, (_, i) => (i < 512 ? 255 : 0)),
        32,
        32,
      ),
    );
    const { fov, digest } = await (await open()).get(0);
    expect(fov).toEqual(Uint8Array.from({ length: 1024 }, (_, i) => (i < 512 ? 1 : 0)));
    expect(digest.split(' ')).toHaveLength(3);
    writeFileSync(file, await pngOf(new Uint8Array(1024), 32, 32));
    await expect((await open()).get(0)).rejects.toThrow(/fov.png: the field of view is empty/);
    rmSync(join(folder, 'manifest.csv'));
  });

  test('of a set larger than the memory it may take, keeps what was used last, and gives the same bytes and digest', async () => {
    const bytes = 32 * 32 * 4;
    const [whole, bounded] = [await open(), new CaseStore(await findCases(folder), shape, binary, { residentBytes: 2.5 * bytes })];
    await Promise.all([whole.fill(), bounded.fill()]);
    expect(await bounded.digest()).toBe(await whole.digest());
    for (const index of [0, 1, 2, 3, 0, 5, 1]) {
      const decoded = await bounded.get(index);
      expect(decoded).toEqual(await whole.get(index));
      expect(await bounded.get(index)).toBe(decoded);
    }
    const [fifth, first] = [await bounded.get(5), await bounded.get(1)];
    await bounded.get(2);
    expect(await bounded.get(1)).toBe(first);
    expect(await bounded.get(5)).not.toBe(fifth);
  });

  test('refuses a case that has changed when it is read again', async () => {
    const changing = mkdtempSync(join(tmpdir(), 'segfleet-changing-'));
    await drawDataSet(changing, 3);
    const store = new CaseStore(await findCases(changing), shape, binary, { residentBytes: 1 });
    await store.get(0);
    await store.get(1);
    const { pixels } = drawPicture('another');
    writeFileSync(join(changing, 'images', 'case00.png'), await pngOf(pixels, 32, 32, 3));
    await expect(store.get(0)).rejects.toThrow('case case00 has changed since the run began');
    rmSync(changing, { recursive: true });
  });

  test('reads each file once', async () => {
    const store = await open();
    expect(await store.get(2)).toBe(await store.get(2));
  });

  test('has a digest of all bytes and ids', async () => {
    const digest = await (await open()).digest();
    expect(await (await open()).digest()).toBe(digest);
    const { mask } = drawPicture('other');
    const file = join(folder, 'masks', 'case03.png');
    writeFileSync(file, await pngOf(mask, 32, 32));
    expect(await (await open()).digest()).not.toBe(digest);
    writeFileSync(file, await pngOf(drawPicture('case03').mask, 32, 32));
  });

  test('filling ends in the error of a damaged file, by name', async () => {
    const broken = mkdtempSync(join(tmpdir(), 'segfleet-broken-'));
    await drawDataSet(broken, 4);
    writeFileSync(join(broken, 'images', 'case02.png'), 'no image');
    const store = new CaseStore(await findCases(broken), shape, binary);
    await expect(store.fill()).rejects.toThrow(/case02.png: this is not an image that can be read/);
    rmSync(broken, { recursive: true });
  });

  test('filling refuses a set whose masks are all background', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'segfleet-empty-'));
    await drawDataSet(empty, 3);
    for (const name of ['case00', 'case01', 'case02'])
      writeFileSync(join(empty, 'masks', `${name}.png`), await pngOf(new Uint8Array(1024), 32, 32));
    const store = new CaseStore(await findCases(empty), shape, binary);
    await expect(store.fill()).rejects.toThrow('all 3 masks are background only, so there is nothing to learn');
    rmSync(empty, { recursive: true });
  });
});

test('batches come in order, whole and short ones alike', async () => {
  const counts: number[] = [];
  const seen: number[] = [];
  const read = async (samples: readonly number[]) => ({
    count: samples.length,
    images: Uint8Array.from(samples),
    labels: new Uint8Array(),
  });
  for await (const { samples, batch } of readBatches(cutIntoBatches([5, 0, 3, 1, 4], 2), read)) {
    seen.push(...samples);
    counts.push(batch.count);
    expect(batch.images).toEqual(Uint8Array.from(samples));
  }
  expect(seen).toEqual([5, 0, 3, 1, 4]);
  expect(counts).toEqual([2, 2, 1]);
});
