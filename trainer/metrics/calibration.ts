/**
 * Whether probabilities mean what they say: of the pixels predicted with 0.8, are 80 % foreground? Constant in size and mergeable:
 * all sums are of whole numbers, so any partition of the pixels gives the same bits, in any order.
 */

export const numCalibrationBins = 15;

/**
 * Probabilities are rounded to multiples of 2^-24, what a float32 just below 1 has: their sums are exact up to 2^29 pixels a bin, and
 * the scores are off by at most 2^-25. No such multiple but 0 and 1 is an edge of a bin, so it does not matter which side an edge
 * belongs to.
 */
const scale = 2 ** 24;

export interface ReliabilityPoint {
  /** Mean probability of the pixels in this bin. */
  readonly probability: number;
  /** Share of them that is foreground. */
  readonly frequency: number;
  readonly pixels: number;
}

export interface Calibration {
  /** Expected calibration error: mean over pixels of |probability - frequency| of their bin. */
  readonly ece: number;
  /** Maximum calibration error: the largest of these, over the bins that are not empty. */
  readonly mce: number;
  /** Mean of (probability - truth)^2. */
  readonly brier: number;
}

export class CalibrationState {
  readonly #pixels = new Float64Array(numCalibrationBins);
  readonly #positives = new Float64Array(numCalibrationBins);
  /** In units of 1 / scale. */
  readonly #probabilities = new Float64Array(numCalibrationBins);
  #squares = 0;

  /** @param logits one a pixel; its probability is the logistic function of it  @param foreground 0 or 1 a pixel */
  add(logits: Float32Array, foreground: ArrayLike<number>): void {
    for (let i = 0; i < logits.length; i++) {
      const units = Math.round(scale / (1 + Math.exp(-logits[i])));
      const bin = Math.min(Math.floor((units * numCalibrationBins) / scale), numCalibrationBins - 1);
      this.#pixels[bin]++;
      this.#probabilities[bin] += units;
      if (foreground[i]) this.#positives[bin]++;
      const error = (foreground[i] ? scale - units : units) / scale;
      this.#squares += Math.round(error * error * scale);
    }
  }

  merge(other: CalibrationState): void {
    for (let bin = 0; bin < numCalibrationBins; bin++) {
      this.#pixels[bin] += other.#pixels[bin];
      this.#positives[bin] += other.#positives[bin];
      this.#probabilities[bin] += other.#probabilities[bin];
    }
    this.#squares += other.#squares;
  }

  /** ECE and MCE: Guo et al. 2017, "On calibration of modern neural networks", eqs. 3 and 5, of the foreground probability. Brier 1950. */
  scores(): Calibration {
    const pixels = this.#pixels.reduce((sum, count) => sum + count, 0);
    const points = this.curve();
    const gap = ({ probability, frequency }: ReliabilityPoint) => Math.abs(probability - frequency);
    return {
      ece: points.reduce((sum, point) => sum + (point.pixels / pixels) * gap(point), 0),
      mce: Math.max(...points.map(gap)),
      brier: this.#squares / scale / pixels,
    };
  }

  /** The points of a reliability diagram: one a bin that is not empty, by rising probability. */
  curve(): ReliabilityPoint[] {
    return Array.from(this.#pixels, (pixels, bin) => ({
      probability: this.#probabilities[bin] / scale / pixels,
      frequency: this.#positives[bin] / pixels,
      pixels,
    })).filter(({ pixels }) => pixels > 0);
  }
}
