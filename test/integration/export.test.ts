/**
 * `segfleet export` of a trained run, as a user calls it.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { specToShow } from '../../trainer/export/description.ts';
import { decodeSafetensors } from '../../trainer/storage/safetensors.ts';
import { segfleet } from '../tools/cli.ts';
import { channelsFirst, largestDifference } from '../tools/exported.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-export-'));
const at = (...parts: string[]) => join(folder, ...parts);
const run = at('run');

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  const job = writeJob(folder, smallJob('data'));
  const { code, stderr } = await segfleet(['train', job, '--out', run, '--set', 'training.epochs=2']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function exported(format: string, ...flags: string[]): Promise<{ files: string[]; input: string; output: string }> {
  const { code, stdout, stderr } = await segfleet(['export', run, '--format', format, ...flags, '--json']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout);
}

test('onnx predicts what `predict` writes', async () => {
  const { files, input, output } = await exported('onnx');
  expect(files).toEqual([join(run, 'export', 'model.onnx')]);
  expect(input).toMatch(/^red, green, blue \(sRGB\); bytes divided by 255, so from 0 to 1; resized to 16x16/);
  expect(output).toMatch(/^probability of the foreground \(sigmoid\)/);

  const image = at('data', 'images', 'case00.png');
  const pixels = await sharp(image).raw().toBuffer();
  const session = await InferenceSession.create(files[0]);
  const images = channelsFirst(
    Float32Array.from(pixels, value => value / 255),
    3,
  );
  const { probabilities } = await session.run({ image: new Tensor('float32', images, [1, 3, 16, 16]) });
  await session.release();

  const { stdout } = await segfleet(['predict', run, image, '--probabilities', '--out', at('masks'), '--json']);
  const [file] = JSON.parse(stdout).images[0].probabilities;
  const { buffer, byteOffset, length } = await sharp(file).toColourspace('grey16').raw({ depth: 'ushort' }).toBuffer();
  const expected = Float32Array.from(new Uint16Array(buffer, byteOffset, length / 2), value => value / 65_535);
  expect(largestDifference(probabilities.data as Float32Array, expected)).toBeLessThan(1e-4);
});

test('safetensors holds the weights of the chosen epoch, and says what they are', async () => {
  const file = at('weights.safetensors');
  expect((await exported('safetensors', '--select', 'last', '--out', file)).files).toEqual([file]);
  const { tensors, metadata } = decodeSafetensors(readFileSync(file), file);
  expect(tensors).toEqual(decodeSafetensors(readFileSync(join(run, 'weights', 'last.safetensors')), 'last').tensors);
  const { weights } = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
  expect(metadata).toMatchObject({
    name: 'small',
    input: expect.stringContaining('16x16'),
    output: expect.stringContaining('sigmoid'),
    weights: `last epoch, SHA-256 ${weights.digest}`,
  });
  expect(JSON.parse(metadata.spec)).toMatchObject({ model: { name: 'unet', width: 4 }, data: { channels: 3 } });
  expect(metadata.spec).not.toContain(folder);
});

test('tfjs writes a folder that is whole', async () => {
  const { files } = await exported('tfjs', '--out', at('site', 'model'));
  expect(files.map(file => file.slice(at('site', 'model').length + 1))).toEqual(['weights.bin', 'model.json']);
  expect(readdirSync(at('site', 'model')).sort()).toEqual(['model.json', 'weights.bin']);
  const { format, weightsManifest, userDefinedMetadata } = JSON.parse(readFileSync(files[1], 'utf8'));
  expect(format).toBe('layers-model');
  expect(userDefinedMetadata.input).toContain('bytes divided by 255');
  const numbers = weightsManifest[0].weights.reduce(
    (sum: number, { shape }: { shape: number[] }) => sum + shape.reduce((product, length) => product * length, 1),
    0,
  );
  expect(readFileSync(files[0]).length).toBe(4 * numbers);
});

test('the card has data, digests, job, scores with their rules, and limits', async () => {
  mkdirSync(at('folder'));
  const { files } = await exported('card', '--out', at('folder'));
  expect(files).toEqual([at('folder', 'README.md')]);
  const card = readFileSync(files[0], 'utf8');
  const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'));
  const { scores, convention } = JSON.parse(readFileSync(join(run, 'evaluation', 'best', 'scores.json'), 'utf8'));
  const rows = readFileSync(join(run, 'evaluation', 'best', 'cases.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1);
  const cases = rows.map(row => row.split(',')).map(([id, jaccard]) => ({ id: JSON.parse(id), jaccard: Number(jaccard) }));
  const worst = cases.sort((a, b) => a.jaccard - b.jaccard).map(({ id, jaccard }) => `${id} (${jaccard.toFixed(4)})`);
  for (const text of [
    record.data.digest,
    record.data.split,
    record.weights.bestDigest,
    'data: 10 cases, 8 for training, 2 for validation, 0 for the test',
    'On the 2 validation images.',
    `best epoch (${record.best.epoch} of 2)`,
    `| Jaccard | pooled | ${scores.pooled.jaccard.toFixed(4)} | higher |`,
    `| Jaccard | mean per image | ${scores.perImage.jaccard.toFixed(4)} | higher |`,
    '| HD95 | mean per image |',
    '- HD95: larger of the two directed 95th percentiles',
    convention,
    'not for diagnosis',
    `segmented worst, with their Jaccard: ${worst.join(', ')}.`,
    '## Limits',
    '{"image": images}',
  ]) {
    expect(card).toContain(text);
  }
  expect(card).not.toContain(folder); // no path of this machine
  const [, header] = card.split('---\n');
  expect(parse(header)).toMatchObject({
    pipeline_tag: 'image-segmentation',
    'model-index': [{ name: 'small', results: [{ metrics: [{ type: 'jaccard', value: Number(scores.pooled.jaccard.toFixed(4)) }, {}] }] }],
  });
  const [, job] = card.split('```yaml\n');
  expect(parse(job.split('```')[0])).toEqual(specToShow(record.job));
});

test('the card has the scores of the test part where there is one', async () => {
  const tested = at('tested');
  await segfleet(['train', at('job.yaml'), '--out', tested, '--set', 'training.epochs=1', '--set', 'data.split.test=3']);
  const { code } = await segfleet(['export', tested, '--format', 'card', '--out', at('tested.md')]);
  expect(code).toBe(0);
  const card = readFileSync(at('tested.md'), 'utf8');
  expect(card).toContain('On the 3 test images.');
  expect(card).toContain('Training never looked at the test images');
});

describe('refused in one sentence', () => {
  test.each([
    ['an unknown format', ['--format', 'keras'], 2, 'Expected --format=keras to be one of: safetensors, onnx, tfjs, card'],
    ['a file where tfjs needs a folder', ['--format', 'tfjs', '--out', 'F/job.yaml'], 2, 'F/job.yaml is a file, and tfjs writes a folder'],
    ['a file as a folder of the target', ['--format', 'onnx', '--out', 'F/job.yaml/x.onnx'], 2, 'a file stands where a folder is needed'],
  ])('%s', async (_, flags, code, sentence) => {
    const result = await segfleet(['export', run, ...flags.map(flag => flag.replace('F/', `${folder}/`))]);
    expect(result.code).toBe(code);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
    expect(result.stderr.replaceAll(folder, 'F')).toContain(sentence);
  });

  test('weights that are not those of the run', async () => {
    const file = join(run, 'weights', 'best.safetensors');
    const good = readFileSync(file);
    const bad = Buffer.from(good);
    bad[bad.length - 1] ^= 1;
    writeFileSync(file, bad);
    const { code, stderr } = await segfleet(['export', run, '--format', 'onnx', '--out', at('bad.onnx')]);
    writeFileSync(file, good);
    expect(code).toBe(10);
    expect(stderr).toContain('best.safetensors has SHA-256');
    expect(readdirSync(folder)).not.toContain('bad.onnx');
  });
});
