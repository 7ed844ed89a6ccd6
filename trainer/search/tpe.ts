/**
 * The tree-structured Parzen estimator (J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for hyper-parameter optimization", 2011): what was
 * tried is parted into the good and the rest, each is described by a density, and of some candidates drawn from the good's the one is taken whose
 * density among the good is highest against that among the rest.
 *
 * As there, each parameter has densities of its own, made from the trials in which it was set. Every parameter lies on its own scale from 0 to 1, on
 * which the file's distribution is even (so normal and logarithmic ones need nothing of their own); numbers in ascending order are treated as such,
 * other values as categories.
 *
 * What is not in the paper: at most 25 trials count as good, as in hyperopt and Optuna. Trials that have told nothing yet, that failed or diverged count
 * among the rest ("constant liar"), so that trials that run side by side spread. Where trials end early, one that got farther is ahead of one that
 * did not, whatever their values: those were the promising ones.
 */
import { generator, normalDistribution, normalQuantile } from '../random.ts';
import { bestBy, timeOf } from './history.ts';
import { chance, type Source } from './searches.ts';
import { isSet, type Scale, type Space, sample } from './space.ts';
import type { Trial } from './strategy.ts';

/** The share of trials that are good (the paper's gamma). */
const goodShare = 0.15;
const mostGood = 25;
/** Trials with a result before which parameters are chosen at random. */
const numStartup = 10;
const numCandidates = 24;

export const tpeSource = (space: Space, seed: number): Source => {
  return trials => {
    const unit = chance(seed, 'trial', trials.length);
    const { good, rest } = part(trials);
    if (good.length === 0) return sample(space, unit);
    const chosen: Record<string, unknown> = {};
    for (const dimension of space.dimensions) {
      if (!isSet(dimension, chosen, space.base)) continue;
      const { name, scale, parameter } = dimension;
      if (!scale) {
        chosen[name] = parameter.values?.[0] ?? parameter.value;
        continue;
      }
      const unitsOf = (some: readonly Trial[]) =>
        some.flatMap(({ parameters }) => (Object.hasOwn(parameters, name) ? (scale.unitOf(parameters[name]) ?? []) : []));
      const next = generator(seed, 'tpe', trials.length, name);
      chosen[name] = propose(scale, unitsOf(good), unitsOf(rest), () => next() / 2 ** 32);
    }
    return chosen;
  };
};

/** The good are none while too few trials have a result. */
function part(trials: readonly Trial[]): { good: readonly Trial[]; rest: readonly Trial[] } {
  const ranked = trials.map(trial => ({
    trial,
    value: trial.state === 'failed' ? -Infinity : bestBy(trial),
    time: trial.state === 'succeeded' ? Infinity : timeOf(trial),
  }));
  const compare = (a: number, b: number) => (a === b ? 0 : a > b ? -1 : 1);
  const isNumber = (value: number) => Number(value > -Infinity);
  ranked.sort(
    (a, b) =>
      compare(isNumber(a.value), isNumber(b.value)) ||
      compare(a.time, b.time) ||
      compare(a.value, b.value) ||
      a.trial.number - b.trial.number,
  );
  const numResults = ranked.filter(({ value }) => isNumber(value)).length;
  const numGood = numResults < numStartup ? 0 : Math.min(Math.ceil(goodShare * numResults), mostGood);
  const inOrder = ranked.map(({ trial }) => trial);
  return { good: inOrder.slice(0, numGood), rest: inOrder.slice(numGood) };
}

function propose(scale: Scale, good: readonly number[], rest: readonly number[], random: () => number): unknown {
  const { among, draw } = scale.ordered ? parzen(good) : categories(good, scale.numValues!);
  const amongRest = scale.ordered ? parzen(rest).among : categories(rest, scale.numValues!).among;
  let proposed: unknown;
  let highest = -Infinity;
  for (let i = 0; i < numCandidates; i++) {
    const value = scale.at(draw(random));
    const unit = scale.unitOf(value)!;
    const ratio = Math.log(among(unit)) - Math.log(amongRest(unit));
    if (ratio > highest || i === 0) [proposed, highest] = [value, ratio];
  }
  return proposed;
}

interface Density {
  /** At a place in [0, 1]. */
  readonly among: (unit: number) => number;
  /** A place in [0, 1), by this density. */
  readonly draw: (random: () => number) => number;
}

const belowOne = 1 - 2 ** -32;

/**
 * A mixture of normal distributions, cut off at 0 and 1: one about each place, as wide as the greater of the distances to its neighbours, and a wide
 * one in the middle, the prior. No narrower than 1 / min(100, places + 1), as in hyperopt.
 */
function parzen(places: readonly number[]): Density {
  const centers = Float64Array.from([...places, 0.5]).sort();
  const length = centers.length;
  const prior = centers.indexOf(0.5);
  const narrowest = 1 / Math.min(100, length);
  const widths = new Float64Array(length);
  const heights = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    const left = i > 0 ? centers[i] - centers[i - 1] : 0;
    const right = i < length - 1 ? centers[i + 1] - centers[i] : 0;
    widths[i] = i === prior ? 1 : Math.min(Math.max(left, right, narrowest), 1);
    const inside = normalDistribution((1 - centers[i]) / widths[i]) - normalDistribution(-centers[i] / widths[i]);
    heights[i] = 1 / (Math.sqrt(2 * Math.PI) * widths[i] * inside * length);
  }
  return {
    among: unit => {
      let sum = 0;
      for (let i = 0; i < length; i++) {
        const z = (unit - centers[i]) / widths[i];
        sum += heights[i] * Math.exp(-0.5 * z * z);
      }
      return sum;
    },
    draw: random => {
      const i = Math.floor(random() * length);
      const low = normalDistribution(-centers[i] / widths[i]);
      const high = normalDistribution((1 - centers[i]) / widths[i]);
      const place = centers[i] + widths[i] * normalQuantile(low + random() * (high - low));
      return Math.min(Math.max(place, 0), belowOne);
    },
  };
}

/** How often each category occurred, and once more. */
function categories(places: readonly number[], numValues: number): Density {
  const counts = new Float64Array(numValues).fill(1);
  for (const place of places) counts[Math.floor(place * numValues)]++;
  const total = places.length + numValues;
  return {
    among: unit => counts[Math.floor(unit * numValues)] / total,
    draw: random => {
      let left = random() * total;
      let index = 0;
      while (index < numValues - 1 && left >= counts[index]) left -= counts[index++];
      return (index + 0.5) / numValues;
    },
  };
}
