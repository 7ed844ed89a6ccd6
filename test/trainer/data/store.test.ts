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
  test('lays the asked cases one behind the other', async () => {
    const batch = await (await open()).batch([4, 1]);
    const [a, b] = ['case04', 'case01'].map(name => drawPicture(name));
    expect(batch.count).toBe(2);
    expect(batch.images).toEqual(Uint8Array.of(...a.pixels, ...b.pixels));
    expect(batch.labels).toEqual(Uint8Array.of(...a.mask, ...b.mask).map(value => (value > 0 ? 1 : 0)));
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
  const store = await open();
  const counts: number[] = [];
  const seen: number[] = [];
  for await (const { indices, batch } of readBatches(store, cutIntoBatches([5, 0, 3, 1, 4], 2))) {
    seen.push(...indices);
    counts.push(batch.count);
    expect(batch.images).toEqual((await store.batch(indices)).images);
  }
  expect(seen).toEqual([5, 0, 3, 1, 4]);
  expect(counts).toEqual([2, 2, 1]);
});
