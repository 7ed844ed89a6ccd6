/**
 * Makes test/fixtures/kerasCurves.json: the loss of twenty steps in Keras, from our initial weights on our batches.
 * `npm run fixtures:keras` installs Keras into the cached environment of the benches first.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeSafetensors } from '../../trainer/storage/safetensors.ts';
import { batches, cases, digestOf, initialWeights, steps, width } from '../tools/kerasCase.ts';
import { peersPython } from './peers.ts';

const folder = mkdtempSync(join(tmpdir(), 'segfleet-keras-'));
const weights = initialWeights();
const all = batches();
const concatenate = (parts: Uint8Array[]) => Uint8Array.from(parts.flatMap(part => [...part]));
const data = new Map([
  ['images', { dtype: 'uint8' as const, shape: [5, 4, 64, 64, 3], data: concatenate(all.map(({ images }) => images)) }],
  ['labels', { dtype: 'uint8' as const, shape: [5, 4, 64, 64], data: concatenate(all.map(({ labels }) => labels)) }],
]);
const spec = {
  weights: join(folder, 'weights.safetensors'),
  batches: join(folder, 'batches.safetensors'),
  width,
  steps,
  cases,
};
writeFileSync(spec.weights, encodeSafetensors(weights));
writeFileSync(spec.batches, encodeSafetensors(data));
writeFileSync(join(folder, 'spec.json'), JSON.stringify(spec));
const script = new URL('peers/keras_curve.py', import.meta.url).pathname;
const result = JSON.parse(
  execFileSync(await peersPython(), [script, join(folder, 'spec.json')], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }),
);
const fixture = { madeBy: 'npm run fixtures:keras', ...result, initialWeights: digestOf(weights) };
writeFileSync(new URL('../fixtures/kerasCurves.json', import.meta.url), `${JSON.stringify(fixture, null, 2)}\n`);
rmSync(folder, { recursive: true });
console.log(fixture);
