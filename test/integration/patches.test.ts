/**
 * Training on patches, and what evaluation and prediction make of whole images then. Real processes.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet, pngOf } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-patches-'));
const at = (...parts: string[]) => join(folder, ...parts);
const [width, height] = [44, 30]; // neither divisible by 16
const settings = (...all: string[]) => all.flatMap(setting => ['--set', setting]);

beforeAll(async () => {
  await drawDataSet(at('data'), 10, width, height);
  // The left half is the field of view.
  const fov = Uint8Array.from({ length: width * height }, (_, i) => (i % width < width / 2 ? 255 : 0));
  writeFileSync(at('data', 'fov.png'), await pngOf(fov, width, height));
  const rows = Array.from({ length: 10 }, (_, i) => `case0${i},images/case0${i}.png,masks/case0${i}.png,fov.png`);
  writeFileSync(at('data', 'manifest.csv'), ['id,image,mask,fov', ...rows].join('\n'));
  writeJob(folder, smallJob('data'));
  const patches = 'data.patches={height: 16, width: 16, perImage: 2, insideFov: true}';
  const { code, stderr } = await segfleet([
    ...['train', at('job.yaml'), '--out', at('run')],
    ...settings(patches, 'data.split.test=3', 'training.epochs=1', 'training.batch=5'),
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
afterAll(() => rmSync(folder, { recursive: true }));

test('evaluate scores whole images at their own size, inside the field of view', async () => {
  const { stdout, code } = await segfleet(['evaluate', at('run'), '--json']);
  expect(code).toBe(0);
  const { scores, convention, part } = JSON.parse(stdout);
  expect(part).toBe('validation');
  expect(scores.images).toBe(2);
  expect(convention).toMatch(/^at native size by windows of 16x16 \(width x height\), inside the field of view, probability above 0.5/);
  const { width: shown } = await sharp(at('run', 'evaluation', 'best', 'overlays', 'best.png')).metadata();
  expect(shown! % (2 * width)).toBe(0);
});

test('evaluate measures the part that is held out for the test, once it is asked for', async () => {
  const { stdout, code } = await segfleet(['evaluate', at('run'), '--part', 'test', '--json']);
  expect(code).toBe(0);
  const result = JSON.parse(stdout);
  expect(result).toMatchObject({ part: 'test', scores: { images: 3 } });
  const rowsOf = (file: string) => readFileSync(file, 'utf8').trim().split('\n').slice(1);
  const tested = rowsOf(at('run', 'evaluation', 'best', 'test', 'cases.csv')).map(row => row.split(',')[0]);
  expect(tested).toHaveLength(3);
  await segfleet(['evaluate', at('run')]);
  for (const row of rowsOf(at('run', 'evaluation', 'best', 'cases.csv'))) expect(tested).not.toContain(row.split(',')[0]);
  expect(JSON.parse(readFileSync(at('run', 'run.json'), 'utf8')).data).toMatchObject({ training: 5, validation: 2, test: 3 });
});

test('predict gives masks at the size of each image, larger or smaller than a patch', async () => {
  await drawDataSet(at('small'), 1, 13, 9);
  const images = [at('data', 'images', 'case00.png'), at('small', 'images')];
  writeFileSync(at('copy.png'), readFileSync(at('data', 'images', 'case01.png')));
  const { stdout, code } = await segfleet(['predict', at('run'), images[0], at('copy.png'), '--out', at('masks'), '--json']);
  expect(code).toBe(0);
  for (const { mask } of JSON.parse(stdout).images) expect(await sharp(mask).metadata()).toMatchObject({ width, height });
  const small = await segfleet(['predict', at('run'), images[1], '--out', at('small masks'), '--json']);
  expect(await sharp(JSON.parse(small.stdout).images[0].mask).metadata()).toMatchObject({ width: 13, height: 9 });
});

test('what cannot be asked for is refused', async () => {
  const plain = ['train', at('job.yaml'), '--out', at('plain'), ...settings('training.epochs=1')];
  expect(await segfleet(plain)).toMatchObject({ code: 0 });
  expect(await segfleet(['evaluate', at('plain'), '--part', 'test'])).toMatchObject({
    code: 2,
    stderr: `error: ${at('plain')} held no cases out for a test; train with data.split.test, or evaluate the validation part\n`,
  });
  const many = [
    'train',
    at('job.yaml'),
    '--out',
    at('many'),
    ...settings('data.patches={height: 16, width: 16, perImage: 1}', 'training.batch=9'),
  ];
  expect(await segfleet(many)).toMatchObject({
    code: 2,
    stderr: 'error: training.batch is 9, more than the 8 training patches of data.path; use a smaller batch\n',
  });
});
