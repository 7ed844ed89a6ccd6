/**
 * `npm run bench:data -- --data FOLDER`: whether training waits for its data. The first steps of a run, while every image is still to be
 * decoded, the rate of decoding alone, and that of a second start, which finds all decoded.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { findCases } from '../../trainer/data/cases.ts';
import { CaseStore } from '../../trainer/data/store.ts';
import { findLibrary } from '../../trainer/engine/library.ts';
import { initJob } from '../../trainer/initJob.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { parseJob } from '../../trainer/spec.ts';
import type { StepEvent } from '../../trainer/tracking/events.ts';
import { train } from '../../trainer/train.ts';
import { writeResults } from './results.ts';

const { values: flags } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data/isic2018' },
    steps: { type: 'string', default: '30' },
    'no-write': { type: 'boolean' },
  },
});
const data = resolve(flags.data!);
const folder = mkdtempSync(join(tmpdir(), 'segfleet-bench-'));
// A cache of its own, in which nothing is decoded yet; the library stays where it is.
process.env.SEGFLEET_TENSORFLOW ??= findLibrary().folder;
process.env.SEGFLEET_CACHE = join(folder, 'cache');
const file = join(folder, 'job.yaml');
writeFileSync(file, await initJob({ name: 'bench', base: folder, data }));
// The smallest network of the catalogue: its steps are the shortest, the hardest on the reader.
const loaded = parseJob(await initJob({ name: 'bench', base: folder, data }), file, ['model.width=16']);
const { size, channels } = loaded.job.spec.data;

const cases = await findCases(data);
const fillsPerSecond = async (keep: string) => {
  const store = new CaseStore(cases, { ...size, channels }, { classes: 1, exclusive: false }, { keep });
  const started = performance.now();
  await Promise.all(
    Array.from({ length: 4 }, async (_, worker) => {
      for (let index = worker; index < cases.length; index += 4) await store.get(index);
    }),
  );
  const rate = cases.length / ((performance.now() - started) / 1000);
  await store.fill(); // keeps them
  return rate;
};
const keep = join(folder, 'keep');
const [decodedPerSecond, keptPerSecond] = [await fillsPerSecond(keep), await fillsPerSecond(keep)];

const steps: StepEvent[] = [];
for await (const event of train({ ...loaded, base: folder, out: join(folder, 'run') })) {
  if (event.event === 'step') steps.push(event);
  if (steps.length === Number(flags.steps)) break;
}
rmSync(folder, { recursive: true });

const sum = (value: (step: StepEvent) => number) => steps.reduce((total, step) => total + value(step), 0);
const seconds = sum(step => step.seconds);
const share = sum(step => step.waitSeconds) / seconds;
const machine = describeMachine();
const text = `The first ${steps.length} steps of a run on ${cases.length} images (${data.split('/').at(-1)}, resized to ${size.width}x${size.height}; width 16, batch ${loaded.job.spec.training.batch}), nothing decoded before:

- ${(100 * share).toFixed(2)} % of the time of the steps was spent waiting for data (${(sum(step => step.images) / seconds).toFixed(1)} images/s trained);
  of it ${(1000 * steps[0].waitSeconds).toFixed(0)} ms before the first step, at most ${(1000 * Math.max(...steps.slice(1).map(step => step.waitSeconds))).toFixed(1)} ms before any other.
- Decoding alone: ${decodedPerSecond.toFixed(0)} images with their masks a second, all ${cases.length} of them. A second start reads ${keptPerSecond.toFixed(0)} a second from the cache.
`;
console.log(text);
if (!flags['no-write']) writeResults('data', `${machine.cpu}, ${machine.processors} processors`, 'npm run bench:data', text);
