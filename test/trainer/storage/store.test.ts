import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../trainer/storage/store.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-store-'));
afterAll(() => rmSync(folder, { recursive: true }));
const bytes = (text: string) => Buffer.from(text);

describe.each([
  ['a plain path', (path: string) => path],
  ['file: and a path', (path: string) => `file:${path}`],
  ['file: and a relative path', (path: string) => `file:${relative(process.cwd(), path)}`],
  ['a file URL', (path: string) => pathToFileURL(path).href],
])('a store named by %s', (name, urlOf) => {
  const path = join(folder, name.replace(':', ''));
  const store = openStore(urlOf(path));

  test('gives what was put, whole and in part', async () => {
    await store.put('a/b.bin', bytes('0123456789'));
    await store.put('a/b.bin', bytes('abcdefghij'));
    expect((await store.get('a/b.bin')).toString()).toBe('abcdefghij');
    expect((await store.getRange('a/b.bin', 3, 4)).toString()).toBe('defg');
    expect(existsSync(join(path, 'a/b.bin'))).toBe(true);
  });

  test('puts where nothing is, once, whoever asks first', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => store.putIfAbsent('once', bytes(`writer ${i}`))));
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect((await store.get('once')).toString()).toBe(`writer ${answers.indexOf(true)}`);
    expect(readdirSync(path).filter(name => name.endsWith('.partial'))).toEqual([]);
  });

  test('lists by prefix, in order, and deletes', async () => {
    await store.put('l/2', bytes(''));
    await store.put('l/1/x', bytes(''));
    await store.put('m', bytes(''));
    expect(await store.list('l/')).toEqual(['l/1/x', 'l/2']);
    await store.delete('l/2');
    await store.delete('l/2');
    expect(await store.list('l')).toEqual(['l/1/x']);
  });

  test('refuses what is not there, and more than is there', async () => {
    await expect(store.get('none')).rejects.toMatchObject({ code: 'notFound' });
    await expect(store.getRange('none', 0, 1)).rejects.toMatchObject({ code: 'notFound' });
    await store.put('ten', bytes('0123456789'));
    await expect(store.getRange('ten', 8, 3)).rejects.toMatchObject({
      code: 'integrity',
      message: expect.stringContaining('ends before byte 11'),
    });
  });

  test.each(['../x', '/x', 'a/../../x', ''])('has no key "%s"', async key => {
    await expect(store.put(key, bytes(''))).rejects.toMatchObject({ code: 'bug' });
  });
});

test('a store that is not there is empty', async () => {
  expect(await openStore(join(folder, 'nowhere')).list()).toEqual([]);
});

test.each([
  ['s3://bucket/prefix', 's3://bucket/prefix: storage in S3 is not built yet; write to file:<folder>'],
  ['https://host/path', 'there is no storage https:; give file:<folder>'],
])('%s is refused', (url, sentence) => {
  expect(() => openStore(url)).toThrow(sentence);
});
