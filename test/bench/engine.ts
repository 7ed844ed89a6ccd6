/**
 * `npm run bench:engine`: one training step of the paper's U-Net (`-- --model focusnet`: of FocusNet) here, in Keras and in PyTorch, in one run on one machine. Every
 * contender is a process of its own that stays; they take turns, so that what else the machine does falls on all. Medians.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type * as tf from '@tensorflow/tfjs';
import { tensorOf, trace } from '../../trainer/engine/backend.ts';
import { bool, Graph, int, type } from '../../trainer/engine/graph.ts';
import { hasBfloat16Hardware } from '../../trainer/engine/precision.ts';
import { Session } from '../../trainer/engine/session.ts';
import { describeMachine } from '../../trainer/machine.ts';
import { createNetwork, modelSchema } from '../../trainer/models/catalogue.ts';
import { Layers } from '../../trainer/models/layers.ts';
import { peersPython } from './peers.ts';
import { median, writeResults } from './results.ts';

const { values: flags } = parseArgs({
  options: {
    model: { type: 'string', default: 'unet' },
    rounds: { type: 'string', default: '8' },
    only: { type: 'string', default: '' },
    'no-write': { type: 'boolean' },
  },
});
const spec = { model: flags.model!, batch: 4, height: 128, width: 128, channels: 3, base: 32, threads: availableParallelism() };
const model = modelSchema.parse(spec.model === 'unet' ? { name: 'unet', width: spec.base } : { name: spec.model });
const stepsPerTurn = 3;

interface Contender {
  readonly name: string;
  readonly group: 'segfleet' | 'Keras' | 'PyTorch';
  readonly precision: 'float32' | 'bfloat16';
  readonly command: readonly string[];
}

interface FirstLine {
  readonly firstStepSeconds: number;
  readonly version: string;
  readonly parameters: number;
  readonly traceMs?: number;
  readonly nodes?: number;
}

class Running {
  readonly contender: Contender;
  readonly times: number[] = [];
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #lines: AsyncIterator<string>;

  constructor(contender: Contender) {
    this.contender = contender;
    const [command, ...rest] = contender.command;
    this.#child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] }) as unknown as ChildProcessWithoutNullStreams;
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  async line<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.contender.name} ended early`);
    return JSON.parse(value) as T;
  }

  async turn(): Promise<void> {
    this.#child.stdin.write(`${stepsPerTurn}\n`);
    this.times.push(...(await this.line<number[]>()));
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    await new Promise(resolve => this.#child.once('exit', resolve));
  }
}

/** Products and sums of all convolutions of a step, forward and both gradients; the image itself needs none. */
function convolutionFlops(): number {
  const graph = new Graph();
  let total = 0;
  let image: tf.Tensor4D;
  const count = (x: tf.Tensor4D, [rows, columns]: readonly number[], size: number, filters: number) => {
    total += (x === image ? 2 : 3) * 2 * spec.batch * rows * columns * size ** 2 * x.shape[3] * filters;
  };
  class Counting extends Layers {
    override convolution(...call: Parameters<Layers['convolution']>) {
      const y = super.convolution(...call);
      count(call[1], y.shape.slice(1), call[2].size ?? 3, call[2].filters);
      return y;
    }
    override upConvolution(...call: Parameters<Layers['upConvolution']>) {
      const y = super.upConvolution(...call);
      count(call[1], y.shape.slice(1), 2, call[2]);
      return y;
    }
  }
  trace(graph, () => {
    image = tensorOf(graph.placeholder('float32', [1, spec.height, spec.width, spec.channels])) as tf.Tensor4D;
    const layers = new Counting({ parameter: ({ shape }) => tensorOf(graph.placeholder('float32', shape)), training: false });
    createNetwork(model, 1)(layers, image);
  });
  graph.close();
  return total;
}

/** Median rate of a 4096-cube float32 matrix product in the same library, in FLOP/s. */
async function matrixProductRate(): Promise<number> {
  const side = 4096;
  const graph = new Graph();
  const random = () => {
    const shape = graph.constant({ dtype: 'int32', shape: [2], data: Int32Array.of(side, side) });
    return graph.output('RandomStandardNormal', [shape], { dtype: type('float32'), T: type('int32'), seed: int(1), seed2: int(2) });
  };
  const dtype = { dtype: type('float32') };
  const variables = [0, 1].map(() => graph.output('VarHandleOp', [], { ...dtype, shape: { kind: 'shape', value: [side, side] } }));
  const assign = variables.map(variable => graph.add('AssignVariableOp', [variable, random()], dtype));
  const [a, b] = variables.map(variable => graph.output('ReadVariableOp', [variable], dtype));
  const product = graph.output('MatMul', [a, b], { T: type('float32'), transpose_a: bool(false), transpose_b: bool(false) });
  const corner = graph.output(
    'Slice',
    [
      product,
      ...[
        [0, 0],
        [1, 1],
      ].map(data => graph.constant({ dtype: 'int32', shape: [2], data: Int32Array.from(data) })),
    ],
    {
      T: type('float32'),
      Index: type('int32'),
    },
  );
  const session = new Session(graph, { threads: spec.threads });
  await session.run([], [], assign);
  const rates: number[] = [];
  for (let i = 0; i < 7; i++) {
    const start = performance.now();
    await session.run([], [corner]);
    rates.push((2 * side ** 3) / ((performance.now() - start) / 1e3));
  }
  await session.close();
  return median(rates.slice(1));
}

function helpSeconds(): number {
  const launcher = new URL('../../bin/segfleet.mjs', import.meta.url).pathname;
  const times = Array.from({ length: 9 }, () => {
    const start = performance.now();
    execFileSync(process.execPath, [launcher, '--help'], { stdio: 'ignore' });
    return (performance.now() - start) / 1e3;
  });
  return median(times);
}

const folder = mkdtempSync(join(tmpdir(), 'segfleet-bench-'));
const file = join(folder, 'spec.json');
writeFileSync(file, JSON.stringify(spec));
const here = (name: string) => new URL(name, import.meta.url).pathname;
const python = await peersPython();
const keras = (mode: string): Contender => ({
  name: `Keras, ${mode}`,
  group: 'Keras',
  precision: 'float32',
  command: [python, here('peers/keras_step.py'), file, mode],
});
const torch = (mode: string, precision: Contender['precision'] = 'float32'): Contender => ({
  name: `PyTorch, ${mode}`,
  group: 'PyTorch',
  precision,
  command: [python, here('peers/torch_step.py'), file, mode],
});
const ours = (precision: Contender['precision']): Contender => ({
  name: `segfleet, ${precision}`,
  group: 'segfleet',
  precision,
  command: [process.execPath, here('step.ts'), file, precision],
});
const all = [
  ours('float32'),
  keras('tf.function'),
  keras('train_on_batch'),
  torch('eager'),
  torch('channels_last'),
  ...(hasBfloat16Hardware() ? [ours('bfloat16'), torch('eager+bfloat16', 'bfloat16'), torch('channels_last+bfloat16', 'bfloat16')] : []),
].filter(({ name }) => name.includes(flags.only!) || name.startsWith('segfleet'));

const running: { contender: Running; first: FirstLine }[] = [];
for (const contender of all) {
  const process_ = new Running(contender);
  running.push({ contender: process_, first: await process_.line<FirstLine>() }); // one after the other: first steps are timed too
}
for (let round = 0; round < Number(flags.rounds); round++) {
  for (const { contender } of running) await contender.turn();
}
for (const { contender } of running) await contender.end();
rmSync(folder, { recursive: true });

const flops = convolutionFlops();
const rate = await matrixProductRate();
const help = helpSeconds();
const millis = (name: Running) => median(name.times);
const oursOf = (precision: string) =>
  running.find(({ contender: { contender } }) => contender.group === 'segfleet' && contender.precision === precision)!;
const rows = running.map(({ contender, first }) => {
  const own = millis(oursOf(contender.contender.precision).contender);
  const ms = millis(contender);
  return `| ${contender.contender.name} | ${ms.toFixed(0)} | ${Math.min(...contender.times).toFixed(0)} | ${(ms / own).toFixed(2)} | ${first.firstStepSeconds.toFixed(1)} |`;
});
const own = oursOf('float32');
const share = flops / (millis(own.contender) / 1e3) / rate;
const machine = describeMachine();
const name = spec.model === 'unet' ? `the paper's U-Net (width ${spec.base}, ` : `${spec.model} (`;
const text = `One training step of ${name}${own.first.parameters.toLocaleString('en')} parameters), ${spec.batch} images of ${spec.height}x${spec.width}x${spec.channels}, ALL(Dice) pooled over the
batch, Adam, ${spec.threads} threads. Contenders took turns of ${stepsPerTurn} steps, ${flags.rounds} rounds.

| contender | ms a step, median | fastest | ratio to segfleet | first step after, s |
|---|---|---|---|---|
${rows.join('\n')}

- ${(flops / 1e9).toFixed(1)} GFLOP of convolutions a step (as the layers say): ${(flops / millis(own.contender) / 1e6).toFixed(0)} GFLOP/s at the median, ${(flops / Math.min(...own.contender.times) / 1e6).toFixed(0)} at the fastest step; a 4096-cube float32 matrix product in the same library: ${(rate / 1e9).toFixed(0)} GFLOP/s; the step reaches ${(100 * share).toFixed(0)} % of it.
- Tracing: ${own.first.traceMs!.toFixed(0)} ms, ${own.first.nodes} nodes. \`segfleet --help\`: ${help.toFixed(2)} s.
- ${[...new Set(running.map(({ first }) => first.version))].join('; ')}. bfloat16: ${hasBfloat16Hardware() ? 'measured' : 'not measured, this processor has no hardware for it'}.
`;
console.log(text);
if (!flags['no-write'])
  writeResults(
    spec.model === 'unet' ? 'engine' : spec.model,
    `${machine.cpu}, ${machine.processors} processors (${machine.instructions.join(' ')})`,
    `npm run bench:engine${spec.model === 'unet' ? '' : ` -- --model ${spec.model}`}`,
    text,
  );
