import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeFrame,
  type Expected,
  encodeHeader,
  type Header,
  headerBytes,
  type Refusal,
  refusals,
  runTag,
} from '../../../coordinator/exchange/frame.ts';
import { planOf } from '../../../coordinator/exchange/plan.ts';
import { generator } from '../../../trainer/random.ts';
import { bytesPerNumber } from '../../../trainer/wire.ts';
import { bucketsOf, partition } from '../../tools/lanes.ts';

/** Cases that are decoded by the test of hostile bytes; it takes some seconds. */
const hostileCases = 1_000_000;

// Three workers of lanes 0, 1-2 and 3; this one is rank 1. The last bucket travels in two bytes a number.
const buckets = [...bucketsOf(96, 33), { length: 96, wire: 'bfloat16' as const }];
const plan = planOf({ rank: 1, ranges: partition(4, [true, false, true]), buckets, chunkLength: 32 });
const expected: Expected = { plan, run: runTag('a run'), generation: 7, inline: true };

/** Worker 2's lane of the only chunk of this rank's slice of bucket 0, which is numbers 32 to 63. */
const contribution: Header = {
  ...{ kind: 'contribution', wire: 'float32', run: runTag('a run'), generation: 7, step: 3, bucket: 0, from: 2, slice: 1 },
  ...{ node: { start: 3, end: 4 }, offset: 32, length: 32, checksum: 0xdeadbeef },
};
/** Worker 0's sum of its slice. */
const sum: Header = { ...contribution, kind: 'sum', from: 0, slice: 0, node: { start: 0, end: 4 }, offset: 0 };
const rounded: Header = { ...contribution, bucket: 2, wire: 'bfloat16' };
const numbersOf = ({ length, wire }: Header) => new Uint8Array(length * bytesPerNumber[wire]);
const decode = (header: Header, numbers = numbersOf(header)) => decodeFrame([encodeHeader(header), numbers], expected);

/** With a correct checksum again, as one who knows the format would send it. */
function sealed(header: Header, change: (bytes: Buffer) => void): Buffer {
  const bytes = encodeHeader(header);
  change(bytes);
  bytes.writeUInt16LE(crc32(bytes.subarray(0, 46)) & 0xffff, 46);
  return bytes;
}

describe('a frame', () => {
  test.each([contribution, sum, rounded])('comes back as it was: %o', header => {
    expect(decode(header)).toEqual(header);
  });

  test('whose numbers lie in shared memory is its header alone', () => {
    expect(decodeFrame([encodeHeader(sum)], { ...expected, inline: false })).toEqual(sum);
    expect(decodeFrame([encodeHeader(sum), numbersOf(sum)], { ...expected, inline: false })).toBe('parts');
  });

  const frame = (change: Partial<Header>, header = contribution) => [
    encodeHeader({ ...header, ...change }),
    numbersOf({ ...header, ...change }),
  ];
  const changed = (change: (bytes: Buffer) => void) => [sealed(contribution, change), numbersOf(contribution)];
  test.each<[Refusal, string, Uint8Array[]]>([
    ['parts', 'nothing', []],
    ['parts', 'a header alone', [encodeHeader(contribution)]],
    ['parts', 'three parts', [...frame({}), new Uint8Array(0)]],
    ['headerSize', 'a byte short', [encodeHeader(contribution).subarray(1), numbersOf(contribution)]],
    ['headerSize', 'a byte long', [Buffer.concat([encodeHeader(contribution), Buffer.alloc(1)]), numbersOf(contribution)]],
    ['numbersSize', 'a number short', [encodeHeader(contribution), new Uint8Array(31 * 4)]],
    ['numbersSize', 'trailing bytes', [encodeHeader(contribution), new Uint8Array(32 * 4 + 1)]],
    ['numbersSize', 'four bytes a number where the header says two', [encodeHeader(rounded), numbersOf(contribution)]],
    ['magic', 'another protocol', changed(bytes => bytes.write('HTTP', 0))],
    ['version', 'version 2', changed(bytes => bytes.writeUInt8(2, 4))],
    [
      'headerChecksum',
      'a flipped bit',
      [Buffer.from(encodeHeader(contribution).map((byte, i) => byte ^ Number(i === 20))), numbersOf(contribution)],
    ],
    ['fields', 'a kind that does not exist', changed(bytes => bytes.writeUInt8(2, 5))],
    ['fields', 'a format that does not exist', changed(bytes => bytes.writeUInt8(9, 6))],
    ['fields', 'a byte that means nothing', changed(bytes => bytes.writeUInt8(1, 7))],
    ['otherRun', 'another run', frame({ run: runTag('another run') })],
    ['otherGeneration', 'an older generation', frame({ generation: 6 })],
    ['notPlanned', 'rounded numbers for a bucket that is exact', frame({ wire: 'bfloat16' })],
    ['notPlanned', 'exact numbers for a bucket that is rounded', frame({ wire: 'float32' }, rounded)],
    ['notPlanned', 'a rank that there is not', frame({ from: 3 })],
    ['notPlanned', 'this rank itself', frame({ from: 1 })],
    ['notPlanned', 'a slice of somebody else', frame({ slice: 0, offset: 0 })],
    ['notPlanned', 'a node of somebody else', frame({ node: { start: 0, end: 1 } })],
    ['notPlanned', 'a node that there is not', frame({ node: { start: 3, end: 5 } })],
    ['notPlanned', 'a bucket that there is not', frame({ bucket: 3 })],
    ['notPlanned', 'an offset between chunks', frame({ offset: 16 })],
    ['notPlanned', 'an offset beyond the end', frame({ offset: 2 ** 32 - 16 })],
    ['notPlanned', 'half a chunk', frame({ length: 16 })],
    ['notPlanned', 'no numbers', frame({ length: 0 })],
    ['notPlanned', 'a sum by one who does not own the slice', frame({ from: 2 }, sum)],
    ['notPlanned', 'a sum of some lanes', frame({ node: { start: 0, end: 2 } }, sum)],
  ])('is dropped as %s: %s', (reason, _, parts) => {
    expect(decodeFrame(parts, expected)).toBe(reason);
  });

  test(`is never believed by mistake and never throws, in ${hostileCases} cases`, () => {
    const perRun = 500;
    const seen = new Set<string>();
    const check = (seed: number) => {
      const next = generator(seed, 'frames');
      for (let i = 0; i < perRun; i++) {
        const header = [contribution, sum, rounded][next() % 3];
        let bytes = encodeHeader(header);
        const kind = next() % 4;
        // Bytes at random; some bytes changed; the same and sealed again; cut or grown.
        if (kind === 0) for (let k = 0; k < headerBytes; k++) bytes[k] = next();
        else for (let changes = 1 + (next() % 3); changes > 0; changes--) bytes[next() % headerBytes] = next();
        if (kind === 2) bytes = sealed(header, whole => bytes.copy(whole));
        if (kind === 3) bytes = Buffer.concat([bytes, bytes]).subarray(0, next() % (2 * headerBytes));
        const numbers = next() % 2 ? numbersOf(header) : new Uint8Array(next() % 300);
        const result = decodeFrame(next() % 50 ? [bytes, numbers] : [bytes], expected);
        seen.add(typeof result === 'string' ? result : 'believed');
        if (typeof result === 'string') {
          if (!refusals.includes(result)) throw new Error(result);
        } else if (!encodeHeader(result).equals(bytes) || numbers.byteLength !== numbersOf(result).byteLength || result.generation !== 7) {
          throw new Error(`believed ${bytes.toString('hex')}`);
        }
      }
      return true;
    };
    fc.assert(fc.property(fc.integer(), check), { numRuns: hostileCases / perRun });
    // Step and duplicates are the receiver's to see. Sealed frames with another step or checksum are believed here.
    const reachable = refusals.filter(reason => reason !== 'otherStep' && reason !== 'duplicate');
    expect([...seen].sort()).toEqual([...reachable, 'believed'].sort());
  });
});
