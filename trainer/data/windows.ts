/**
 * The sliding window: where the windows lie that together cover an image, and with what weight each counts at each pixel. Neighbours
 * overlap by at least a half; weights fall to nearly zero at the edges of a window (sine squared) and sum to one at every pixel.
 */
import type { Size } from './decode.ts';
import type { Window } from './patches.ts';

export interface AxisWindow {
  readonly start: number;
  /** [window]: at each position of the window, the share that it has in the result there. */
  readonly weights: Float64Array;
}

/** Windows along one axis. One that is longer than the axis begins with it; what lies beyond the end has no weight. */
export function windowsAlong(length: number, window: number): AxisWindow[] {
  const last = Math.max(length - window, 0);
  const numSteps = Math.ceil(last / Math.floor(window / 2));
  const starts = Array.from({ length: numSteps + 1 }, (_, i) => (numSteps === 0 ? 0 : Math.round((i * last) / numSteps)));
  const bell = Float64Array.from({ length: window }, (_, i) => Math.sin((Math.PI * (i + 0.5)) / window) ** 2);
  const total = new Float64Array(Math.max(length, window));
  for (const start of starts) for (let i = 0; i < window; i++) total[start + i] += bell[i];
  return starts.map(start => ({
    start,
    weights: bell.map((value, i) => (start + i < length ? value / total[start + i] : 0)),
  }));
}

export interface WeightedWindow extends Window {
  /** Along the rows and the columns; the weight of a pixel is the product, and the products of all windows sum to one. */
  readonly rowWeights: Float64Array;
  readonly columnWeights: Float64Array;
}

/** All windows of an image, row by row. An image of the size of the window has one, of weight one. */
export function windowsOf(image: Size, { height, width }: Size): WeightedWindow[] {
  const columns = windowsAlong(image.width, width);
  return windowsAlong(image.height, height).flatMap(row =>
    columns.map(column => ({
      top: row.start,
      left: column.start,
      height,
      width,
      rowWeights: row.weights,
      columnWeights: column.weights,
    })),
  );
}

/**
 * Adds the values of one window, weighted, to those of the image.
 *
 * @param values [window height, window width, classes]
 * @param sum [image height, image width, classes]
 */
export function addWindow(values: Float32Array, window: WeightedWindow, sum: Float32Array, image: Size, classes: number): void {
  const { top, left, height, width, rowWeights, columnWeights } = window;
  const [numRows, numColumns] = [Math.min(height, image.height - top), Math.min(width, image.width - left)];
  for (let y = 0; y < numRows; y++) {
    for (let x = 0; x < numColumns; x++) {
      const weight = rowWeights[y] * columnWeights[x];
      const from = (y * width + x) * classes;
      const to = ((top + y) * image.width + left + x) * classes;
      for (let c = 0; c < classes; c++) sum[to + c] += weight * values[from + c];
    }
  }
}
