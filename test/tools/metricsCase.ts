/**
 * What Python's libraries and our metrics are both given: pairs of masks and logits, from seeds. The libraries' answers are in
 * test/fixtures/metrics.json, made by `npm run fixtures:metrics`.
 */
import { createHash } from 'node:crypto';
import type { Size } from '../../trainer/data/decode.ts';
import { generator } from '../../trainer/random.ts';
import { drawPicture } from './pictures.ts';

export interface MetricsCase {
  readonly name: string;
  readonly size: Size;
  /** [height, width], 0 and 1; predicted where the logit is above 0. */
  readonly predicted: Uint8Array;
  readonly truth: Uint8Array;
  /** [height, width] */
  readonly logits: Float32Array;
}

/** Images a batch in the part that Keras evaluates: the last batch is short. */
export const batchSize = 3;

/** The size that Keras's images have: its batches are of one size. */
export const commonSize: Size = { height: 24, width: 20 };

type Draw = (x: number, y: number) => boolean;

const nothing: Draw = () => false;
const everything: Draw = () => true;
const block: Draw = (x, y) => x >= 4 && x < 10 && y >= 5 && y < 15;
const smallBlock: Draw = (x, y) => (x === 12 || x === 13) && (y === 3 || y === 4);
const cut: Draw = (x, y) => x < 6 && y < 9; // touches the frame
const vessel =
  (shift: number, radius: number): Draw =>
  (x, y) =>
    Math.abs(x - 9 - 6 * Math.sin(y / 4) - shift) < radius || Math.abs(y - 12 - shift) < radius / 2;
const noise = (purpose: string, share: number): Draw => {
  const next = generator(11, 'metrics', purpose);
  return () => next() / 2 ** 32 < share;
};
const discs = (purpose: string): Draw => {
  const { mask } = drawPicture(purpose, commonSize.width, commonSize.height);
  return (x, y) => mask[y * commonSize.width + x] > 0;
};
const either =
  (...all: Draw[]): Draw =>
  (x, y) =>
    all.some(draw => draw(x, y));

const pairs: readonly (readonly [name: string, predicted: Draw, truth: Draw, size?: Size])[] = [
  ['discs', discs('metrics0'), discs('metrics1')],
  ['shifted block', (x, y) => block(x - 2, y - 1), block],
  ['vessels', vessel(1, 1.5), vessel(0, 2.5)],
  ['noise', noise('predicted', 0.4), noise('truth', 0.5)],
  ['one of two objects missed', block, either(block, smallBlock)],
  ['cut by the frame', (x, y) => cut(x + 1, y - 2), cut],
  ['nothing predicted', nothing, block],
  ['nothing to find', smallBlock, nothing],
  ['both empty', nothing, nothing],
  ['all of it', everything, discs('metrics2')],
  ['equal', discs('metrics3'), discs('metrics3')],
  ['wide noise', noise('wide predicted', 0.3), noise('wide truth', 0.3), { height: 7, width: 61 }],
  ['one row', noise('row predicted', 0.5), noise('row truth', 0.5), { height: 1, width: 30 }],
];

export function metricsCases(): MetricsCase[] {
  return pairs.map(([name, drawPredicted, drawTruth, size = commonSize]) => {
    const draw = (shape: Draw) =>
      Uint8Array.from({ length: size.height * size.width }, (_, i) => (shape(i % size.width, Math.floor(i / size.width)) ? 1 : 0));
    const predicted = draw(drawPredicted);
    const next = generator(11, 'metrics logits', name);
    const logits = Float32Array.from(predicted, value => (value ? 1 : -1) * (0.01 + (8 * next()) / 2 ** 32));
    return { name, size, predicted, truth: draw(drawTruth), logits };
  });
}

export const digestOfCases = (cases: readonly MetricsCase[]): string =>
  createHash('sha256')
    .update(
      cases.map(({ name, predicted, truth, logits }) => `${name} ${predicted.join('')} ${truth.join('')} ${logits.join(' ')}\n`).join(''),
    )
    .digest('hex');
