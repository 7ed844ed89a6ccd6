/**
 * The commands about data sets, as a user calls them.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import DatasetImport from '../../cli/commands/dataset/import.ts';
import { formats } from '../../trainer/data/importers/catalogue.ts';
import { writeTree, zipOf } from '../tools/archives.ts';
import { segfleet } from '../tools/cli.ts';
import { drive, isic } from '../tools/lookAlikes.ts';
import { drawDataSet } from '../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-dataset-'));
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(() => drawDataSet(join(folder, 'data'), 10));
const dataset = (...words: string[]) => segfleet(['dataset', ...words], { cwd: folder });

describe('dataset import', () => {
  test('finds the layout, says the licence and what comes next', async () => {
    const { training, test } = await drive([21, 22], [1]);
    for (const [name, files] of Object.entries({ 'training.zip': training, 'test.zip': test })) {
      writeFileSync(join(folder, name), zipOf(Object.entries(files).map(([name, bytes]) => ({ name, bytes }))));
    }
    const { code, stdout, stderr } = await dataset('import', 'training.zip', 'test.zip', '--out', 'drive');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('DRIVE: 3 cases (2 training, 1 test, 1 unlabelled) in drive\nlicence: not to be redistributed');
    expect(stdout).toMatch(/next:\n.*dataset verify drive\n.*init job\.yaml --data drive/);
    expect(await dataset('verify', 'drive')).toMatchObject({ code: 0, stdout: '3 cases, 0 errors, 0 warnings' });
  });

  test('in JSON says where it wrote and what; a refusal names the file, writes nothing and ends with 3', async () => {
    const { input, truth } = await isic([1, 2], 'Training');
    writeTree(join(folder, 'isic'), { ...input, ...truth });
    const { stdout } = await dataset('import', 'isic', '--format', 'isic2018', '--out', 'x/imported', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ out: 'x/imported', format: 'isic2018', cases: 2, sources: [{ name: 'isic' }] });
    writeTree(join(folder, 'isic'), { 'ISIC2018_Task1-2_Training_Input/ISIC_0000002.jpg': '<html>' });
    const refused = await dataset('import', 'isic', '--out', 'x/second');
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/^error: isic: .*ISIC_0000002\.jpg: this is not an image that can be read/);
    expect(readdirSync(join(folder, 'x'))).toEqual(['imported']);
  });
});

test('dataset import --format knows all layouts of the catalogue', () => {
  expect([...DatasetImport.flags.format.options!].sort()).toEqual([...formats].sort());
});

describe('dataset verify', () => {
  test('with an error ends with 12, and names the file in text and in JSON', async () => {
    await drawDataSet(join(folder, 'bad'), 3);
    writeTree(join(folder, 'bad'), { 'masks/case01.png': readFileSync(join(folder, 'bad/images/case01.png')) });
    const { code, stdout, stderr } = await dataset('verify', 'bad');
    expect(code).toBe(12);
    expect(stderr).toBe('error: bad: 3 cases, 1 errors, 0 warnings\n');
    expect(stdout).toMatch(/^error: unreadable, 1: .*\n {2}bad\/masks\/case01\.png: the mask is coloured/);
    const json = await dataset('verify', 'bad', '--json');
    expect(JSON.parse(json.stdout).error).toMatchObject({
      code: 'checkFailed',
      exitCode: 12,
      details: { findings: [{ problem: 'unreadable', id: 'case01' }] },
    });
  });
});

describe('dataset stats', () => {
  test('counts in text and in JSON', async () => {
    const { stdout } = await dataset('stats', 'data');
    expect(stdout).toContain('10 cases, 10 with a mask');
    expect(stdout).toMatch(/sizes +32x32: 10\nformats +png: 10\nchannels +3: 10/);
    expect(stdout).toMatch(/│ 255 +│ +\d+ │ +\d+\.\d+ % │ +10 │/);
    const found = JSON.parse((await dataset('stats', 'data', '--json')).stdout);
    expect(found.values.map(({ pixels }: { pixels: number }) => pixels).reduce((a: number, b: number) => a + b)).toBe(10 * 32 * 32);
  });
});

describe('dataset split', () => {
  test('writes the file beside the data, or where it is told to', async () => {
    const { code, stdout } = await dataset('split', 'data', '--share', '0.3', '--seed', '7');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^7 cases for training, 3 for validation: data\/split\.json \(sha256 [0-9a-f]{12}\)$/);
    const json = await dataset('split', 'data/', '--share', '0.3', '--seed', '7', '--out', 'other.json', '--json');
    expect(JSON.parse(json.stdout)).toEqual({ file: 'other.json', ...JSON.parse(readFileSync(join(folder, 'data/split.json'), 'utf8')) });
    expect(await dataset('verify', 'data', '--split', 'other.json')).toMatchObject({ code: 0 });
  });

  test('by patch says that it leaks', async () => {
    const { stdout } = await dataset('split', 'data', '--by', 'patch', '--patch', '16', '--out', 'patches.json');
    expect(stdout).toMatch(/^32 patches for training, 8 for validation: patches\.json .*\nthis split leaks: /);
  });

  test('an edited file is refused with 10', async () => {
    await dataset('split', 'data', '--out', 'edited.json');
    writeFileSync(join(folder, 'edited.json'), readFileSync(join(folder, 'edited.json'), 'utf8').replace('"seed": 0', '"seed": 1'));
    expect(await dataset('verify', 'data', '--split', 'edited.json')).toMatchObject({
      code: 10,
      stderr: expect.stringContaining('edited.json was changed after it was written'),
    });
  });
});

describe('dataset show', () => {
  test('draws the image beside its tinted copy', async () => {
    const { code, stdout } = await dataset('show', 'data', 'case03', '--out', 'pictures/case.png');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^case03: 32x32, foreground \d+\.\d\d %/);
    const { width, height } = await sharp(join(folder, 'pictures/case.png')).metadata();
    expect(width).toBe(2 * height);
    await dataset('show', 'data', 'case03');
    expect(existsSync(join(folder, 'case03.png'))).toBe(true);
  });
});

describe('dataset shard', () => {
  test('writes shards and says how many', async () => {
    const { code, stdout } = await dataset('shard', 'data', '--out', 'file:shards', '--size', '20KB');
    expect(code).toBe(0);
    const names = readdirSync(join(folder, 'shards'));
    expect(stdout).toBe(`10 cases in ${names.length - 1} shards, ${stdout.match(/, ([\d.]+) MB/)![1]} MB: file:${join(folder, 'shards')}`);
    expect(names).toContain('index.json');
  });
});

test.each([
  [['import', 'nowhere.zip', '--out', 'y'], 4, 'nowhere.zip: no such file or folder'],
  [['import', 'data'], 2, 'Missing required flag out'],
  [['import', 'data', '--out', 'data'], 7, 'data is not empty'],
  [['import', 'data', '--out', 'y', '--format', 'coco'], 2, 'Expected --format=coco to be one of: isic2018'],
  [['verify', 'nowhere'], 4, 'nowhere: no such file or folder'],
  [['verify', 'data', '--split', 'nowhere.json'], 4, 'nowhere.json: no such file or folder'],
  [['split', 'data', '--share', '20'], 2, '--share 20: a number between 0 and 1 is expected'],
  [['split', 'data', '--seed', '-1'], 2, 'seed'],
  [['show', 'data', 'case3'], 4, 'data has no case case3; one of its 10 is case00'],
  [['shard', 'data', '--out', 'y', '--size', 'large'], 2, '--size large: a number of bytes with KB, MB or GB is expected'],
])('dataset %j ends with %i and one sentence', async (words, code, sentence) => {
  const { stderr, ...finished } = await dataset(...words);
  expect(finished.code).toBe(code);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(stderr).toContain(sentence);
});
