/**
 * Rounding in one process against the kernels that round between workers.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMemory, loadKernels } from '../../coordinator/exchange/kernels.ts';
import { addInto } from '../../trainer/lanes.ts';
import { roundToBfloat16 } from '../../trainer/wire.ts';
import { bitsOf, nearestBfloat16 } from '../tools/lanes.ts';

const memory = createMemory(2 ** 20);
const kernels = loadKernels(memory);
const kernelPlaces = [0, 2 ** 18, 2 ** 19];

/** By the kernel, from numbers that are copied into its memory. */
function byKernel(run: (out: number, a: number, b: number, end: number) => void, a: Float32Array, b = a): Float32Array {
  const [out, first, second] = kernelPlaces;
  new Float32Array(memory.buffer, first, a.length).set(a);
  new Float32Array(memory.buffer, second, b.length).set(b);
  run(out, first, second, out + a.byteLength);
  return new Float32Array(memory.buffer, out, a.length).slice();
}
const roundByKernel = (values: Float32Array) => byKernel((out, a, _, end) => kernels.round(out, a, end), values);
const rounded = (values: Float32Array): Float32Array => {
  const copy = values.slice();
  roundToBfloat16(copy);
  return copy;
};
const floats = (words: Uint32Array): Float32Array => new Float32Array(words.buffer);

test.each([0x0000, 0x0001, 0x7fff, 0x8000, 0x8001, 0xffff])(
  'every upper half with the lower half %i is rounded as by the kernel',
  lower => {
    // All of them: signs, zeros, subnormals, the largest, infinities and what is not a number.
    const values = floats(Uint32Array.from({ length: 2 ** 16 }, (_, upper) => upper * 2 ** 16 + lower));
    expect(bitsOf(rounded(values))).toBe(bitsOf(roundByKernel(values)));
    const numbers = values.filter(value => !Number.isNaN(value));
    expect(bitsOf(rounded(numbers))).toBe(bitsOf(numbers.map(nearestBfloat16)));
    expect(rounded(values.filter(Number.isNaN)).every(Number.isNaN)).toBe(true);
  },
);

test('numbers of any bits are rounded as by the kernel, and sums of them', () => {
  const words = fc.uint32Array({ minLength: 64, maxLength: 64 });
  fc.assert(
    fc.property(words, words, (first, second) => {
      const [a, b] = [floats(first.slice()), floats(second.slice())];
      expect(bitsOf(rounded(a))).toBe(bitsOf(roundByKernel(a)));
      // The bits of a sum that is not a number are the processor's choice.
      const same = (sum: Float32Array) => bitsOf(sum.map(value => (Number.isNaN(value) ? Number.NaN : value)));
      expect(same(rounded(addInto(a.slice(), b)))).toBe(same(byKernel(kernels.addRounded, a, b)));
    }),
  );
});

test('only what is given is rounded, not what lies around it', () => {
  const values = Float32Array.of(257, 257, 257);
  roundToBfloat16(values.subarray(1, 2));
  expect([...values]).toEqual([257, 256, 257]);
});
