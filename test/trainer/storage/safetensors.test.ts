import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { HostTensor } from '../../../trainer/engine/tensor.ts';
import { SegfleetError } from '../../../trainer/errors.ts';
import { decodeSafetensors, encodeSafetensors } from '../../../trainer/storage/safetensors.ts';

const tensors = new Map<string, HostTensor>([
  ['b', { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, -2, 3.5, Number.NaN) }],
  ['a', { dtype: 'uint8', shape: [3], data: Uint8Array.of(1, 2, 3) }],
  ['scalar', { dtype: 'int32', shape: [], data: Int32Array.of(-7) }],
  ['empty', { dtype: 'float32', shape: [0, 4], data: new Float32Array(0) }],
]);

describe('safetensors', () => {
  test('come back as they went in, metadata too, also out of a Buffer', () => {
    for (const bytes of [encodeSafetensors(tensors, { note: 'x' }), Buffer.from(encodeSafetensors(tensors, { note: 'x' }))]) {
      const decoded = decodeSafetensors(bytes, 'test');
      expect(decoded.metadata).toEqual({ note: 'x' });
      expect(new Map([...decoded.tensors].sort())).toEqual(new Map([...tensors].sort()));
    }
  });

  test('the bytes do not depend on the order in which tensors were named', () => {
    expect(encodeSafetensors(new Map([...tensors].reverse()))).toEqual(encodeSafetensors(tensors));
  });

  test('the bytes are those that the format describes, read here by a few lines of Python', () => {
    const folder = mkdtempSync(join(tmpdir(), 'segfleet-safetensors-'));
    const file = join(folder, 'x.safetensors');
    writeFileSync(file, encodeSafetensors(tensors));
    const script = `
import json, struct, sys
b = open(sys.argv[1], 'rb').read()
n = struct.unpack('<Q', b[:8])[0]
h = json.loads(b[8:8+n])
begin, end = h['b']['data_offsets']
print(json.dumps([h['b']['dtype'], h['b']['shape'], list(struct.unpack('<4f', b[8+n+begin:8+n+end]))[:3], (8+n) % 8, max(t['data_offsets'][1] for t in h.values()) == len(b) - 8 - n]))
`;
    expect(JSON.parse(execFileSync('python3', ['-c', script, file], { encoding: 'utf8' }))).toEqual(['F32', [2, 2], [1, -2, 3.5], 0, true]);
    rmSync(folder, { recursive: true });
  });

  const header = (json: unknown, data = new Uint8Array(0)) => {
    const text = Buffer.from(typeof json === 'string' ? json : JSON.stringify(json));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([length, text, data]);
  };
  const entry = (fields: object) => ({ w: { dtype: 'F32', shape: [1], data_offsets: [0, 4], ...fields } });

  test.each([
    ['nothing', new Uint8Array(0), 'it is shorter than its header'],
    ['a header length of 2^60', Buffer.from([0, 0, 0, 0, 0, 0, 0, 0x10, 1, 2]), 'the header is longer than the file'],
    ['a header that is not JSON', header('{"w":'), 'the header is not JSON'],
    ['a header that is a list', header([]), 'the header is not a JSON object'],
    ['an unknown element type', header(entry({ dtype: 'Q7' }), new Uint8Array(4)), 'the entry w is malformed'],
    [
      'a shape that is larger than the bytes',
      header(entry({ shape: [1e9, 1e9] }), new Uint8Array(4)),
      'the entry w does not fit its bytes',
    ],
    [
      'offsets beyond the end',
      header(entry({ data_offsets: [0, 400], shape: [100] }), new Uint8Array(4)),
      'the entry w does not fit its bytes',
    ],
    ['a gap', header(entry({ data_offsets: [4, 8] }), new Uint8Array(8)), 'the entry w does not fit its bytes'],
    ['bytes behind the last tensor', header(entry({}), new Uint8Array(8)), 'there are bytes behind the last tensor'],
    ['an entry that is null', header({ w: null }), 'the entry w is malformed'],
  ])('%s is refused with the reason', (_, bytes, reason) => {
    expect(() => decodeSafetensors(bytes, 'FILE')).toThrow(`FILE is not a valid safetensors file: ${reason}`);
  });

  test('a whole file cut anywhere, or with one byte of its header changed, is refused or read, never worse', () => {
    const whole = encodeSafetensors(tensors);
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.boolean(), (at, byte, cut) => {
        const damaged = cut ? whole.slice(0, at) : whole.slice().fill(byte, at, at + 1);
        try {
          decodeSafetensors(damaged, 'FILE');
        } catch (error) {
          expect(error).toBeInstanceOf(SegfleetError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('every cut is refused', () => {
    const whole = encodeSafetensors(tensors);
    for (let length = 0; length < whole.length; length++)
      expect(() => decodeSafetensors(whole.slice(0, length), 'FILE')).toThrow(SegfleetError);
  });
});
