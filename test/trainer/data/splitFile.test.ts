import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCases } from '../../../trainer/data/cases.ts';
import { casesOfSplit, drawSplit, readSplit, type SplitOptions, writeSplit } from '../../../trainer/data/splitFile.ts';
import { CaseStore } from '../../../trainer/data/store.ts';
import { writeTree } from '../../tools/archives.ts';
import { drawDataSet } from '../../tools/pictures.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-split-'));
const file = join(folder, 'split.json');
beforeAll(() => drawDataSet(join(folder, 'data'), 10));
afterAll(() => rmSync(folder, { recursive: true }));

const defaults: SplitOptions = { share: 0.3, seed: 4, by: 'image', stratify: true, patch: 16 };
const write = (options: Partial<SplitOptions> = {}) => writeSplit(join(folder, 'data'), file, { ...defaults, ...options });

describe('drawing a split', () => {
  const units = (areas: readonly number[]) => areas.map((area, i) => ({ entries: [`case${String(i).padStart(3, '0')}`], area }));

  test('puts every unit on one side, as many in validation as the share says, by the seed alone', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 2, maxLength: 60 }),
        fc.nat(1000),
        fc.boolean(),
        (areas, seed, stratify) => {
          const all = units(areas);
          const split = drawSplit(all, { share: 0.25, seed, stratify });
          expect([...split.training, ...split.validation].sort()).toEqual(all.flatMap(({ entries }) => entries));
          expect(split.validation).toHaveLength(Math.max(1, Math.round(areas.length * 0.25)));
          expect(drawSplit(all, { share: 0.25, seed, stratify })).toEqual(split);
        },
      ),
    );
  });

  test('stratified, holds out one of each run of neighbours by area: of 0 to 99, four tenths, one of 0-4, one of 5-9 and so on', () => {
    const areas = Array.from({ length: 100 }, (_, i) => ((i * 37) % 100) / 100);
    const { validation } = drawSplit(units(areas), { share: 0.2, seed: 9, stratify: true });
    const held = validation.map(id => Math.floor(areas[Number(id.slice(4))] * 20 + 1e-9)).sort((a, b) => a - b);
    expect(held).toEqual(Array.from({ length: 20 }, (_, block) => block));
  });

  test('takes other units by another seed', () => {
    const all = units(Array.from({ length: 50 }, (_, i) => i / 50));
    const drawn = [1, 2, 3].map(seed => drawSplit(all, { share: 0.2, seed, stratify: true }).validation.join());
    expect(new Set(drawn).size).toBe(3);
  });

  test('of one unit is refused', () => {
    expect(() => drawSplit(units([0.5]), { share: 0.2, seed: 0, stratify: true })).toThrow(
      'the data set has 1 case or group; at least 2 are needed',
    );
  });
});

describe('a split file', () => {
  test('has both sides, the rule and the digest that a run records, and is read back', async () => {
    const split = await write();
    expect(split).toMatchObject({ by: 'image', leaking: false, stratified: true, share: 0.3, seed: 4, data: { cases: 10 } });
    expect([split.training.length, split.validation.length]).toEqual([7, 3]);
    expect(await readSplit(file)).toEqual(split);
    const cases = await findCases(join(folder, 'data'));
    const store = new CaseStore(cases, { height: 16, width: 16, channels: 1 }, { classes: 1, exclusive: false });
    expect(split.data.digest).toBe(await store.digest());
  });

  test('is the same, byte for byte, by the same rule', async () => {
    await write();
    const bytes = readFileSync(file, 'utf8');
    await write();
    expect(readFileSync(file, 'utf8')).toBe(bytes);
  });

  test.each<[string, (text: string) => string, string, RegExp]>([
    [
      'with a case moved to the other side',
      text => text.replace('"training": [', '"training": [\n    "case99",'),
      'integrity',
      /was changed after it was written/,
    ],
    ['with another seed', text => text.replace('"seed": 4', '"seed": 5'), 'integrity', /was changed after it was written/],
    ['with leaking denied', text => text.replace('"leaking": false', '"leaking": true'), 'integrity', /was changed after it was written/],
    ['with a field of its own', text => text.replace('{', '{"mine": 1,'), 'invalidData', /is not a split file/],
    ['that is no JSON', () => '<html>', 'invalidData', /is not a split file; dataset split writes one/],
  ])('%s is refused', async (_, change, code, sentence) => {
    await write();
    writeFileSync(file, change(readFileSync(file, 'utf8')));
    await expect(readSplit(file)).rejects.toMatchObject({ code, message: expect.stringMatching(sentence) });
  });

  test('in other spacing is the same split', async () => {
    const split = await write();
    writeFileSync(file, JSON.stringify(split));
    expect(await readSplit(file)).toEqual(split);
  });

  test('that is not there is said so', async () => {
    await expect(readSplit(join(folder, 'none.json'))).rejects.toMatchObject({ code: 'notFound' });
  });

  test('by patch has patches side by side, and says that it leaks: ten images of 32x32 have 40 of 16x16', async () => {
    const split = await write({ by: 'patch' });
    expect(split).toMatchObject({ by: 'patch', leaking: true, patch: 16 });
    expect([split.training.length, split.validation.length]).toEqual([28, 12]);
    expect([...split.training, ...split.validation].filter(entry => entry.startsWith('case03@')).sort()).toEqual([
      'case03@0,0',
      'case03@0,16',
      'case03@16,0',
      'case03@16,16',
    ]);
    expect(() => casesOfSplit(split, [])).toThrow('the split is by patch; a split by image is needed');
    await expect(write({ by: 'patch', patch: 64 })).rejects.toThrow('no image of the set is as large as a patch of 64x64');
  });

  test('keeps groups together, and cases with the same image', async () => {
    const data = join(folder, 'grouped');
    await drawDataSet(data, 8);
    const twin = readFileSync(join(data, 'images/case00.png'));
    writeTree(data, { 'images/case07.png': twin });
    const rows = Array.from(
      { length: 8 },
      (_, i) => `case0${i},images/case0${i}.png,masks/case0${i}.png,${i < 6 ? `child${Math.floor(i / 2)}` : ''}`,
    );
    writeTree(data, { 'manifest.csv': `id,image,mask,group\n${rows.join('\n')}\n` });
    for (let seed = 0; seed < 12; seed++) {
      const { validation } = await writeSplit(data, file, { ...defaults, seed });
      for (const [a, b] of [
        ['case00', 'case01'],
        ['case02', 'case03'],
        ['case04', 'case05'],
        ['case00', 'case07'],
      ]) {
        expect([seed, a, validation.includes(a)]).toEqual([seed, a, validation.includes(b)]);
      }
    }
  });

  test('of a set with a broken file is refused by name', async () => {
    const data = join(folder, 'broken');
    await drawDataSet(data, 3);
    writeTree(data, { 'masks/case01.png': 'broken' });
    await expect(writeSplit(data, file, defaults)).rejects.toMatchObject({
      code: 'invalidData',
      message: expect.stringContaining('masks/case01.png: this is not an image'),
    });
  });

  test('names places among the cases, and is refused where they differ', async () => {
    const split = await write();
    const cases = await findCases(join(folder, 'data'));
    const { training, validation } = casesOfSplit(split, cases);
    expect(training.map(i => cases[i].id)).toEqual(split.training);
    expect(validation.map(i => cases[i].id)).toEqual(split.validation);
    expect(() => casesOfSplit(split, cases.slice(1))).toThrow('the split names the case case00, which the data set does not have');
    expect(() => casesOfSplit(split, [...cases, { id: 'new', image: '', mask: '' }])).toThrow(
      'the case new is on neither side of the split',
    );
  });
});
