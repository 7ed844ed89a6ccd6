import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cutWindow, hasCentre, patchWindow, reflect } from '../../../trainer/data/patches.ts';

const size = (height: number, width: number) => ({ height, width });

describe('a random patch', () => {
  test('lies inside the image, or begins with one that is smaller', () => {
    const side = fc.integer({ min: 1, max: 90 });
    fc.assert(
      fc.property(side, side, side, side, fc.nat(), (height, width, ph, pw, sample) => {
        const { top, left } = patchWindow(size(height, width), size(ph, pw), { seed: 1, epoch: 1, sample });
        expect(top >= 0 && left >= 0).toBe(true);
        expect(top + ph).toBeLessThanOrEqual(Math.max(height, ph));
        expect(left + pw).toBeLessThanOrEqual(Math.max(width, pw));
      }),
    );
  });

  test('is a function of seed, epoch and sample, and of each of them', () => {
    const of = (seed: number, epoch: number, sample: number) => patchWindow(size(500, 500), size(16, 16), { seed, epoch, sample });
    expect(of(1, 2, 3)).toEqual(of(1, 2, 3));
    for (const other of [of(2, 2, 3), of(1, 3, 3), of(1, 2, 4)]) expect(other).not.toEqual(of(1, 2, 3));
  });

  test('takes every position, all as often: 4 x 3 of them, 12,000 draws, each 1,000 within 5 standard deviations', () => {
    const counts = new Map<string, number>();
    for (let sample = 0; sample < 12_000; sample++) {
      const { top, left } = patchWindow(size(19, 18), size(16, 16), { seed: 1, epoch: 1, sample });
      counts.set(`${top} ${left}`, (counts.get(`${top} ${left}`) ?? 0) + 1);
    }
    expect(counts.size).toBe(12);
    for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(1000 * (11 / 12)));
  });

  test('has its centre in the field of view', () => {
    const image = size(40, 40);
    const fov = Uint8Array.from({ length: 1600 }, (_, i) => (i % 40 > 25 ? 1 : 0)); // columns 26 to 39
    for (let sample = 0; sample < 200; sample++) {
      const { left } = patchWindow(image, size(16, 16), { seed: 1, epoch: 1, sample }, fov);
      expect(left).toBeGreaterThanOrEqual(18); // 18 + 8 = 26
    }
    expect(hasCentre(fov, image, size(16, 16))).toBe(true);
    expect(hasCentre(fov, image, size(30, 30))).toBe(false); // the centre of the rightmost is at column 10 + 15
  });
});

test('reflection: 0 1 2 3 goes on ... 2 1 [0 1 2 3] 2 1 0 1 ...', () => {
  expect(Array.from({ length: 12 }, (_, i) => reflect(i - 3, 4))).toEqual([3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2]);
  expect([-2, 0, 5].map(i => reflect(i, 1))).toEqual([0, 0, 0]);
});

describe('a window', () => {
  const source = Uint8Array.from({ length: 24 }, (_, i) => i); // 3 rows, 4 columns, 2 channels

  test('is cut out with all its channels', () => {
    const target = new Uint8Array(9);
    cutWindow(source, size(3, 4), 2, { top: 1, left: 2, height: 2, width: 2 }, target, 1);
    expect([...target]).toEqual([0, 12, 13, 14, 15, 20, 21, 22, 23]);
  });

  test('is filled by reflection where the image is smaller', () => {
    const target = new Uint8Array(4 * 5);
    cutWindow(Uint8Array.of(1, 2, 3, 4, 5, 6), size(2, 3), 1, { top: 0, left: 0, height: 4, width: 5 }, target, 0);
    expect([...target]).toEqual([1, 2, 3, 2, 1, 4, 5, 6, 5, 4, 1, 2, 3, 2, 1, 4, 5, 6, 5, 4]);
  });
});
