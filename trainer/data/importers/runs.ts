/**
 * Masks as run lengths, as Kaggle writes them: "start length start length ...", pixels counted from 1 down the columns.
 */
import { SegfleetError } from '../../errors.ts';
import type { Size } from '../decode.ts';

export interface Painted {
  /** [height, width], 0 or 255 */
  readonly mask: Uint8Array;
  /** Pixels that more than one instance claims. */
  readonly overlap: number;
}

/** @param name of the image, for the sentence of the error @throws invalidData: no pairs of numbers, or pixels outside of the image */
export function paintRuns(name: string, rows: readonly string[], { height, width }: Size): Painted {
  const mask = new Uint8Array(height * width);
  let overlap = 0;
  for (const row of rows) {
    const numbers = row.split(/\s+/).filter(Boolean).map(Number);
    const refuse = (sentence: string) => {
      throw new SegfleetError('invalidData', `${name}: its run lengths ${sentence} ("${row.slice(0, 40)}"); fetch the table again`, {
        details: { file: name },
      });
    };
    if (numbers.length % 2 !== 0 || numbers.some(number => !Number.isInteger(number) || number < 1))
      refuse('are not pairs of numbers from 1');
    for (let i = 0; i < numbers.length; i += 2) {
      const start = numbers[i] - 1;
      const end = start + numbers[i + 1];
      if (end > mask.length) refuse(`leave the image of ${width}x${height} pixels`);
      for (let at = start; at < end; at++) {
        const pixel = (at % height) * width + Math.floor(at / height);
        if (mask[pixel]) overlap++;
        mask[pixel] = 255;
      }
    }
  }
  return { mask, overlap };
}
