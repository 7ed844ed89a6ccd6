/**
 * Augmentation: a window of an image and of its labels, moved and coloured at random. A pure function of seed, epoch and sample, so that
 * a resumed run, or one on other workers, sees the same pictures. Each kind draws from a stream of its own: switching one on or off
 * leaves the others as they were. All movements are joined into one map, so that pixels are interpolated once.
 */
import { z } from 'zod';
import { generator } from '../random.ts';
import type { Size } from './decode.ts';
import { cutWindow, reflect, type Window } from './patches.ts';

const probability = z.number().min(0).max(1).default(0.5).describe('Of a training image to be changed in this way.');

export const augmentationSchema = z
  .strictObject({
    flip: z.strictObject({ probability }).optional().describe('Mirrors left and right, and top and bottom, each with this probability.'),
    quarterTurn: z
      .strictObject({ probability })
      .optional()
      .describe('Turns by 90, 180 or 270 degrees; where height and width differ, by 180.'),
    rotation: z
      .strictObject({ probability, degrees: z.number().positive().max(180).default(15).describe('The largest angle, either way.') })
      .optional()
      .describe('Turns by any angle. What comes in at the corners is a reflection.'),
    elastic: z
      .strictObject({
        probability,
        pixels: z.number().positive().max(256).default(8).describe('The largest displacement along each axis; below half the spacing.'),
        spacing: z.number().min(4).max(1024).default(64).describe('Pixels between the points that are displaced at random.'),
      })
      .refine(({ pixels, spacing }) => 2 * pixels < spacing, {
        path: ['pixels'],
        message: 'must be less than half of elastic.spacing, else the image may fold over itself; lower it or raise the spacing',
      })
      .optional()
      .describe('Displaces random points of a grid, and the pixels between them smoothly (cubic B-spline).'),
    colour: z
      .strictObject({
        probability,
        brightness: z.number().min(0).max(1).default(0.2).describe('Adds up to this share of the full range.'),
        contrast: z.number().min(0).max(1).default(0.2).describe('Scales the distance to the mean by up to this share more or less.'),
        saturation: z.number().min(0).max(1).default(0.2).describe('Scales the distance to grey by up to this share more or less.'),
        hue: z.number().min(0).max(180).default(5).describe('Turns hues by up to this many degrees.'),
      })
      .optional()
      .describe('Saturation and hue do nothing to images of one channel.'),
  })
  .describe('Random changes to training images, none by default. Labels move with the image.');
export type AugmentationSpec = z.infer<typeof augmentationSchema>;

export interface Labelled {
  /** [height, width, channels] */
  readonly image: Uint8Array;
  /** [height, width] */
  readonly labels: Uint8Array;
  readonly size: Size;
}

export interface SampleKey {
  readonly seed: number;
  readonly epoch: number;
  readonly sample: number;
}

export interface Target {
  readonly images: Uint8Array;
  readonly labels: Uint8Array;
  /** Place in the batch, counted in images. */
  readonly place: number;
}

/** Writes a window of `source` to its place in a batch, augmented. */
export function augmentInto(
  target: Target,
  source: Labelled,
  window: Window,
  channels: number,
  spec: AugmentationSpec | undefined,
  key: SampleKey,
): void {
  const pixels = window.height * window.width;
  const geometry = spec && drawGeometry(spec, window, key);
  if (geometry) warp(target, source, window, channels, geometry);
  else {
    cutWindow(source.image, source.size, channels, window, target.images, target.place * pixels * channels);
    cutWindow(source.labels, source.size, 1, window, target.labels, target.place * pixels);
  }
  const image = target.images.subarray(target.place * pixels * channels, (target.place + 1) * pixels * channels);
  if (spec?.colour) recolour(image, channels, spec.colour, uniform(key, 'colour'));
}

/** Uniform numbers in [0, 1) for one kind of change to one sample. */
function uniform({ seed, epoch, sample }: SampleKey, kind: string): () => number {
  const next = generator(seed, 'augmentation', kind, epoch, sample);
  return () => next() / 2 ** 32;
}

/** From an offset from the centre of the window to an offset from the centre of what is taken: `[[a, b], [c, d]]` times (right, down). */
type Matrix = readonly [a: number, b: number, c: number, d: number];

interface Geometry {
  readonly matrix: Matrix;
  /** In pixels of the window, before the matrix. */
  readonly displacement?: Displacement;
}

const identity: Matrix = [1, 0, 0, 1];
const multiply = ([a, b, c, d]: Matrix, [e, f, g, h]: Matrix): Matrix => [a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h];
/** Exact, so that these move bytes and blur none. */
const quarterTurns: readonly Matrix[] = [identity, [0, -1, 1, 0], [-1, 0, 0, -1], [0, 1, -1, 0]];

/** Nothing where the draws leave the image where it is. */
function drawGeometry(spec: AugmentationSpec, window: Window, key: SampleKey): Geometry | undefined {
  let matrix = identity;
  if (spec.flip) {
    const draw = uniform(key, 'flip');
    const sign = () => (draw() < spec.flip!.probability ? -1 : 1);
    matrix = [sign(), 0, 0, sign()];
  }
  if (spec.quarterTurn) {
    const draw = uniform(key, 'quarterTurn');
    const isTurned = draw() < spec.quarterTurn.probability;
    const turns = window.height === window.width ? 1 + Math.floor(draw() * 3) : 2;
    if (isTurned) matrix = multiply(matrix, quarterTurns[turns]);
  }
  if (spec.rotation) {
    const draw = uniform(key, 'rotation');
    const isTurned = draw() < spec.rotation.probability;
    const angle = (2 * draw() - 1) * spec.rotation.degrees * (Math.PI / 180);
    if (isTurned) matrix = multiply(matrix, [Math.cos(angle), -Math.sin(angle), Math.sin(angle), Math.cos(angle)]);
  }
  const displacement = spec.elastic && drawDisplacement(spec.elastic, window, uniform(key, 'elastic'));
  const moves = displacement || matrix.some((value, i) => value !== identity[i]);
  return moves ? { matrix, displacement } : undefined;
}

/** Writes the displacements of one row of pixels, to the right and down. */
type Displacement = (y: number, right: Float64Array, down: Float64Array) => void;

/** A smooth field: a cubic B-spline over random points, so that no displacement is larger than the largest of theirs. */
function smoothField(size: Size, spacing: number, draw: () => number): Displacement {
  const rows = splineAxis(size.height, spacing);
  const columns = splineAxis(size.width, spacing);
  /** [rows, columns, 2] */
  const points = Float64Array.from({ length: rows.numPoints * columns.numPoints * 2 }, draw);
  const between = new Float64Array(columns.numPoints * 2);
  return (y, right, down) => {
    between.fill(0);
    for (let k = 0; k < 4; k++) {
      const weight = rows.weights[4 * y + k];
      const from = (rows.cells[y] + k) * between.length;
      for (let i = 0; i < between.length; i++) between[i] += weight * points[from + i];
    }
    for (let x = 0; x < size.width; x++) {
      right[x] = 0;
      down[x] = 0;
      for (let k = 0; k < 4; k++) {
        const weight = columns.weights[4 * x + k];
        const at = 2 * (columns.cells[x] + k);
        right[x] += weight * between[at];
        down[x] += weight * between[at + 1];
      }
    }
  };
}

interface SplineAxis {
  readonly numPoints: number;
  /** [length]: the first of the four points that each pixel lies between. */
  readonly cells: Uint32Array;
  /** [length, 4]: the weights of those points; they sum to one. */
  readonly weights: Float64Array;
}

function splineAxis(length: number, spacing: number): SplineAxis {
  const cells = new Uint32Array(length);
  const weights = new Float64Array(4 * length);
  for (let i = 0; i < length; i++) {
    const cell = Math.floor(i / spacing);
    const t = i / spacing - cell;
    cells[i] = cell;
    const basis = [(1 - t) ** 3, 3 * t ** 3 - 6 * t ** 2 + 4, -3 * t ** 3 + 3 * t ** 2 + 3 * t + 1, t ** 3];
    basis.forEach((value, k) => {
      weights[4 * i + k] = value / 6;
    });
  }
  return { numPoints: cells[length - 1] + 4, cells, weights };
}

function drawDisplacement(spec: NonNullable<AugmentationSpec['elastic']>, size: Size, draw: () => number): Displacement | undefined {
  if (draw() >= spec.probability) return undefined;
  return smoothField(size, spec.spacing, () => (2 * draw() - 1) * spec.pixels);
}

/** Images are interpolated bilinearly, labels taken from the nearest pixel. */
function warp(target: Target, source: Labelled, window: Window, channels: number, { matrix, displacement }: Geometry): void {
  const { height, width } = window;
  const xs = new Float64Array(width);
  const ys = new Float64Array(width);
  const [a, b, c, d] = matrix;
  const [middleX, middleY] = [(width - 1) / 2, (height - 1) / 2];
  for (let y = 0; y < height; y++) {
    if (displacement) displacement(y, xs, ys);
    for (let x = 0; x < width; x++) {
      const right = x - middleX + (displacement ? xs[x] : 0);
      const down = y - middleY + (displacement ? ys[x] : 0);
      xs[x] = window.left + middleX + a * right + b * down;
      ys[x] = window.top + middleY + c * right + d * down;
    }
    takeRow(target, (target.place * height + y) * width, source, channels, xs, ys);
  }
}

/** Fills a row of the target from the places (xs, ys) of the source. Plain loops without tuples: this is most of the cost. */
function takeRow(target: Target, start: number, source: Labelled, channels: number, xs: Float64Array, ys: Float64Array): void {
  const { image, labels } = source;
  const { height, width } = source.size;
  for (let i = 0; i < xs.length; i++) {
    let x0 = Math.floor(xs[i]);
    let y0 = Math.floor(ys[i]);
    const shareX = xs[i] - x0;
    const shareY = ys[i] - y0;
    let x1 = x0 + 1;
    let y1 = y0 + 1;
    if (x0 < 0 || y0 < 0 || x1 >= width || y1 >= height) {
      x0 = reflect(x0, width);
      x1 = reflect(x1, width);
      y0 = reflect(y0, height);
      y1 = reflect(y1, height);
    }
    target.labels[start + i] = labels[(shareY < 0.5 ? y0 : y1) * width + (shareX < 0.5 ? x0 : x1)];
    const topLeft = (y0 * width + x0) * channels;
    const topRight = (y0 * width + x1) * channels;
    const bottomLeft = (y1 * width + x0) * channels;
    const bottomRight = (y1 * width + x1) * channels;
    for (let c = 0; c < channels; c++) {
      const top = image[topLeft + c] + shareX * (image[topRight + c] - image[topLeft + c]);
      const bottom = image[bottomLeft + c] + shareX * (image[bottomRight + c] - image[bottomLeft + c]);
      target.images[(start + i) * channels + c] = top + shareY * (bottom - top) + 0.5; // a byte cuts off what is behind the point
    }
  }
}

/** Weights of red, green and blue in the luminance (ITU-R BT.601). */
const luminance = [0.299, 0.587, 0.114] as const;

/** Brightness, contrast, saturation and hue as one affine map of the colours of a pixel. */
function recolour(image: Uint8Array, channels: number, spec: NonNullable<AugmentationSpec['colour']>, draw: () => number): void {
  if (draw() >= spec.probability) return;
  const around = (middle: number, range: number) => middle + (2 * draw() - 1) * range;
  const [brightness, contrast, saturation, hue] = [
    around(0, spec.brightness),
    around(1, spec.contrast),
    around(1, spec.saturation),
    around(0, spec.hue),
  ];
  let sum = 0;
  for (let i = 0; i < image.length; i++) sum += image[i];
  const offset = 255 * brightness + (1 - contrast) * (sum / image.length);
  const clamped = new Uint8ClampedArray(image.buffer, image.byteOffset, image.length); // rounds and clamps what is written
  if (channels === 1) {
    for (let i = 0; i < clamped.length; i++) clamped[i] = contrast * clamped[i] + offset;
    return;
  }
  const m = colourMatrix(contrast, saturation, (hue * Math.PI) / 180);
  for (let i = 0; i < clamped.length; i += 3) {
    const r = clamped[i];
    const g = clamped[i + 1];
    const b = clamped[i + 2];
    clamped[i] = m[0] * r + m[1] * g + m[2] * b + offset;
    clamped[i + 1] = m[3] * r + m[4] * g + m[5] * b + offset;
    clamped[i + 2] = m[6] * r + m[7] * g + m[8] * b + offset;
  }
}

/**
 * Turns colours about the grey axis by `hue` (radians), and scales their distance to the grey of the same luminance: rows of three for
 * red, green and blue. Grey stays grey.
 */
export function colourMatrix(contrast: number, saturation: number, hue: number): number[] {
  // Rodrigues' rotation about (1, 1, 1) / sqrt 3.
  const [cosine, sine] = [Math.cos(hue), Math.sin(hue) / Math.sqrt(3)];
  const third = (1 - cosine) / 3;
  const turn = [
    cosine + third,
    third - sine,
    third + sine,
    third + sine,
    cosine + third,
    third - sine,
    third - sine,
    third + sine,
    cosine + third,
  ];
  return turn.map((value, i) => {
    const column = i % 3;
    const grey = luminance[0] * turn[column] + luminance[1] * turn[3 + column] + luminance[2] * turn[6 + column];
    return contrast * (saturation * value + (1 - saturation) * grey);
  });
}
