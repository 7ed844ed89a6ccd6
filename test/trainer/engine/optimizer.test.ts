import { describe, expect, test } from 'vitest';
import { Graph, type Output, type as typeOf } from '../../../trainer/engine/graph.ts';
import {
  clipByGlobalNorm,
  createOptimizer,
  createVariable,
  type OptimizerSpec,
  optimizerSchema,
} from '../../../trainer/engine/optimizer.ts';
import { Session } from '../../../trainer/engine/session.ts';
import { float32 } from '../../../trainer/engine/tensor.ts';
import { relativeDifference } from '../../tools/numbers.ts';

const start = [1, -2, 0.5];
const gradients = [
  [0.1, -0.2, 3],
  [-0.3, 0.4, 0],
  [0.05, 0.05, -1],
];
const rates = [0.1, 0.05, 0.2];

/** The parameter after each of three steps with those gradients and rates, by the graph. */
async function byGraph(spec: OptimizerSpec, decay: boolean): Promise<number[]> {
  const graph = new Graph();
  const optimizer = createOptimizer(graph, spec);
  const dtype = { dtype: typeOf('float32') };
  const parameter = createVariable(graph, 'parameter', [3]);
  const slots = optimizer.slotNames.map(name => createVariable(graph, name, [3]));
  const fed = graph.placeholder('float32', [3]);
  const assign = [parameter, ...slots].map(({ handle }) => graph.add('AssignVariableOp', [handle, fed], dtype));
  const apply = optimizer.apply(parameter, fed, slots, decay);
  const read = graph.output('ReadVariableOp', [parameter.handle], dtype);
  const session = new Session(graph, { threads: 1 });
  await session.run([[fed, float32(Float32Array.from(start))]], [], [assign[0]]);
  for (const slot of assign.slice(1)) await session.run([[fed, float32(new Float32Array(3))]], [], [slot]);
  const after: number[] = [];
  for (const [i, gradient] of gradients.entries()) {
    await session.run([[fed, float32(Float32Array.from(gradient))], ...optimizer.feeds(i + 1, rates[i])], [], [apply]);
    after.push(...((await session.run([], [read]))[0].data as Float32Array));
  }
  await session.close();
  return after;
}

/** The same from the papers' formulas, in double precision. */
function byFormula(spec: OptimizerSpec, decay: boolean): number[] {
  const w = [...start];
  const [a, b] = [start.map(() => 0), start.map(() => 0)];
  return gradients.flatMap((gradient, i) => {
    const [t, rate] = [i + 1, rates[i]];
    gradient.forEach((g, k) => {
      if (spec.name === 'sgd') {
        a[k] = spec.momentum * a[k] - rate * g;
        w[k] += spec.nesterov ? spec.momentum * a[k] - rate * g : a[k];
        return;
      }
      if (spec.name === 'adamw' && decay) w[k] -= rate * spec.weightDecay * w[k];
      a[k] = spec.beta1 * a[k] + (1 - spec.beta1) * g;
      b[k] = spec.beta2 * b[k] + (1 - spec.beta2) * g * g;
      // Keras's form: both corrections in the rate, epsilon beside the uncorrected root.
      const corrected = (rate * Math.sqrt(1 - spec.beta2 ** t)) / (1 - spec.beta1 ** t);
      w[k] -= (corrected * a[k]) / (Math.sqrt(b[k]) + spec.epsilon);
    });
    return [...w];
  });
}

describe.each([
  ['Adam', { name: 'adam' }],
  ['Adam with other betas', { name: 'adam', beta1: 0.5, beta2: 0.9, epsilon: 1e-3 }],
  ['AdamW', { name: 'adamw', weightDecay: 0.1 }],
  ['SGD with Nesterov momentum', { name: 'sgd' }],
  ['SGD with plain momentum', { name: 'sgd', nesterov: false, momentum: 0.5 }],
  ['SGD without momentum', { name: 'sgd', nesterov: false, momentum: 0 }],
])('%s', (_, fields) => {
  const spec = optimizerSchema.parse(fields);

  test.each([true, false])('takes the three steps of its formula (weight decay applies: %s)', async decay => {
    expect(relativeDifference(await byGraph(spec, decay), byFormula(spec, decay))).toBeLessThan(1e-5);
  });
});

test('the defaults are those of Keras: epsilon 1e-7, betas 0.9 and 0.999', () => {
  expect(optimizerSchema.parse({ name: 'adam' })).toEqual({ name: 'adam', learningRate: 1e-4, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 });
});

describe('clipping by the global norm', () => {
  const parts = [Float32Array.of(3, 0), Float32Array.of(0, 4, 0)]; // norm 5

  async function clip(clipNorm: number | undefined): Promise<number[]> {
    const graph = new Graph();
    const outputs: Output[] = parts.map(part => graph.constant(float32(part)));
    const { norm, gradients: clipped } = clipByGlobalNorm(graph, outputs, clipNorm);
    const session = new Session(graph, { threads: 1 });
    const results = await session.run([], [norm, ...clipped]);
    await session.close();
    return results.flatMap(({ data }) => Array.from(data as Float32Array));
  }

  test.each([
    ['scales to the limit when the norm is above it', 1, [5, 0.6, 0, 0, 0.8, 0]],
    ['leaves gradients alone when it is below', 10, [5, 3, 0, 0, 4, 0]],
    ['leaves them alone without a limit, and still gives the norm', undefined, [5, 3, 0, 0, 4, 0]],
  ])('%s', async (_, limit, expected) => {
    expect(relativeDifference(await clip(limit), expected)).toBeLessThan(1e-6);
  });
});
