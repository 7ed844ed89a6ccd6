/**
 * `npm run bench:sliding`: a 999x960 image (the size of CHASE_DB1's) segmented by a sliding window, and what augmentation costs.
 */
import { parseArgs } from 'node:util';
import { programOf } from '../../trainer/course.ts';
import { augmentationSchema, augmentInto } from '../../trainer/data/augment.ts';
import { cutWindow } from '../../trainer/data/patches.ts';
import { addWindow, windowsOf } from '../../trainer/data/windows.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { Program } from '../../trainer/program.ts';
import { segment } from '../../trainer/segment.ts';
import { parseJob } from '../../trainer/spec.ts';
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
/** The same windows cut and blended, without the network. */
const cutAndBlendOnce = () => {
  const images = new Uint8Array(side * side * 3);
  const logits = new Float32Array(side * side);
  const sum = new Float32Array(width * height);
  for (const window of windowsOf(source.size, options.image)) {
    cutWindow(source.image, source.size, 3, window, images, 0);
    addWindow(logits, window, sum, source.size, 1);
  }
};
await segmentOnce(); // traces
const [whole, around]: [number[], number[]] = [[], []];
for (let round = 0; round < Number(flags.rounds); round++) {
  whole.push(await timed(segmentOnce));
  around.push(await timed(cutAndBlendOnce));
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

- ${(median(whole) / 1000).toFixed(2)} s (median of ${flags.rounds}); cutting and blending the windows takes ${median(around).toFixed(0)} ms of it.
- Augmentation of one image of 256x192, on one thread, in ms: ${costs.map(([kind, ms]) => `${kind} ${ms.toFixed(2)}`).join(', ')}.
`;
console.log(text);
if (!flags['no-write']) writeResults('sliding', `${machine.cpu}, ${machine.processors} processors`, 'npm run bench:sliding', text);
