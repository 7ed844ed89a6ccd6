import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findAllCases, findCases, type Part } from '../../../trainer/data/cases.ts';
import { SegfleetError } from '../../../trainer/errors.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'segfleet-cases-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function touch(...names: string[]): void {
  for (const name of names) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), '');
  }
}

async function refusal(path = folder): Promise<string> {
  const error = await findCases(path).then(
    () => undefined,
    reason => reason,
  );
  expect(error).toBeInstanceOf(SegfleetError);
  return error.message.replaceAll(folder, 'DATA');
}

describe('a folder', () => {
  test('pairs images and masks by name, whatever the formats, in the order of the ids', async () => {
    touch('images/b.jpg', 'images/a.PNG', 'images/notes.txt', 'masks/a.gif', 'masks/b_segmentation.png', 'fov/a.png');
    expect(await findCases(folder)).toEqual([
      { id: 'a', image: join(folder, 'images/a.PNG'), mask: join(folder, 'masks/a.gif'), fov: join(folder, 'fov/a.png') },
      { id: 'b', image: join(folder, 'images/b.jpg'), mask: join(folder, 'masks/b_segmentation.png') },
    ]);
  });

  test.each([
    ['an image without a mask', ['images/a.png', 'masks/b.png'], /^DATA\/images\/a.png has no mask: DATA\/masks holds no file a.png/],
    ['no masks folder', ['images/a.png'], /^DATA has no masks\/ folder and no manifest.csv/],
    ['two files of one name', ['images/a.png', 'images/a.jpg', 'masks/a.png'], /have the same name but for the extension/],
    ['no image at all', ['images/readme.txt', 'masks/readme.txt'], /^data.path DATA holds no image/],
  ])('with %s is refused', async (_, names, sentence) => {
    touch(...names);
    expect(await refusal()).toMatch(sentence);
  });
});

describe('a manifest', () => {
  const manifest = (text: string) => {
    touch('images/a.png', 'masks/a.png', 'images/ü b.png', 'masks/ü b.png');
    writeFileSync(join(folder, 'manifest.csv'), text);
  };

  test('names ids and files, relative to itself; other columns are ignored', async () => {
    manifest('id,image,mask,width\nx,images/a.png,masks/a.png,3\n"y,1","images/ü b.png","masks/ü b.png",4\n');
    const expected = [
      { id: 'x', image: join(folder, 'images/a.png'), mask: join(folder, 'masks/a.png') },
      { id: 'y,1', image: join(folder, 'images/ü b.png'), mask: join(folder, 'masks/ü b.png') },
    ];
    expect(await findCases(folder)).toEqual(expected);
    expect(await findCases(join(folder, 'manifest.csv'))).toEqual(expected);
  });

  test.each([
    [
      'a missing column',
      'id,image\nx,images/a.png\n',
      'DATA/manifest.csv has no column mask; a manifest needs the columns id, image and mask',
    ],
    ['a missing file', 'id,image,mask\nx,images/a.png,masks/none.png\n', 'DATA/manifest.csv, line 2: DATA/masks/none.png is not there'],
    ['an empty cell', 'id,image,mask\nx,,masks/a.png\n', 'DATA/manifest.csv, line 2: image is empty'],
    [
      'an id twice',
      'id,image,mask\nx,images/a.png,masks/a.png\nx,images/a.png,masks/a.png\n',
      'DATA/manifest.csv, line 3: the id x stands on an earlier line too',
    ],
    ['a broken quote', 'id,image,mask\n"x,images/a.png,masks/a.png\n', 'DATA/manifest.csv is not a readable CSV file'],
    ['no line', 'id,image,mask\n', 'data.path DATA holds no image'],
  ])('with %s is refused, with the line', async (_, text, sentence) => {
    manifest(text);
    expect(await refusal()).toContain(sentence);
  });
});

describe('a manifest with parts', () => {
  const manifest = (...rows: string[]) => {
    touch('images/a.png', 'masks/a.png');
    writeFileSync(join(folder, 'manifest.csv'), ['id,image,mask,fov,part,group', ...rows, ''].join('\n'));
  };
  const row = (id: string, part: string, mask = 'masks/a.png') => `${id},images/a.png,${mask},,${part},`;
  const ids = async (part?: Part) => (await findCases(folder, part)).map(({ id }) => id);

  test('gives the training part unless another is asked for; cases without part are in all', async () => {
    manifest(row('a', 'training'), row('b', 'test'), row('c', ''), row('d', 'validation'), row('e', 'test', ''));
    expect([await ids(), await ids('test'), await ids('validation')]).toEqual([
      ['a', 'c'],
      ['b', 'c'],
      ['c', 'd'],
    ]);
    expect((await findAllCases(folder)).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  test('gives the only part that there is', async () => {
    manifest(row('a', 'test'), row('b', 'test'), row('c', 'training', ''));
    expect(await ids()).toEqual(['a', 'b']);
    await expect(ids('training')).rejects.toThrow('holds no case of the part training with a mask, but of test');
  });

  test('says field of view and group', async () => {
    manifest('a,images/a.png,masks/a.png,masks/a.png,,eye');
    expect(await findCases(folder)).toMatchObject([{ fov: join(folder, 'masks/a.png'), group: 'eye' }]);
    writeFileSync(join(folder, 'manifest.csv'), 'id,image,mask,fov_mask\na,images/a.png,masks/a.png,masks/a.png\n');
    expect(await findCases(folder)).toMatchObject([{ fov: join(folder, 'masks/a.png') }]);
  });

  test.each([
    ['an unknown part', row('a', 'holdout'), 'line 2: the part is holdout; known are training, validation, test'],
    ['no mask and no part', row('a', '', ''), 'line 2: mask is empty'],
    ['a field of view that is not there', 'a,images/a.png,masks/a.png,none.png,,', 'none.png is not there'],
    ['no mask at all', row('a', 'test', ''), 'holds no case with a mask'],
  ])('with %s is refused', async (_, line, sentence) => {
    manifest(line);
    expect(await refusal()).toContain(sentence);
  });
});

test.each([
  ['a path that is not there', 'nowhere', /^data.path DATA\/nowhere: no such file or folder/],
  ['a file that is no manifest', 'x.txt', /^data.path DATA\/x.txt is neither a folder nor a .csv file/],
])('%s is refused', async (_, name, sentence) => {
  touch('x.txt');
  expect(await refusal(join(folder, name))).toMatch(sentence);
});
