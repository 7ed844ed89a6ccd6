/**
 * Makes test/fixtures/webdataset.json: what Python's webdataset reads from the shards of examples/nuclei. `npm run fixtures:webdataset`
 * installs it into an environment of its own in the cache first.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeShards } from '../../trainer/data/shard.ts';
import { examplePack, shardBytes } from '../tools/shardCase.ts';
import { webdatasetPython } from './peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-webdataset-'));
const { shards } = await writeShards(examplePack, folder, shardBytes);
const script = new URL('peers/read_shards.py', import.meta.url).pathname;
const files = shards.map(({ key }) => join(folder, key));
const read = JSON.parse(
  execFileSync(await webdatasetPython(), [script, ...files], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
);
rmSync(folder, { recursive: true });
const fixture = { madeBy: 'npm run fixtures:webdataset', shards: shards.map(({ sha256 }) => sha256), ...read };
writeFileSync(new URL('../fixtures/webdataset.json', import.meta.url), `${JSON.stringify(fixture, null, 1)}\n`);
console.log(`webdataset ${read.webdataset} read ${read.samples.length} samples from ${shards.length} shards`);
