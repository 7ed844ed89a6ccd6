/**
 * `segfleet predict` as a user calls it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-predict-'));
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 24, 40);
  const job = writeJob(folder, smallJob('data'));
  await segfleet(['train', job, '--out', at('run'), '--set', 'training.epochs=1']);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** With these lines on standard input. */
const listing = (...lines: string[]) => ({ under: ['bash', '-c', `printf '%s' "$0" | "$@"`, lines.join('\n')] });

test('a list on standard input stands where - stands, files and folders alike', async () => {
  const images = ['case01.png', 'case00.png'].map(name => at('data', 'images', name));
  const arguments_ = ['predict', at('run'), '-', at('data', 'images', 'case05.png'), '--out', at('listed'), '--json'];
  const { code, stdout, stderr } = await segfleet(arguments_, listing(images[0], '', `${images[1]} `));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(JSON.parse(stdout).images.map(({ mask }: { mask: string }) => mask)).toEqual(
    ['case01.png', 'case00.png', 'case05.png'].map(name => at('listed', name)),
  );
  const all = await segfleet(['predict', at('run'), '-', '--out', at('all')], listing(at('data', 'images')));
  expect(all.code).toBe(0);
  expect(readdirSync(at('all'))).toHaveLength(10);
  for (const name of readdirSync(at('listed'))) expect(readFileSync(at('listed', name))).toEqual(readFileSync(at('all', name)));
});

test('an empty list and a file of it that is not there end in one sentence', async () => {
  expect(await segfleet(['predict', at('run'), '-'], listing(''))).toMatchObject({
    code: 2,
    stderr: 'error: standard input lists no image; with - it should hold files and folders, one a line\n',
  });
  expect(await segfleet(['predict', at('run'), '-'], listing(at('none.png')))).toMatchObject({
    code: 4,
    stderr: `error: ${at('none.png')}: no such file or folder\n`,
  });
});

test('--flips gives the same for an image and its mirror image', async () => {
  // At the size of the network: nothing is resized, so nothing is rounded on the way.
  await drawDataSet(at('small'), 1, 16, 16);
  const image = at('small', 'images', 'case00.png');
  const mirrored = at('mirrored.png');
  await sharp(image).flop().toFile(mirrored);
  const probabilities = async (out: string, ...flags: string[]) => {
    const { stdout } = await segfleet(['predict', at('run'), image, mirrored, '--probabilities', '--out', at(out), '--json', ...flags]);
    const files = JSON.parse(stdout).images.map((predicted: { probabilities: string[] }) => predicted.probabilities[0]);
    const [plain, other] = await Promise.all(
      files.map(async (file: string, i: number) => {
        const picture = sharp(file)
          .flop(i === 1)
          .toColourspace('grey16');
        const { buffer, byteOffset, length } = await picture.raw({ depth: 'ushort' }).toBuffer();
        return new Uint16Array(buffer, byteOffset, length / 2);
      }),
    );
    return Math.max(...plain.map((value: number, i: number) => Math.abs(value - other[i])));
  };
  expect(await probabilities('flipped', '--flips')).toBeLessThan(2);
  expect(await probabilities('plain')).toBeGreaterThan(100);
});
