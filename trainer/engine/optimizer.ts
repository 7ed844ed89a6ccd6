/**
 * Optimisers as nodes of the step's graph, one native operation a variable. The hyper-parameters that change while a run goes on
 * (learning rate, Adam's bias corrections) are fed, so that a schedule does not rebuild the graph.
 */
import { z } from 'zod';
import { bool, type Graph, type Operation, type Output, shape, string, type } from './graph.ts';
import { float32Scalar, type HostTensor } from './tensor.ts';

const rate = z.number().positive().max(100).describe('Before the schedule.');
const decayRate = z.number().min(0).lt(1);

const adamFields = {
  learningRate: rate.default(1e-4),
  beta1: decayRate.default(0.9).describe('Decay of the moving mean of gradients.'),
  beta2: decayRate.default(0.999).describe('Decay of the moving mean of their squares.'),
  epsilon: z
    .number()
    .positive()
    .default(1e-7)
    .describe('Added outside the bias-corrected root, as Keras does; its default is that of Keras too.'),
};

export const optimizerSchema = z.discriminatedUnion('name', [
  z.strictObject({ name: z.literal('adam'), ...adamFields }).describe('Kingma and Ba 2015'),
  z
    .strictObject({
      name: z.literal('adamw'),
      ...adamFields,
      weightDecay: z
        .number()
        .min(0)
        .default(0.004)
        .describe('Share of each convolution kernel that is subtracted a step, times the learning rate; biases and batch norm are exempt.'),
    })
    .describe('Adam with decoupled weight decay, Loshchilov and Hutter 2019'),
  z
    .strictObject({
      name: z.literal('sgd'),
      learningRate: rate.default(1e-3),
      momentum: decayRate.default(0.9).describe('Share of the last step that is taken again.'),
      nesterov: z.boolean().default(true).describe('Takes the gradient where the momentum leads.'),
    })
    .describe('stochastic gradient descent with momentum'),
]);
export type OptimizerSpec = z.infer<typeof optimizerSchema>;

/** A variable of the graph, by its resource handle. */
export interface GraphVariable {
  readonly name: string;
  readonly shape: readonly number[];
  readonly handle: Output;
}

export interface Optimizer {
  /** State that belongs to the run's checkpoint: one value of the parameter's shape each, zero at first. */
  readonly slotNames: readonly string[];
  /** The operations that bring one parameter a step further. `decay`: whether weight decay, where there is one, applies to it. */
  apply(parameter: GraphVariable, gradient: Output, slots: readonly GraphVariable[], decay: boolean): Operation;
  /** What to feed at step `step` (from 1). */
  feeds(step: number, learningRate: number): [Output, HostTensor][];
}

const T = { T: type('float32') };

export function createVariable(graph: Graph, name: string, dimensions: readonly number[]): GraphVariable {
  const handle = graph.output(
    'VarHandleOp',
    [],
    { dtype: type('float32'), shape: shape(dimensions), shared_name: string(name) },
    { name: `variable/${name}` },
  );
  return { name, shape: dimensions, handle };
}

export function createOptimizer(graph: Graph, spec: OptimizerSpec): Optimizer {
  const scalar = (value: number) => graph.constant(float32Scalar(value));
  const fed = (name: string) => graph.placeholder('float32', [], `optimizer/${name}`);
  const learningRate = fed('learningRate');

  if (spec.name === 'sgd') {
    // Keras's momentum: the step taken, learning rate included, is what decays.
    const momentum = scalar(spec.momentum);
    return {
      slotNames: ['momentum'],
      apply: (parameter, gradient, [accumulated]) =>
        graph.add('ResourceApplyKerasMomentum', [parameter.handle, accumulated.handle, learningRate, gradient, momentum], {
          ...T,
          use_nesterov: bool(spec.nesterov),
        }),
      feeds: (_step, rate) => [[learningRate, float32Scalar(rate)]],
    };
  }

  const [beta1, beta2, epsilon] = [spec.beta1, spec.beta2, spec.epsilon].map(scalar);
  const [beta1Power, beta2Power] = ['beta1Power', 'beta2Power'].map(fed);
  const decayFactor = spec.name === 'adamw' ? graph.output('Mul', [learningRate, scalar(spec.weightDecay)], T) : undefined;
  return {
    slotNames: ['m', 'v'],
    apply(parameter, gradient, [m, v], decay) {
      const after: Operation[] = [];
      if (decayFactor && decay) {
        // Decoupled: the parameter shrinks by itself, untouched by Adam's normalisation (Loshchilov and Hutter 2019, algorithm 2).
        const value = graph.output('ReadVariableOp', [parameter.handle], { dtype: type('float32') });
        const loss = graph.output('Mul', [value, decayFactor], T);
        // The gradient has used the parameter when it is there; only then may it change.
        after.push(graph.add('AssignSubVariableOp', [parameter.handle, loss], { dtype: type('float32') }, { after: [gradient.oper] }));
      }
      const inputs = [parameter.handle, m.handle, v.handle, beta1Power, beta2Power, learningRate, beta1, beta2, epsilon, gradient];
      return graph.add('ResourceApplyAdam', inputs, T, { after });
    },
    feeds: (step, rate) => [
      [learningRate, float32Scalar(rate)],
      [beta1Power, float32Scalar(spec.beta1 ** step)],
      [beta2Power, float32Scalar(spec.beta2 ** step)],
    ],
  };
}

/** The norm of all gradients together, and, where `clipNorm` is given, the gradients scaled down to that norm (Pascanu et al. 2013, algorithm 1). */
export function clipByGlobalNorm(
  graph: Graph,
  gradients: readonly Output[],
  clipNorm: number | undefined,
): { norm: Output; gradients: readonly Output[] } {
  const halves = gradients.map(gradient => graph.output('L2Loss', [gradient], T));
  const sum = graph.output('AddN', [halves], T);
  const norm = graph.output('Sqrt', [graph.output('Mul', [sum, graph.constant(float32Scalar(2))], T)], T);
  if (clipNorm === undefined) return { norm, gradients };
  const limit = graph.constant(float32Scalar(clipNorm));
  const scale = graph.output('RealDiv', [limit, graph.output('Maximum', [norm, limit], T)], T);
  return { norm, gradients: gradients.map(gradient => graph.output('Mul', [gradient, scale], T)) };
}
