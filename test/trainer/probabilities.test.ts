import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { models } from '../../trainer/models/catalogue.ts';
import { allFlips, type Flip, identity, mirror, probabilitiesOf } from '../../trainer/probabilities.ts';
import { Program } from '../../trainer/program.ts';
import { cases, programOptions } from '../tools/kerasCase.ts';
import { uniform } from '../tools/numbers.ts';

describe('a mirror image', () => {
  // Two rows of three pixels of two channels.
  const values = Uint8Array.of(1, 2, 3, 4, 5, 6, /**/ 7, 8, 9, 10, 11, 12);

  test.each([
    ['nothing', false, false, [1, 2, 3, 4, 5, 6, /**/ 7, 8, 9, 10, 11, 12]],
    ['columns', true, false, [5, 6, 3, 4, 1, 2, /**/ 11, 12, 9, 10, 7, 8]],
    ['rows', false, true, [7, 8, 9, 10, 11, 12, /**/ 1, 2, 3, 4, 5, 6]],
    ['both', true, true, [11, 12, 9, 10, 7, 8, /**/ 5, 6, 3, 4, 1, 2]],
  ])('swaps %s, and gives the image back when done twice', (_, horizontal, vertical, expected) => {
    const once = mirror(values, 3, 2, { horizontal, vertical });
    expect([...once]).toEqual(expected);
    expect(mirror(once, 3, 2, { horizontal, vertical })).toEqual(values);
  });
});

describe.each([
  ['a sigmoid each', false],
  ['softmax', true],
])('probabilities of two classes, %s', (_, exclusive) => {
  const image = { height: 16, width: 32, channels: 1 };
  const pixels = Uint8Array.from(uniform(16 * 32, 'pixels', 0, 256));
  let program: Program;
  beforeAll(async () => {
    const { optimizer, ...options } = programOptions(cases[0]);
    const network = models.unet.create({ name: 'unet', width: 16, dropout: 0, batchNormMomentum: 0.9 }, 2);
    program = await Program.create({ ...options, network, image, classes: 2, exclusive, loss: { ...options.loss, classes: 'mean' } });
  });
  afterAll(() => program.close());

  const of = async (bytes: Uint8Array, flips?: readonly Flip[]): Promise<Float32Array> => {
    const results = await Array.fromAsync(probabilitiesOf(program, [{ image: bytes, size: image }], { batch: 3, flips }));
    expect(results).toHaveLength(1);
    return results[0].probabilities;
  };

  test('are those of the logits', async () => {
    const { logits } = await program.predict({ count: 1, images: pixels, labels: new Uint8Array(16 * 32) });
    const probabilities = await of(pixels);
    for (let pixel = 0; pixel < 16 * 32; pixel++) {
      const [a, b] = logits.subarray(2 * pixel, 2 * pixel + 2);
      // Of two classes under softmax, the sigmoid of the difference.
      expect(probabilities[2 * pixel]).toBeCloseTo(1 / (1 + Math.exp(exclusive ? b - a : -a)), 6);
      expect(probabilities[2 * pixel + 1]).toBeCloseTo(1 / (1 + Math.exp(exclusive ? a - b : -b)), 6);
    }
  });

  test('as the mean over flips are the same for every mirror image, mirrored', async () => {
    const plain = await of(pixels, allFlips);
    for (const flip of allFlips) {
      const mirrored = mirror(await of(mirror(pixels, 32, 1, flip), allFlips), 32, 2, flip);
      expect(Math.max(...mirrored.map((value, i) => Math.abs(value - plain[i])))).toBeLessThan(1e-5);
    }
    const [, horizontal] = allFlips;
    const alone = await of(pixels, [identity]);
    const mirroredAlone = mirror(await of(mirror(pixels, 32, 1, horizontal)), 32, 2, horizontal);
    expect(Math.max(...mirroredAlone.map((value, i) => Math.abs(value - alone[i])))).toBeGreaterThan(1e-3);
  });
});
