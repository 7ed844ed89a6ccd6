import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { float32 } from '../../../trainer/engine/tensor.ts';
import {
  decodeManifest,
  decodePointer,
  encodeManifest,
  encodePointer,
  type ManifestContents,
  manifestKey,
  planChunks,
  planRetention,
  shareOf,
  termOf,
} from '../../../trainer/storage/manifest.ts';

const contents: ManifestContents = {
  run: 'skin',
  term: 2,
  step: 40,
  score: 0.75,
  position: { epoch: 3, 'sums of losses': [0.1, 1e-30, -0.5], note: 'ü' },
  written: '2026-11-25T10:00:00.000Z',
  chunks: [{ sha256: 'ab'.repeat(32), bytes: 120, tensors: ['a', 'b/c'] }],
};

describe('a manifest', () => {
  test('says what was written', () => {
    expect(decodeManifest(encodeManifest(contents), 'm')).toMatchObject(contents);
  });

  test('with a bit flipped anywhere, or cut anywhere, is damaged', () => {
    const bytes = encodeManifest(contents);
    for (let bit = 0; bit < 8 * bytes.length - 8; bit += 3) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] ^= 1 << (bit & 7);
      let same = false;
      try {
        same = JSON.stringify(decodeManifest(flipped, 'm')) === JSON.stringify(decodeManifest(bytes, 'm')); // white space only
      } catch (error) {
        expect(error).toMatchObject({ code: 'integrity', message: expect.stringContaining('m is damaged') });
        same = true;
      }
      expect([bit, same]).toEqual([bit, true]);
    }
    for (let length = 0; length < bytes.length - 1; length++)
      expect(() => decodeManifest(bytes.subarray(0, length), 'm')).toThrow('m is damaged');
  });

  test('of a later version is refused with the way out', () => {
    const later = encodeManifest({ ...contents, schema: 'segfleet/checkpoint-manifest/2' } as ManifestContents);
    expect(() => decodeManifest(later, 'm')).toThrow('m was written by a later version of segfleet (segfleet/checkpoint-manifest/2)');
  });

  test.each([
    ['a chunk of a strange name', { chunks: [{ sha256: '../../x', bytes: 1, tensors: ['a'] }] }],
    ['no chunks', { chunks: [] }],
    ['a tensor that is there twice', { chunks: [{ ...contents.chunks[0], tensors: ['a', 'a'] }] }],
    ['a negative length', { chunks: [{ ...contents.chunks[0], bytes: -1 }] }],
    ['a field that nobody knows', { more: 1 }],
  ])('with %s is refused, although its checksum fits', (_, change) => {
    expect(() => decodeManifest(encodeManifest({ ...contents, ...change } as ManifestContents), 'm')).toThrow('m is damaged');
  });

  test('has a name that sorts as time does: a later writer first, then a later step', () => {
    const inTime = [
      { term: 1, step: 9 },
      { term: 1, step: 10 },
      { term: 2, step: 5 },
      { term: 10, step: 1 },
    ];
    expect(inTime.map(manifestKey).toSorted()).toEqual(inTime.map(manifestKey));
    expect(inTime.map(manifestKey).map(termOf)).toEqual([1, 1, 2, 10]);
  });
});

test('a pointer says what was written, and is refused when damaged', () => {
  const pointer = { run: 'skin', term: 3, manifest: null };
  expect(decodePointer(encodePointer(pointer), 'p')).toMatchObject(pointer);
  for (const text of ['', '[]', '{}', '{"schema":"segfleet/checkpoint-pointer/1","run":"x","term":0,"manifest":null}'])
    expect(() => decodePointer(Buffer.from(text), 'p')).toThrow('p is damaged');
});

describe('chunks', () => {
  const sized = (sizes: Record<string, number>) =>
    new Map(Object.entries(sizes).map(([name, numbers]) => [name, float32(new Float32Array(numbers))]));

  test('hold neighbours by name, as many as fit; a large tensor is alone', () => {
    // 4 bytes a number, 40 bytes a chunk: a + b = 32, c 400 alone, d + e + f = 40, g
    const plan = planChunks(sized({ g: 1, a: 4, b: 4, c: 100, d: 5, e: 3, f: 2 }), 40);
    expect(plan).toEqual([['a', 'b'], ['c'], ['d', 'e', 'f'], ['g']]);
  });

  test('hold every tensor once, whatever the sizes; the shares of the ranks are all chunks', () => {
    const sizes = fc.dictionary(fc.string(), fc.nat(50), { minKeys: 1, noNullPrototype: true });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 4, max: 300 }), fc.integer({ min: 1, max: 5 }), (sizes, chunkBytes, ranks) => {
        const tensors = sized(sizes);
        const plan = planChunks(tensors, chunkBytes);
        expect(plan.flat()).toEqual([...tensors.keys()].sort());
        for (const names of plan) {
          const bytes = names.reduce((sum, name) => sum + tensors.get(name)!.data.byteLength, 0);
          expect(names.length === 1 || bytes <= chunkBytes).toBe(true);
        }
        const shares = Array.from({ length: ranks }, (_, rank) => shareOf(plan, rank, ranks));
        expect(shares.flat().length).toBe(plan.length);
        expect(new Set(shares.flat())).toEqual(new Set(plan));
      }),
    );
  });
});

describe('retention', () => {
  const m = (term: number, step: number, score?: number) => ({ term, step, score });
  const all = [m(1, 10, 0.5), m(1, 20, 0.9), m(1, 30, 0.7), m(2, 25, 0.9), m(2, 35), m(2, 45, 0.6)];
  test.each([
    [{ last: 1, best: 0 }, [m(2, 45, 0.6)]],
    [{ last: 0, best: 0 }, [m(2, 45, 0.6)]], // never none
    [{ last: 2, best: 0 }, [m(2, 45, 0.6), m(2, 35)]],
    [{ last: 1, best: 1 }, [m(2, 45, 0.6), m(2, 25, 0.9)]], // of equal scores the later
    [{ last: 1, best: 3 }, [m(2, 45, 0.6), m(2, 25, 0.9), m(1, 30, 0.7), m(1, 20, 0.9)]],
    [{ last: 9, best: 9 }, [...all].reverse()],
  ])('%j', (keep, expected) => {
    const plan = planRetention(all, keep);
    expect(plan.keep).toEqual(expected);
    expect(plan.keep.length + plan.drop.length).toBe(all.length);
  });
});
