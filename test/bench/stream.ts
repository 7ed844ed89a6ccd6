/**
 * `npm run bench:stream`: a lane of the paper's U-Net gives its gradients bucket by bucket while the backward pass goes on, and as one vector
 * when the run has ended. Both take turns in one process, so that what else the machine does falls on both.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { optimizerSchema } from '../../trainer/engine/optimizer.ts';
import { cutIntoLanes } from '../../trainer/lanes.ts';
import { defaultLoss } from '../../trainer/losses/catalogue.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { createNetwork, modelSchema } from '../../trainer/models/catalogue.ts';
import { Program } from '../../trainer/program.ts';
import { generator } from '../../trainer/random.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({ options: { batch: { type: 'string', default: '8' }, pairs: { type: 'string', default: '20' } } });
const [count, height, width, channels] = [Number(flags.batch), 96, 128, 3];
/** As a worker cuts them. */
const bucketLength = 2 ** 20;
const threads = availableParallelism();
const image = { height, width, channels };
const program = await Program.create({
  network: createNetwork(modelSchema.parse({ name: 'unet' }), 1),
  ...{ image, classes: 1, exclusive: false, loss: defaultLoss('adaptiveLog'), optimizer: optimizerSchema.parse({ name: 'adam' }) },
  ...{ dtype: 'float32' as const, threads, seed: 1 },
});
const next = generator(1, 'bench');
const batch = {
  count,
  images: Uint8Array.from({ length: count * height * width * channels }, () => next() & 255),
  labels: Uint8Array.from({ length: count * height * width }, () => (next() % 5 === 0 ? 1 : 0)),
};
const lanes = cutIntoLanes(batch, image, 1);
const lengths = program.buckets(bucketLength);
/** What the exchange sends from. */
const places = lengths.map(length => new Float32Array(length));
let step = 0;
const options = () => ({
  ticket: { generation: 1, step: ++step },
  images: count,
  meet: async ([part]: readonly { data: unknown }[]) => part as never,
});

async function asVector(): Promise<number> {
  const start = performance.now();
  const [vector] = await program.contribute(lanes, options());
  let at = 0;
  for (const [bucket, length] of lengths.entries()) {
    places[bucket].set(vector.subarray(at, at + length));
    at += length;
  }
  return performance.now() - start;
}

/** Also when each bucket was there, in milliseconds before the end. */
async function inBuckets(): Promise<{ ms: number; early: number[] }> {
  const times: number[] = [];
  const start = performance.now();
  const deliver = (_: number, bucket: number) => {
    times[bucket] = performance.now();
  };
  await program.contribute(lanes, { ...options(), stream: { bucketLength, place: (_, bucket) => places[bucket], deliver } });
  const end = performance.now();
  return { ms: end - start, early: times.map(time => end - time) };
}

await asVector();
await inBuckets();
const vectors: number[] = [];
const streams: { ms: number; early: number[] }[] = [];
for (let pair = 0; pair < Number(flags.pairs); pair++) {
  if (pair % 2 === 0) vectors.push(await asVector());
  streams.push(await inBuckets());
  if (pair % 2 === 1) vectors.push(await asVector());
}
await program.close();

const { cpu, processors } = describeMachine();
const total = lengths.reduce((a, b) => a + b);
const early = lengths.map((_, bucket) => median(streams.map(stream => stream.early[bucket])));
/** Between two workers every number goes once each way. How long that takes, and what of it is left when the lane has ended, in ms. */
function exchange(gigabits: number): [whole: number, left: number] {
  const ms = (length: number) => (length * 32) / (gigabits * 1e6);
  const order = [...lengths.keys()].sort((a, b) => early[b] - early[a]);
  return [
    ms(total),
    Math.max(
      0,
      order.reduce((at, bucket) => Math.max(at, -early[bucket]) + ms(lengths[bucket]), Number.NEGATIVE_INFINITY),
    ),
  ];
}
const left = [1, 10].map(
  gigabits =>
    `at ${gigabits} Gbit/s ${exchange(gigabits)
      .map(ms => ms.toFixed(1))
      .join(' ms, of which are left ')} ms`,
);
const rows = lengths.map((length, bucket) => `| ${bucket} | ${length} | ${early[bucket].toFixed(0)} |`);
writeResults(
  'stream',
  `${cpu}, ${processors} processors`,
  'npm run bench:stream',
  `
Forward and backward of the paper's U-Net (width 32), ${count} images of ${width}x${height}x${channels}, one lane, ${threads} threads, ${flags.pairs} pairs of steps:

- as one vector, then copied into the buckets of the exchange: ${median(vectors).toFixed(0)} ms (fastest ${Math.min(...vectors).toFixed(0)});
  bucket by bucket, straight into them: ${median(streams.map(({ ms }) => ms)).toFixed(0)} ms (fastest ${Math.min(...streams.map(({ ms }) => ms)).toFixed(0)});
  median of the ratios of pairs ${median(streams.map(({ ms }, pair) => ms / vectors[pair])).toFixed(2)}.
- Two workers send every number once each way: ${left.join('; ')} when the lane has ended.

| bucket, from the first layer on | numbers | ms before the end, median |
|---|---|---|
${rows.join('\n')}
`,
);
