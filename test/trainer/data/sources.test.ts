import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openSource, stemOf } from '../../../trainer/data/sources/source.ts';
import { SegfleetError } from '../../../trainer/errors.ts';
import { archiveByPython, tarOf, writeTree, type ZipMember, zipOf } from '../../tools/archives.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-sources-'));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, bytes: Uint8Array | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

/** Opens and reads all of it; the sentence of the refusal. */
async function refusal(path: string): Promise<string> {
  const attempt = async () => {
    const source = await openSource(path);
    try {
      for (const name of source.names) await source.read(name);
    } finally {
      await source.close();
    }
  };
  const error = await attempt().then(
    () => undefined,
    reason => reason,
  );
  expect(error).toBeInstanceOf(SegfleetError);
  expect(error.code).toBe('invalidData');
  expect(error.message).toContain(path);
  return error.message.replaceAll(`${folder}/`, '');
}

const files = {
  'set/images/a.png': 'one',
  'set/images/ü b.png': 'two',
  'set/empty.txt': '',
  'set/deep/er/c.bin': Buffer.alloc(70_000, 7),
  'set/.DS_Store': 'litter',
  'set/__MACOSX/images/._a.png': 'litter',
  'set/images/._a.png': 'litter',
  'set/images/Thumbs.db': 'litter',
};

describe('a set', () => {
  beforeAll(() => {
    writeTree(folder, files);
    for (const name of ['set.zip', 'set.tar', 'set.tar.gz', 'set.tgz']) archiveByPython(join(folder, name), folder, 'set');
  });

  test.each(['set', 'set.zip', 'set.tar', 'set.tar.gz', 'set.tgz'])(
    'as %s has its files, in any order, without what systems leave behind',
    async name => {
      const source = await openSource(join(folder, name));
      const prefix = name === 'set' ? '' : 'set/';
      expect(source.names).toEqual(['deep/er/c.bin', 'empty.txt', 'images/a.png', 'images/ü b.png'].map(below => prefix + below));
      for (const below of [...source.names].reverse()) {
        const full = (name === 'set' ? 'set/' : '') + below;
        expect((await source.read(below)).equals(Buffer.from(files[full as keyof typeof files]))).toBe(true);
      }
      await source.close();
      expect(stemOf(join(folder, name))).toBe('set');
    },
  );

  test('may be one table', async () => {
    const source = await openSource(file('solution.csv', 'ImageId\n'));
    expect(source.names).toEqual(['solution.csv']);
    expect((await source.read('solution.csv')).toString()).toBe('ImageId\n');
  });
});

describe('a zip archive', () => {
  const good = { name: 'good.png', bytes: 'good' };
  const ofZeros = (megabytes: number) => Buffer.alloc(megabytes * 2 ** 20);

  test.each<[string, ZipMember[], RegExp]>([
    ['a name that leads out', [{ name: '../evil.png' }], /x\.zip.*\.\.\/evil\.png/],
    ['a name that leads out by way of a folder', [{ name: 'a/../../evil.png' }], /x\.zip.*a\/\.\.\/\.\.\/evil\.png/],
    ['a name that leads out as Windows writes it', [{ name: '..\\evil.png' }], /x\.zip.*\.\.\/evil\.png/],
    ['an absolute name', [{ name: '/etc/evil.png' }], /x\.zip.*absolute.*\/etc\/evil\.png/],
    ['an absolute name of Windows', [{ name: 'C:/evil.png' }], /x\.zip.*absolute.*C:\/evil\.png/],
    [
      'a control character in a name',
      [{ name: 'a\u0000b.png' }],
      /x\.zip: "a\\u0000b\.png": the name has a backslash or a control character/,
    ],
    ['a link', [{ name: 'link.png', bytes: '/etc/passwd', mode: 0o120777 }], /^x\.zip: link\.png: this is a link or a special file/],
    ['a device', [{ name: 'dev', mode: 0o020644 }], /^x\.zip: dev: this is a link or a special file/],
    ['a file twice', [good, good], /^x\.zip: good\.png: it is there twice/],
    ['names that differ by case', [good, { name: 'Good.PNG' }], /^x\.zip: Good\.PNG: but for upper and lower case this is good\.png too/],
    ['names that differ by how letters are composed', [{ name: 'é.png' }, { name: 'e\u0301.png' }], /this is é\.png too/],
    ['an encrypted file', [{ ...good, flags: 1 }], /^x\.zip: good\.png: it is encrypted/],
    ['another compression', [{ ...good, method: 12 }], /^x\.zip: good\.png: it is compressed by method 12/],
    ['more bytes than it says', [{ ...good, size: 3 }], /^x\.zip: good\.png: it is damaged or lies about its size/],
    ['fewer bytes than it says', [{ ...good, size: 5 }], /^x\.zip: good\.png: it is damaged or lies about its size/],
    ['another checksum', [{ ...good, crc: 1 }], /^x\.zip: good\.png: it is damaged or lies about its size \(its checksum differs\)/],
    [
      'a member that says it is huge',
      [{ ...good, size: 2 ** 30 }],
      /^x\.zip: good\.png: it says that it has 1073741824 bytes, more than the 512 MB allowed/,
    ],
  ])('with %s is refused by name', async (_, members, sentence) => {
    expect(await refusal(file('x.zip', zipOf(members)))).toMatch(sentence);
  });

  test('that is a bomb is refused by its table, before memory is taken', async () => {
    const path = file(
      'bomb.zip',
      zipOf([
        { name: 'a', bytes: ofZeros(150) },
        { name: 'b', bytes: ofZeros(150) },
      ]),
    );
    const before = process.memoryUsage().rss;
    expect(await refusal(path)).toMatch(/^bomb\.zip has \d+ bytes and says that it expands to 314572800, more than 200 times as many/);
    expect(process.memoryUsage().rss - before).toBeLessThan(50e6);
  });

  test('that is a bomb and lies about it expands no further than it says', async () => {
    expect(await refusal(file('liar.zip', zipOf([{ name: 'a', bytes: ofZeros(150), size: 1000 }])))).toMatch(
      /^liar\.zip: a: it is damaged or lies about its size/,
    );
  });

  test.each([
    ['a web page', '<html>log in first</html>'],
    ['empty', ''],
    ['cut short', zipOf([{ ...good, bytes: 'x'.repeat(1000) }]).subarray(0, 60)],
  ])('that is %s is refused', async (_, bytes) => {
    expect(await refusal(file('no.zip', bytes))).toMatch(/^no\.zip is not a zip archive that can be read/);
  });
});

describe('a tar archive', () => {
  const good = { name: 'good.png', bytes: 'good' };

  test.each([
    ['a name that leads out', [{ name: '../evil.png' }], /^x\.tar: "\.\.\/evil\.png": the name leads out of the archive/],
    ['an absolute name', [{ name: '/etc/evil.png' }], /^x\.tar: "\/etc\/evil\.png": the name is absolute/],
    ['a link', [{ name: 'link.png', type: 'symlink', linkname: '/etc/passwd' }], /^x\.tar: link\.png: this is a link or a special file/],
    [
      'a hard link',
      [good, { name: 'link.png', type: 'link', linkname: 'good.png' }],
      /^x\.tar: link\.png: this is a link or a special file/,
    ],
    ['a device', [{ name: 'dev', type: 'character-device' }], /^x\.tar: dev: this is a link or a special file/],
    ['a file twice', [good, { ...good, name: './good.png' }], /^x\.tar: good\.png: it is there twice/],
    ['names that differ by case', [good, { name: 'Good.PNG' }], /^x\.tar: Good\.PNG: but for upper and lower case this is good\.png too/],
  ] as const)('with %s is refused by name', async (_, members, sentence) => {
    const bytes = await tarOf(members as Parameters<typeof tarOf>[0]);
    expect(await refusal(file('x.tar', bytes))).toMatch(sentence);
    expect(await refusal(file('x.tar.gz', gzipSync(bytes)))).toMatch(new RegExp(sentence.source.replace('x\\.tar', 'x\\.tar\\.gz')));
  });

  test('that says of a member that it is larger than the archive is refused', async () => {
    const bytes = await tarOf([good]);
    bytes.write('77777777770\0', 124, 'latin1'); // 8 GB, in octal digits
    const sum = bytes.subarray(0, 512).reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 32 : byte), 0);
    bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    expect(await refusal(file('liar.tar', bytes))).toMatch(/^liar\.tar is not a tar archive that can be read \(Unexpected end of data\)/);
  });

  test('that is a compressed bomb is refused before it is expanded', async () => {
    const bomb = gzipSync(Buffer.alloc(300 * 2 ** 20), { level: 9 });
    expect(await refusal(file('bomb.tar.gz', bomb))).toMatch(/^bomb\.tar\.gz cannot be expanded: it expands to more than 268435456 bytes/);
  });

  test.each([
    ['no.tar', 'a web page', `<html>${' '.repeat(600)}</html>`, /^no\.tar is not a tar archive that can be read/],
    ['no.tar.gz', 'a web page', '<html>', /^no\.tar\.gz cannot be expanded: incorrect header check/],
    [
      'cut.tar',
      'cut short',
      () => tarOf([{ name: 'a', bytes: 'x'.repeat(5000) }]).then(bytes => bytes.subarray(0, 2000)),
      /^cut\.tar is not a tar archive/,
    ],
    [
      'cut.tar.gz',
      'cut short',
      () => tarOf([good]).then(bytes => gzipSync(bytes).subarray(0, 60)),
      /^cut\.tar\.gz cannot be expanded: unexpected end of file/,
    ],
  ] as const)('%s that is %s is refused', async (name, _, bytes, sentence) => {
    expect(await refusal(file(name, typeof bytes === 'string' ? bytes : await bytes()))).toMatch(sentence);
  });
});

describe('with any byte changed', () => {
  const contents = ['good', 'x'.repeat(300)];
  const members = contents.map((bytes, i) => ({ name: `${i}.png`, bytes }));

  test.each([
    ['zip', async () => zipOf(members)],
    ['tar.gz', async () => gzipSync(await tarOf(members))],
  ] as const)('a %s archive gives the bytes that it had, or is refused', async (ending, make) => {
    const whole = await make();
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const bytes = Buffer.from(whole);
        bytes[at] ^= change;
        try {
          const source = await openSource(file(`fuzzed.${ending}`, bytes));
          for (const name of source.names) expect(contents).toContain((await source.read(name)).toString());
          await source.close();
        } catch (error) {
          expect(error).toBeInstanceOf(SegfleetError);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('a folder', () => {
  test('with a link to a file has that file; a link to a folder is refused', async () => {
    const path = join(folder, 'linked');
    mkdirSync(path);
    symlinkSync(file('elsewhere.png', 'there'), join(path, 'a.png'));
    const source = await openSource(path);
    expect((await source.read('a.png')).toString()).toBe('there');
    symlinkSync(folder, join(path, 'round'));
    expect(await refusal(path)).toMatch(/^linked: round: this is a link to a folder/);
  });

  test('with names that differ by case is refused', async () => {
    writeTree(join(folder, 'cases'), { 'a.png': '', 'A.png': '' });
    expect(await refusal(join(folder, 'cases'))).toMatch(/but for upper and lower case/);
  });
});

test.each([
  ['nowhere.zip', undefined, 'notFound', 'no such file or folder'],
  ['readme.txt', '', 'usage', 'is no source: give a folder, a .zip, .tar or .tar.gz archive, or a .csv file'],
])('%s is refused', async (name, bytes, code, sentence) => {
  if (bytes !== undefined) file(name, bytes);
  await expect(openSource(join(folder, name))).rejects.toMatchObject({ code, message: expect.stringContaining(sentence) });
});
