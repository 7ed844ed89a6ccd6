/**
 * How much each parameter matters: the share of the variance of the results that it brings about by itself, and that each pair brings about together
 * beyond what its two do (functional analysis of variance; F. Hutter, H. Hoos, K. Leyton-Brown, "An efficient approach for assessing hyperparameter
 * importance", 2014).
 *
 * Of a whole grid the shares are exact sums over its cells. Of anything else they are those of a random forest that was fitted to the results, and
 * worth as much as that forest: `explained` says how well it foretells trials that it has not seen. All values of a parameter count alike, as if each
 * had been tried equally often, on the scale of its distribution; not being set counts as one more value.
 */
import { generator } from '../random.ts';
import { bestBy, timeOf } from './history.ts';
import { type Dimension, type Parameters, readSpace } from './space.ts';
import type { Trial } from './strategy.ts';

export interface Importance {
  /** exact: of a whole grid. forest: estimated. */
  readonly method: 'exact' | 'forest';
  /** Trials that were counted: those that came to the end of their training with a number. */
  readonly numTrials: number;
  /** Share of the variance that the forest explains of trials that it was not fitted to, at most 1; of a grid 1. */
  readonly explained: number;
  /** Shares from 0 to 1, largest first. Of all parameters, all pairs and more than two together they make 1. */
  readonly parameters: readonly { readonly name: string; readonly share: number }[];
  /** Of those eight parameters that matter most. */
  readonly pairs: readonly { readonly names: readonly [string, string]; readonly share: number }[];
}

const fewestForForest = 10;
const numTrees = 32;
const smallestLeaf = 2;
const mostLevels = 16;
const mostPaired = 8;

/** A parameter whose values are put into levels. */
interface Axis {
  readonly name: string;
  readonly numLevels: number;
  /** Whether levels have an order; categories and "not set" have none. */
  readonly ordered: boolean;
  /** Whether these are all values that it may have. */
  readonly isWhole: boolean;
}

/** Results at levels: trial i is at `levels[i][axis]`. */
interface Table {
  readonly axes: readonly Axis[];
  readonly levels: readonly Int32Array[];
  readonly values: Float64Array;
}

/** A part of all cells, by the levels that it holds on each axis, with one value. */
interface Box {
  readonly masks: readonly Uint8Array[];
  readonly value: number;
}

/** @param parameters of the sweep; without conditions, which are not read here
 * @returns undefined where there is nothing to part: too few results, all the same, or nothing that varies */
export function importance(trials: readonly Trial[], parameters: Parameters, seed = 0): Importance | undefined {
  const longest = Math.max(0, ...trials.map(timeOf));
  const counted = trials.filter(
    trial => trial.state !== 'failed' && (trial.state === 'succeeded' || timeOf(trial) === longest) && bestBy(trial) > -Infinity,
  );
  const table = tableOf(counted, parameters);
  if (table.axes.length === 0 || table.values.every(value => value === table.values[0])) return;
  const grid = wholeGrid(table);
  if (grid) return { method: 'exact', numTrials: counted.length, explained: 1, ...sharesOf(table.axes, [grid]) };
  if (counted.length < fewestForForest) return;
  const { trees, explained } = forest(table, seed);
  return { method: 'forest', numTrials: counted.length, explained, ...sharesOf(table.axes, trees) };
}

function tableOf(trials: readonly Trial[], parameters: Parameters): Table {
  const unconditional = Object.fromEntries(Object.entries(parameters).map(([name, { when: _, ...parameter }]) => [name, parameter]));
  const dimensions = readSpace(unconditional).dimensions;
  const columns = dimensions.flatMap(dimension => columnOf(trials, dimension) ?? []);
  return {
    axes: columns.map(({ axis }) => axis),
    levels: trials.map((_, i) => Int32Array.from(columns, ({ levels }) => levels[i])),
    values: Float64Array.from(trials, trial => bestBy(trial)),
  };
}

/** undefined where all trials have the same. */
function columnOf(trials: readonly Trial[], { name, scale }: Dimension): { axis: Axis; levels: Int32Array } | undefined {
  const units = trials.map(({ parameters }) => (Object.hasOwn(parameters, name) ? scale?.unitOf(parameters[name]) : undefined));
  const distinct = [...new Set(units)].filter(unit => unit !== undefined).sort((a, b) => a - b);
  const isWhole = distinct.length === scale?.numValues;
  const isBinned = distinct.length > mostLevels && scale!.ordered && !isWhole;
  const numSet = isBinned ? mostLevels : distinct.length;
  const someUnset = units.includes(undefined);
  const numLevels = numSet + Number(someUnset);
  if (numLevels < 2) return;
  const levelOf = (unit: number) => (isBinned ? Math.min(Math.floor(unit * mostLevels), mostLevels - 1) : distinct.indexOf(unit));
  const levels = Int32Array.from(units, unit => (unit === undefined ? numSet : levelOf(unit)));
  return { axis: { name, numLevels, ordered: scale!.ordered && !someUnset, isWhole: isWhole && !someUnset }, levels };
}

/** Each cell as a box, where every combination of levels has a result; those of a cell are averaged. */
function wholeGrid({ axes, levels, values }: Table): Box[] | undefined {
  const numCells = axes.reduce((product, { numLevels }) => product * numLevels, 1);
  if (numCells > values.length || !axes.every(({ isWhole }) => isWhole)) return;
  const cells = new Map<string, number[]>();
  for (const [i, cell] of levels.entries()) {
    const key = cell.join();
    if (!cells.has(key)) cells.set(key, []);
    cells.get(key)!.push(values[i]);
  }
  if (cells.size < numCells) return;
  return Array.from(cells, ([key, results]) => ({
    masks: key.split(',').map((level, axis) => {
      const mask = new Uint8Array(axes[axis].numLevels);
      mask[Number(level)] = 1;
      return mask;
    }),
    value: results.reduce((a, b) => a + b) / results.length,
  }));
}

/** Means over models of their shares of variance. Every model's boxes fill all cells. */
function sharesOf(axes: readonly Axis[], models: readonly (readonly Box[])[]): Pick<Importance, 'parameters' | 'pairs'> {
  const varying = models.map(boxes => new Variance(axes, boxes)).filter(({ total }) => total > 0);
  const mean = (share: (model: Variance) => number) => varying.reduce((sum, model) => sum + share(model), 0) / Math.max(varying.length, 1);
  const single = axes.map((_, axis) => mean(model => model.ofOne(axis) / model.total));
  const most = axes
    .map((_, axis) => axis)
    .sort((a, b) => single[b] - single[a])
    .slice(0, mostPaired);
  const largest = <T extends { share: number }>(shares: T[]) => shares.sort((a, b) => b.share - a.share);
  return {
    parameters: largest(axes.map(({ name }, axis) => ({ name, share: single[axis] }))),
    pairs: largest(
      most.flatMap((a, i) =>
        most.slice(i + 1).map(b => {
          const [first, second] = [a, b].sort((left, right) => left - right);
          const names = [axes[first].name, axes[second].name] as const;
          return { names, share: mean(model => model.ofPair(first, second) / model.total) };
        }),
      ),
    ),
  };
}

/** The parts of the variance of a function that is constant on boxes. */
class Variance {
  readonly total: number;
  readonly #axes: readonly Axis[];
  readonly #boxes: readonly Box[];
  /** The share of the levels of each axis that a box holds. */
  readonly #shares: readonly Float64Array[];
  readonly #mean: number;
  readonly #marginals = new Map<number, Float64Array>();

  constructor(axes: readonly Axis[], boxes: readonly Box[]) {
    this.#axes = axes;
    this.#boxes = boxes;
    this.#shares = boxes.map(({ masks }) => Float64Array.from(masks, mask => mask.reduce((a, b) => a + b, 0) / mask.length));
    const volumes = this.#shares.map(shares => shares.reduce((a, b) => a * b, 1));
    this.#mean = boxes.reduce((sum, { value }, i) => sum + value * volumes[i], 0);
    this.total = boxes.reduce((sum, { value }, i) => sum + (value - this.#mean) ** 2 * volumes[i], 0);
  }

  /** The mean at each level, over all the other axes. */
  #marginal(axis: number): Float64Array {
    const known = this.#marginals.get(axis);
    if (known) return known;
    const means = new Float64Array(this.#axes[axis].numLevels);
    for (const [i, { masks, value }] of this.#boxes.entries()) {
      const weight = value * this.#weightWithout(i, axis, axis);
      const mask = masks[axis];
      for (let level = 0; level < means.length; level++) means[level] += mask[level] * weight;
    }
    this.#marginals.set(axis, means);
    return means;
  }

  #weightWithout(box: number, a: number, b: number): number {
    const shares = this.#shares[box];
    let weight = 1;
    for (let axis = 0; axis < shares.length; axis++) if (axis !== a && axis !== b) weight *= shares[axis];
    return weight;
  }

  ofOne(axis: number): number {
    const means = this.#marginal(axis);
    return means.reduce((sum, mean) => sum + (mean - this.#mean) ** 2, 0) / means.length;
  }

  ofPair(a: number, b: number): number {
    const [numA, numB] = [this.#axes[a].numLevels, this.#axes[b].numLevels];
    const means = new Float64Array(numA * numB);
    for (const [i, { masks, value }] of this.#boxes.entries()) {
      const weight = value * this.#weightWithout(i, a, b);
      for (let level = 0; level < numA; level++) {
        if (!masks[a][level]) continue;
        for (let other = 0; other < numB; other++) if (masks[b][other]) means[level * numB + other] += weight;
      }
    }
    const [marginalA, marginalB] = [this.#marginal(a), this.#marginal(b)];
    let sum = 0;
    for (let level = 0; level < numA; level++) {
      for (let other = 0; other < numB; other++)
        sum += (means[level * numB + other] - marginalA[level] - marginalB[other] + this.#mean) ** 2;
    }
    return sum / means.length;
  }
}

/** Regression trees, each fitted to as many trials drawn with replacement (L. Breiman 2001); five in six axes are looked at for a split. */
function forest(table: Table, seed: number): { trees: Box[][]; explained: number } {
  const { axes, levels, values } = table;
  const length = values.length;
  const sums = new Float64Array(length);
  const counts = new Float64Array(length);
  const trees = Array.from({ length: numTrees }, (_, tree) => {
    const next = generator(seed, 'importance', tree);
    const random = (below: number) => Math.floor((next() / 2 ** 32) * below);
    const drawn = Array.from({ length }, () => random(length));
    const boxes: Box[] = [];
    const whole = axes.map(({ numLevels }) => new Uint8Array(numLevels).fill(1));
    grow(table, drawn, whole, random, boxes);
    const inside = new Set(drawn);
    for (let i = 0; i < length; i++) {
      if (inside.has(i)) continue;
      sums[i] += boxes.find(({ masks }) => masks.every((mask, axis) => mask[levels[i][axis]] === 1))!.value;
      counts[i] += 1;
    }
    return boxes;
  });
  const seen = Array.from(values.keys()).filter(i => counts[i] > 0);
  const mean = seen.reduce((sum, i) => sum + values[i], 0) / seen.length;
  const square = (difference: (i: number) => number) => seen.reduce((sum, i) => sum + difference(i) ** 2, 0);
  return { trees, explained: 1 - square(i => values[i] - sums[i] / counts[i]) / square(i => values[i] - mean) };
}

function grow(
  { axes, levels, values }: Table,
  some: readonly number[],
  masks: Uint8Array[],
  random: (below: number) => number,
  boxes: Box[],
): void {
  const sum = some.reduce((total, i) => total + values[i], 0);
  const split = some.length < 2 * smallestLeaf ? undefined : bestSplit(axes, levels, values, some, sum, random);
  if (!split) {
    boxes.push({ masks, value: sum / some.length });
    return;
  }
  const { axis, goesLeft } = split;
  const side = (left: boolean) =>
    masks.map((mask, i) => (i === axis ? mask.map((held, level) => Number(held && goesLeft(level) === left)) : mask));
  for (const left of [true, false]) {
    const part = some.filter(i => goesLeft(levels[i][axis]) === left);
    grow({ axes, levels, values }, part, side(left), random, boxes);
  }
}

/** The split after which the squares about the two means are least: below a level, or one category against the others. */
function bestSplit(
  axes: readonly Axis[],
  levels: readonly Int32Array[],
  values: Float64Array,
  some: readonly number[],
  sum: number,
  random: (below: number) => number,
): { axis: number; goesLeft: (level: number) => boolean } | undefined {
  let highest = sum ** 2 / some.length + 1e-12 * (1 + Math.abs(sum));
  let found: { axis: number; goesLeft: (level: number) => boolean } | undefined;
  for (const [axis, { numLevels, ordered }] of axes.entries()) {
    if (axes.length > 1 && random(6) === 0) continue;
    const sums = new Float64Array(numLevels);
    const counts = new Float64Array(numLevels);
    for (const i of some) {
      sums[levels[i][axis]] += values[i];
      counts[levels[i][axis]] += 1;
    }
    let leftSum = 0;
    let leftCount = 0;
    for (let level = 0; level < numLevels; level++) {
      leftSum = (ordered ? leftSum : 0) + sums[level];
      leftCount = (ordered ? leftCount : 0) + counts[level];
      const rightCount = some.length - leftCount;
      if (leftCount < smallestLeaf || rightCount < smallestLeaf) continue;
      const gain = leftSum ** 2 / leftCount + (sum - leftSum) ** 2 / rightCount;
      if (gain > highest) [highest, found] = [gain, { axis, goesLeft: ordered ? at => at <= level : at => at === level }];
    }
  }
  return found;
}
