/**
 * What a run leaves behind, and how it ends when something is wrong. Real processes.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hasCheckpoint, newestCheckpoint, writeCheckpoint } from '../tools/checkpoints.ts';
import { eventsOf, type Finished, segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet, pngOf } from '../tools/pictures.ts';
import { onSmallDisk } from '../tools/smallDisk.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-train-'));
const at = (...parts: string[]) => join(folder, ...parts);
const run = at('run');
let trained: Finished;

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  writeJob(folder, smallJob('data'));
  trained = await segfleet(['train', at('job.yaml'), '--out', run, '--json']);
});
afterAll(() => rmSync(folder, { recursive: true }));

const read = (...parts: string[]) => readFileSync(join(run, ...parts), 'utf8');

describe('a run folder', () => {
  test('holds the record, the job, the events, the table, the weights, the curves and the overlays, and nothing half-written', () => {
    expect(trained).toMatchObject({ code: 0, stderr: '' });
    const files = readdirSync(run, { recursive: true, withFileTypes: true })
      .filter(entry => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(run.length + 1));
    const inChunks = (file: string) => /^checkpoints\/chunks\/[0-9a-f]{64}\.safetensors$/.test(file);
    expect(files.filter(inChunks).length).toBeGreaterThan(0);
    expect(files.filter(file => !inChunks(file)).sort()).toEqual([
      'checkpoints/.lock',
      'checkpoints/latest.json',
      'checkpoints/manifests/000001-000000000006.json',
      'checkpoints/manifests/000001-000000000009.json',
      'curves/jaccard.svg',
      'curves/loss.svg',
      'job.yaml',
      'metrics.ndjson',
      ...['best', 'median', 'worst'].flatMap(kind => [kind, `${kind}.probability`, `${kind}.truth`].map(name => `overlays/${name}.png`)),
      'results.csv',
      'run.json',
      'steps.csv',
      'weights/best.safetensors',
      'weights/last.safetensors',
    ]);
  });

  test('has a record with versions, seeds, digests, the metrics and how it ended', () => {
    const record = JSON.parse(read('run.json'));
    expect(record).toMatchObject({
      schema: 'segfleet/run/1',
      name: 'small',
      status: 'succeeded',
      provenance: { 'loss.name': 'file', 'data.path': 'file' },
      versions: { segfleet: expect.any(String), node: process.versions.node, tensorflow: expect.any(String) },
      precision: 'float32',
      threads: 2,
      data: {
        cases: 10,
        training: 8,
        validation: 2,
        split: expect.stringMatching(/^[0-9a-f]{64}$/),
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
      steps: 9,
      weights: { digest: expect.stringMatching(/^[0-9a-f]{64}$/) },
      best: { epoch: expect.any(Number) },
      exit: { code: 0 },
    });
    expect(record.job.spec.seed).toBe(3);
    expect(JSON.stringify(record)).not.toContain(folder); // no path of this machine
  });

  test('has one line a step and an epoch in metrics.ndjson, the same as under --json', () => {
    const lines = read('metrics.ndjson')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    const kinds = lines.map(({ event }) => event);
    expect(kinds).toEqual([
      'start',
      ...['step', 'step', 'step', 'epoch', 'checkpoint'],
      ...['step', 'step', 'step', 'epoch', 'checkpoint'],
      ...['step', 'step', 'step', 'epoch', 'checkpoint'],
      'done',
    ]);
    expect(eventsOf(trained).map(({ event }) => event)).toEqual(kinds);
    expect(lines.filter(({ event }) => event === 'step').map(({ images }) => images)).toEqual([3, 3, 2, 3, 3, 2, 3, 3, 2]);
    for (const { event, logShare } of lines) if (event === 'step') expect([0, 1]).toContain(logShare);
  });

  test('has pictures that open and curves that are SVG', async () => {
    for (const kind of ['best', 'median', 'worst'])
      expect((await sharp(join(run, 'overlays', `${kind}.png`)).metadata()).format).toBe('png');
    for (const name of ['loss', 'jaccard']) expect((await sharp(join(run, 'curves', `${name}.svg`)).metadata()).format).toBe('svg');
    expect(read('results.csv').split('\n')[0]).toMatch(
      /^epoch,step,loss,log_share,learning_rate,validation_loss,validation_jaccard_pooled,/,
    );
  });

  test('can be moved: evaluate and predict still find all they need', async () => {
    const { code, stdout, stderr } = await segfleet(['evaluate', run, '--select', 'last', '--json']);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    const last = JSON.parse(
      read('metrics.ndjson')
        .trim()
        .split('\n')
        .findLast(line => line.includes('"epoch"') && line.includes('validation'))!,
    );
    expect(result.scores.pooled).toEqual(last.validation.pooled);
    expect(result.scores.auc).toEqual(last.validation.auc);
    expect(
      readFileSync(join(run, 'evaluation', 'last', 'cases.csv'), 'utf8')
        .trim()
        .split('\n'),
    ).toHaveLength(3);
  });

  test('predict writes a mask a picture, at the size of the picture', async () => {
    await drawDataSet(at('new'), 2, 40, 24);
    const { code, stdout } = await segfleet(['predict', run, at('new', 'images'), '--out', at('masks'), '--probabilities', '--json']);
    expect(code).toBe(0);
    const { images } = JSON.parse(stdout);
    expect(images).toHaveLength(2);
    for (const { mask, probabilities } of images) {
      const { data, info } = await sharp(mask).raw().toBuffer({ resolveWithObject: true });
      expect([info.width, info.height]).toEqual([40, 24]);
      expect([...new Set(data)].every(value => value === 0 || value === 255)).toBe(true);
      const { data: probability } = await sharp(probabilities[0])
        .toColourspace('grey16')
        .raw({ depth: 'ushort' })
        .toBuffer({ resolveWithObject: true });
      const values = new Uint16Array(probability.buffer, probability.byteOffset, probability.length / 2);
      const channels = data.length / values.length;
      values.forEach((value, i) => {
        expect(value > 32767).toBe(data[i * channels] === 255);
      });
    }
  });

  test('whose weights were changed is refused', async () => {
    const file = join(run, 'weights', 'best.safetensors');
    const good = readFileSync(file);
    const bad = Buffer.from(good);
    bad[bad.length - 1] ^= 1;
    writeFileSync(file, bad);
    const { code, stderr } = await segfleet(['evaluate', run]);
    writeFileSync(file, good);
    expect(code).toBe(10);
    expect(stderr).toMatch(/^error: .*best.safetensors has SHA-256 .* where run.json recorded/);
  });

  test('that is there already is not overwritten', async () => {
    const { code, stderr } = await segfleet(['train', at('job.yaml'), '--out', run]);
    expect(code).toBe(7);
    expect(stderr).toMatch(/holds a run already; continue it with --resume, or choose another folder with --out/);
  });
});

test('without a terminal a run prints its header, one line an epoch, and where to go next', async () => {
  const { stdout } = await segfleet(['train', at('job.yaml'), '--out', at('plain')]);
  const lines = stdout.split('\n');
  expect(lines.filter(line => line.startsWith('epoch '))).toHaveLength(3);
  expect(lines[3]).toMatch(
    /^epoch 1\/3 {2}loss \d\.\d{4} {2}log branch \d+ % {2}validation loss \d\.\d{4} {2}Jaccard \d\.\d{4} {2}[\d.]+ images\/s {2}\d+ s( {2}best)?$/,
  );
  expect(stdout).toContain(`segfleet evaluate ${at('plain')}`);
  expect(stdout).not.toContain('\u001b[');
});

describe('several classes', () => {
  test.each([
    ['softmax over exclusive classes', 'true', 3],
    ['a sigmoid each', 'false', 2],
  ])('%s', async (name, exclusive, classes) => {
    const data = at(`classes ${classes}`);
    await drawDataSet(data, 6, 16, 16);
    for (let i = 0; i < 6; i++) {
      const file = join(data, 'masks', `case0${i}.png`);
      const { data: mask } = await sharp(file).raw().toBuffer({ resolveWithObject: true });
      const channels = mask.length / 256;
      const labels = Uint8Array.from({ length: 256 }, (_, k) => (mask[k * channels] > 0 ? 1 + (k % 2) : 0));
      writeFileSync(file, await pngOf(labels, 16, 16));
    }
    const out = at(`run ${name}`);
    const settings = [
      `data.path="${data}"`,
      `data.classes=${classes}`,
      `data.exclusive=${exclusive}`,
      'training.epochs=1',
      'loss.classes=mean',
    ].flatMap(setting => ['--set', setting]);
    const { code, stderr } = await segfleet(['train', at('job.yaml'), '--out', out, ...settings]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const { stdout } = await segfleet(['predict', out, join(data, 'images', 'case00.png'), '--out', join(out, 'masks'), '--json']);
    const { data: predicted } = await sharp(JSON.parse(stdout).images[0].mask).raw().toBuffer({ resolveWithObject: true });
    expect(Math.max(...predicted)).toBeLessThanOrEqual(2);
  });
});

/** Bad input ends in one sentence and the documented code, never in a stack trace. */
async function refusal(
  arguments_: string[],
  options: Parameters<typeof segfleet>[1] = {},
): Promise<{ code: number | null; sentence: string }> {
  const { code, stderr, stdout } = await segfleet(arguments_, options);
  expect(stderr).not.toMatch(/\n\s+at /);
  expect(stdout).not.toMatch(/NaN/);
  const sentences = stderr.trim().split('\n');
  expect(sentences).toHaveLength(1);
  return { code, sentence: sentences[0].replaceAll(folder, 'F') };
}

describe('bad data ends a run, by name', () => {
  async function broken(name: string, damage: (data: string) => Promise<void> | void): Promise<string[]> {
    const data = at(name);
    await drawDataSet(data, 10, 16, 16);
    await damage(data);
    return ['train', at('job.yaml'), '--out', at(`run ${name}`), '--set', `data.path="${data}"`];
  }

  test.each<[string, (data: string) => Promise<void> | void, RegExp]>([
    ['missing mask', data => rmSync(join(data, 'masks', 'case04.png')), /^error: F\/missing mask\/images\/case04.png has no mask/],
    [
      'mask of another size',
      async data => writeFileSync(join(data, 'masks', 'case04.png'), await pngOf(new Uint8Array(400), 20, 20)),
      /case04.png: the mask is 20x20 and its image 16x16/,
    ],
    [
      'soft mask',
      async data =>
        writeFileSync(
          join(data, 'masks', 'case04.png'),
          await pngOf(
            Uint8Array.from({ length: 256 }, (_, i) => i),
            16,
            16,
          ),
        ),
      /case04.png: the mask is not binary/,
    ],
    ['truncated image', data => truncateSync(join(data, 'images', 'case04.png'), 400), /case04.png: the image is damaged or cut short/],
    [
      'all background',
      async data => {
        for (let i = 0; i < 10; i++) writeFileSync(join(data, 'masks', `case0${i}.png`), await pngOf(new Uint8Array(256), 16, 16));
      },
      /^error: all 10 masks are background only, so there is nothing to learn/,
    ],
  ])('%s', async (name, damage, sentence) => {
    const result = await refusal(await broken(name, damage));
    expect(result.sentence).toMatch(sentence);
    expect(result.code).toBe(3);
  });
});

describe('bad requests', () => {
  test.each<[string, string[], number, RegExp]>([
    ['no such job file', ['train', 'F/none.yaml'], 4, /^error: job file F\/none.yaml: no such file or folder$/],
    [
      'no such data',
      ['train', 'F/job.yaml', '--out', 'F/x1', '--set', 'data.path=none'],
      4,
      /^error: data.path F\/none: no such file or folder$/,
    ],
    [
      'a batch larger than the data',
      ['train', 'F/job.yaml', '--out', 'F/x2', '--set', 'training.batch=9'],
      2,
      /^error: training.batch is 9, more than the 8 training images of data.path; use a smaller batch$/,
    ],
    ['resuming nothing', ['train', 'F/job.yaml', '--out', 'F/x3', '--resume'], 4, /^error: there is no run to resume in F\/x3/],
    ['a run that is none', ['evaluate', 'F/data'], 4, /^error: F\/data is not a run folder/],
    ['predicting nothing', ['predict', 'F/run', 'F/nothing'], 4, /^error: F\/nothing: no such file or folder$/],
    ['predicting a text file', ['predict', 'F/run', 'F/job.yaml'], 3, /^error: F\/job.yaml: this is not an image that can be read/],
    [
      'a file where the run folder should be',
      ['train', 'F/job.yaml', '--out', 'F/job.yaml/x'],
      2,
      /^error: run folder F\/job.yaml\/x: a file stands where a folder is needed$/,
    ],
  ])('%s', async (_, arguments_, code, sentence) => {
    const result = await refusal(arguments_.map(argument => argument.replaceAll('F/', `${folder}/`)));
    expect(result.sentence).toMatch(sentence);
    expect(result.code).toBe(code);
  });

  test('a library that is not there', async () => {
    const result = await refusal(['train', at('job.yaml'), '--out', at('x4')], { env: { SEGFLEET_TENSORFLOW: at('data') } });
    expect(result).toMatchObject({
      code: 2,
      sentence: expect.stringMatching(/^error: SEGFLEET_TENSORFLOW: F\/data\/libtensorflow_framework.so.2 cannot be read/),
    });
  });
});

test('a loss that is no longer a number ends the run before the next step, naming step and images', async () => {
  const out = at('diverging');
  await segfleet(['train', at('job.yaml'), '--out', out, '--set', 'training.epochs=1']);
  const { state, position } = await newestCheckpoint(out);
  (state.get('head/bias')!.data as Float32Array)[0] = Number.NaN;
  await writeCheckpoint(out, 'small', state, position);
  const before = readFileSync(join(out, 'weights', 'best.safetensors'));
  const { code, sentence } = await refusal(['train', at('job.yaml'), '--out', out, '--resume']);
  expect(code).toBe(8);
  expect(sentence).toMatch(/^error: the loss is NaN at step 4 \(epoch 2\), on the images case\d\d, case\d\d, case\d\d; try a smaller/);
  expect(readFileSync(join(out, 'weights', 'best.safetensors'))).toEqual(before);
  expect(JSON.parse(readFileSync(join(out, 'run.json'), 'utf8'))).toMatchObject({ status: 'failed', exit: { code: 8, error: 'diverged' } });
});

test('a disk that is full ends the run with what is on it whole, and the run goes on when there is room', async () => {
  // It holds the first checkpoint and the weights, not a second checkpoint beside them.
  const disk = at('disk');
  const out = join(disk, 'run');
  const copy = at('rescued');
  const under = onSmallDisk(disk, 4, out, copy);
  const { code, sentence } = await refusal(['train', at('job.yaml'), '--out', out], { under });
  expect(code).toBe(11);
  expect(sentence).toMatch(/^error: writing F\/disk\/run\/.*: no space left on the disk; free some space or choose another --out folder$/);
  expect(existsSync(copy)).toBe(true);
  const leftovers = readdirSync(copy, { recursive: true }).filter(name => String(name).includes('.partial'));
  expect(leftovers).toEqual([]);
  if (hasCheckpoint(copy)) {
    const resumed = await segfleet(['train', at('job.yaml'), '--out', copy, '--resume']);
    expect(resumed.code).toBe(0);
    expect(JSON.parse(readFileSync(join(copy, 'run.json'), 'utf8')).weights.digest).toBe(JSON.parse(read('run.json')).weights.digest);
  }
});
