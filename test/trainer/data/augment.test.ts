import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type AugmentationSpec, augmentationSchema, augmentInto, colourMatrix } from '../../../trainer/data/augment.ts';
import { labels as randomLabels, uniform } from '../../tools/numbers.ts';

const always = { probability: 1 };

function augmented(spec: AugmentationSpec | undefined, { height = 8, width = 8, channels = 3, sample = 1, epoch = 1 } = {}) {
  const image = Uint8Array.from(uniform(height * width * channels, 'augmented image', 0, 256), Math.floor);
  const labels = randomLabels(height * width, 'augmented labels', 3);
  const target = { images: new Uint8Array(image.length), labels: new Uint8Array(labels.length), place: 0 };
  const window = { top: 0, left: 0, height, width };
  augmentInto(target, { image, labels, size: { height, width } }, window, channels, spec, { seed: 5, epoch, sample });
  return { image, ...target };
}

/** The eight ways in which a square can lie, of a square of one value a pixel. */
function symmetries(square: Uint8Array, side: number): string[] {
  const at = (take: (y: number, x: number) => number) =>
    String(Array.from({ length: side * side }, (_, i) => square[take(Math.floor(i / side), i % side)]));
  const m = side - 1;
  return [
    at((y, x) => y * side + x),
    at((y, x) => y * side + m - x),
    at((y, x) => (m - y) * side + x),
    at((y, x) => (m - y) * side + m - x),
    at((y, x) => x * side + y),
    at((y, x) => x * side + m - y),
    at((y, x) => (m - x) * side + y),
    at((y, x) => (m - x) * side + m - y),
  ];
}

describe('augmentation', () => {
  test('is none by default', () => {
    for (const spec of [undefined, augmentationSchema.parse({}), augmentationSchema.parse({ flip: { probability: 0 } })]) {
      const { image, images, labels } = augmented(spec);
      expect(images).toEqual(image);
      expect(labels).toEqual(augmented(undefined).labels);
    }
  });

  test('is a function of seed, epoch and sample, and of each', () => {
    const spec = augmentationSchema.parse({ flip: {}, quarterTurn: {}, rotation: always, elastic: always, colour: always });
    const of = (sample: number, epoch: number) => augmented(spec, { sample, epoch }).images;
    expect(of(1, 1)).toEqual(of(1, 1));
    expect(of(2, 1)).not.toEqual(of(1, 1));
    expect(of(1, 2)).not.toEqual(of(1, 1));
  });

  test('of one kind draws the same whatever other kinds are on', () => {
    const flip = augmentationSchema.parse({ flip: {} });
    const both = augmentationSchema.parse({ flip: {}, colour: always });
    for (let sample = 0; sample < 8; sample++) expect(augmented(both, { sample }).labels).toEqual(augmented(flip, { sample }).labels);
  });

  test('by flips and quarter turns moves bytes and blurs none; all eight ways to lie come', () => {
    const spec = augmentationSchema.parse({ flip: {}, quarterTurn: {} });
    const seen = new Set<number>();
    for (let sample = 0; sample < 100; sample++) {
      const { image, images, labels } = augmented(spec, { channels: 1, sample });
      const way = symmetries(image, 8).indexOf(String([...images]));
      expect(way).toBeGreaterThanOrEqual(0);
      const { labels: before } = augmented(undefined, { channels: 1 });
      expect(String([...labels])).toBe(symmetries(before, 8)[way]); // image and labels alike
      seen.add(way);
    }
    expect(seen.size).toBe(8);
  });

  test('of a window that is not square turns by 180 degrees only, so that it stays on the image', () => {
    const spec = augmentationSchema.parse({ quarterTurn: always });
    for (let sample = 0; sample < 10; sample++) {
      const { image, images } = augmented(spec, { height: 4, width: 6, channels: 1, sample });
      expect([...images]).toEqual([...image].reverse());
    }
  });

  test('takes its surroundings from the image where the window is a part of it', () => {
    const spec = augmentationSchema.parse({ rotation: { probability: 1, degrees: 180 } });
    // A disc around the centre of the window, larger than the window: turned by any angle it stays what it is.
    const [side, inner] = [64, 16];
    const image = Uint8Array.from({ length: side * side }, (_, i) => {
      const distance = Math.hypot(Math.floor(i / side) - 31.5, (i % side) - 31.5);
      return distance < 14 ? 200 : 50;
    });
    const window = { top: 24, left: 24, height: inner, width: inner };
    for (let sample = 0; sample < 10; sample++) {
      const target = { images: new Uint8Array(inner * inner), labels: new Uint8Array(inner * inner), place: 0 };
      augmentInto(target, { image, labels: new Uint8Array(side * side), size: { height: side, width: side } }, window, 1, spec, {
        seed: 1,
        epoch: 1,
        sample,
      });
      expect([...new Set(target.images)]).toEqual([200]);
    }
  });

  test('by rotation turns by the drawn angle: a bright dot stays at its distance from the centre', () => {
    const spec = augmentationSchema.parse({ rotation: { probability: 1, degrees: 90 } });
    const side = 65;
    const image = new Uint8Array(side * side);
    const labels = new Uint8Array(side * side);
    for (let y = 30; y <= 34; y++)
      for (let x = 48; x <= 52; x++) {
        image[y * side + x] = 255;
        labels[y * side + x] = 1;
      }
    for (let sample = 0; sample < 20; sample++) {
      const target = { images: new Uint8Array(side * side), labels: new Uint8Array(side * side), place: 0 };
      augmentInto(target, { image, labels, size: { height: side, width: side } }, { top: 0, left: 0, height: side, width: side }, 1, spec, {
        seed: 1,
        epoch: 1,
        sample,
      });
      for (const [values, unit] of [
        [target.images, 255],
        [target.labels, 1],
      ] as const) {
        let [mass, x, y] = [0, 0, 0];
        values.forEach((value, i) => {
          const [right, down] = [(i % side) - 32, Math.floor(i / side) - 32];
          if (Math.hypot(right, down) > 24) return; // beyond, corners hold a reflection of the dot
          mass += value / unit;
          x += (value / unit) * right;
          y += (value / unit) * down;
        });
        expect(Math.hypot(x / mass, y / mass)).toBeCloseTo(18, 0); // (50, 32) is 18 right of the centre (32, 32)
        expect(x / mass).toBeGreaterThan(-1); // at most 90 degrees
        expect(Math.abs(mass - 25)).toBeLessThan(4);
      }
    }
  });

  test('by elastic deformation moves no pixel further than it says', () => {
    // A ramp of 4 a column and 2 a row: a displacement of at most 3 pixels each way changes a byte by at most 3 x 4 + 3 x 2 = 18.
    const [height, width] = [32, 48];
    const image = Uint8Array.from({ length: height * width }, (_, i) => 4 * (i % width) + 2 * Math.floor(i / width));
    const spec = augmentationSchema.parse({ elastic: { probability: 1, pixels: 3, spacing: 8 } });
    let largest = 0;
    for (let sample = 0; sample < 10; sample++) {
      const target = { images: new Uint8Array(height * width), labels: new Uint8Array(height * width), place: 0 };
      const labels = new Uint8Array(height * width);
      augmentInto(target, { image, labels, size: { height, width } }, { top: 0, left: 0, height, width }, 1, spec, {
        seed: 1,
        epoch: 1,
        sample,
      });
      target.images.forEach((value, i) => {
        const change = Math.abs(value - image[i]);
        expect(change).toBeLessThanOrEqual(18);
        largest = Math.max(largest, change);
      });
    }
    expect(largest).toBeGreaterThan(5);
  });

  test('by colour changes no label, keeps grey grey and stays in the range of a byte', () => {
    const spec = augmentationSchema.parse({ colour: { probability: 1, brightness: 1, contrast: 1, saturation: 1, hue: 180 } });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 255 }), fc.nat(10_000), (grey, sample) => {
        const image = new Uint8Array(12).fill(grey);
        const target = { images: new Uint8Array(12), labels: new Uint8Array(4), place: 0 };
        const labels = Uint8Array.of(0, 1, 0, 1);
        augmentInto(target, { image, labels, size: { height: 2, width: 2 } }, { top: 0, left: 0, height: 2, width: 2 }, 3, spec, {
          seed: 1,
          epoch: 1,
          sample,
        });
        expect(target.labels).toEqual(labels);
        expect(Math.max(...target.images) - Math.min(...target.images)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('writes to its place in the batch and nowhere else', () => {
    const spec = augmentationSchema.parse({ rotation: always, colour: always });
    const target = { images: new Uint8Array(3 * 12).fill(7), labels: new Uint8Array(3 * 4).fill(7), place: 1 };
    const source = {
      image: Uint8Array.from({ length: 12 }, (_, i) => 100 + i),
      labels: Uint8Array.of(1, 0, 1, 0),
      size: { height: 2, width: 2 },
    };
    augmentInto(target, source, { top: 0, left: 0, height: 2, width: 2 }, 3, spec, { seed: 1, epoch: 1, sample: 1 });
    for (const place of [0, 2]) {
      expect([...new Set(target.images.subarray(12 * place, 12 * (place + 1)))]).toEqual([7]);
      expect([...new Set(target.labels.subarray(4 * place, 4 * (place + 1)))]).toEqual([7]);
    }
    expect(target.labels.subarray(4, 8).every(label => label <= 1)).toBe(true);
  });
});

describe('the colour matrix', () => {
  const apply = (m: number[], [r, g, b]: number[]) => [0, 3, 6].map(row => m[row] * r + m[row + 1] * g + m[row + 2] * b);

  test('of nothing is the identity', () => {
    colourMatrix(1, 1, 0).forEach((value, i) => {
      expect(value).toBeCloseTo(i % 4 === 0 ? 1 : 0, 12);
    });
  });

  test('of a third of a turn takes red to green, green to blue and blue to red', () => {
    const m = colourMatrix(1, 1, (2 * Math.PI) / 3);
    expect(apply(m, [1, 0, 0]).map(value => Math.round(value * 1e9) / 1e9 + 0)).toEqual([0, 1, 0]);
    expect(apply(m, [0, 1, 0]).map(value => Math.round(value * 1e9) / 1e9 + 0)).toEqual([0, 0, 1]);
  });

  test('of no saturation is the luminance: 0.299 x 100 + 0.587 x 50 + 0.114 x 200 = 82.05', () => {
    for (const value of apply(colourMatrix(1, 0, 0), [100, 50, 200])) expect(value).toBeCloseTo(82.05, 10);
  });

  test('of half the contrast halves: half of (100, 50, 200), what is lost is added as the mean', () => {
    expect(apply(colourMatrix(0.5, 1, 0), [100, 50, 200]).map(value => Math.round(value * 1e9) / 1e9)).toEqual([50, 25, 100]);
  });
});

test('an elastic deformation that may fold the image is refused', () => {
  const { success, error } = augmentationSchema.safeParse({ elastic: { pixels: 32, spacing: 64 } });
  expect(success).toBe(false);
  expect(error?.issues[0].message).toContain('must be less than half of elastic.spacing');
});
