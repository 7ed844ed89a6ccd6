/**
 * Training steps of this engine, timed on request: `node step.ts SPEC.json DTYPE`, then a number of steps a line on stdin.
 */
import { readFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { createInterface } from 'node:readline';
import { preloadTensorFlow } from '../../trainer/engine/native.ts';

enableCompileCache(); // as the command line does
void preloadTensorFlow();
const { loadTensorFlow } = await import('../../trainer/engine/native.ts');
const { optimizerSchema } = await import('../../trainer/engine/optimizer.ts');
const { defaultLoss } = await import('../../trainer/losses/catalogue.ts');
const { createNetwork, modelSchema } = await import('../../trainer/models/catalogue.ts');
const { countParameters } = await import('../../trainer/models/layers.ts');
const { Program } = await import('../../trainer/program.ts');
const { generator } = await import('../../trainer/random.ts');

const spec = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const dtype = process.argv[3] as 'float32' | 'bfloat16';
const { model, batch: count, height, width, channels, base, threads } = spec;
const program = await Program.create({
  network: createNetwork(modelSchema.parse({ name: model, dropout: 0, ...(model === 'unet' && { width: base }) }), 1),
  image: { height, width, channels },
  classes: 1,
  exclusive: false,
  loss: defaultLoss('adaptiveLog'),
  optimizer: optimizerSchema.parse({ name: 'adam' }),
  dtype,
  threads,
  seed: 1,
});
const beforeTrace = performance.now();
program.prepare(count);
const traceMs = performance.now() - beforeTrace;
const next = generator(1, 'bench');
const batch = {
  count,
  images: Uint8Array.from({ length: count * height * width * channels }, () => next() & 255),
  labels: Uint8Array.from({ length: count * height * width }, () => (next() % 5 === 0 ? 1 : 0)),
};
let step = 0;
async function timed(): Promise<number> {
  const start = performance.now();
  await program.step(batch, { step: ++step, learningRate: 1e-4 });
  return performance.now() - start;
}

const firstStepMs = await timed();
const report = {
  // `performance.now` counts from the start of the process.
  firstStepSeconds: performance.now() / 1e3,
  firstStepMs,
  traceMs,
  nodes: program.numNodes,
  version: `segfleet, TensorFlow ${loadTensorFlow().version}`,
  parameters: countParameters(program.parameters),
};
process.stdout.write(`${JSON.stringify(report)}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  const times: number[] = [];
  for (let i = 0; i < Number(line); i++) times.push(await timed());
  process.stdout.write(`${JSON.stringify(times)}\n`);
}
await program.close();
