/**
 * Losses on a handful of numbers, for `losses value` and `losses explain`: computed by tfjs alone, without the TensorFlow library.
 */

import * as tf from '@tensorflow/tfjs';
import { parse as parseYaml } from 'yaml';
import { SegfleetError } from '../errors.ts';
import { signedDistance } from '../metrics/distance.ts';
import { nearest } from '../nearest.ts';
import { adaptiveLogAt } from './adaptiveLog.ts';
import { type LossName, type LossSpec, losses, lossSchema, needsDistance } from './catalogue.ts';
import { createLoss } from './create.ts';

tf.enableProdMode(); // no hints on the console

export interface LossAt {
  readonly value: number;
  /** Of the loss, by the probability and by the logit of each pixel. */
  readonly gradient: { readonly probability: number[]; readonly logit: number[] };
}

/** Probabilities of 0 and 1 have infinite logits; they are kept this far inside, as Keras does. */
const smallest = 1e-7;

/**
 * @param probabilities of the pixels of one image, each in [0, 1]
 * @param target of the same pixels, each in [0, 1]
 */
export function lossAt(spec: LossSpec, probabilities: readonly number[], target: readonly number[]): LossAt {
  void tf.setBackend('cpu');
  const inside = probabilities.map(p => Math.min(Math.max(p, smallest), 1 - smallest));
  return tf.tidy(() => {
    const shape: [number, number, number, number] = [1, 1, inside.length, 1];
    const logits = tf.tensor4d(
      inside.map(p => Math.log(p / (1 - p))),
      shape,
    );
    const truth = {
      target_NHWC: tf.tensor4d([...target], shape),
      soft: target.some(t => t > 0 && t < 1),
      ...(needsDistance(spec) && { distance_NHWC: tf.tensor4d(distancesInRow(target), shape) }),
    };
    const differentiate = tf.valueAndGrad(z => createLoss(spec)(z as tf.Tensor4D, truth).value);
    const { value, grad } = differentiate(logits);
    const logit = Array.from(grad.dataSync());
    return { value: value.dataSync()[0], gradient: { probability: logit.map((g, i) => g / (inside[i] * (1 - inside[i]))), logit } };
  });
}

/** The pixels stand in one row. */
const distancesInRow = (target: readonly number[]): Float32Array =>
  signedDistance(
    Uint8Array.from(target, t => (t >= 0.5 ? 1 : 0)),
    { height: 1, width: target.length },
  );

export interface CurvePoint {
  readonly x: number;
  readonly value: number;
  readonly derivative: number;
}

export interface LossExplanation {
  readonly name: LossName;
  readonly summary: string;
  readonly formula: string;
  readonly source: string;
  readonly options: LossSpec;
  /** What runs along the curve. */
  readonly x: string;
  readonly slopes: readonly { readonly at: string; readonly slope: number }[];
  readonly curve: readonly CurvePoint[];
  /** Where the curve has a kink. */
  readonly kink?: { readonly x: number; readonly label: string };
}

const numPoints = 201;

/**
 * The paper's Figure 1 for ALL: value and derivative against the loss that it wraps. For the others the same against an error e, made
 * on four pixels of which two are foreground: each predicted with the probability e of being wrong.
 */
export function explainLoss(spec: LossSpec): LossExplanation {
  const { summary, formula, source } = losses[spec.name];
  const common = { name: spec.name, summary, formula, source, options: spec };
  if (spec.name === 'adaptiveLog') {
    const { gamma, omega, epsilon } = spec;
    const end = Math.max(1, 2 * gamma);
    const curve = Array.from({ length: numPoints }, (_, i) => {
      const x = (end * i) / (numPoints - 1);
      return { x, ...adaptiveLogAt(x, spec) };
    });
    // Both sides of the kink, so that the jump is drawn upright.
    const below = { x: gamma, value: omega * Math.log1p(gamma / epsilon), derivative: omega / (epsilon + gamma) };
    const above = { x: gamma, ...adaptiveLogAt(gamma, spec) };
    const slopes = [
      { at: '0', slope: adaptiveLogAt(0, spec).derivative },
      { at: `gamma = ${gamma}, from below`, slope: below.derivative },
      { at: `gamma = ${gamma}, from above`, slope: above.derivative },
      { at: '1', slope: adaptiveLogAt(1, spec).derivative },
    ];
    const points = [...curve.filter(({ x }) => x < gamma), below, above, ...curve.filter(({ x }) => x > gamma)];
    return { ...common, x: `wrapped loss (${spec.of.name})`, slopes, curve: points, kink: { x: gamma, label: `gamma = ${gamma}` } };
  }
  const target = [1, 0, 1, 0];
  const at = (x: number): CurvePoint => {
    const { value, gradient } = lossAt(
      spec,
      target.map(t => t * (1 - x) + (1 - t) * x),
      target,
    );
    return { x, value, derivative: gradient.probability.reduce((sum, g, i) => sum + g * (1 - 2 * target[i]), 0) };
  };
  const ends = [0.001, 0.999];
  const curve = Array.from({ length: numPoints }, (_, i) => at(ends[0] + ((ends[1] - ends[0]) * i) / (numPoints - 1)));
  const slopes = [curve[0], curve.at(-1)!].map(({ x, derivative }) => ({ at: String(x), slope: derivative }));
  return { ...common, x: 'error e of each pixel', slopes, curve };
}

/** A loss from its name and `field=value` settings (`of.name=jaccard`, `smooth=0`). @throws usage */
export function parseLoss(name: string, settings: readonly string[]): LossSpec {
  if (!(name in losses)) {
    const known = Object.keys(losses);
    const near = nearest(name, known, 4);
    const hint = near ? `did you mean ${near}?` : `known are ${known.join(', ')}`;
    throw new SegfleetError('usage', `there is no loss ${name}; ${hint}`);
  }
  const fields: Record<string, unknown> = { name };
  for (const setting of settings) {
    const [path, text] = [setting.slice(0, setting.indexOf('=')), setting.slice(setting.indexOf('=') + 1)];
    if (!setting.includes('=') || path === '')
      throw new SegfleetError('usage', `--set ${setting}: field=value is expected, for example --set smooth=0`);
    const keys = path.split('.');
    let object = fields;
    for (const key of keys.slice(0, -1)) {
      object[key] ??= key === 'of' ? { name: 'dice' } : {};
      object = object[key] as Record<string, unknown>;
    }
    object[keys.at(-1)!] = parseYaml(text);
  }
  const parsed = lossSchema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field =
    issue.code === 'unrecognized_keys'
      ? `unknown field ${[...issue.path, issue.keys[0]].join('.')}`
      : `${issue.path.join('.')}: ${issue.message}`;
  throw new SegfleetError('usage', `${name} has the fields ${Object.keys(losses[name as LossName].schema.shape).join(', ')}; ${field}`);
}
