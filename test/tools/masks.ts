/**
 * Arbitrary pairs of masks for property tests.
 */
import fc from 'fast-check';
import type { Size } from '../../trainer/data/decode.ts';

export interface MaskPair {
  readonly size: Size;
  readonly a: Uint8Array;
  readonly b: Uint8Array;
}

/** Two masks of one size, any size from 1x1, of any density from empty to full. */
export const maskPairs = (largest = 12): fc.Arbitrary<MaskPair> =>
  fc
    .tuple(fc.integer({ min: 1, max: largest }), fc.integer({ min: 1, max: largest }), fc.integer({ min: 0, max: 10 }))
    .chain(([height, width, tenths]) => {
      const mask = fc
        .array(fc.nat(9), { minLength: height * width, maxLength: height * width })
        .map(values => Uint8Array.from(values, value => (value < tenths ? 1 : 0)));
      return fc.record({ size: fc.constant({ height, width }), a: mask, b: mask });
    });
