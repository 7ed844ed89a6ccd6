/**
 * One suite for everything that is a store: a folder, a real S3 server (versitygw), and our own one, which other tests make fail.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openStore } from '../../../trainer/storage/openStore.ts';
import { s3Store } from '../../../trainer/storage/s3Store.ts';
import type { Store } from '../../../trainer/storage/store.ts';
import { type S3Server, startS3Server } from '../../tools/s3Server.ts';
import { hasVersitygw } from '../../tools/tools.ts';
import { type Gateway, setCredentials, startGateway } from '../../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-store-'));
const bytes = (text: string) => Buffer.from(text);
let gateway: Gateway | undefined;
let server: S3Server;
beforeAll(async () => {
  setCredentials();
  [gateway, server] = await Promise.all([hasVersitygw() ? startGateway('bucket') : undefined, startS3Server()]);
});
afterAll(async () => {
  await Promise.all([gateway?.[Symbol.asyncDispose](), server[Symbol.asyncDispose]()]);
  rmSync(folder, { recursive: true });
});

const partBytes = 5 * 2 ** 20; // the least that S3 takes
const kinds: Record<string, (place: string) => Store | Promise<Store>> = {
  'a folder': place => openStore(`file:${join(folder, place)}`),
  'versitygw, the root of a bucket': () => s3Store('s3://bucket', { endpoint: gateway!.url, partBytes }),
  'versitygw, a prefix': place => s3Store(`s3://bucket/a prefix/${place}/`, { endpoint: gateway!.url, partBytes }),
  'our own S3 server': place => s3Store(`s3://bucket/${place}`, { endpoint: server.url, partBytes }),
};

const isHere = ([name]: [string, unknown]) => !name.startsWith('versitygw') || hasVersitygw();
// Where it could not be built, this line is in the list of what did not run.
test.skipIf(!hasVersitygw())('a real S3 server answers', async () => {
  expect((await fetch(gateway!.url)).status).toBeGreaterThan(0);
});

describe.each(Object.entries(kinds).filter(isHere))('%s', (_, open) => {
  test('gives what was put, whole and in part', async () => {
    const store = await open('whole');
    await store.put('a/b.bin', bytes('0123456789'));
    await store.put('a/b.bin', bytes('abcdefghij'));
    expect((await store.get('a/b.bin')).toString()).toBe('abcdefghij');
    expect((await store.getRange('a/b.bin', 3, 4)).toString()).toBe('defg');
    expect((await store.getRange('a/b.bin', 0, 10)).toString()).toBe('abcdefghij');
    expect((await store.getRange('a/b.bin', 10, 0)).length).toBe(0);
    await store.put('empty', bytes(''));
    expect((await store.get('empty')).length).toBe(0);
  });

  test('takes an object of several parts', async () => {
    const store = await open('parts');
    const large = Buffer.alloc(2 * partBytes + 12_345, 'segmentation ');
    await store.put('large', large);
    expect((await store.get('large')).equals(large)).toBe(true);
    expect(await store.putIfAbsent('large', Buffer.alloc(large.length))).toBe(false);
    expect((await store.getRange('large', partBytes - 2, 4)).equals(large.subarray(partBytes - 2, partBytes + 2))).toBe(true);
    await store.delete('large');
  });

  test('takes any name that a file may have', async () => {
    const store = await open('names');
    const keys = ['names/a b', 'names/ü/€', 'names/1+1=2&3', 'names/100%', "names/it's (1)"];
    for (const key of keys) await store.put(key, bytes(key));
    expect(await store.list('names/')).toEqual(keys.toSorted());
    for (const key of keys) expect((await store.get(key)).toString()).toBe(key);
    for (const key of keys) await store.delete(key);
  });

  test('puts where nothing is, once, whoever asks first', async () => {
    const store = await open('absent');
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => store.putIfAbsent('once', bytes(`writer ${i}`))));
    expect(answers.filter(Boolean)).toHaveLength(1);
    expect((await store.get('once')).toString()).toBe(`writer ${answers.indexOf(true)}`);
  });

  test('puts where what was read still is, once, whoever asks first', async () => {
    const store = await open('match');
    await store.put('counter', bytes('0'));
    const { bytes: read, version } = await store.getVersioned('counter');
    expect(read.toString()).toBe('0');
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => store.putIfMatch('counter', bytes(`writer ${i}`), version)));
    expect(answers.filter(Boolean)).toHaveLength(1);
    const { bytes: after, version: next } = await store.getVersioned('counter');
    expect(after.toString()).toBe(`writer ${answers.indexOf(true)}`);
    expect(next).not.toBe(version);
    await store.delete('counter');
    expect(await store.putIfMatch('counter', bytes('?'), next)).toBe(false);
    await expect(store.getVersioned('counter')).rejects.toMatchObject({ code: 'notFound' });
  });

  test('tells the version and the length of what is there', async () => {
    const store = await open('changed');
    await store.put('log', bytes('one'));
    const { version } = await store.getVersioned('log');
    expect(await store.stat('log')).toEqual({ version, length: 3 });
    await store.put('log', bytes('one two'));
    const changed = await store.getVersioned('log');
    expect(changed.version).not.toBe(version);
    expect(await store.stat('log')).toEqual({ version: changed.version, length: 7 });
    await store.delete('log');
    await expect(store.stat('log')).rejects.toMatchObject({ code: 'notFound' });
  });

  test('counts right when many count at once', async () => {
    const store = await open('counting');
    await store.putIfAbsent('count', bytes('0'));
    const count = async () => {
      for (let done = 0; done < 5; ) {
        const { bytes: read, version } = await store.getVersioned('count');
        if (await store.putIfMatch('count', bytes(String(Number(read) + 1)), version)) done++;
      }
    };
    await Promise.all([count(), count(), count()]);
    expect((await store.get('count')).toString()).toBe('15'); // 3 counters, 5 each
  });

  test('lists by prefix, in order, and deletes', async () => {
    const store = await open('list');
    for (const key of ['l/2', 'l/1/x', 'm', 'l/3', 'l/10', 'l/Z', 'l/é']) await store.put(key, bytes(''));
    expect(await store.list('l/')).toEqual(['l/1/x', 'l/10', 'l/2', 'l/3', 'l/Z', 'l/é']);
    await store.delete('l/2');
    await store.delete('l/2');
    expect(await store.list('l/1')).toEqual(['l/1/x', 'l/10']);
    expect(await store.list('nothing')).toEqual([]);
    expect(await store.list()).not.toContainEqual(expect.stringMatching(/(^|\/)\./));
  });

  test('refuses what is not there, and more than is there', async () => {
    const store = await open('less');
    await expect(store.get('none')).rejects.toMatchObject({ code: 'notFound', message: expect.stringContaining('none') });
    await expect(store.getRange('none', 0, 1)).rejects.toMatchObject({ code: 'notFound' });
    await store.put('ten', bytes('0123456789'));
    for (const [offset, length] of [
      [8, 3],
      [10, 1],
      [100, 5],
    ]) {
      await expect(store.getRange('ten', offset, length)).rejects.toMatchObject({
        code: 'integrity',
        message: expect.stringContaining(`ends before byte ${offset + length}`),
      });
    }
  });

  test.each(['../x', '/x', 'a/../../x', '', 'a//b', '.hidden', 'a/.b', 'a\\b', 'a\nb'])('has no key %j', async key => {
    const store = await open('keys');
    await expect(store.put(key, bytes(''))).rejects.toMatchObject({ code: 'bug' });
    await expect(store.get(key)).rejects.toMatchObject({ code: 'bug' });
  });

  test('ends when it is told to, with the reason', async () => {
    const store = await open('signal');
    await store.put('there', bytes('x'));
    const signal = AbortSignal.abort(new Error('enough'));
    for (const call of [
      () => store.get('there', { signal }),
      () => store.getRange('there', 0, 1, { signal }),
      () => store.put('there', bytes('y'), { signal }),
      () => store.putIfAbsent('other', bytes('y'), { signal }),
      () => store.putIfMatch('there', bytes('y'), 'x', { signal }),
      () => store.list('', { signal }),
      () => store.delete('there', { signal }),
    ])
      await expect(call()).rejects.toThrow('enough');
    expect((await store.get('there')).toString()).toBe('x');
  });
});

test.each([
  ['a plain path', (path: string) => path],
  ['file: and a path', (path: string) => `file:${path}`],
  ['file: and a relative path', (path: string) => `file:${relative(process.cwd(), path)}`],
  ['a file URL', (path: string) => pathToFileURL(path).href],
])('%s names a folder', async (name, urlOf) => {
  const path = join(folder, name.replace(':', ''));
  const store = await openStore(urlOf(path));
  await store.put('a/b', bytes('x'));
  expect(existsSync(join(path, 'a/b'))).toBe(true);
  expect(store.url).toBe(`file:${path}`);
});

test('a folder that is not there is an empty store', async () => {
  expect(await (await openStore(join(folder, 'nowhere'))).list()).toEqual([]);
});

test('a folder keeps nothing of writers that lost, and shows nothing of one that was killed', async () => {
  const store = await openStore(join(folder, 'clean'));
  await Promise.all([store.putIfAbsent('a/x', bytes('1')), store.putIfAbsent('a/x', bytes('2'))]);
  expect(readdirSync(join(folder, 'clean/a'))).toEqual(['x']);
  writeFileSync(join(folder, 'clean/a/.y.1.partial'), 'half');
  expect(await store.list()).toEqual(['a/x']);
});

test.skipIf(!hasVersitygw())('the server of an s3: URL is that of the environment', async () => {
  process.env.AWS_ENDPOINT_URL = 'http://127.0.0.1:9';
  process.env.AWS_ENDPOINT_URL_S3 = gateway!.url;
  try {
    const store = await openStore('s3://bucket/from-environment/');
    expect(store.url).toBe('s3://bucket/from-environment');
    await store.put('x', bytes('1'));
    expect(existsSync(join(gateway!.folder, 'bucket/from-environment/x'))).toBe(true);
  } finally {
    delete process.env.AWS_ENDPOINT_URL;
    delete process.env.AWS_ENDPOINT_URL_S3;
  }
});

test.skipIf(!hasVersitygw())('or that of the config file of the AWS tools, as a Secret that a pod mounts', async () => {
  const file = join(folder, 'aws-config');
  writeFileSync(file, `[default]\nendpoint_url = ${gateway!.url.replace('127.0.0.1', 'localhost')}\n`);
  process.env.AWS_CONFIG_FILE = file;
  try {
    const store = await openStore('s3://bucket/from-file/');
    await store.put('x', bytes('1'));
    expect(existsSync(join(gateway!.folder, 'bucket/from-file/x'))).toBe(true);
  } finally {
    delete process.env.AWS_CONFIG_FILE;
  }
});

test.each([
  ['https://host/path', 'there is no storage https:; give file:<folder> or s3://<bucket>/<prefix>'],
  ['s3:bucket', 's3://<bucket> or s3://<bucket>/<prefix> is expected'],
  ['s3://', 's3://<bucket> or s3://<bucket>/<prefix> is expected'],
  ['s3://bucket/a/../b', 's3://<bucket> or s3://<bucket>/<prefix> is expected'],
])('%s is refused', async (url, sentence) => {
  await expect(openStore(url)).rejects.toMatchObject({ code: 'usage', message: expect.stringContaining(sentence) });
});
