import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findCases } from '../../../trainer/data/cases.ts';
import { writeShards } from '../../../trainer/data/shard.ts';
import type { ShardIndex } from '../../../trainer/data/shardIndex.ts';
import { CaseStore } from '../../../trainer/data/store.ts';
import { openStore } from '../../../trainer/storage/openStore.ts';
import read from '../../fixtures/webdataset.json' with { type: 'json' };
import { writeTree } from '../../tools/archives.ts';
import { drawDataSet } from '../../tools/pictures.ts';
import { examplePack, shardBytes } from '../../tools/shardCase.ts';
import { hasVersitygw } from '../../tools/tools.ts';
import { setCredentials, startGateway } from '../../tools/versitygw.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-shard-'));
const data = join(folder, 'data');
afterAll(() => rmSync(folder, { recursive: true }));
beforeAll(async () => {
  await drawDataSet(data, 7);
  const rows = Array.from({ length: 7 }, (_, i) => {
    const id = i === 3 ? 'a/../b, "c".d' : `case0${i}`;
    return `"${id.replaceAll('"', '""')}",images/case0${i}.png,${i === 6 ? '' : `masks/case0${i}.png`},${i === 2 ? 'masks/case05.png' : ''},${i === 6 ? 'test' : 'training'}`;
  });
  writeTree(data, { 'manifest.csv': `id,image,mask,fov,part\n${rows.join('\n')}\n` });
});

const write = (name: string, bytes = 15_000) => writeShards(data, `file:${join(folder, name)}`, bytes);
const filesOf = async (name: string) => (await openStore(join(folder, name))).list();
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

describe('shards', () => {
  test('are tar archives in which the members of a case lie together; Python reads the bytes of the files', async () => {
    const { shards, cases } = await write('a');
    expect(cases).toBe(7);
    expect(await filesOf('a')).toEqual(['index.json', ...shards.map(({ key }) => key)]);
    const script = `
import hashlib, json, sys, tarfile
found = []
for file in sys.argv[1:]:
    with tarfile.open(file, 'r:') as archive:
        for one in archive:
            found.append([one.name, one.isreg(), one.mtime, one.uid, one.gid, one.mode, one.uname, hashlib.sha256(archive.extractfile(one).read()).hexdigest()])
print(json.dumps(found))`;
    const found = JSON.parse(
      execFileSync('python3', ['-c', script, ...shards.map(({ key }) => join(folder, 'a', key))], { encoding: 'utf8' }),
    );
    const members = shards.flatMap(shard => shard.members);
    expect(found).toEqual(members.map(({ name, sha256 }) => [name, true, 0, 0, 0, 0o644, '', sha256]));
    expect(members.filter(({ id }) => id === 'case02').map(({ name }) => name)).toEqual([
      'case02.image.png',
      'case02.mask.png',
      'case02.fov.png',
      'case02.json',
    ]);
    expect(members.find(({ name }) => name === 'case02.fov.png')!.sha256).toBe(sha256(readFileSync(join(data, 'masks/case05.png'))));
    expect(members.filter(({ id }) => id === 'case06').map(({ name }) => name)).toEqual(['case06.image.png', 'case06.json']);
  });

  test('have an index by which each member is read alone', async () => {
    await write('a');
    const store = await openStore(join(folder, 'a'));
    const index: ShardIndex = JSON.parse((await store.get('index.json')).toString());
    for (const { key, bytes, sha256: whole, members } of index.shards) {
      const archive = await store.get(key);
      expect([archive.length, sha256(archive)]).toEqual([bytes, whole]);
      for (const { offset, length, sha256: expected } of members) expect(sha256(await store.getRange(key, offset, length))).toBe(expected);
    }
    const store2 = new CaseStore(await findCases(data), { height: 16, width: 16, channels: 1 }, { classes: 1, exclusive: false });
    expect(index.data).toBe(await store2.digest());
  });

  test('of ids that a tar name cannot hold have a hash for a name, and the id in the JSON', async () => {
    const { shards } = await write('a');
    const members = shards
      .flatMap(({ key, members }) => members.map(member => ({ key, ...member })))
      .filter(({ id }) => id.startsWith('a/'));
    expect(members.map(({ name }) => name)).toEqual(
      ['image.png', 'mask.png', 'json'].map(ending => `${sha256(Buffer.from('a/../b, "c".d')).slice(0, 32)}.${ending}`),
    );
    const { key, offset, length } = members.at(-1)!;
    const meta = await (await openStore(join(folder, 'a'))).getRange(key, offset, length);
    expect(JSON.parse(meta.toString())).toEqual({ id: 'a/../b, "c".d', width: 32, height: 32, part: 'training' });
  });

  test('are the same bytes for the same input, whenever the files were written', async () => {
    await write('b');
    utimesSync(join(data, 'images/case00.png'), new Date(0), new Date(0));
    await write('c');
    for (const name of await filesOf('b'))
      expect(readFileSync(join(folder, 'b', name)).equals(readFileSync(join(folder, 'c', name)))).toBe(true);
  });

  test('hold as many cases as fit, and no case is divided', async () => {
    const { shards } = await write('small', 15_000);
    expect(shards.length).toBeGreaterThan(1);
    for (const { key, bytes } of shards) {
      expect(bytes).toBeLessThanOrEqual(15_000);
      expect(statSync(join(folder, 'small', key)).size).toBe(bytes);
    }
    const { shards: single } = await write('single', 1);
    expect(single.map(({ members }) => new Set(members.map(({ id }) => id)).size)).toEqual(Array(7).fill(1));
    expect((await write('large', 1e9)).shards).toHaveLength(1);
  });

  test("of the example are those that Python's webdataset has read, sample by sample", async () => {
    const { shards } = await writeShards(examplePack, join(folder, 'example'), shardBytes);
    expect(shards.map(({ sha256 }) => sha256)).toEqual(read.shards);
    const samples = new Map<string, Record<string, string>>();
    for (const { name, sha256 } of shards.flatMap(({ members }) => members)) {
      const [key, ...field] = name.split('.');
      samples.set(key, { ...samples.get(key), [field.join('.')]: sha256 });
    }
    expect(read.samples).toEqual([...samples].map(([key, fields]) => ({ key, fields })));
    expect(read.samples).toHaveLength(100);
  });

  test('written again are left as they are; others in the same place are refused', async () => {
    await write('again');
    const before = statSync(join(folder, 'again/index.json')).mtimeMs;
    await write('again');
    expect(statSync(join(folder, 'again/index.json')).mtimeMs).toBe(before);
    await expect(write('again', 1e9)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('shard-000000.tar is there already and holds something else'),
    });
  });

  test('of a set with a file that is no image are refused by name', async () => {
    const broken = join(folder, 'broken');
    await drawDataSet(broken, 2);
    writeFileSync(join(broken, 'images/case01.png'), '<html>');
    await expect(writeShards(broken, join(folder, 'never'), 1e6)).rejects.toThrow(/case01\.png: this is not an image/);
    expect((await filesOf('never')).map(name => basename(name))).not.toContain('index.json');
  });

  test.skipIf(!hasVersitygw())('are the same bytes in S3, where writing them again is fine and others are refused', async () => {
    setCredentials();
    await using gateway = await startGateway('bucket');
    process.env.AWS_ENDPOINT_URL_S3 = gateway.url;
    try {
      const { shards, url } = await writeShards(data, 's3://bucket/sets/x', 15_000);
      expect(url).toBe('s3://bucket/sets/x');
      await write('a');
      for (const name of ['index.json', ...shards.map(({ key }) => key)])
        expect(readFileSync(join(gateway.folder, 'bucket/sets/x', name)).equals(readFileSync(join(folder, 'a', name)))).toBe(true);
      await writeShards(data, 's3://bucket/sets/x', 15_000);
      await expect(writeShards(data, 's3://bucket/sets/x', 30_000)).rejects.toMatchObject({ code: 'conflict' });
    } finally {
      delete process.env.AWS_ENDPOINT_URL_S3;
    }
  });
});
