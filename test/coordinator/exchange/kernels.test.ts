import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createMemory, loadKernels } from '../../../coordinator/exchange/kernels.ts';
import { wasm } from '../../../coordinator/exchange/kernels.wasm.ts';
import { compileKernels } from '../../tools/buildKernels.ts';
import { bitsOf, nearestBfloat16 } from '../../tools/lanes.ts';

const memory = createMemory(2 ** 16);
const kernels = loadKernels(memory);
const at = (address: number, length: number) => new Float32Array(memory.buffer, address, length);
const vectors = fc.integer({ min: 1, max: 5 }).chain(granules => {
  const vector = fc.float32Array({ minLength: granules * 16, maxLength: granules * 16, noNaN: true });
  return fc.tuple(vector, vector);
});

test('the compiled kernels are those of kernels.wat', async () => {
  expect(Buffer.from(wasm, 'base64').equals(await compileKernels())).toBe(true);
});

test('add gives float32 sums; in place too', () => {
  fc.assert(
    fc.property(vectors, ([a, b]) => {
      at(0, a.length).set(a);
      at(4096, b.length).set(b);
      kernels.add(0, 0, 4096, a.byteLength);
      expect(bitsOf(at(0, a.length))).toBe(bitsOf(a.map((value, i) => value + b[i])));
    }),
  );
});

test('addRounded and round give the nearest bfloat16, ties to even', () => {
  const ties = Float32Array.from({ length: 16 }, (_, i) => 1 + (2 * i + 1) * 2 ** -8); // half way between two
  fc.assert(
    fc.property(vectors, ([a, b]) => {
      at(0, a.length).set(a);
      at(4096, b.length).set(b);
      kernels.addRounded(8192, 0, 4096, 8192 + a.byteLength);
      expect(bitsOf(at(8192, a.length))).toBe(bitsOf(a.map((value, i) => nearestBfloat16(Math.fround(value + b[i])))));
      kernels.round(0, 0, a.byteLength);
      expect(bitsOf(at(0, a.length))).toBe(bitsOf(a.map(nearestBfloat16)));
    }),
    { examples: [[[ties, new Float32Array(16)]]] },
  );
});

test('what is not a number stays none, and what is infinite stays so', () => {
  at(0, 16).set([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4e38]); // the last one rounds up beyond the range
  new Uint32Array(memory.buffer, 16, 1)[0] = 0x7f800001; // a NaN whose only bit is in the half that is cut off
  kernels.round(0, 0, 64);
  expect([...at(0, 5)]).toEqual([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, Number.NaN]);
});

test('pack and unpack are each other’s reverse on rounded numbers, and unpack may spread numbers over their own place', () => {
  fc.assert(
    fc.property(vectors, ([a]) => {
      const rounded = a.map(nearestBfloat16);
      at(0, a.length).set(rounded);
      kernels.pack(4096, 0, 4096 + a.length * 2);
      new Uint8Array(memory.buffer).copyWithin(8192 + a.length * 2, 4096, 4096 + a.length * 2);
      kernels.unpack(8192, 8192 + a.length * 2, 8192 + a.byteLength);
      expect(bitsOf(at(8192, a.length))).toBe(bitsOf(rounded));
    }),
  );
});

test('a flipped bit or two exchanged words change the checksum', () => {
  const bytes = new Uint8Array(memory.buffer);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), fc.nat(256 * 8 - 1), fc.nat(63), fc.nat(63), (data, bit, i, j) => {
      bytes.set(data);
      const before = kernels.checksum(0, 256);
      bytes[bit >> 3] ^= 1 << (bit & 7);
      expect(kernels.checksum(0, 256)).not.toBe(before);
      bytes.set(data);
      const words = new Uint32Array(memory.buffer, 0, 64);
      [words[i], words[j]] = [words[j], words[i]];
      expect(kernels.checksum(0, 256) === before).toBe(words[i] === words[j]);
    }),
    { numRuns: 2000 },
  );
});
