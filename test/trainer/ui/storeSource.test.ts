/**
 * Runs in a store, looked at again and again: what has not changed does not travel twice.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { fileStore } from '../../../trainer/storage/fileStore.ts';
import { runFiles } from '../../../trainer/ui/source.ts';
import { sourceOf } from '../../../trainer/ui/storeSource.ts';
import { hookedStore } from '../../tools/hookedStore.ts';
import { temporaryFolder } from '../../tools/temporaryFolder.ts';

const { events, record } = runFiles;

test('of a long log only what is asked for is read', async () => {
  await using folder = temporaryFolder('store-source');
  const store = fileStore(join(folder.path, 'runs'));
  const asked: string[] = [];
  let now = 0;
  const source = sourceOf(hookedStore(store, { before: operation => void asked.push(operation) }), store.url, () => now);
  const log = Buffer.alloc(2 ** 21, 'x\n');
  await store.put(`a/run/${events}`, log);

  const first = await source.stamp('a', events);
  expect(first).toMatchObject({ bytes: log.length });
  expect((await source.readFrom('a', events, log.length - 3, 100)).toString()).toBe('\nx\n');
  expect(asked.splice(0)).toEqual(['stat', 'getRange']);
  expect(await source.stamp('a', events)).toEqual(first);
  expect(asked.splice(0)).toEqual([]); // within five seconds

  now += 6000;
  expect(await source.stamp('a', events)).toEqual(first);
  expect(await source.readFrom('a', events, log.length, 100)).toHaveLength(0);
  expect(asked.splice(0)).toEqual(['stat']);

  now += 6000;
  await store.put(`a/run/${events}`, Buffer.concat([log, Buffer.from('more\n')]));
  const grown = await source.stamp('a', events);
  expect(grown).toMatchObject({ bytes: log.length + 5 });
  expect(grown!.text).not.toBe(first!.text);
  expect((await source.readFrom('a', events, log.length, 100)).toString()).toBe('more\n');
  expect(asked.splice(0)).toEqual(['stat', 'getRange']);

  // Begun anew, and not looked at since: nothing is read beyond its end, and the next look sees it.
  await store.put(`a/run/${events}`, Buffer.from('short\n'));
  expect(await source.readFrom('a', events, log.length, 5)).toHaveLength(0);
  expect(await source.stamp('a', events)).toMatchObject({ bytes: 6 });
});

test('a small file is read again only where it has changed', async () => {
  await using folder = temporaryFolder('store-source');
  const store = fileStore(join(folder.path, 'runs'));
  const asked: string[] = [];
  let now = 0;
  const source = sourceOf(hookedStore(store, { before: operation => void asked.push(operation) }), store.url, () => now);
  const read = async () => (await source.read('a', record))?.toString();
  await store.put(`a/run/${record}`, Buffer.from('{}'));
  expect([await read(), await read()]).toEqual(['{}', '{}']);
  expect(asked.splice(0)).toEqual(['stat', 'getVersioned']);
  now += 6000;
  expect(await read()).toBe('{}');
  expect(asked.splice(0)).toEqual(['stat']);
  now += 6000;
  await store.put(`a/run/${record}`, Buffer.from('[]'));
  expect(await read()).toBe('[]');
  expect(asked.splice(0)).toEqual(['stat', 'getVersioned']);
});

test('what comes and goes is seen', async () => {
  await using folder = temporaryFolder('store-source');
  const store = fileStore(join(folder.path, 'runs'));
  let now = 0;
  const source = sourceOf(store, store.url, () => now);
  const seen = async () => [await source.stamp('a', record), (await source.read('a', record))?.toString()];
  expect(await seen()).toEqual([undefined, undefined]);
  await store.put(`a/run/${record}`, Buffer.from('{}'));
  now += 6000;
  expect(await seen()).toEqual([expect.objectContaining({ bytes: 2 }), '{}']);
  await store.delete(`a/run/${record}`);
  now += 6000;
  expect(await seen()).toEqual([undefined, undefined]);
});
