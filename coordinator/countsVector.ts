/**
 * What a round of validation counts, as one vector that the exchange sums over lanes without losing a bit: whole numbers in limbs of
 * 16 bits, of which a float32 holds the sum over 256 lanes. Each image has places of its own; histograms add up.
 */
import type { ImageCounts, Tally } from '../trainer/evaluate.ts';
import { numBins } from '../trainer/metrics/roc.ts';

const limb = 2 ** 16;
/** Pixels of a class in an image: below 2^48. */
const limbsOfCount = 3;
/** Pixels of a bin in a round: below 2^32. */
const limbsOfBin = 2;
const limbsOfLoss = 4;
const kinds = ['tp', 'fp', 'fn', 'tn'] as const;

const imageLength = (classes: number): number => classes * kinds.length * limbsOfCount + limbsOfLoss;

/** @param images the most that a round has */
export const vectorLength = (images: number, classes: number): number => images * imageLength(classes) + classes * 2 * numBins * limbsOfBin;

/**
 * @param first place of the tally's first image among those of the round
 * @param images the most that a round has
 */
export function encodeCounts({ images: counted, rocs }: Tally, first: number, images: number): Float32Array {
  const classes = rocs.length;
  const vector = new Float32Array(vectorLength(images, classes));
  let at = first * imageLength(classes);
  const put = (value: number, limbs: number) => {
    for (let i = 0, rest = value; i < limbs; i++, rest = Math.floor(rest / limb)) vector[at++] = rest % limb;
  };
  for (const { counts, loss } of counted) {
    for (const count of counts) for (const kind of kinds) put(count[kind], limbsOfCount);
    for (const bits of new Uint16Array(Float64Array.of(loss).buffer)) vector[at++] = bits;
  }
  at = images * imageLength(classes);
  for (const { histograms } of rocs) for (const histogram of histograms) for (const count of histogram) put(count, limbsOfBin);
  return vector;
}

/** Adds what a round has counted. @param counted its images  @param images the most that a round has */
export function addCounts(tally: Tally, vector: Float32Array, counted: number, images: number): void {
  const classes = tally.rocs.length;
  let at = 0;
  const take = (limbs: number) => {
    let value = 0;
    for (let i = limbs - 1; i >= 0; i--) value = value * limb + vector[at + i];
    at += limbs;
    return value;
  };
  const takeCounts = () => Object.fromEntries(kinds.map(kind => [kind, take(limbsOfCount)])) as unknown as ImageCounts['counts'][number];
  for (let image = 0; image < counted; image++) {
    const counts = Array.from({ length: classes }, takeCounts);
    const bits = Uint16Array.from(vector.subarray(at, at + limbsOfLoss));
    at += limbsOfLoss;
    tally.images.push({ counts, loss: new Float64Array(bits.buffer)[0] });
  }
  at = images * imageLength(classes);
  for (const { histograms } of tally.rocs) {
    for (const histogram of histograms) for (let bin = 0; bin < numBins; bin++) histogram[bin] += take(limbsOfBin);
  }
}
