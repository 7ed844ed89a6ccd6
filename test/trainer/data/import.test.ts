import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findAllCases, findCases } from '../../../trainer/data/cases.ts';
import { importDataSet } from '../../../trainer/data/import.ts';
import type { Format } from '../../../trainer/data/importers/catalogue.ts';
import { paintRuns } from '../../../trainer/data/importers/runs.ts';
import { SegfleetError } from '../../../trainer/errors.ts';
import { type Files, writeTree, zipOf } from '../../tools/archives.ts';
import { chase, drive, dsb, fovOf, grey, instancesOf, isic, jpegOf, lookAlikeSize, maskOf, runsOf } from '../../tools/lookAlikes.ts';
import { drawPicture, pngOf } from '../../tools/pictures.ts';

let folder: string;
let out: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-import-'));
  out = join(folder, 'out', 'set');
});
afterEach(() => rmSync(folder, { recursive: true }));

function zip(name: string, files: Files): string {
  writeFileSync(join(folder, name), zipOf(Object.entries(files).map(([name, bytes]) => ({ name, bytes }))));
  return join(folder, name);
}

function tree(name: string, files: Files): string {
  writeTree(join(folder, name), files);
  return join(folder, name);
}

const take = (sources: readonly string[], format?: Format) => importDataSet(sources, { format, out });
const manifest = (): Record<string, string>[] => parse(readFileSync(join(out, 'manifest.csv')), { columns: true });
const pixelsOf = async (file: string) => new Uint8Array(await sharp(join(out, file)).extractChannel(0).raw().toBuffer());

/** Refused with exit code 3, and nothing is left behind. */
async function refusal(sources: readonly string[], format?: Format): Promise<string> {
  const error = await take(sources, format).then(
    () => undefined,
    reason => reason,
  );
  expect(error).toBeInstanceOf(SegfleetError);
  expect(error.exitCode).toBe(3);
  expect(existsSync(out) || (existsSync(join(folder, 'out')) && readdirSync(join(folder, 'out')).length > 0)).toBe(false);
  return error.message.replaceAll(`${folder}/`, '');
}

describe('ISIC 2018', () => {
  test('comes from its archives, bytes as they are, parts by their names', async () => {
    const [training, validation] = [await isic([1, 2, 30], 'Training'), await isic([7], 'Validation')];
    const record = await take([
      zip('ISIC2018_Task1-2_Training_Input.zip', training.input),
      zip('ISIC2018_Task1_Training_GroundTruth.zip', training.truth),
      zip('ISIC2018_Task1-2_Validation_Input.zip', validation.input),
    ]);
    expect(record).toMatchObject({
      format: 'isic2018',
      onePiece: true,
      cases: 4,
      parts: { training: 3, validation: 1, unlabelled: 1 },
      notes: [],
    });
    expect(record.sources[0]).toMatchObject({
      name: 'ISIC2018_Task1-2_Training_Input.zip',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    expect(JSON.parse(readFileSync(join(out, 'import.json'), 'utf8'))).toEqual(record);
    expect(manifest()).toEqual([
      { id: 'ISIC_0000001', image: 'images/ISIC_0000001.jpg', mask: 'masks/ISIC_0000001.png', part: 'training' },
      { id: 'ISIC_0000002', image: 'images/ISIC_0000002.jpg', mask: 'masks/ISIC_0000002.png', part: 'training' },
      { id: 'ISIC_0000007', image: 'images/ISIC_0000007.jpg', mask: '', part: 'validation' },
      { id: 'ISIC_0000030', image: 'images/ISIC_0000030.jpg', mask: 'masks/ISIC_0000030.png', part: 'training' },
    ]);
    expect(readFileSync(join(out, 'images/ISIC_0000030.jpg'))).toEqual(training.input['ISIC2018_Task1-2_Training_Input/ISIC_0000030.jpg']);
    expect(readFileSync(join(out, 'masks/ISIC_0000030.png'))).toEqual(
      training.truth['ISIC2018_Task1_Training_GroundTruth/ISIC_0000030_segmentation.png'],
    );
    expect((await findCases(out)).map(({ id }) => id)).toEqual(['ISIC_0000001', 'ISIC_0000002', 'ISIC_0000030']);
    expect(await findAllCases(out)).toHaveLength(4);
  });

  test('of other years has masks that end in _Segmentation', async () => {
    const { input, truth } = await isic([1], 'Training');
    const renamed = Object.fromEntries(
      Object.entries(truth).map(([name, bytes]) => [name.replace('_segmentation', '_Segmentation'), bytes]),
    );
    expect(await take([tree('a', input), tree('b', renamed)])).toMatchObject({ format: 'isic2018', cases: 1 });
  });

  test('without an archive of masks, or of images, is refused by name', async () => {
    const { input, truth } = await isic([1], 'Training');
    const [images, masks] = [zip('ISIC2018_Task1-2_Training_Input.zip', input), zip('ISIC2018_Task1_Training_GroundTruth.zip', truth)];
    expect(await refusal([images], 'isic2018')).toBe(
      'ISIC2018_Task1-2_Training_Input.zip: ISIC2018_Task1-2_Training_Input/ISIC_0000001.jpg has no mask; give the GroundTruth archive of the same part too',
    );
    expect(await refusal([masks], 'isic2018')).toMatch(
      /ISIC_0000001_segmentation\.png belongs to no image: ISIC_0000001 is not there; give the Input archive/,
    );
  });

  test('with one image in two archives is refused', async () => {
    const { input, truth } = await isic([1], 'Training');
    const [first, second, masks] = [zip('a.zip', input), zip('b.zip', input), zip('c.zip', truth)];
    expect(await refusal([first, second, masks])).toMatch(
      /^a\.zip: .*ISIC_0000001\.jpg and b\.zip: .*ISIC_0000001\.jpg are both ISIC_0000001; keep one/,
    );
  });
});

describe('Data Science Bowl 2018', () => {
  const ids = ['a1b2', 'c3d4'];

  test.each(['stage1_train/', ''])('below "%s" gives the union of the instances', async prefix => {
    const record = await take([zip('stage1_train.zip', await dsb(ids, prefix))]);
    expect(record).toMatchObject({ format: 'dsb2018', cases: 2, parts: { training: 2 }, notes: [] });
    for (const id of ids) expect(await pixelsOf(`masks/${id}.png`)).toEqual(maskOf(id));
    expect((await sharp(join(out, 'images/a1b2.png')).metadata()).channels).toBe(4);
  });

  test('says how much the instances overlap', async () => {
    const [left, right] = instancesOf('a1b2', 3);
    const overlap = left.filter((value, i) => value && right[i]).length;
    expect(overlap).toBeGreaterThan(0);
    const { notes } = await take([zip('stage1_train.zip', await dsb(['a1b2'], '', 3))]);
    expect(notes).toEqual([`${overlap} pixels in 1 images belong to more than one instance`]);
  });

  test('takes the masks of the test part from the table of run lengths', async () => {
    const test = Object.fromEntries(Object.entries(await dsb(['t1', 't2', 't3'], '')).filter(([name]) => name.includes('/images/')));
    const rows = [
      ...instancesOf('t1').map(mask => `t1,${runsOf(mask)},32,40,Public`),
      't2,1 1,32,40,Ignored',
      `elsewhere,1 1,32,40,Public`,
    ];
    const table = join(folder, 'stage1_solution.csv');
    writeFileSync(table, `ImageId,EncodedPixels,Height,Width,Usage\n${rows.join('\n')}\n`);
    const record = await take([zip('stage1_train.zip', await dsb(ids, '')), zip('stage1_test.zip', test), table]);
    expect(record.parts).toEqual({ training: 2, test: 3, unlabelled: 2 });
    expect(await pixelsOf('masks/t1.png')).toEqual(maskOf('t1'));
    expect(manifest().map(({ id, mask, part }) => [id, mask, part])).toEqual([
      ['a1b2', 'masks/a1b2.png', 'training'],
      ['c3d4', 'masks/c3d4.png', 'training'],
      ['t1', 'masks/t1.png', 'test'],
      ['t2', '', 'test'],
      ['t3', '', 'test'],
    ]);
    expect((await findCases(out, 'test')).map(({ id }) => id)).toEqual(['t1']);
  });

  test.each<[string, (files: Record<string, Uint8Array | string>) => unknown, RegExp]>([
    [
      'an instance of another size',
      async files => (files['a1b2/masks/instance0.png'] = await pngOf(new Uint8Array(64), 8, 8)),
      /^s\.zip: a1b2\/masks\/instance0\.png: the mask is 8x8 and its image 40x32/,
    ],
    [
      'an instance that is no image',
      files => (files['a1b2/masks/instance0.png'] = '<html>'),
      /^s\.zip: a1b2\/masks\/instance0\.png: this is not an image that can be read/,
    ],
    [
      'no instance',
      files => {
        delete files['a1b2/masks/instance0.png'];
        delete files['a1b2/masks/instance1.png'];
      },
      /^s\.zip: a1b2\/images\/a1b2\.png has no mask; its folder masks\/ is empty/,
    ],
    [
      'no image',
      files => delete files['a1b2/images/a1b2.png'],
      /^s\.zip: a1b2\/masks\/instance0\.png belongs to no image: a1b2 is not there/,
    ],
  ])('with %s is refused by name', async (_, spoil, sentence) => {
    const files: Record<string, Uint8Array | string> = { ...(await dsb(ids, '')) };
    await spoil(files);
    expect(await refusal([zip('s.zip', files)])).toMatch(sentence);
  });
});

describe('run lengths', () => {
  const size = { height: 3, width: 4 };

  test('go down the columns from 1: "2 3 11 1" is (1,0) (2,0) (0,1) and (1,3)', () => {
    const { mask, overlap } = paintRuns('x', ['2 3 11 1'], size);
    expect([...mask].map(value => value / 255)).toEqual([0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0]);
    expect(overlap).toBe(0);
  });

  test('of several instances are joined, and what two claim is counted: 2 to 4 and 3 to 5 share 3 and 4', () => {
    const { mask, overlap } = paintRuns('x', ['2 3', '3 3'], size);
    expect(mask.filter(Boolean)).toHaveLength(4);
    expect(overlap).toBe(2);
  });

  test('of nothing give an empty mask', () => expect(paintRuns('x', [''], size).mask.some(Boolean)).toBe(false));

  test.each([
    ['1 2 3', 'are not pairs of numbers from 1'],
    ['0 2', 'are not pairs of numbers from 1'],
    ['1 -2', 'are not pairs of numbers from 1'],
    ['1 x', 'are not pairs of numbers from 1'],
    ['12 2', 'leave the image of 4x3 pixels'],
    ['1 1e12', 'leave the image of 4x3 pixels'],
  ])('"%s" are refused: they %s', (row, sentence) => {
    expect(() => paintRuns('x.png', [row], size)).toThrow(`x.png: its run lengths ${sentence} ("${row}")`);
  });
});

describe('DRIVE', () => {
  test('gives binary masks and fields of view; the test part has no masks', async () => {
    const { training, test } = await drive([21, 22], [1]);
    const record = await take([zip('training.zip', training), zip('test.zip', test)]);
    expect(record).toMatchObject({ format: 'drive', parts: { training: 2, test: 1, unlabelled: 1 } });
    expect(manifest()).toEqual([
      { id: '01_test', image: 'images/01_test.tif', mask: '', fov: 'fov/01_test.png', part: 'test' },
      { id: '21_training', image: 'images/21_training.tif', mask: 'masks/21_training.png', fov: 'fov/21_training.png', part: 'training' },
      { id: '22_training', image: 'images/22_training.tif', mask: 'masks/22_training.png', fov: 'fov/22_training.png', part: 'training' },
    ]);
    expect(await pixelsOf('masks/21_training.png')).toEqual(maskOf('21_training'));
    expect(await pixelsOf('fov/01_test.png')).toEqual(fovOf());
    expect(readFileSync(join(out, 'images/21_training.tif'))).toEqual(training['training/images/21_training.tif']);
    const [first] = await findCases(out);
    expect(first).toMatchObject({ id: '21_training', fov: join(out, 'fov/21_training.png') });
  });

  test('of older copies has masks of the test part too, and of either part where the folders are flat', async () => {
    const { training, test } = await drive([21], [1]);
    const manual = training['training/1st_manual/21_manual1.gif'];
    const record = await take([tree('DRIVE', { ...training, ...test, 'test/1st_manual/01_manual1.gif': manual })]);
    expect(record.parts).toEqual({ training: 1, test: 1 });
    rmSync(out, { recursive: true });
    const flat = Object.fromEntries(Object.entries(training).map(([name, bytes]) => [name.replace('training/', ''), bytes]));
    expect((await take([zip('a.zip', flat)], 'drive')).parts).toEqual({ training: 1 });
  });

  test('without a manual mask in the training part is refused by name', async () => {
    const { training } = await drive([21, 22], []);
    const { 'training/1st_manual/22_manual1.gif': _, ...rest } = training;
    expect(await refusal([zip('training.zip', rest)])).toMatch(
      /^training\.zip: training\/images\/22_training\.tif has no mask; training\/1st_manual must hold it/,
    );
  });
});

describe('CHASE_DB1', () => {
  test('takes the first observer, one-bit masks and all; both eyes of a child are a group', async () => {
    const record = await take([zip('CHASEDB1.zip', await chase([1, 2]))]);
    expect(record).toMatchObject({ format: 'chasedb1', cases: 4 });
    expect(manifest().map(({ id, mask, group }) => [id, mask, group])).toEqual([
      ['Image_01L', 'masks/Image_01L.png', 'Image_01'],
      ['Image_01R', 'masks/Image_01R.png', 'Image_01'],
      ['Image_02L', 'masks/Image_02L.png', 'Image_02'],
      ['Image_02R', 'masks/Image_02R.png', 'Image_02'],
    ]);
    expect(await pixelsOf('masks/Image_02R.png')).toEqual(maskOf('Image_02R'));
  });

  test('with one mask missing is refused by name', async () => {
    const { 'Image_01R_1stHO.png': _, ...rest } = await chase([1]);
    expect(await refusal([zip('CHASEDB1.zip', rest)])).toMatch(
      /^CHASEDB1\.zip: Image_01R\.jpg has no mask; Image_01R_1stHO\.png must lie beside it/,
    );
  });
});

describe('nnU-Net', () => {
  const set = async (
    table: object = { channel_names: { 0: 'R' }, labels: { background: 0, road: 1 }, numTraining: 2, file_ending: '.png' },
  ) => ({
    'Dataset120_Roads/dataset.json': JSON.stringify(table),
    'Dataset120_Roads/imagesTr/road_001_0000.png': await jpegOf('r1'),
    'Dataset120_Roads/imagesTr/road_002_0000.png': await jpegOf('r2'),
    'Dataset120_Roads/labelsTr/road_001.png': await grey(maskOf('r1')),
    'Dataset120_Roads/labelsTr/road_002.png': await grey(maskOf('r2')),
    'Dataset120_Roads/imagesTs/road_003_0000.png': await jpegOf('r3'),
  });

  test.each([
    ['2', undefined],
    ['1', { modality: { 0: 'R' }, labels: { 0: 'background', 1: 'road' }, training: [] }],
  ])('version %s gives its parts', async (_, table) => {
    const record = await take([zip('Dataset120_Roads.zip', await set(table))]);
    expect(record).toMatchObject({ format: 'nnunet', parts: { training: 2, test: 1, unlabelled: 1 } });
    expect(manifest().map(({ id, part }) => [id, part])).toEqual([
      ['road_001', 'training'],
      ['road_002', 'training'],
      ['road_003', 'test'],
    ]);
    expect(await pixelsOf('masks/road_001.png')).toEqual(maskOf('r1'));
  });

  test.each<[string, (files: Record<string, Uint8Array | string>) => unknown, RegExp]>([
    [
      'volumes',
      files => (files['D/imagesTr/x_0000.nii.gz'] = 'x'),
      /^s\.zip: D\/imagesTr\/x_0000\.nii\.gz: only flat images are read .* no volumes \(\.nii\.gz\)/,
    ],
    [
      'channels in files of their own',
      files => (files['D/imagesTr/x_0001.png'] = 'x'),
      /^s\.zip: D\/imagesTr\/x_0001\.png: channel 0001 is a file of its own/,
    ],
    [
      'no label',
      files => delete files['Dataset120_Roads/labelsTr/road_002.png'],
      /road_002_0000\.png has no mask; labelsTr\/ must hold road_002/,
    ],
    [
      'a broken dataset.json',
      files => (files['Dataset120_Roads/dataset.json'] = '{'),
      /^s\.zip: Dataset120_Roads\/dataset\.json is not a dataset\.json of nnU-Net/,
    ],
  ])('with %s is refused by name', async (_, spoil, sentence) => {
    const files: Record<string, Uint8Array | string> = await set();
    spoil(files);
    expect(await refusal([zip('s.zip', files)])).toMatch(sentence);
  });
});

describe('plain folders', () => {
  test('are found at any depth, with parts and fields of view, from an archive or from images/ and masks/ given apart', async () => {
    const files = {
      'my/train/images/a.jpg': await jpegOf('a'),
      'my/train/masks/a_mask.png': await grey(maskOf('a')),
      'my/train/fov/a.png': await grey(fovOf()),
      'my/test/images/b.jpg': await jpegOf('b'),
      'my/readme.md': 'hello',
    };
    expect(await take([zip('x.zip', files)])).toMatchObject({ format: 'folder', parts: { training: 1, test: 1, unlabelled: 1 } });
    expect(manifest()[0]).toEqual({ id: 'a', image: 'images/a.jpg', mask: 'masks/a.png', fov: 'fov/a.png', part: 'training' });
    rmSync(out, { recursive: true });
    tree('apart', { 'images/a.jpg': await jpegOf('a'), 'masks/a.png': await grey(maskOf('a')) });
    expect(await take([join(folder, 'apart/images'), join(folder, 'apart/masks/')])).toMatchObject({ format: 'folder', cases: 1 });
  });

  test.each([
    ['the same id in two parts', 'test/images/a.jpg', /^s: test\/images\/a\.jpg and s: train\/images\/a\.jpg have the same id a/],
    [
      'ids that differ by case',
      'test/images/A.jpg',
      /^s: test\/images\/A\.jpg and s: train\/images\/a\.jpg have ids that differ by upper and lower case only/,
    ],
    ['an image without a mask', 'train/images/b.jpg', /^s: train\/images\/b\.jpg has no mask/],
    ['a mask without an image', 'train/masks/b.png', /^s: train\/masks\/b\.png belongs to no image/],
  ])('with %s are refused', async (_, name, sentence) => {
    const files = { 'train/images/a.jpg': await jpegOf('a'), 'train/masks/a.png': await grey(maskOf('a')), [name]: await jpegOf('b') };
    expect(await refusal([tree('s', files)])).toMatch(sentence);
  });
});

describe('files that are not what they seem', () => {
  const picture = drawPicture('x', lookAlikeSize.width, lookAlikeSize.height);
  const image = () => sharp(picture.pixels, { raw: { width: 40, height: 32, channels: 3 } });
  const files = async (bytes: Uint8Array | string, name = 'a.png') => ({
    [`images/${name}`]: bytes,
    'masks/a.png': await grey(picture.mask),
    'images/b.jpg': await jpegOf('b'),
    'masks/b.png': await grey(maskOf('b')),
  });
  const animation = async () =>
    sharp([await grey(picture.mask), await grey(fovOf())], { join: { animated: true } })
      .gif()
      .toBuffer();

  test.each<[string, string, () => Promise<Uint8Array> | string, string]>([
    ['a web page named PNG', 'a.png', () => '<html>404</html>', 'this is not an image that can be read'],
    ['an animation', 'a.gif', animation, 'the file holds 2 images or frames'],
    [
      'an image that EXIF turns',
      'a.jpg',
      () => image().withMetadata({ orientation: 6 }).jpeg().toBuffer(),
      'its EXIF data says that the pixels are to be turned (orientation 6)',
    ],
  ])('%s is refused by name', async (_, name, make, sentence) => {
    expect(await refusal([zip('s.zip', await files(await make(), name))])).toContain(`s.zip: images/${name}: ${sentence}`);
  });

  test.each([
    [
      '16 bits',
      'a.png',
      () =>
        sharp(
          Uint16Array.from(picture.pixels, value => value * 257),
          { raw: { width: 40, height: 32, channels: 3 } },
        )
          .toColourspace('rgb16')
          .png(),
    ],
    ['CMYK', 'a.jpg', () => image().toColourspace('cmyk').jpeg()],
    ['a note that it is upright', 'a.jpg', () => image().withMetadata({ orientation: 1 }).jpeg()],
  ] as const)('an image with %s is taken', async (_, name, make) => {
    expect(await take([zip('s.zip', await files(await make().toBuffer(), name))])).toMatchObject({ cases: 2 });
  });

  test('are all named, not only the first', async () => {
    const bad = {
      ...(await files('<html>')),
      'images/b.jpg': 'no',
      'images/c.jpg': await jpegOf('c'),
      'masks/c.png': await grey(maskOf('c')),
    };
    expect(await refusal([zip('s.zip', bad)])).toMatch(
      /^2 of 3 cases cannot be taken: s\.zip: images\/a\.png: this is not .*; s\.zip: images\/b\.jpg: this is not/,
    );
  });
});

describe('nothing is written outside of the target', () => {
  test.each(['../evil', '/evil', 'a/../../evil'])('by an archive with %s', async prefix => {
    const files = { [`${prefix}/images/a.jpg`]: await jpegOf('a'), [`${prefix}/masks/a.png`]: await grey(maskOf('a')) };
    const before = readdirSync(folder);
    expect(await refusal([zip('s.zip', files)])).toContain('evil/images/a.jpg');
    expect(readdirSync(folder)).toEqual([...before, 'out', 's.zip'].filter(name => name !== 'out').sort());
  });

  test.each(['..', '.', '...', '-rf', '$(touch evil)', 'a;b'])('by a file named %s', async stem => {
    const files = { [`images/${stem}.jpg`]: await jpegOf('a'), [`masks/${stem}.png`]: await grey(maskOf('a')) };
    await take([zip('s.zip', files)]);
    expect(readdirSync(join(out, 'images'))).toEqual([`${stem}.jpg`]);
    expect(readdirSync(out).sort()).toEqual(['images', 'import.json', 'manifest.csv', 'masks']);
    expect(readdirSync(folder).sort()).toEqual(['out', 's.zip']);
    expect((await findCases(out)).map(({ id }) => id)).toEqual([stem]);
  });
});

test('sources of no known layout are refused with the layouts that there are', async () => {
  expect(await refusal([zip('s.zip', { 'holiday/beach.jpg': await jpegOf('a') })])).toMatch(
    /^the 1 files of the sources have none of the layouts that are known \(nnunet: dataset\.json.*drive: .*isic2018: .*folder: /,
  );
  expect(await refusal([zip('s.zip', { 'a.txt': '' })], 'chasedb1')).toMatch(/^the sources hold no image of CHASE_DB1: CHASEDB1\.zip/);
});

test('what an import that was killed left behind goes at the next; that of one at work stays', async () => {
  writeTree(join(folder, 'out'), { '.set.partial-99999999/images/a.png': 'half', [`.other.partial-${process.pid}/a.png`]: 'at work' });
  await take([zip('CHASEDB1.zip', await chase([1]))]);
  expect(readdirSync(join(folder, 'out')).sort()).toEqual([`.other.partial-${process.pid}`, 'set']);
});

test('a folder that holds something is not written into', async () => {
  writeTree(out, { 'mine.txt': 'mine' });
  await expect(take([zip('CHASEDB1.zip', await chase([1]))])).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('is not empty'),
  });
  expect(readdirSync(out)).toEqual(['mine.txt']);
});
