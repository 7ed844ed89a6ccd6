/**
 * The tree-structured Parzen estimator (J. Bergstra, R. Bardenet, Y. Bengio, B. Kegl, "Algorithms for hyper-parameter optimization", 2011): what was
 * tried is parted into the good and the rest, each is described by a density, and of some candidates drawn from the good's the one is taken whose
 * density among the good is highest against that among the rest.
 *
 * The densities are of all parameters together, as in BOHB (S. Falkner, A. Klein, F. Hutter 2018) and in Optuna: a bump about each trial. The paper's
 * take each parameter by itself, and find less where parameters depend on one another. About a parameter that was not set in a trial that trial
 * says nothing. Every parameter lies on its own scale from 0 to 1, on which the file's distribution is even (so normal and logarithmic ones need
 * nothing of their own); numbers in ascending order are treated as numbers, other values as categories.
 *
 * Also not in the paper: at most 25 trials count as good, as in hyperopt and Optuna. Trials that have told nothing yet, that failed or diverged count
 * among the rest ("constant liar"), so that trials that run side by side spread. Where trials end early, one that got farther is ahead of one that
 * did not, whatever their values: those were the promising ones.
 */
import { generator, normalDistribution, normalQuantile } from '../random.ts';
import { bestBy, timeOf } from './history.ts';
import { chance, type Source } from './searches.ts';
import { type Scale, type Space, sample, type Values } from './space.ts';
import type { Trial } from './strategy.ts';

/** The share of trials that are good (the paper's gamma, 0.15 there; as in Optuna). */
const goodShare = 0.1;
const mostGood = 25;
/** Trials with a result before which parameters are chosen at random. */
const numStartup = 10;
const numCandidates = 24;

export const tpeSource = (space: Space, seed: number): Source => {
  const scales = new Map(space.dimensions.flatMap(({ name, scale }) => (scale ? [[name, scale]] : [])));
  return trials => {
    const { good, rest } = part(trials);
    if (good.length === 0) return sample(space, chance(seed, 'trial', trials.length));
    const next = generator(seed, 'tpe', trials.length);
    const random = () => next() / 2 ** 32;
    const amongGood = mixtureOf(good, scales);
    const amongRest = mixtureOf(rest, scales);
    let proposed: Values | undefined;
    let highest = -Infinity;
    for (let i = 0; i < numCandidates; i++) {
      const bump = Math.floor(random() * amongGood.numBumps);
      const candidate = sample(space, name => amongGood.draw(name, bump, random));
      const places = new Map(
        scales.entries().flatMap(([name, scale]) => (name in candidate ? [[name, scale.unitOf(candidate[name])!]] : [])),
      );
      const ratio = amongGood.logDensity(places) - amongRest.logDensity(places);
      if (ratio > highest || !proposed) [proposed, highest] = [candidate, ratio];
    }
    return proposed;
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

/** One parameter of all bumps of a mixture; the last bump is the prior, which is even. */
interface Axis {
  /** Adds to each bump's number the logarithm of its density at a place in [0, 1]. */
  readonly addTo: (logs: Float64Array, place: number) => void;
  /** A place in [0, 1) by that density. */
  readonly draw: (bump: number, random: () => number) => number;
}

interface Mixture {
  readonly numBumps: number;
  readonly logDensity: (places: ReadonlyMap<string, number>) => number;
  readonly draw: (name: string, bump: number, random: () => number) => number;
}

/** A bump about each trial, and one more for what is known before: as likely as each of them. */
function mixtureOf(trials: readonly Trial[], scales: ReadonlyMap<string, Scale>): Mixture {
  const numBumps = trials.length + 1;
  const axes = new Map(
    scales.entries().map(([name, scale]) => {
      const places = trials.map(({ parameters }) => (Object.hasOwn(parameters, name) ? scale.unitOf(parameters[name]) : undefined));
      return [name, scale.ordered ? numbers(places) : categories(places, scale.numValues!)];
    }),
  );
  const logs = new Float64Array(numBumps);
  return {
    numBumps,
    draw: (name, bump, random) => axes.get(name)!.draw(bump, random),
    logDensity: places => {
      logs.fill(0);
      for (const [name, place] of places) axes.get(name)!.addTo(logs, place);
      let highest = -Infinity;
      for (const log of logs) if (log > highest) highest = log;
      let sum = 0;
      for (const log of logs) sum += Math.exp(log - highest);
      return highest + Math.log(sum / numBumps);
    },
  };
}

const belowOne = 1 - 2 ** -32;

/**
 * Normal distributions cut off at 0 and 1, each as wide as the greater of the distances to its neighbours (of the outermost, that to its only one),
 * and no narrower than 1 / min(100, bumps + 1), as in hyperopt and Optuna.
 */
function numbers(places: readonly (number | undefined)[]): Axis {
  const length = places.length + 1;
  const narrowest = 1 / Math.min(100, length + 1);
  const centers = Float64Array.from([...places, undefined], place => place ?? Number.NaN);
  const inOrder = Int32Array.from(centers.keys())
    .filter(bump => !Number.isNaN(centers[bump]))
    .sort((a, b) => centers[a] - centers[b] || a - b);
  // 1 / width. Where a trial says nothing, and for the prior, the width is endless: even.
  const slopes = new Float64Array(length);
  const logHeights = new Float64Array(length);
  const isAlone = inOrder.length === 1;
  for (let i = 0; i < inOrder.length; i++) {
    const bump = inOrder[i];
    const place = centers[bump];
    const before = i > 0 ? centers[inOrder[i - 1]] : isAlone ? 0 : place;
    const after = i < inOrder.length - 1 ? centers[inOrder[i + 1]] : isAlone ? 1 : place;
    const slope = 1 / Math.max(place - before, after - place, narrowest);
    const inside = normalDistribution((1 - place) * slope) - normalDistribution(-place * slope);
    slopes[bump] = slope;
    logHeights[bump] = Math.log(slope / (Math.sqrt(2 * Math.PI) * inside));
  }
  for (let bump = 0; bump < length; bump++) if (slopes[bump] === 0) centers[bump] = 0.5;
  return {
    addTo: (logs, place) => {
      for (let bump = 0; bump < length; bump++) {
        const z = (place - centers[bump]) * slopes[bump];
        logs[bump] += logHeights[bump] - 0.5 * z * z;
      }
    },
    draw: (bump, random) => {
      const slope = slopes[bump];
      if (slope === 0) return random();
      const low = normalDistribution(-centers[bump] * slope);
      const high = normalDistribution((1 - centers[bump]) * slope);
      return Math.min(Math.max(centers[bump] + normalQuantile(low + random() * (high - low)) / slope, 0), belowOne);
    },
  };
}

/** The trial's own category, and a share of the prior for each: 1 / bumps, so that with more trials less is left to chance. */
function categories(places: readonly (number | undefined)[], numValues: number): Axis {
  const share = 1 / (places.length + 1);
  const total = 1 + numValues * share;
  const categoryAt = (place: number) => Math.floor(place * numValues);
  const even = -1;
  const own = Int32Array.from([...places, undefined], place => (place === undefined ? even : categoryAt(place)));
  const logOwn = Math.log((1 + share) / total);
  const logOther = Math.log(share / total);
  const logEven = -Math.log(numValues);
  return {
    addTo: (logs, place) => {
      const category = categoryAt(place);
      for (let bump = 0; bump < own.length; bump++) logs[bump] += own[bump] === even ? logEven : own[bump] === category ? logOwn : logOther;
    },
    draw: (bump, random) => {
      const isOwn = random() * total < 1;
      return own[bump] !== even && isOwn ? (own[bump] + 0.5) / numValues : random();
    },
  };
}
