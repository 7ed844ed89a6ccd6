import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { augmentationSchema } from '../../../trainer/data/augment.ts';
import { findCases } from '../../../trainer/data/cases.ts';
import { patchWindow } from '../../../trainer/data/patches.ts';
import { type SamplingOptions, TrainingSamples } from '../../../trainer/data/samples.ts';
import { CaseStore } from '../../../trainer/data/store.ts';
import { drawDataSet, drawPicture, pngOf } from '../../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-samples-'));
beforeAll(() => drawDataSet(folder, 5, 40, 24));
afterAll(() => rmSync(folder, { recursive: true }));

const image = { height: 16, width: 16, channels: 3 };
const patches = { height: 16, width: 16, perImage: 3, insideFov: false };
const training = [0, 2, 4];

const open = async (options: Partial<SamplingOptions> = {}, size?: { height: number; width: number }) =>
  new TrainingSamples(new CaseStore(await findCases(folder), { ...size, channels: 3 }, { classes: 1, exclusive: false }), training, {
    seed: 7,
    image,
    ...options,
  });

describe('an epoch of training', () => {
  test('takes every training image once, whole', async () => {
    const samples = await open({ image: { height: 24, width: 40, channels: 3 } }, { height: 24, width: 40 });
    expect(samples.order(1).sort()).toEqual(training);
    const batch = await samples.batch([4, 0], 1);
    const [a, b] = ['case04', 'case00'].map(name => drawPicture(name, 40, 24));
    expect(batch.count).toBe(2);
    expect(batch.images).toEqual(Uint8Array.of(...a.pixels, ...b.pixels));
    expect(batch.labels).toEqual(Uint8Array.of(...a.mask, ...b.mask).map(value => (value > 0 ? 1 : 0)));
  });

  test('with patches takes as many as asked for of every training image, in an order of its own', async () => {
    const samples = await open({ patches });
    const cases = samples.order(1).map(sample => samples.caseOf(sample));
    expect(cases.sort()).toEqual([0, 0, 0, 2, 2, 2, 4, 4, 4]);
    expect(samples.perEpoch).toBe(9);
    expect(new Set(samples.order(1)).size).toBe(9);
    expect(samples.order(2)).not.toEqual(samples.order(1));
  });

  test('cuts a patch where its window lies: image and labels alike', async () => {
    const samples = await open({ patches });
    const sample = 4 * 3 + 1; // the second patch of case 4
    const { images, labels } = await samples.batch([sample], 5);
    const { pixels, mask } = drawPicture('case04', 40, 24);
    const { top, left } = patchWindow({ height: 24, width: 40 }, patches, { seed: 7, epoch: 5, sample });
    for (let y = 0; y < 16; y++)
      for (let x = 0; x < 16; x++) {
        const from = (top + y) * 40 + left + x;
        expect(labels[y * 16 + x]).toBe(mask[from] > 0 ? 1 : 0);
        expect(images[(y * 16 + x) * 3 + 1]).toBe(pixels[from * 3 + 1]);
      }
  });

  test('has the same bytes wherever a sample stands in a batch, augmented or not', async () => {
    const samples = await open({ patches, augmentation: augmentationSchema.parse({ flip: {}, rotation: {}, elastic: {}, colour: {} }) });
    const order = samples.order(1);
    const whole = await samples.batch(order, 1);
    const length = 16 * 16 * 3;
    for (const [place, sample] of order.entries())
      expect(whole.images.subarray(place * length, (place + 1) * length)).toEqual((await samples.batch([sample], 1)).images);
    expect(whole.images).not.toEqual((await samples.batch(order, 2)).images);
  });

  test('with patches inside a field of view needs one', async () => {
    const samples = await open({ patches: { ...patches, insideFov: true } });
    await expect(samples.batch([0], 1)).rejects.toThrow(
      'data.patches.insideFov is true, and case case00 has no field of view; add the column fov to the manifest, or leave insideFov out',
    );
    const fov = Uint8Array.from({ length: 24 * 40 }, (_, i) => (i === 0 ? 255 : 0)); // one pixel, in a corner
    writeFileSync(join(folder, 'fov.png'), await pngOf(fov, 40, 24));
    const rows = training.map(i => `${i},images/case0${i}.png,masks/case0${i}.png,fov.png`);
    writeFileSync(join(folder, 'manifest.csv'), ['id,image,mask,fov', ...rows].join('\n'));
    const cornered = await open({ patches: { ...patches, insideFov: true } });
    await expect(cornered.batch([0], 1)).rejects.toThrow(
      'case 0 has no place for a patch of 16x16 in its field of view; use smaller patches',
    );
    rmSync(join(folder, 'manifest.csv'));
  });
});
