import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cutWindow } from '../../trainer/data/patches.ts';
import { addWindow, windowsOf } from '../../trainer/data/windows.ts';
import { createNetwork } from '../../trainer/models/catalogue.ts';
import { Program } from '../../trainer/program.ts';
import { segment, type Whole } from '../../trainer/segment.ts';
import { cases, programOptions } from '../tools/kerasCase.ts';
import { relativeDifference, uniform } from '../tools/numbers.ts';

const input = { height: 16, width: 16, channels: 3 };
let program: Program;
beforeAll(async () => {
  const network = createNetwork({ name: 'unet', width: 16, dropout: 0, batchNormMomentum: 0.9 }, 1);
  const { optimizer, ...options } = programOptions(cases[0]);
  program = await Program.create({ ...options, network, image: input, classes: 1 });
});
afterAll(() => program.close());

const whole = (height: number, width: number): Whole => ({
  image: Uint8Array.from(uniform(height * width * 3, `whole ${height} ${width}`, 0, 256), Math.floor),
  labels: new Uint8Array(height * width),
  size: { height, width },
});

async function logitsOf(sources: readonly Whole[], batch: number) {
  const results = [];
  for await (const { source, logits, loss } of segment(program, sources, { batch })) results.push({ source, logits, loss });
  return results;
}

describe('segmenting whole images', () => {
  test('of the size of the network is predicting them, to the bit', async () => {
    const sources = [whole(16, 16)];
    const [{ logits, loss }] = await logitsOf(sources, 1);
    const expected = await program.predict({ count: 1, images: sources[0].image, labels: sources[0].labels! });
    expect(logits).toEqual(expected.logits);
    expect(loss).toBe(expected.loss);
  });

  test('that are larger blends the predictions of their windows', async () => {
    const source = whole(40, 24);
    const [{ logits }] = await logitsOf([source], 4);
    const expected = new Float32Array(40 * 24);
    for (const window of windowsOf(source.size, input)) {
      const images = new Uint8Array(16 * 16 * 3);
      cutWindow(source.image, source.size, 3, window, images, 0);
      const { logits: part } = await program.predict({ count: 1, images, labels: new Uint8Array(256) });
      addWindow(part, window, expected, source.size, 1);
    }
    expect(relativeDifference(logits, expected)).toBeLessThan(1e-5);
  });

  test('that are smaller, or come with others in one batch, gives each its own map, in order', async () => {
    const sources = [whole(40, 24), whole(10, 12), whole(16, 16), whole(16, 33)];
    const together = await logitsOf(sources, 3);
    expect(together.map(({ source }) => source)).toEqual(sources);
    for (const [i, { logits }] of together.entries()) {
      expect(logits).toHaveLength(sources[i].size.height * sources[i].size.width);
      const [alone] = await logitsOf([sources[i]], 2);
      expect(relativeDifference(logits, alone.logits)).toBeLessThan(1e-5);
    }
  });

  test('of one colour gives a map that repeats itself from window to window', async () => {
    const grey: Whole = { image: new Uint8Array(64 * 64 * 3).fill(120), size: { height: 64, width: 64 } };
    const [{ logits }] = await logitsOf([grey], 8);
    // Every window sees the same, and the windows of 16 lie 8 apart: the blended map repeats itself every 8 pixels in the middle.
    for (let y = 16; y < 40; y++)
      for (let x = 16; x < 40; x++) {
        expect(logits[y * 64 + x]).toBeCloseTo(logits[(y + 8) * 64 + x], 4);
        expect(logits[y * 64 + x]).toBeCloseTo(logits[y * 64 + x + 8], 4);
      }
  });
});
