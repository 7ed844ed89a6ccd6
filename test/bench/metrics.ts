/**
 * `npm run bench:metrics`: what it costs a run to be watched, beside a step of a small network, and what a scrape of many workers takes. Servers are in
 * another process; processor time is of this one alone, so what else the machine does is not in it.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { optimizerSchema } from '../../trainer/engine/optimizer.ts';
import { defaultLoss } from '../../trainer/losses/catalogue.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { metricNames } from '../../trainer/metrics/counts.ts';
import { createNetwork, modelSchema } from '../../trainer/models/catalogue.ts';
import { Program } from '../../trainer/program.ts';
import { generator } from '../../trainer/random.ts';
import { parseJob } from '../../trainer/spec.ts';
import { RunFolder } from '../../trainer/storage/runFolder.ts';
import { EventLog, type StepEvent, type TrainEvent } from '../../trainer/tracking/events.ts';
import { identityOf } from '../../trainer/tracking/identity.ts';
import { RunMetrics } from '../../trainer/tracking/liveMetrics.ts';
import { MlflowDelivery } from '../../trainer/tracking/mlflow.ts';
import { serveMetrics } from '../../trainer/tracking/serveMetrics.ts';
import { openSpans } from '../../trainer/tracking/spans.ts';
import { TensorBoardLog } from '../../trainer/tracking/tensorboard.ts';
import { RunTraces } from '../../trainer/tracking/traces.ts';
import { smallJob } from '../tools/jobs.ts';
import { freePort } from '../tools/ports.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '5000' },
    pairs: { type: 'string', default: '10' },
    scrapes: { type: 'string', default: '200' },
  },
});
const numSteps = Number(flags.steps);
/** Of a block with, or without, whoever watches. */
const stepsPerBlock = 5;
/** In the five seconds from one delivery to the next, at ten a second. */
const stepsPerDelivery = 50;

const root = mkdtempSync(join(tmpdir(), 'segfleet-bench-'));
const { job } = parseJob(smallJob('data'), 'job.yaml');
const onProblem = (sentence: string) => {
  throw new Error(sentence);
};

let folders = 0;
/** The folder of a run that has begun. */
function newFolder(): RunFolder {
  const folder = new RunFolder(join(root, String(folders++)));
  mkdirSync(folder.path);
  writeFileSync(folder.events, '');
  writeFileSync(folder.record, JSON.stringify({ name: 'bench', job, startedAt: `2026-11-26T12:00:00.${folders}Z`, status: 'running' }));
  return folder;
}

const startIn = (folder: RunFolder) => ({ event: 'start', folder: folder.path, epochs: 100, stepsPerEpoch: 100 }) as unknown as TrainEvent;
const phases = { exchange: 0.01, commit: 0.002, apply: 0.003 };
const stepEvent = (step: number): StepEvent => ({
  ...{ event: 'step', step, epoch: Math.ceil(step / 100), loss: 1 / step, gradientNorm: 1.5, learningRate: 0.001, logShare: 0.25 },
  ...{ images: 8, seconds: 0.1, waitSeconds: 0.001, phases },
});
const scores = Object.fromEntries(metricNames.map(name => [name, 0.5]));
const epochEvent = (epoch: number) => ({
  ...{
    event: 'epoch',
    epoch,
    step: 100 * epoch,
    loss: 1 / epoch,
    isBest: true,
    learningRate: 0.001,
    seconds: 1,
    imagesPerSecond: 80,
    waitShare: 0,
  },
  validation: { images: 10, loss: 1 / epoch, pooled: scores, perImage: scores, auc: { auc: 0.9, halfWidth: 0 } },
});

const cpuMs = (since?: NodeJS.CpuUsage) => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1000;
};

/** Processor time of this process, in microseconds a step. */
async function cost(what: (step: StepEvent) => void | Promise<void>, end: () => Promise<void> | void = () => {}): Promise<number> {
  for (let step = 1; step <= 500; step++) await what(stepEvent(step)); // until the machine code is the fast one
  const before = process.cpuUsage();
  for (let step = 501; step <= 500 + numSteps; step++) await what(stepEvent(step));
  await end();
  return (1000 * cpuMs(before)) / numSteps;
}

const sink = spawn(process.execPath, [new URL('metricsSink.ts', import.meta.url).pathname], { stdio: ['pipe', 'pipe', 'inherit'] });
const lines = createInterface({ input: sink.stdout })[Symbol.asyncIterator]();
const nextLine = async () => JSON.parse((await lines.next()).value!);
const urls: { mlflow: string; collector: string } = await nextLine();
const load = loadavg()[0];

// The log and its table are there in any case.
const logged = newFolder();
const log = await EventLog.open(logged.events, undefined, { table: logged.steps });
const ofLog = await cost(step => log.append(step, new Date()));
log.close();

const metrics = new RunMetrics(identityOf(job));
metrics.take(startIn(newFolder()));
const ofMetrics = await cost(step => metrics.take(step));

const board = new TensorBoardLog(job, { onProblem });
board.take(startIn(newFolder()));
const ofBoard = await cost(step => board.take(step));
board.close();

/** Delivery after delivery, each of what a run tells in five seconds. @returns microseconds a step, without the writing of the log */
async function costOfDeliveries(url: string, isThere: boolean): Promise<number> {
  const folder = newFolder();
  const delivery = new MlflowDelivery(folder, { url, experiment: 'bench' });
  let lines = '';
  const line = (step: StepEvent) => `${JSON.stringify({ time: new Date().toISOString(), ...step })}\n`;
  const writing = async (step: StepEvent) => {
    lines += line(step);
    if (step.step % stepsPerDelivery > 0) return;
    appendFileSync(folder.events, lines);
    lines = '';
  };
  const alone = await cost(writing);
  writeFileSync(folder.events, '');
  const whole = await cost(async step => {
    await writing(step);
    if (step.step % stepsPerDelivery > 0) return;
    const delivering = delivery.deliver();
    await (isThere ? delivering : delivering.catch(() => {}));
  });
  await delivery.close();
  return whole - alone;
}
console.error(`metrics ${ofMetrics.toFixed(0)}, TensorBoard ${ofBoard.toFixed(0)} us a step`);
const ofMlflow = await costOfDeliveries(urls.mlflow, true);
const ofAway = await costOfDeliveries(`http://127.0.0.1:${await freePort()}`, false);

console.error(`MLflow ${ofMlflow.toFixed(0)}, away ${ofAway.toFixed(0)} us a step`);
const spans = (await openSpans({ onProblem, env: { OTEL_EXPORTER_OTLP_ENDPOINT: urls.collector } }))!;
const traces = new RunTraces(spans, 'bench');
const ofTraces = await cost(
  async step => {
    traces.take(step);
    // Slowly enough for the collector to keep up: else spans are dropped, which is cheap.
    if (step.step % stepsPerDelivery === 0) await new Promise(resolve => setTimeout(resolve, 20));
  },
  () => traces.close(),
);
sink.stdin.end();
const taken: { values: number; spans: number } = await nextLine();

console.error(`traces ${ofTraces.toFixed(0)} us a step`);

// A step of a small network, with all of them and without, in turn.
const [count, height, width] = [4, 96, 128];
const program = await Program.create({
  network: createNetwork(modelSchema.parse({ name: 'unet', width: 16 }), 1),
  ...{ image: { height, width, channels: 3 }, classes: 1, exclusive: false },
  ...{ loss: defaultLoss('adaptiveLog'), optimizer: optimizerSchema.parse({ name: 'adam' }) },
  ...{ dtype: 'float32' as const, threads: availableParallelism(), seed: 1 },
});
const next = generator(1, 'bench');
const batch = {
  count,
  images: Uint8Array.from({ length: count * height * width * 3 }, () => next() & 255),
  labels: Uint8Array.from({ length: count * height * width }, () => (next() % 5 === 0 ? 1 : 0)),
};
const watching = new TensorBoardLog(job, { onProblem });
watching.take(startIn(newFolder()));
let done = 0;
async function block(isWatched: boolean): Promise<{ wall: number; cpu: number }> {
  const [start, before] = [performance.now(), process.cpuUsage()];
  for (let i = 0; i < stepsPerBlock; i++) {
    const { loss, gradientNorm } = await program.step(batch, { step: ++done, learningRate: 0.001 });
    if (!isWatched) continue;
    const event = { ...stepEvent(done), loss, gradientNorm };
    metrics.take(event);
    watching.take(event);
  }
  return { wall: (performance.now() - start) / stepsPerBlock, cpu: cpuMs(before) / stepsPerBlock };
}
await block(false);
const [watched, plain]: { wall: number; cpu: number }[][] = [[], []];
for (let pair = 0; pair < Number(flags.pairs); pair++) {
  for (const isWatched of pair % 2 === 0 ? [true, false] : [false, true]) (isWatched ? watched : plain).push(await block(isWatched));
}
watching.close();
await program.close();
const of = (blocks: typeof plain, key: 'wall' | 'cpu') => median(blocks.map(one => one[key]));
const [stepWall, stepCpu] = [of(plain, 'wall'), of(plain, 'cpu')];

// A scrape of 64 workers, after a thousand steps and fifty epochs.
const numWorkers = 64;
const fleet = new RunMetrics(identityOf(job));
fleet.take(startIn(newFolder()));
for (let step = 1; step <= 1000; step++) fleet.take(stepEvent(step));
for (let epoch = 1; epoch <= 50; epoch++) fleet.take(epochEvent(epoch) as never);
const workers = Array.from({ length: numWorkers }, (_, rank) => ({
  id: `w${rank}`,
  rank,
  lanes: 1,
  silentMs: rank,
  seconds: 0.1,
  lateMs: rank,
}));
fleet.take({ event: 'workers', phase: 'stepping', generation: 3, workers, dropped: { checksum: 1 }, refused: { key: 1 } });
const server = await serveMetrics('0', fleet);
const scrapes: number[] = [];
let text = '';
for (let i = 0; i < Number(flags.scrapes); i++) {
  const start = performance.now();
  text = await (await fetch(`${server.url}/metrics`)).text();
  scrapes.push(performance.now() - start);
}
await server.close();
for (const one of [metrics, fleet]) await one.close(AbortSignal.abort());
rmSync(root, { recursive: true });
const series = text.split('\n').filter(line => line !== '' && !line.startsWith('#')).length;
const ofWorkers = text.split('\n').filter(line => /rank="\d+"/.test(line)).length;
if (ofWorkers < numWorkers) throw new Error(`only ${ofWorkers} series of ${numWorkers} workers`);

const { cpu, processors } = describeMachine();
const share = (us: number) => `${((100 * us) / 1000 / stepCpu).toFixed(3)} %`;
const row = (what: string, us: number) => `| ${what} | ${us.toFixed(0)} | ${share(us)} |`;
const all = ofMetrics + ofBoard + ofMlflow + ofTraces;
const worst = [...scrapes].sort((a, b) => a - b).at(Math.floor(0.99 * scrapes.length))!;
writeResults(
  'metrics',
  `${cpu}, ${processors} processors`,
  'npm run bench:metrics',
  `
Processor time of the process that leads a run, a step, over ${numSteps} steps; MLflow and the collector are in another process. Beside it the processor time of a step of a small
network (U-Net of width 16, ${count} images of ${height} x ${width}): ${stepCpu.toFixed(0)} ms, ${stepWall.toFixed(0)} ms of the clock. The load of the machine was ${load.toFixed(1)} when it began.

| what | µs a step | share of a step |
|---|---|---|
| metrics.ndjson and steps.csv, always | ${ofLog.toFixed(0)} | ${share(ofLog)} |
${row('metrics for Prometheus', ofMetrics)}
${row('TensorBoard', ofBoard)}
${row(`MLflow, a delivery every ${stepsPerDelivery} steps`, ofMlflow)}
${row('MLflow that is away, an attempt as often', ofAway)}
${row('traces, six spans a step', ofTraces)}
${row('all that may be asked for', all)}

Nothing was lost: ${taken.values} values and ${taken.spans} spans came. The same steps with metrics and TensorBoard and without, ${flags.pairs} blocks of ${stepsPerBlock} each in turn: median processor time
${of(watched, 'cpu').toFixed(1)} and ${stepCpu.toFixed(1)} ms a step, of the clock ${of(watched, 'wall').toFixed(1)} and ${stepWall.toFixed(1)} ms. What the two cost by the table is ${((ofMetrics + ofBoard) / 1000).toFixed(2)} ms: more than that is noise of the machine.

A scrape of a run of ${numWorkers} workers over HTTP (${series} series, ${(text.length / 1024).toFixed(0)} KiB), ${scrapes.length} times: median ${median(scrapes).toFixed(1)} ms, 99 of 100 below ${worst.toFixed(1)} ms.
`,
);
console.log(`all trackers: ${all.toFixed(0)} us a step, ${share(all)}; a scrape ${median(scrapes).toFixed(1)} ms`);
