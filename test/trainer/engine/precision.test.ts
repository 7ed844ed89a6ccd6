import { describe, expect, test } from 'vitest';
import { cpuFlags, hasBfloat16Hardware, resolvePrecision } from '../../../trainer/engine/precision.ts';

describe('precision', () => {
  test.each([
    ['float32', true, 'float32'],
    ['float32', false, 'float32'],
    ['bfloat16', true, 'bfloat16'],
    ['auto', true, 'bfloat16'],
    ['auto', false, 'float32'],
  ] as const)('%s where bfloat16 hardware is %s resolves to %s', (asked, supported, expected) => {
    expect(resolvePrecision(asked, supported)).toBe(expected);
  });

  test('bfloat16 without the hardware is refused with what to use instead', () => {
    expect(() => resolvePrecision('bfloat16', false)).toThrow(
      'training.precision: bfloat16 needs a CPU with AVX512_BF16 or AMX, or an NVIDIA GPU, and this machine has none; use float32, or auto',
    );
  });

  test.each([
    ['an AVX2 machine', 'flags\t\t: fpu avx2 fma', false],
    ['AVX512 without BF16', 'flags\t\t: avx2 avx512f avx512_vnni', false],
    ['AVX512_BF16', 'processor: 0\nflags\t\t: avx2 avx512f avx512_bf16\nprocessor: 1', true],
    ['AMX', 'flags\t\t: amx_bf16 amx_tile', true],
    ['ARM, which lists features', 'Features\t: fp asimd', false],
  ])('is told from the flags of %s', (_, cpuinfo, expected) => {
    expect(hasBfloat16Hardware(cpuFlags(cpuinfo), false)).toBe(expected);
  });
});
