/**
 * What numbers are while they travel between workers. In bfloat16 every node of the tree of lanes is rounded (tree.ts), its leaves and
 * what one process adds alone too: so the rounding shows in the result, and how many workers there are does not.
 */
export const wires = ['float32', 'bfloat16'] as const;
export type Wire = (typeof wires)[number];
export const bytesPerNumber = { float32: 4, bfloat16: 2 } as const satisfies Record<Wire, number>;

/** To the nearest bfloat16 in place, ties to even, kept as float32; NaN stays NaN. Bit for bit what the exchange does (`nearest` in kernels.wat). */
export function roundToBfloat16(values: Float32Array): void {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    const isNumber = (word & 0x7fffffff) <= 0x7f800000;
    // The half that is cut off carries into the upper one when it is above the middle, and at the middle where the upper one is odd.
    words[i] = (isNumber ? word + 0x7fff + ((word >>> 16) & 1) : word | 0x400000) & 0xffff0000;
  }
}
