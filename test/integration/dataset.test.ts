/**
 * Splits and shards that `dataset` wrote, and training on them. Real processes.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { segfleet } from '../tools/cli.ts';
import { smallJob, writeJob } from '../tools/jobs.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-split-'));
const at = (...parts: string[]) => join(folder, ...parts);
const train = (out: string, ...settings: string[]) =>
  segfleet(['train', at('job.yaml'), '--out', at(out), ...['training.epochs=1', ...settings].flatMap(setting => ['--set', setting])]);

beforeAll(async () => {
  await drawDataSet(at('data'), 10, 16, 16);
  writeJob(folder, smallJob('data'));
  expect(await segfleet(['dataset', 'split', at('data'), '--share', '0.3', '--seed', '5', '--out', at('split.json')])).toMatchObject({
    code: 0,
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

test('is what training and evaluation go by, and is recorded by its checksum', async () => {
  const split = JSON.parse(readFileSync(at('split.json'), 'utf8'));
  expect(await train('run', 'data.split.file=split.json')).toMatchObject({ code: 0, stderr: '' });
  const { data } = JSON.parse(readFileSync(at('run', 'run.json'), 'utf8'));
  expect(data).toMatchObject({ training: 7, validation: 3, split: split.sha256, digest: split.data.digest });
  expect(await segfleet(['evaluate', at('run')])).toMatchObject({ code: 0, stderr: '' });
  const cases = readFileSync(at('run', 'evaluation', 'best', 'cases.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1);
  expect(cases.map(line => JSON.parse(line.split(',')[0]))).toEqual(split.validation);
});

test('weights are evaluated on the official test part of a set, where it is asked for', async () => {
  expect(await train('official')).toMatchObject({ code: 0, stderr: '' });
  const rows = Array.from(
    { length: 10 },
    (_, i) => `case0${i},data/images/case0${i}.png,data/masks/case0${i}.png,${i < 6 ? 'training' : 'test'}`,
  );
  writeFileSync(at('parts.csv'), `id,image,mask,part\n${rows.join('\n')}\n`);
  const evaluate = async (...flags: string[]) => {
    const { stdout } = await segfleet(['evaluate', at('official'), '--data', at('parts.csv'), ...flags, '--json']);
    const { part, scores } = JSON.parse(stdout);
    return [part, scores.images];
  };
  expect(await evaluate('--part', 'test')).toEqual(['test', 4]);
  expect(await evaluate()).toEqual(['all', 6]);
});

test.each([
  [
    'that was edited',
    10,
    'was changed after it was written',
    async () => writeFileSync(at('bad.json'), readFileSync(at('split.json'), 'utf8').replace('"seed": 5', '"seed": 6')),
  ],
  ['that is not there', 4, 'bad.json: no such file', async () => rmSync(at('bad.json'), { force: true })],
  [
    'of other data',
    10,
    'was made of other data than those in',
    async () => {
      cpSync(at('data'), at('other'), { recursive: true });
      cpSync(at('data', 'images', 'case00.png'), at('other', 'images', 'case01.png'));
      await segfleet(['dataset', 'split', at('other'), '--out', at('bad.json')]);
    },
  ],
  [
    'by patch',
    2,
    'the split is by patch; a split by image is needed',
    async () => void (await segfleet(['dataset', 'split', at('data'), '--by', 'patch', '--patch', '8', '--out', at('bad.json')])),
  ],
])('one %s is refused with exit code %i', async (_, code, sentence, make) => {
  await make();
  const result = await train('refused', 'data.split.file=bad.json');
  rmSync(at('refused'), { recursive: true, force: true });
  expect(result).toMatchObject({ code, stderr: expect.stringContaining(sentence) });
});

test('a set in shards trains to the same weights as in its folder', async () => {
  expect(await segfleet(['dataset', 'shard', at('data'), '--out', `file:${at('shards')}`])).toMatchObject({ code: 0 });
  const digests = [];
  for (const [out, setting] of [
    ['folder', 'data.path=data'],
    ['sharded', `data.path=file:${at('shards')}`],
  ]) {
    expect(await train(out, setting)).toMatchObject({ code: 0, stderr: '' });
    const record = JSON.parse(readFileSync(at(out, 'run.json'), 'utf8'));
    digests.push([record.weights.digest, record.data.digest]);
  }
  expect(digests[1]).toEqual(digests[0]);
  expect(await segfleet(['evaluate', at('sharded')])).toMatchObject({ code: 0, stderr: '' });
});
