/**
 * `npm run bench:sliding`: a 999x960 image (the size of CHASE_DB1's) segmented by a sliding window, and what augmentation costs.
 */
import { parseArgs } from 'node:util';
import { augmentationSchema, augmentInto } from '../../trainer/data/augment.ts';
import { windowsOf } from '../../trainer/data/windows.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { Program } from '../../trainer/program.ts';
import { segment } from '../../trainer/segment.ts';
import { parseJob } from '../../trainer/spec.ts';
import { programOf } from '../../trainer/train.ts';
import { drawPicture } from '../tools/pictures.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, 'no-write': { type: 'boolean' } } });
const [width, height, side, batch] = [999, 960, 256, 16];
const head = 'apiVersion: segfleet.dev/v1alpha1\nkind: TrainingJob\nmetadata: {name: bench}\nspec: {data: {path: x}}\n';
const patches = `data.patches={height: ${side}, width: ${side}, perImage: 1}`;
const { optimizer, ...options } = programOf(parseJob(head, 'job.yaml', [patches]).job);
const program = await Program.create(options);

const { pixels, mask } = drawPicture('sliding', width, height);
const source = { image: pixels, size: { height, width } };
const windows = windowsOf(source.size, options.image);

async function timed(work: () => unknown): Promise<number> {
  const started = performance.now();
  await work();
  return performance.now() - started;
}
const segmentOnce = async () => {
  for await (const { logits } of segment(program, [source], { batch })) if (logits.some(Number.isNaN)) throw new Error('not a number');
};
/** The same windows predicted, with nothing cut and nothing blended. */
const predictOnce = async () => {
  for (let start = 0; start < windows.length; start += batch) {
    const count = Math.min(batch, windows.length - start);
    await program.predict({ count, images: new Uint8Array(count * side * side * 3), labels: new Uint8Array(count * side * side) });
  }
};
await segmentOnce(); // traces
const [whole, alone]: [number[], number[]] = [[], []];
for (let round = 0; round < Number(flags.rounds); round++) {
  whole.push(await timed(segmentOnce));
  alone.push(await timed(predictOnce));
}
await program.close();

/** Milliseconds to put one image of 256x192 into a batch. */
function augmentationCost(kinds: unknown): number {
  const spec = augmentationSchema.parse(kinds);
  const size = { height: 192, width: 256 };
  const labels = mask.subarray(0, 192 * 256).map(value => value / 255);
  const image = pixels.subarray(0, 192 * 256 * 3);
  const target = { images: new Uint8Array(image.length), labels: new Uint8Array(labels.length), place: 0 };
  const times: number[] = [];
  for (let sample = 0; sample < 300; sample++) {
    const started = performance.now();
    augmentInto(target, { image, labels, size }, { top: 0, left: 0, ...size }, 3, spec, { seed: 1, epoch: 1, sample });
    times.push(performance.now() - started);
  }
  return median(times.slice(100));
}
const always = { probability: 1 };
const all = { flip: always, quarterTurn: always, rotation: always, elastic: always, colour: always };
const costs = [
  ['none', augmentationCost({})],
  ...Object.keys(all).map(kind => [kind, augmentationCost({ [kind]: always })]),
  ['all together', augmentationCost(all)],
] as [string, number][];

const machine = describeMachine();
const text = `One image of ${width}x${height} by a sliding window of ${side}x${side} (${windows.length} windows, batches of ${batch}), the paper's U-Net (width 32), ${options.threads} threads:

- ${(median(whole) / 1000).toFixed(2)} s, of which ${(median(alone) / 1000).toFixed(2)} s is the network on the same number of windows; cutting and blending take the rest.
- Augmentation of one image of 256x192, on one thread, in ms: ${costs.map(([kind, ms]) => `${kind} ${ms.toFixed(2)}`).join(', ')}.
`;
console.log(text);
if (!flags['no-write']) writeResults('sliding', `${machine.cpu}, ${machine.processors} processors`, 'npm run bench:sliding', text);
