/**
 * What a sweep may choose from: its parameters in an order that does not depend on the file, when each is set, and how a number between 0 and 1
 * becomes a value of it. Every way of choosing (a grid, chance, Sobol's points, a model of what was good) goes through here.
 */

import { SegfleetError } from '../errors.ts';
import { nearest } from '../nearest.ts';
import { normalDistribution, normalQuantile } from '../random.ts';
import { type Condition, type Lookup, parseCondition } from './condition.ts';
import type { SweepSpec } from './sweepSpec.ts';

export type Parameters = SweepSpec['parameters'];
export type Parameter = Parameters[string];
export type Values = Readonly<Record<string, unknown>>;

export interface Dimension {
  /** Path of the field of the job. */
  readonly name: string;
  readonly parameter: Parameter;
  /** Its values as a line from 0 to 1; constants have none. */
  readonly scale?: Scale;
  readonly condition?: Condition;
}

export interface Space {
  /** Every parameter after those that its condition reads, else by name: a cluster does not keep the order of a file's keys. */
  readonly dimensions: readonly Dimension[];
  /** The job's fields where no parameter sets them. */
  readonly base: Lookup;
}

/** The most cells of a grid: as many as limits.maxTrials may be. */
export const maxCells = 100_000;
/** So many combinations are tried to find out whether a condition can hold at all. */
const maxTried = 10_000;

const byName = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

export const lookupIn =
  (job: unknown): Lookup =>
  path =>
    path.split('.').reduce<unknown>((inner, key) => {
      const has = typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key);
      return has ? (inner as Record<string, unknown>)[key] : undefined;
    }, job);

/** How many values a parameter may have. */
function countOf({ values, distribution, min, max, step }: Parameter): number {
  if (!distribution) return values?.length ?? 1;
  return step === undefined || min === undefined || max === undefined ? Infinity : numSteps(min, max, step);
}

/** All values that a parameter may have; of those without end none. */
function valuesOf(parameter: Parameter): readonly unknown[] {
  const { value, values, distribution, min, step } = parameter;
  if (!distribution) return values ?? [value];
  const count = countOf(parameter);
  return count === Infinity ? [] : Array.from({ length: count }, (_, i) => atStep(min!, step!, i));
}

const numSteps = (min: number, max: number, step: number) => Math.floor((max - min) / step + 1e-9) + 1;
/** Without the dust of binary fractions: 0.1 + 2 * 0.1 is 0.3. */
const atStep = (min: number, step: number, i: number) => Number((min + i * step).toPrecision(12));

/** The values of a parameter on a line on which they are even, from 0 to 1. */
export interface Scale {
  /** How many different values; undefined where they are without end. */
  readonly numValues?: number;
  /** Whether an order of the values means something. */
  readonly ordered: boolean;
  /** `unit` in [0, 1). */
  readonly at: (unit: number) => unknown;
  /** Where on the line a value lies, undefined where it is none of the parameter's. */
  readonly unitOf: (value: unknown) => number | undefined;
}

function continuousScale({ distribution, min = -Infinity, max = Infinity, mean = 0, deviation = 1 }: Parameter): Scale {
  const logarithmic = distribution === 'logUniform' || distribution === 'logNormal';
  const inward = logarithmic ? Math.log : (x: number) => x;
  const outward = logarithmic ? Math.exp : (x: number) => x;
  const clamp = (x: number) => Math.min(Math.max(x, min), max);
  const low = logarithmic && min <= 0 ? -Infinity : inward(min);
  const high = inward(max);
  const uniform = distribution === 'uniform' || distribution === 'logUniform';
  // Normal numbers between two ends: those quantiles that lie between them.
  const from = uniform ? low : normalDistribution((low - mean) / deviation);
  const to = uniform ? high : normalDistribution((high - mean) / deviation);
  const quantile = (q: number) => mean + deviation * normalQuantile(Math.min(Math.max(q, 1e-12), 1 - 1e-12));
  return {
    ordered: true,
    at: unit => {
      const inside = from + unit * (to - from);
      return clamp(outward(uniform ? inside : quantile(inside)));
    },
    unitOf: value => {
      if (typeof value !== 'number' || !Number.isFinite(value) || (logarithmic && value <= 0)) return;
      const inside = uniform ? inward(value) : normalDistribution((inward(value) - mean) / deviation);
      return to > from ? Math.min(Math.max((inside - from) / (to - from), 0), 1) : 0.5;
    },
  };
}

/** Whole steps above min: each stands for the numbers that are nearest to it. */
function steppedScale(parameter: Parameter, min: number, step: number): Scale {
  const { max, distribution } = parameter;
  const last = max === undefined ? undefined : numSteps(min, max, step) - 1;
  const nearest = (x: number) => Math.min(Math.max(Math.round((x - min) / step), 0), last ?? Number.MAX_SAFE_INTEGER);
  if (distribution === 'uniform') {
    const numValues = last! + 1;
    return {
      numValues,
      ordered: true,
      at: unit => atStep(min, step, Math.floor(unit * numValues)),
      unitOf: value => (typeof value === 'number' ? (nearest(value) + 0.5) / numValues : undefined),
    };
  }
  // The ends reach half a step out, else they would be half as likely; a logarithm needs something above 0.
  const low = distribution === 'logUniform' ? Math.max(min - step / 2, min / 2) : min - step / 2;
  const wide = continuousScale({ ...parameter, min: low, max: last === undefined ? undefined : atStep(min, step, last) + step / 2 });
  return {
    numValues: last === undefined ? undefined : last + 1,
    ordered: true,
    at: unit => atStep(min, step, nearest(wide.at(unit) as number)),
    unitOf: value => wide.unitOf(value),
  };
}

function scaleOf(parameter: Parameter): Scale | undefined {
  const { values, distribution, min, step } = parameter;
  if (distribution) return step === undefined || min === undefined ? continuousScale(parameter) : steppedScale(parameter, min, step);
  if (!values || values.length === 1) return;
  const indexes = new Map(values.map((value, index) => [JSON.stringify(value), index]));
  return {
    numValues: values.length,
    ordered: values.every(value => typeof value === 'number') && values.every((value, i) => i === 0 || value > values[i - 1]!),
    at: unit => values[Math.floor(unit * values.length)],
    unitOf: value => {
      const index = indexes.get(JSON.stringify(value));
      return index === undefined ? undefined : (index + 0.5) / values.length;
    },
  };
}

/**
 * @param job what the trials are made of, its defaults filled in: what stands below `spec`
 * @param known other paths that conditions may read: parameters of other stages
 * @throws usage: a condition that cannot be read, reads what is not there or goes round in a circle; a range that is none
 */
export function readSpace(parameters: Parameters, job: unknown = {}, known: ReadonlySet<string> = new Set()): Space {
  const base = lookupIn(job);
  const unordered = Object.entries(parameters)
    .map(([name, parameter]): Dimension => ({ name, parameter, scale: scaleOf(parameter), condition: conditionOf(name, parameter) }))
    .sort((a, b) => byName(a.name, b.name));
  for (const { name, parameter, condition } of unordered) {
    const { min, max, step } = parameter;
    if (min !== undefined && max !== undefined && min > max) {
      throw new SegfleetError('usage', `parameters.${name}.min is ${min}, which is above its max, ${max}`);
    }
    if (step !== undefined && min === undefined) {
      throw new SegfleetError(
        'usage',
        `parameters.${name}.step is ${step}, and there is no min that steps could be counted from; give it min`,
      );
    }
    for (const path of condition?.reads ?? []) {
      if (Object.hasOwn(parameters, path) || known.has(path) || base(path) !== undefined) continue;
      throw new SegfleetError('usage', unknownPath(name, path, parameters, job));
    }
  }
  return { dimensions: inOrder(unordered), base };
}

function conditionOf(name: string, { when }: Parameter): Condition | undefined {
  if (when === undefined) return;
  try {
    return parseCondition(when);
  } catch (cause) {
    throw new SegfleetError('usage', `parameters.${name}.when: ${(cause as Error).message}`, { cause });
  }
}

function unknownPath(name: string, path: string, parameters: Parameters, job: unknown): string {
  const known = [...Object.keys(parameters), ...pathsIn(job)];
  const near = nearest(path, known, Math.max(2, path.length / 4));
  const guess = near !== undefined ? `; did you mean ${near}?` : '';
  return `parameters.${name}.when reads ${path}, which is neither a parameter of the sweep nor a field that its job has${guess}`;
}

function pathsIn(value: unknown, path: readonly string[] = []): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return path.length > 0 ? [path.join('.')] : [];
  return Object.entries(value).flatMap(([key, inner]) => pathsIn(inner, [...path, key]));
}

/** Those that others' conditions read come first; else by name. @throws usage: conditions that go round in a circle */
function inOrder(dimensions: readonly Dimension[]): Dimension[] {
  const names = new Set(dimensions.map(({ name }) => name));
  const ordered: Dimension[] = [];
  const placed = new Set<string>();
  const left = new Set(dimensions);
  while (left.size > 0) {
    const next = left.values().find(({ condition }) => (condition?.reads ?? []).every(path => placed.has(path) || !names.has(path)));
    if (!next) {
      const circle = [...left].map(({ name }) => name);
      const sentence =
        circle.length === 1
          ? `parameters.${circle[0]}.when reads ${circle[0]} itself; a condition may read other parameters only`
          : `the conditions of ${circle.join(' and ')} read one another in a circle; one of them must stand without the others`;
      throw new SegfleetError('usage', sentence, { details: { parameters: circle } });
    }
    ordered.push(next);
    placed.add(next.name);
    left.delete(next);
  }
  return ordered;
}

/** Whether a parameter is set beside the values chosen so far. */
export const isSet = ({ condition }: Dimension, chosen: Values, base: Lookup): boolean =>
  condition?.holds(path => (Object.hasOwn(chosen, path) ? chosen[path] : base(path))) ?? true;

/**
 * One choice of parameters.
 *
 * @param unit a number in [0, 1) for each parameter that is not a constant, by its name
 */
export function sample({ dimensions, base }: Space, unit: (name: string) => number): Values {
  const chosen: Record<string, unknown> = {};
  for (const dimension of dimensions) {
    if (!isSet(dimension, chosen, base)) continue;
    const { name, parameter, scale } = dimension;
    chosen[name] = scale ? scale.at(unit(name)) : valuesOf(parameter)[0];
  }
  return chosen;
}

/**
 * All cells of a grid, the last parameter changing fastest.
 *
 * @throws usage: a parameter without end, or more than `maxCells` cells
 */
export function gridOf({ dimensions, base }: Space, limit = maxCells): Values[] {
  const cells: Values[] = [];
  const chosen: Record<string, unknown> = {};
  const refuse = (): never => {
    throw new SegfleetError(
      'usage',
      `the grid has more than ${limit.toLocaleString('en')} cells; give fewer values, or take another method (random, sobol, tpe)`,
    );
  };
  const fill = (index: number) => {
    if (index === dimensions.length) {
      if (cells.length === limit) refuse();
      cells.push({ ...chosen });
      return;
    }
    const { name, parameter } = dimensions[index];
    if (!isSet(dimensions[index], chosen, base)) return fill(index + 1);
    const count = countOf(parameter);
    if (count === Infinity) {
      throw new SegfleetError(
        'usage',
        `parameters.${name} has numbers without end, and a grid takes all of them; give it values, or a step`,
      );
    }
    if (count > limit) refuse();
    for (const value of valuesOf(parameter)) {
      chosen[name] = value;
      fill(index + 1);
    }
    delete chosen[name];
  };
  fill(0);
  return cells;
}

/** Parameters that are set in no trial, as far as that can be told by trying: their conditions read only what has few values. */
export function neverSet({ dimensions, base }: Space): Dimension[] {
  const byPath = new Map(dimensions.map(dimension => [dimension.name, dimension]));
  return dimensions.filter(({ condition }) => {
    if (!condition) return false;
    const needed = new Set<string>();
    const need = (path: string) => {
      if (!byPath.has(path) || needed.has(path)) return;
      needed.add(path);
      byPath.get(path)!.condition?.reads.forEach(need);
    };
    condition.reads.forEach(need);
    const part = { dimensions: dimensions.filter(({ name }) => needed.has(name)), base };
    let combinations = 1;
    for (const { parameter } of part.dimensions) combinations *= countOf(parameter);
    if (combinations > maxTried) return false;
    return !gridOf(part).some(chosen => condition.holds(path => (Object.hasOwn(chosen, path) ? chosen[path] : base(path))));
  });
}
